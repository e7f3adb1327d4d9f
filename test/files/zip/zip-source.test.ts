import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { deflateRawSync } from 'node:zlib'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { dataFolder } from '../../../src/files/data-folder.js'
import { type ZipLimits, zipSource } from '../../../src/files/zip/zip-source.js'
import { type ZipPart, zipBytes } from '../zip-bytes.js'

const golden = (name: string): string => fileURLToPath(new URL(`../../goldens/zip/${name}`, import.meta.url))
const text = (bytes: Uint8Array): string => new TextDecoder().decode(bytes)
const bytesOf = (content: string): Uint8Array => new TextEncoder().encode(content)

let dir: string
let count = 0
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-zip-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

/** An archive in a file of its own. */
function archive(bytes: Uint8Array): string {
  const path = join(dir, `${count++}.zip`)
  writeFileSync(path, bytes)
  return path
}

/** Archive of one file `a.bin`, its path, and a source over it. */
function single(part: Partial<ZipPart>, limits?: ZipLimits) {
  const path = archive(zipBytes([{ name: 'a.bin', data: bytesOf('hello hello'), ...part }]))
  return { path, source: zipSource(path, limits) }
}

describe('zipSource over archives that others wrote', () => {
  it('reads what Info-ZIP stored and deflated', async () => {
    const source = zipSource(golden('info-zip.zip'))
    expect(await source.list('')).toEqual(['faces/'])
    expect(await source.list('faces/')).toEqual(['empty.txt', 'more/', 'one.txt'])
    expect(await source.list('faces/more')).toEqual(['two.txt'])
    expect(text(await source.read('faces/one.txt'))).toBe('one\n')
    expect(text(await source.read('faces/more/two.txt'))).toBe(`${'two words '.repeat(400)}\n`)
    expect(await source.read('faces/empty.txt')).toEqual(new Uint8Array(0))
    expect(await source.exists('faces/one.txt')).toBe(true)
    expect(await source.exists('faces')).toBe(false)
    expect(source.describe('faces/one.txt')).toBe(`${golden('info-zip.zip')}/faces/one.txt`)
    expect(source.describe('')).toBe(golden('info-zip.zip'))
  })

  it('reads a Zip64 archive', async () => {
    const source = zipSource(golden('zip64.zip'))
    expect(await source.list('deep/in')).toEqual(['three.txt'])
    expect(text(await source.read('deep/in/three.txt'))).toBe('three\n'.repeat(1000))
  })

  it('refuses what is encrypted', async () => {
    const path = golden('encrypted.zip')
    await expect(zipSource(path).read('faces/one.txt')).rejects.toThrow(
      new Error(
        `${path}/faces/one.txt: file must not be encrypted, got an encrypted one (at byte 0 of the archive)`,
      ),
    )
  })
})

describe('zipSource', () => {
  it('gives back any files, however many are read at once', async () => {
    const file = fc.record({
      data: fc.uint8Array({ maxLength: 3000 }),
      method: fc.constantFrom(0, 8),
      localExtra: fc.constantFrom(0, 9, 300),
    })
    await fc.assert(
      fc.asyncProperty(fc.array(file, { minLength: 1, maxLength: 12 }), async files => {
        const parts = files.map((part, i) => ({ ...part, name: `folder/${i}.bin` }))
        const source = zipSource(archive(zipBytes(parts)))
        const found = await Promise.all(parts.map(({ name }) => source.read(name)))
        expect(found).toEqual(files.map(({ data }) => Uint8Array.from(data)))
      }),
      { numRuns: 30 },
    )
  })

  it('opens a file to read parts of it', async () => {
    const file = await single({ method: 8 }).source.open('a.bin')
    expect(file.length).toBe(11)
    expect(text(await file.slice(1, 4))).toBe('ell')
    expect(text(await file.slice(9, 99))).toBe('lo')
    await file.close()
  })

  it('leaves no file open', async () => {
    const { path, source } = single({})
    const open = () => readdirSync('/proc/self/fd').length
    const before = process.platform === 'linux' ? open() : 0
    await Promise.all([source.read('a.bin'), source.read('a.bin'), source.list('')])
    await expect(source.read('none')).rejects.toThrow(
      new Error(`${path}/none: file must be readable, got nothing there`),
    )
    if (process.platform === 'linux') expect(open()).toBe(before)
  })

  it('names what is not there', async () => {
    const { path, source } = single({})
    await expect(source.list('b')).rejects.toThrow(
      new Error(`${path}/b: folder must be readable, got nothing there`),
    )
    const missing = join(dir, 'missing.zip')
    expect(() => zipSource(missing)).toThrow(
      new Error(`${missing}: archive must be a file, got a folder or nothing there`),
    )
    rmSync(path)
    await expect(source.read('a.bin')).rejects.toThrow(
      new Error(`${path}: file must be readable, got nothing there`),
    )
  })

  it('stays inside the archive', async () => {
    const { path, source } = single({})
    for (const inner of ['../a.bin', 'b/../../a.bin', '/a.bin']) {
      const refused = new RangeError(`zipSource: path must stay inside ${path}, got ${inner}`)
      await expect(source.read(inner)).rejects.toThrow(refused)
      await expect(source.exists(inner)).rejects.toThrow(refused)
    }
    expect(await source.exists('b/../a.bin')).toBe(true)
  })
})

describe('zipSource over damaged and hostile archives', () => {
  it.each([
    ['/etc/passwd', 'absolute path: /etc/passwd'],
    ['../outside', 'invalid relative path: ../outside'],
    ['a/../../b', 'invalid relative path: a/../../b'],
    ['C:/windows', 'absolute path: C:/windows'],
    ['a\\..\\..\\b', 'invalid relative path: a/../../b'],
  ])('refuses the name %s', async (name, reason) => {
    const path = archive(
      zipBytes([
        { name: 'first', data: new Uint8Array(3) },
        { name, data: new Uint8Array(3) },
      ]),
    )
    await expect(zipSource(path).list('')).rejects.toThrow(
      new Error(
        `${path}: archive must have a directory of unique names inside it, got ${reason} (entry 1 of 2)`,
      ),
    )
  })

  it('refuses a name that comes twice', async () => {
    const path = archive(
      zipBytes([
        { name: 'a', data: bytesOf('1') },
        { name: 'a', data: bytesOf('2') },
      ]),
    )
    await expect(zipSource(path).read('a')).rejects.toThrow(
      new Error(
        `${path}: archive must have a directory of unique names inside it, got the name a twice (entry 2 of 2)`,
      ),
    )
  })

  it('refuses a file beyond the end of the archive before it is read', async () => {
    const { path, source } = single({ method: 8, claims: { compressedSize: 2 ** 31 } })
    await expect(source.read('a.bin')).rejects.toThrow(
      new Error(
        `${path}: archive must have a directory of unique names inside it, ` +
          'got a.bin of 2147483648 bytes beyond the end (entry 1 of 1)',
      ),
    )
  })

  it.each([
    ['a text', bytesOf('not an archive, however long the text of it may be')],
    ['an archive cut short', zipBytes([{ name: 'a', data: new Uint8Array(99) }]).subarray(0, 120)],
    ['an empty file', new Uint8Array(0)],
  ])('refuses %s', async (_, bytes) => {
    const path = archive(bytes)
    await expect(zipSource(path).list('')).rejects.toThrow(
      `${path}: file must be a zip archive, got End of central directory record signature not found. ` +
        `Either not a zip file, or file is truncated. (file of ${bytes.length} bytes)`,
    )
  })

  it('refuses a checksum that differs', async () => {
    const { path, source } = single({ claims: { crc: 0xdeadbeef } })
    await expect(source.read('a.bin')).rejects.toThrow(
      new Error(
        `${path}/a.bin: file must have the CRC-32 deadbeef of its directory, got 012da640 (at byte 0 of the archive)`,
      ),
    )
  })

  it('stops where a file goes on beyond its announced size', async () => {
    const { path, source } = single({ method: 8, data: new Uint8Array(50_000), claims: { size: 1000 } })
    await expect(source.read('a.bin')).rejects.toThrow(
      new Error(`${path}/a.bin: file must unpack to its 1000 bytes, got more (at byte 0 of the archive)`),
    )
  })

  it('refuses a file that is shorter than announced, or no deflated data', async () => {
    const short = single({ method: 8, claims: { size: 12 } })
    await expect(short.source.read('a.bin')).rejects.toThrow(
      new Error(`${short.path}/a.bin: file must unpack to its 12 bytes, got 11 (at byte 0 of the archive)`),
    )
    const wrong = single({ claims: { method: 8 } })
    await expect(wrong.source.read('a.bin')).rejects.toThrow(
      /a\.bin: file must unpack to its 11 bytes, got .+ \(at byte 0 of the archive\)$/,
    )
  })

  it('refuses to unpack too much: in all, and for what it is packed in', async () => {
    const large = single({ data: new Uint8Array(5000) }, { mostBytes: 4999 })
    await expect(large.source.read('a.bin')).rejects.toThrow(
      new RangeError(
        `${large.path}/a.bin: file must unpack to at most 4999 bytes, got 5000 (at byte 0 of the archive)`,
      ),
    )
    const zeros = new Uint8Array(2 ** 21)
    const packed = deflateRawSync(zeros).length
    const bomb = single({ data: zeros, method: 8 })
    await expect(bomb.source.read('a.bin')).rejects.toThrow(
      new RangeError(
        `${bomb.path}/a.bin: file must unpack to at most 200 times its bytes, got 2097152 from ${packed} ` +
          '(at byte 0 of the archive)',
      ),
    )
    const allowed = single({ data: zeros, method: 8 }, { mostRatio: 1100 })
    expect((await allowed.source.read('a.bin')).length).toBe(2 ** 21)
  })

  it('refuses methods that it does not know, and headers that are none', async () => {
    const strange = single({ claims: { method: 93 } })
    await expect(strange.source.read('a.bin')).rejects.toThrow(
      new Error(
        `${strange.path}/a.bin: file must be stored (0) or deflated (8), got method 93 (at byte 0 of the archive)`,
      ),
    )
    const lost = single({ claims: { offset: 7 } })
    await expect(lost.source.read('a.bin')).rejects.toThrow(
      new Error(
        `${lost.path}/a.bin: file must start with a zip header, got other bytes (at byte 7 of the archive)`,
      ),
    )
  })

  it('refuses a file whose bytes end with the archive', async () => {
    // The local header announces so many extra fields that the data would lie behind the end.
    const bytes = zipBytes([{ name: 'a.bin', data: bytesOf('hello hello') }])
    bytes[28] = 0xff
    const path = archive(bytes)
    await expect(zipSource(path).read('a.bin')).rejects.toThrow(
      new Error(
        `${path}/a.bin: file must have its 11 bytes in the archive, got 0 (from byte 290 of the archive)`,
      ),
    )
  })
})

describe('dataFolder', () => {
  const part = (name: string, data: string): ZipPart => ({ name, data: bytesOf(data), method: 8 })

  it('looks into archives of a folder as into folders, and takes an archive for a folder', async () => {
    const root = join(dir, 'folder')
    mkdirSync(join(root, 'Img', 'not.zip'), { recursive: true })
    const bytes = zipBytes([part('faces/1.jpg', 'one'), part('faces/2.jpg', 'two')])
    writeFileSync(join(root, 'Img', 'faces.zip'), bytes)
    writeFileSync(join(root, 'Img', 'not.zip', 'a.txt'), 'plain')
    const source = dataFolder(root)
    expect(await source.list('Img')).toEqual(['faces.zip', 'not.zip/'])
    expect(await source.list('Img/faces.zip')).toEqual(['faces/'])
    expect(await source.list('Img/faces.zip/faces/')).toEqual(['1.jpg', '2.jpg'])
    expect(text(await source.read('Img/faces.zip/faces/2.jpg'))).toBe('two')
    expect(await source.exists('Img/faces.zip/faces/3.jpg')).toBe(false)
    expect(await source.exists('Img/faces.zip')).toBe(true)
    expect(await source.read('Img/faces.zip')).toEqual(bytes)
    expect((await (await source.open('Img/faces.zip/faces/1.jpg')).slice(0, 9)).length).toBe(3)
    expect(source.describe('Img/faces.zip/faces/1.jpg')).toBe(join(root, 'Img/faces.zip/faces/1.jpg'))
    expect(text(await source.read('Img/not.zip/a.txt'))).toBe('plain')
    await expect(source.list('Img/none.zip')).rejects.toThrow(
      new Error(`${join(root, 'Img/none.zip')}: folder must be readable, got nothing there`),
    )
    await expect(source.read('Img/faces.zip/../faces.zip')).rejects.toThrow('path must stay inside')
    const whole = dataFolder(join(root, 'Img', 'faces.zip'))
    expect(await whole.list('faces')).toEqual(['1.jpg', '2.jpg'])
  })
})

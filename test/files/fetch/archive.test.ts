import { execFileSync } from 'node:child_process'
import {
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gunzipSync, gzipSync } from 'node:zlib'
import { create, Header } from 'tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { unpackTarGz } from '../../../src/files/fetch/archive.js'

let dir: string
let out: string
let path: string
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-archive-'))
  out = join(dir, 'out')
  path = join(dir, 'a.tar.gz')
  mkdirSync(out)
})
afterEach(() => rmSync(dir, { recursive: true, force: true }))

/** One entry of an archive that no well-behaved program writes. */
function entry(fields: {
  path: string
  type?: 'File' | 'SymbolicLink' | 'Link'
  linkpath?: string
  size?: number
}) {
  const { size = 3, type = 'File' } = fields
  const block = Buffer.alloc(512)
  new Header({ mode: 0o644, type, size, ...fields }).encode(block)
  return Buffer.concat([block, Buffer.alloc(type === 'File' ? Math.ceil(size / 512) * 512 : 0, 'x')])
}

function folderEntry(): Buffer {
  const block = Buffer.alloc(512)
  new Header({ mode: 0o755, type: 'Directory', size: 0, path: 'folder/' }).encode(block)
  return block
}

function writeArchive(...entries: Buffer[]): void {
  writeFileSync(path, gzipSync(Buffer.concat([...entries, Buffer.alloc(1024)])))
}

const unpack = (atMostBytes = 1e6, atMostEntries?: number) =>
  unpackTarGz(path, out, { atMostBytes, ...(atMostEntries !== undefined && { atMostEntries }) })

/** Everything below the folder of the test, but the archive. */
const written = () =>
  readdirSync(dir, { recursive: true })
    .map(String)
    .filter(name => name !== 'a.tar.gz')

describe('unpackTarGz', () => {
  it('unpacks files and folders, also long ones and long names', async () => {
    const inside = join(dir, 'in', 'set')
    mkdirSync(join(inside, 'deep'), { recursive: true })
    const long = `${'n'.repeat(150)}.bin`
    const large = Buffer.from(Uint8Array.from({ length: 700_000 }, (_, i) => (i * 31) % 251))
    writeFileSync(join(inside, 'deep', long), large)
    writeFileSync(join(inside, 'empty.txt'), '')
    await create({ gzip: true, file: path, cwd: join(dir, 'in') }, ['set'])
    const files = await unpack()
    expect(files.sort()).toEqual([`set/deep/${long}`, 'set/empty.txt'])
    expect(readFileSync(join(out, 'set', 'deep', long)).equals(large)).toBe(true)
    expect(statSync(join(out, 'set', 'empty.txt')).size).toBe(0)
  })

  it('unpacks what the system writes', async () => {
    writeFileSync(join(dir, 'b.txt'), 'text')
    execFileSync('tar', ['-czf', path, '-C', dir, 'b.txt'])
    expect(await unpack()).toEqual(['b.txt'])
    expect(readFileSync(join(out, 'b.txt'), 'utf8')).toBe('text')
  })

  it.each([
    '../evil.bin',
    'a/../../evil.bin',
    '/evil.bin',
    'a/..',
    '..\\evil.bin',
    'C:\\evil.bin',
    'C:evil.bin',
  ])('refuses the name %s', async name => {
    writeArchive(entry({ path: 'good.bin' }), entry({ path: name }))
    await expect(unpack()).rejects.toThrow(
      new Error(
        `${path}: entry 2 ${JSON.stringify(name)} must have a name that stays inside the folder, got this one`,
      ),
    )
    expect(written().sort()).toEqual(['out', 'out/good.bin'])
  })

  it.each([
    [{ path: 'link', type: 'SymbolicLink', linkpath: '/etc' } as const, 'SymbolicLink to /etc'],
    [{ path: 'link', type: 'Link', linkpath: '../x' } as const, 'Link to ../x'],
  ])('refuses links: %j', async (link, found) => {
    writeArchive(entry({ ...link, size: 0 }), entry({ path: 'link/evil.bin' }))
    await expect(unpack()).rejects.toThrow(
      new Error(`${path}: entry 1 "link" must be a file or a folder, got ${found}`),
    )
    expect(written()).toEqual(['out'])
  })

  it('refuses links and pipes that the system packed', async () => {
    symlinkSync('/etc', join(dir, 'link'))
    execFileSync('tar', ['-czf', path, '-C', dir, 'link'])
    await expect(unpack()).rejects.toThrow(
      'entry 1 "link" must be a file or a folder, got SymbolicLink to /etc',
    )
    execFileSync('mkfifo', [join(dir, 'pipe')])
    execFileSync('tar', ['-czf', path, '-C', dir, 'pipe'])
    await expect(unpack()).rejects.toThrow('entry 1 "pipe" must be a file or a folder, got FIFO')
  })

  it('refuses more bytes than it may hold before they are written, stated or not', async () => {
    writeArchive(entry({ path: 'a.bin', size: 600 }), entry({ path: 'b.bin', size: 401 }))
    await expect(unpack(1000)).rejects.toThrow(
      new RangeError(`${path}: archive must unpack to at most 1000 bytes, got more (by entry 2)`),
    )
    expect(readdirSync(out)).toEqual(['a.bin'])
    rmSync(join(out, 'a.bin'))
    // 20 MB of zeros after the last entry.
    writeFileSync(path, gzipSync(Buffer.concat([entry({ path: 'a.bin' }), Buffer.alloc(2e7)])))
    await expect(unpack(1000)).rejects.toThrow(
      new RangeError(`${path}: archive must unpack to at most 1000 bytes, got more (by entry 1)`),
    )
  })

  it('refuses more entries than it may hold', async () => {
    writeArchive(entry({ path: 'a' }), entry({ path: 'b' }), entry({ path: 'c' }))
    await expect(unpack(1e6, 2)).rejects.toThrow(new Error(`${path}: entry 3 "c" must be one of at most 2`))
  })

  it('refuses two files of one name', async () => {
    writeArchive(entry({ path: 'a' }), entry({ path: 'a' }))
    await expect(unpack()).rejects.toThrow(`${path}: archive must find room in ${out}, got EEXIST`)
  })

  it.each([
    ['an end that is missing', (bytes: Buffer) => bytes.subarray(0, -30), 'unexpected end of file'],
    [
      'a byte that is wrong',
      (bytes: Buffer) => Buffer.concat([bytes.subarray(0, -6), Buffer.alloc(6)]),
      'incorrect',
    ],
    ['something else', () => Buffer.from('<html>not found</html>'), 'incorrect header check'],
    ['no archive inside', () => gzipSync(Buffer.alloc(2000, 'text')), 'checksum failure'],
    ['an archive that is cut', (bytes: Buffer) => gzipSync(gunzipPart(bytes)), 'Truncated input'],
    ['nothing inside', () => gzipSync(Buffer.alloc(1024)), 'Unrecognized archive format'],
    ['folders alone', () => gzipSync(Buffer.concat([folderEntry(), Buffer.alloc(1024)])), 'no files'],
  ])('names an archive with %s', async (_, damage, reason) => {
    writeArchive(entry({ path: 'a.bin', size: 5000 }))
    writeFileSync(path, damage(readFileSync(path)))
    const { message } = await unpack().then(
      () => new Error('no error'),
      (error: Error) => error,
    )
    expect(message.startsWith(`${path}: archive must be a .tar.gz file that unpacks to its end, got `)).toBe(
      true,
    )
    expect(message).toContain(reason)
  })

  it('stops when it is told to, and names an archive that is not there', async () => {
    writeArchive(entry({ path: 'a.bin' }))
    const stopped = unpackTarGz(path, out, {
      atMostBytes: 1e6,
      signal: AbortSignal.abort(new Error('enough')),
    })
    await expect(stopped).rejects.toThrow(new Error('enough'))
    await expect(unpackTarGz(join(dir, 'none'), out, { atMostBytes: 1 })).rejects.toThrow('ENOENT')
  })
})

/** The beginning of what is in a gzip file. */
function gunzipPart(bytes: Buffer): Buffer {
  return gunzipSync(bytes).subarray(0, 2000)
}

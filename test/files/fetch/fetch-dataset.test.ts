import { createHash } from 'node:crypto'
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { create } from 'tar'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { type PublishedDataset, publishedDatasets } from '../../../src/data/datasets/downloads.js'
import { DownloadError } from '../../../src/files/fetch/download.js'
import { type FetchOptions, fetchDataset } from '../../../src/files/fetch/fetch-dataset.js'
import { lockFolder } from '../../../src/files/lock.js'
import { idxBytes } from '../../data/memory-source.js'
import { type Answer, type FileServer, sendAndBreak, serveFiles } from '../file-server.js'

let dir: string
let out: string
let server: FileServer | undefined
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-fetch-'))
  out = join(dir, 'data')
})
afterEach(async () => {
  await server?.close()
  server = undefined
  rmSync(dir, { recursive: true, force: true })
})

const images = gzipSync(idxBytes(0x803, [2, 3, 3], new Uint8Array(18).fill(9)))
const labels = gzipSync(idxBytes(0x801, [2], [1, 0]))
const digits: PublishedDataset = {
  name: 'digits',
  title: 'Digits',
  trains: 'digits-patches',
  licence: 'free',
  homepage: 'https://digits.example/',
  sources: [],
  files: [
    { name: 'i.gz', atMost: 1e4, content: { kind: 'idx-images', count: 2, height: 3, width: 3 } },
    { name: 'l.gz', atMost: 1e4, content: { kind: 'idx-labels', count: 2, numClasses: 2 } },
  ],
}

/** A dataset of one archive, with the archive. */
async function archived(bytes = 5000, md5?: string): Promise<{ dataset: PublishedDataset; archive: Buffer }> {
  mkdirSync(join(dir, 'in', 'set'), { recursive: true })
  writeFileSync(join(dir, 'in', 'set', 'train.bin'), new Uint8Array(bytes).fill(3))
  writeFileSync(join(dir, 'in', 'set', 'readme.txt'), 'hello')
  const path = join(dir, 'packed.tar.gz')
  await create({ gzip: true, file: path, cwd: join(dir, 'in') }, ['set'])
  const archive = readFileSync(path)
  return {
    archive,
    dataset: {
      ...digits,
      name: 'set',
      files: [
        {
          name: 'set.tar.gz',
          md5: md5 ?? createHash('md5').update(archive).digest('hex'),
          atMost: 1e5,
          content: { kind: 'tar', folder: 'set', files: { 'train.bin': 5000 } },
        },
      ],
    },
  }
}

async function serving(files: Readonly<Record<string, Uint8Array>>, answer?: Answer): Promise<FileServer> {
  const marked = Object.entries(files).map(([name, bytes]) => [name, { bytes, etag: '"1"' }])
  server = await serveFiles(Object.fromEntries(marked), answer)
  return server
}

const retrying = { retries: 1, waitMs: 1 }
const fetching = (dataset: PublishedDataset, options: Partial<FetchOptions> = {}) =>
  fetchDataset(dataset, { out, retrying, ...options })

describe('fetchDataset with an archive', () => {
  it('downloads, checks, unpacks, and leaves nothing but the folder', async () => {
    const { dataset, archive } = await archived()
    const { address } = await serving({ 'set.tar.gz': archive })
    const stages: string[] = []
    const found = await fetching(
      { ...dataset, sources: [address] },
      { onStage: (stage, { name }) => stages.push(`${stage} ${name}`) },
    )
    const folder = join(out, 'set')
    expect(found).toEqual({ folder, fetched: [folder], present: [] })
    expect(stages).toEqual(['downloading set.tar.gz', 'checking set.tar.gz', 'unpacking set.tar.gz'])
    expect(readdirSync(out)).toEqual(['set'])
    expect(readdirSync(folder).sort()).toEqual(['readme.txt', 'train.bin'])
    expect(readFileSync(join(folder, 'train.bin')).equals(Buffer.alloc(5000, 3))).toBe(true)
  })

  it('is done at once where everything is there, and says what is wrong where it is not', async () => {
    const { dataset, archive } = await archived()
    const { address, asked } = await serving({ 'set.tar.gz': archive })
    const served = { ...dataset, sources: [address] }
    await fetching(served)
    const folder = join(out, 'set')
    expect(await fetching(served)).toEqual({ folder, fetched: [], present: [folder] })
    expect(asked).toHaveLength(1)
    writeFileSync(join(folder, 'train.bin'), new Uint8Array(4999))
    const short = `${join(folder, 'train.bin')}: file must be 5000 bytes, got 4999 (it was there before; --force replaces it)`
    await expect(fetching(served)).rejects.toThrow(new Error(short))
    rmSync(join(folder, 'train.bin'))
    await expect(fetching(served)).rejects.toThrow(
      `${join(folder, 'train.bin')}: file must be there, got none`,
    )
    writeFileSync(join(folder, 'old.txt'), 'old')
    expect((await fetching(served, { force: true })).fetched).toEqual([folder])
    expect(readdirSync(folder).sort()).toEqual(['old.txt', 'readme.txt', 'train.bin'])
  })

  it('refuses another MD5 and keeps nothing', async () => {
    const { dataset, archive } = await archived(5000, '0'.repeat(32))
    const { address } = await serving({ 'set.tar.gz': archive })
    const found = createHash('md5').update(archive).digest('hex')
    await expect(fetching({ ...dataset, sources: [address] })).rejects.toThrow(
      new Error(
        `${join(out, 'set.tar.gz.part')}: MD5 must be ${'0'.repeat(32)}, got ${found} ` +
          `(file of ${archive.length} bytes; nothing was put in place)`,
      ),
    )
    expect(existsSync(out)).toBe(false)
  })

  it('refuses an archive whose files are of other lengths, and keeps what was there', async () => {
    const { dataset, archive } = await archived(4000)
    const { address } = await serving({ 'set.tar.gz': archive })
    mkdirSync(join(out, 'set'), { recursive: true })
    writeFileSync(join(out, 'set', 'mine.txt'), 'mine')
    await expect(fetching({ ...dataset, sources: [address] }, { force: true })).rejects.toThrow(
      'train.bin: file must be 5000 bytes, got 4000',
    )
    expect(readdirSync(out)).toEqual(['set'])
    expect(readdirSync(join(out, 'set'))).toEqual(['mine.txt'])
  })

  it("replaces by force only the archive's data, and leaves every other file", async () => {
    const { dataset, archive } = await archived()
    const { address } = await serving({ 'set.tar.gz': archive })
    const folder = join(out, 'set')
    mkdirSync(join(folder, 'notes'), { recursive: true })
    writeFileSync(join(folder, 'notes', 'mine.txt'), 'mine')
    writeFileSync(join(folder, 'readme.txt'), 'my own words')
    writeFileSync(join(folder, 'train.bin'), 'damaged')
    await fetching({ ...dataset, sources: [address] }, { force: true })
    expect(readdirSync(folder).sort()).toEqual(['notes', 'readme.txt', 'train.bin'])
    expect(readFileSync(join(folder, 'readme.txt'), 'utf8')).toBe('my own words')
    expect(readFileSync(join(folder, 'notes', 'mine.txt'), 'utf8')).toBe('mine')
    expect(readFileSync(join(folder, 'train.bin'))).toHaveLength(5000)
  })

  it.each([
    ['while it unpacked', '.pmoe-new', []],
    ['before the new files took their places', '.pmoe-ready', ['train.bin', 'readme.txt']],
    ['while they took their places', '.pmoe-placing', ['train.bin']],
  ])('goes on after a kill %s', async (_, stage, names) => {
    const { dataset, archive } = await archived()
    const { address } = await serving({ 'set.tar.gz': archive })
    const folder = join(out, 'set')
    mkdirSync(join(folder, stage), { recursive: true })
    for (const name of names) writeFileSync(join(folder, stage, name), new Uint8Array(5000).fill(3))
    await fetching({ ...dataset, sources: [address] })
    expect(readdirSync(out)).toEqual(['set'])
    expect(readdirSync(folder)).toContain('train.bin')
    expect(readdirSync(folder).filter(name => name.startsWith('.'))).toEqual([])
  })

  it('refuses a second process that fetches into the same folder, and names the first', async () => {
    const { dataset, archive } = await archived()
    const { address } = await serving({ 'set.tar.gz': archive })
    const lock = await lockFolder(out, 'data fetch')
    await expect(fetching({ ...dataset, sources: [address] })).rejects.toThrow(
      `data fetch: ${out} must not be in use, got process ${process.pid}`,
    )
    await lock.release()
    expect(existsSync(out)).toBe(false)
  })

  it('continues after a break with what is there, also in the next call', async () => {
    const { dataset, archive } = await archived()
    let broken = true
    const { address, asked } = await serving({ 'set.tar.gz': archive }, (_, response, number) => {
      if (number === 1)
        return sendAndBreak(response, archive, 100, { etag: '"1"' }, join(out, 'set.tar.gz.part'))
      if (broken) response.writeHead(500).end()
      return broken
    })
    const served = { ...dataset, sources: [address, 'http://127.0.0.1:9/'] }
    const failed = await fetching(served).catch((error: unknown) => error)
    expect(failed).toBeInstanceOf(DownloadError)
    // The second publisher is not asked: what is there would be lost.
    expect((failed as DownloadError).message).toBe(
      `${address}set.tar.gz: file must download to its end, got status 500 Internal Server Error ` +
        '(100 bytes are kept: the same command continues)',
    )
    expect(readdirSync(out).sort()).toEqual(['set.tar.gz.part', 'set.tar.gz.part.json'])
    broken = false
    expect((await fetching(served)).fetched).toEqual([join(out, 'set')])
    expect(asked.at(-1)?.range).toBe('bytes=100-')
  })

  it('keeps what has arrived when it is stopped', async () => {
    const { dataset, archive } = await archived()
    const { address } = await serving({ 'set.tar.gz': archive }, (_, response) => {
      response.writeHead(200, { 'content-length': archive.length, etag: '"1"' })
      response.write(archive.subarray(0, 60))
      return true
    })
    const stop = new AbortController()
    const stopped = fetching(
      { ...dataset, sources: [address] },
      {
        signal: stop.signal,
        onProgress: ({ received }, { name }) => received === 60 && stop.abort(new Error(`enough of ${name}`)),
      },
    )
    await expect(stopped).rejects.toThrow(new Error('enough of set.tar.gz'))
    expect(readFileSync(join(out, 'set.tar.gz.part'))).toHaveLength(60)
  })

  it('takes an archive on this disk, alone or in a folder, and leaves it there', async () => {
    const { dataset, archive } = await archived()
    const path = join(dir, 'mine.tgz')
    writeFileSync(path, archive)
    await fetching(dataset, { from: path })
    expect(existsSync(join(out, 'set', 'train.bin'))).toBe(true)
    mkdirSync(join(dir, 'downloads'))
    writeFileSync(join(dir, 'downloads', 'set.tar.gz'), archive)
    await fetching(dataset, { from: join(dir, 'downloads'), force: true })
    expect(readFileSync(path).equals(archive)).toBe(true)
    await expect(fetching(dataset, { from: join(dir, 'nowhere'), force: true })).rejects.toThrow(
      new Error(
        `${join(dir, 'nowhere')}: --from must be an address, or a folder with set.tar.gz, got neither`,
      ),
    )
  })

  it.each(['python', 'matlab'])('names the %s version of CIFAR, whose MD5 is another one', async version => {
    const cifar = publishedDatasets.find(({ name }) => name === 'cifar10') as PublishedDataset
    const path = join(dir, `cifar-10-${version}.tar.gz`)
    writeFileSync(path, 'x')
    await expect(fetching(cifar, { from: path })).rejects.toThrow(
      new Error(
        `${path}: --from must be the binary version, cifar-10-binary.tar.gz, got the ${version} version by its ` +
          'name (without --from the binary version is downloaded)',
      ),
    )
  })

  it.each(['', 'set.tar.gz', 'folder/', 'folder'])('takes an address: %j', async end => {
    const { dataset, archive } = await archived()
    const { address, asked } = await serving({ 'set.tar.gz': archive, 'folder/set.tar.gz': archive })
    await fetching(dataset, { from: `${address}${end}` })
    expect(asked.map(({ path }) => path)).toEqual([
      end.startsWith('folder') ? 'folder/set.tar.gz' : 'set.tar.gz',
    ])
  })
})

describe('fetchDataset with IDX files', () => {
  it('keeps the files compressed, and fetches only what is missing', async () => {
    const { address, asked } = await serving({ 'i.gz': images, 'l.gz': labels })
    const served = { ...digits, sources: [address] }
    const [first, second] = [join(out, 'i.gz'), join(out, 'l.gz')]
    expect(await fetching(served)).toEqual({ folder: out, fetched: [first, second], present: [] })
    expect(readFileSync(first).equals(images)).toBe(true)
    expect(readdirSync(out).sort()).toEqual(['i.gz', 'l.gz'])
    rmSync(first)
    expect(await fetching(served)).toEqual({ folder: out, fetched: [first], present: [second] })
    expect(asked.map(({ path }) => path)).toEqual(['i.gz', 'l.gz', 'i.gz'])
  })

  it.each([
    ['ends early', images.subarray(0, -9), 'gzip data must be whole, got unexpected end of file'],
    [
      'is of another size',
      gzipSync(idxBytes(0x803, [3, 3, 3], new Uint8Array(27))),
      'must decompress to at most 34',
    ],
    [
      'holds fewer images',
      gzipSync(idxBytes(0x803, [1, 3, 3], new Uint8Array(9))),
      'sizes at byte 4 must be 2 images of 3x3, got 1 of 3x3',
    ],
    [
      'is a page',
      Buffer.from('<html>moved</html>'),
      'magic number at byte 0 must be 0x00000803, got 0x3c68746d',
    ],
    [
      'is labels',
      gzipSync(idxBytes(0x801, [26], new Uint8Array(26))),
      'magic number at byte 0 must be 0x00000803, got 0x00000801',
    ],
  ])('refuses a file that %s and keeps nothing of it', async (_, bytes, reason) => {
    const { address } = await serving({ 'i.gz': bytes, 'l.gz': labels })
    await expect(fetching({ ...digits, sources: [address] })).rejects.toThrow(
      new RegExp(`^${join(out, 'i.gz.part')}: .*${reason}`),
    )
    expect(existsSync(out)).toBe(false)
  })

  it('refuses labels that are fewer or out of range', async () => {
    for (const [values, reason] of [
      [[1], 'number of labels at byte 4 must be 2, got 1'],
      [[1, 2], 'label at byte 9 must be in [0, 1], got 2 (label 1)'],
    ] as const) {
      const wrong = gzipSync(idxBytes(0x801, [values.length], values))
      const { address, close } = await serving({ 'i.gz': images, 'l.gz': wrong })
      await expect(fetching({ ...digits, sources: [address] })).rejects.toThrow(reason)
      expect(readdirSync(out)).toEqual(['i.gz'])
      await close()
    }
  })

  it('asks the next publisher where one does not have the file, and names all where none has', async () => {
    const { address } = await serving({ 'second/i.gz': images, 'second/l.gz': labels })
    const sources = [`${address}first/`, `${address}second/`]
    expect((await fetching({ ...digits, sources })).fetched).toHaveLength(2)
    rmSync(out, { recursive: true })
    const none = [`${address}a/`, 'http://127.0.0.1:9/']
    const failed = fetching({ ...digits, sources: none })
    await expect(failed).rejects.toThrow(
      `${address}a/i.gz: file must download to its end, got status 404 Not Found; `,
    )
    await expect(failed).rejects.toThrow(
      '(by hand: put i.gz, l.gz into a folder (see https://digits.example/) and call pmoe data fetch digits --from FOLDER)',
    )
  })

  it('copies from a folder', async () => {
    mkdirSync(join(dir, 'mine'))
    writeFileSync(join(dir, 'mine', 'i.gz'), images)
    await expect(fetching(digits, { from: join(dir, 'mine') })).rejects.toThrow(
      'a folder with l.gz, got neither',
    )
    writeFileSync(join(dir, 'mine', 'l.gz'), labels)
    // Nothing is begun, not even the folder, while one is missing.
    expect(existsSync(out)).toBe(false)
    const places = [join(out, 'i.gz'), join(out, 'l.gz')]
    expect((await fetching(digits, { from: join(dir, 'mine') })).fetched).toEqual(places)
    expect(readFileSync(join(out, 'l.gz')).equals(labels)).toBe(true)
    expect(readdirSync(join(dir, 'mine')).sort()).toEqual(['i.gz', 'l.gz'])
  })
})

it('every published dataset has addresses of folders, and files with a check', () => {
  expect(publishedDatasets.map(({ name }) => name)).toEqual(['cifar10', 'cifar100', 'mnist', 'fashion-mnist'])
  for (const { sources, files } of publishedDatasets) {
    for (const source of sources) expect(new URL('.', source).href).toBe(source)
    for (const { md5, content } of files) {
      expect(content.kind === 'tar' ? md5 : undefined).toEqual(
        content.kind === 'tar' ? expect.stringMatching(/^[0-9a-f]{32}$/) : undefined,
      )
    }
  }
})

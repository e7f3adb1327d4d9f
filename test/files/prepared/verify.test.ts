import { createHash } from 'node:crypto'
import { mkdir, mkdtemp, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { fashionNoise } from '../../../src/data/datasets/fashion-noise.js'
import { readIndex, writeIndex } from '../../../src/data/prepared/index-file.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { prepareDataset } from '../../../src/files/prepared/prepare.js'
import { type VerifiedFile, verifyFolder } from '../../../src/files/prepared/verify.js'
import { numberedCatalog } from '../prepare-catalog.js'

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'verify-'))
  const { entry, source, decode } = numberedCatalog(30, 9)
  await prepareDataset({
    entry,
    source,
    decode,
    options: { seed: 1 },
    directory: folder,
    recordsPerShard: 15,
  })
})

afterEach(() => rm(folder, { recursive: true }))

const shard = 'train-00001-of-00002.tfrecord'
const problemsOf = async () =>
  (await verifyFolder(folder)).files.flatMap(({ file, problem }) => (problem ? [{ file, problem }] : []))

async function change(file: string, edit: (bytes: Buffer) => Uint8Array): Promise<void> {
  const path = join(folder, file)
  await writeFile(path, edit(await readFile(path)))
}

describe('a prepared folder', () => {
  test('is well when nothing was changed', async () => {
    const told: VerifiedFile[] = []
    const { prepared, files } = await verifyFolder(folder, { onFile: file => told.push(file) })
    expect(prepared).toBe(true)
    expect(told).toEqual(files)
    expect(files).toEqual([
      { file: 'train-00000-of-00002.tfrecord', records: 15 },
      { file: shard, records: 15 },
      { file: 'train.index.safetensors' },
      { file: 'test-00000-of-00001.tfrecord', records: 9 },
      { file: 'test.index.safetensors' },
    ])
  })

  test('is not when any byte of any file is another', async () => {
    for (const file of [shard, 'test.index.safetensors']) {
      const path = join(folder, file)
      const before = await readFile(path)
      for (const byte of [0, 9, 700, before.length - 1].filter(byte => byte < before.length)) {
        const changed = Uint8Array.from(before)
        changed[byte]! ^= 16
        await writeFile(path, changed)
        expect((await problemsOf()).map(problem => problem.file)).toEqual([file])
      }
      await writeFile(path, before)
    }
    expect(await problemsOf()).toEqual([])
  })

  test('is not when a file is missing, cut at a record, or has another one in its place', async () => {
    await change(shard, bytes => bytes.subarray(0, (bytes.length / 15) * 14))
    const [cut] = await problemsOf()
    expect(cut?.problem).toMatch(/: bytes must be \d+, got \d+$/)
    await change(shard, () => new Uint8Array())
    await writeFile(join(folder, shard), await readFile(join(folder, 'train-00000-of-00002.tfrecord')))
    expect((await problemsOf())[0]?.problem).toMatch(/: sha256 must be [0-9a-f]{64}, got [0-9a-f]{64}$/)
    await rm(join(folder, shard))
    expect((await problemsOf())[0]?.problem).toBe(
      `${join(folder, shard)}: file must be readable, got nothing there`,
    )
  })

  test('is not when the manifest counts otherwise', async () => {
    await change('manifest.json', bytes => {
      const manifest = JSON.parse(bytes.toString())
      manifest.train.classCounts = [11, 9, 10]
      return Buffer.from(JSON.stringify(manifest))
    })
    expect(await problemsOf()).toEqual([
      {
        file: 'train.index.safetensors',
        problem: `${join(folder, 'train.index.safetensors')}: images of class 0 "a" must be 11, got 10`,
      },
    ])
  })
})

describe('a prepared folder with boxes', () => {
  const index = 'train.index.safetensors'
  /** Changes the manifest. */
  const tell = (edit: (manifest: { objectBoxes?: boolean; train: { index: { sha256: string } } }) => void) =>
    change('manifest.json', bytes => {
      const manifest = JSON.parse(bytes.toString())
      edit(manifest)
      return Buffer.from(JSON.stringify(manifest))
    })

  beforeEach(async () => {
    await prepareDataset({
      entry: fashionNoise,
      source: samplesFolder('fashion-mini'),
      decode: decodeImage,
      options: { seed: 1, samples: 12, testSamples: 4, backgrounds: samplesFolder('plants32') },
      directory: folder,
      recordsPerShard: 5,
      force: true,
    })
  })

  test('is not well when a record has another box than its index tells, though all checksums are right', async () => {
    expect(await problemsOf()).toEqual([])
    let before: string[] = []
    let after: string[] = []
    await change(index, bytes => {
      const known = readIndex(bytes, index, 12)
      const objectBox = known.objectBox as Int32Array
      before = [...objectBox.subarray(28, 32)].map(String)
      objectBox[29] = objectBox[29] === 0 ? 1 : 0
      after = [...objectBox.subarray(28, 32)].map(String)
      return writeIndex(known)
    })
    expect((await problemsOf())[0]?.problem).toContain('sha256 must be')
    const sha256 = createHash('sha256')
      .update(await readFile(join(folder, index)))
      .digest('hex')
    await tell(manifest => {
      manifest.train.index.sha256 = sha256
    })
    const path = join(folder, index)
    expect(await problemsOf()).toEqual([
      {
        file: index,
        problem: `${path}: objectBox of record 7 must be ${before.join(', ')}, got ${after.join(', ')}`,
      },
    ])
  })

  test('is not when its manifest does not know of them', async () => {
    await tell(manifest => {
      delete manifest.objectBoxes
    })
    expect((await problemsOf())[0]?.problem).toBe(
      `${join(folder, index)}: index must have a box a record exactly where the manifest names them, got some`,
    )
  })
})

describe('another folder', () => {
  test('has its checksums checked, and its shards counted', async () => {
    const other = join(folder, 'other')
    await mkdir(other)
    for (const number of [0, 1]) {
      const name = `train-0000${number}-of-00002.tfrecord`
      await rename(join(folder, name), join(other, name))
    }
    expect(await verifyFolder(other)).toEqual({
      prepared: false,
      files: [
        { file: 'train-00000-of-00002.tfrecord', records: 15 },
        { file: shard, records: 15 },
      ],
    })
    const size = (await readFile(join(other, shard))).length / 15
    await change(`other/${shard}`, bytes => bytes.subarray(0, 5 * size + 3))
    const [, cut] = (await verifyFolder(other)).files
    expect(cut?.problem).toContain(`record 5 at byte ${5 * size} must be 12 bytes long, got 3`)
    await rm(join(other, shard))
    await expect(verifyFolder(other)).rejects.toThrow(
      'train.tfrecord must have all of its 2 shards, got 1 (missing 00001-of-00002)',
    )
  })

  test('must hold records', async () => {
    const empty = join(folder, 'empty')
    await mkdir(empty)
    await expect(verifyFolder(empty)).rejects.toThrow(
      `${empty}: folder must hold manifest.json or .tfrecord files, got nothing`,
    )
    await writeFile(join(empty, 'notes.txt'), '')
    await expect(verifyFolder(empty)).rejects.toThrow('.tfrecord files, got notes.txt')
  })

  test('can be left before it is through', async () => {
    const signal = AbortSignal.abort()
    await expect(verifyFolder(folder, { signal })).rejects.toThrow('aborted')
  })
})

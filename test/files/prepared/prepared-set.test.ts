import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { augmented } from '../../../src/data/augmentation/augmented.js'
import { balanced } from '../../../src/data/balanced.js'
import { recordsOf, streamRecords } from '../../../src/data/image-records.js'
import type { ImageBatch, ImageSet } from '../../../src/data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../../../src/data/image-stream.js'
import { readIndex, writeIndex } from '../../../src/data/prepared/index-file.js'
import { validationParts } from '../../../src/data/stratified.js'
import { prepareDataset } from '../../../src/files/prepared/prepare.js'
import {
  isPrepared,
  openPrepared,
  preparedStream,
  readManifest,
} from '../../../src/files/prepared/prepared-set.js'
import { startTypeScript } from '../../child-processes.js'
import { numberedCatalog } from '../prepare-catalog.js'

let root: string
let folder: string
let train: ImageSet

beforeAll(async () => {
  root = await mkdtemp(join(tmpdir(), 'prepared-'))
  folder = join(root, 'p')
  const { entry, source, decode } = numberedCatalog(230, 30)
  await prepareDataset({
    entry,
    source,
    decode,
    options: { seed: 1 },
    directory: folder,
    recordsPerShard: 50,
  })
  train = (await openPrepared(folder)).train as ImageSet
})

afterAll(() => rm(root, { recursive: true }))

async function batchesOf(stream: ImageStream, pass: StreamPass): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of stream.batches(pass)) all.push(batch)
  return all
}

/** Threads of this process that run now. */
const threads = async () =>
  Number(/^Threads:\s+(\d+)$/m.exec(await readFile('/proc/self/status', 'utf8'))?.[1])

const pass = { batchSize: 32, shuffle: { seed: 8, epoch: 3 } }
const tooLarge = { memoryLimit: 30 * 12, shuffleWindow: 100 }

describe('openPrepared', () => {
  test('takes a validation part from the training images, in memory, as a stream and in a thread', async () => {
    const validation = { part: 0.2, seed: 5 } as const
    const parts = validationParts(train, validation)
    const names = (positions: Int32Array) => Array.from(positions, at => train.labels[at])
    const inMemory = await openPrepared(folder, { validation })
    expect([...(inMemory.train as ImageSet).labels]).toEqual(names(parts.train))
    expect([...(inMemory.validation as ImageSet).labels]).toEqual(names(parts.validation))
    const whole = { batchSize: 230 }
    const expected = await batchesOf(streamOf(inMemory.train), whole)
    for (const prefetch of [0, 2]) {
      const { train: stream } = await openPrepared(folder, { validation, ...tooLarge, prefetch })
      expect(stream.count).toBe(parts.train.length)
      expect((await batchesOf(stream as ImageStream, whole)).map(({ images }) => images)).toEqual(
        expected.map(({ images }) => images),
      )
    }
  })

  test('shares its batches out between workers, whether a thread reads and varies them or not', async () => {
    const augment = { flip: true, mixup: 0.4, seed: 5 }
    const whole = await batchesOf(
      (await openPrepared(folder, { ...tooLarge, augment, prefetch: 0 })).train as ImageStream,
      pass,
    )
    for (const reading of [{ prefetch: 2 }, { prefetch: 2, workers: 2 }]) {
      const { train: stream } = await openPrepared(folder, { ...tooLarge, augment, ...reading })
      const parts: ImageBatch[][] = []
      for (const index of [0, 1, 2]) {
        parts.push(await batchesOf(stream as ImageStream, { ...pass, shard: { index, count: 3 } }))
      }
      whole.forEach(({ images, labels, mixed }, number) => {
        const shares = parts.map(part => part[number] as ImageBatch)
        expect(shares.flatMap(share => [...share.images])).toEqual([...images])
        expect(shares.flatMap(share => [...share.labels])).toEqual([...labels])
        expect(shares.flatMap(share => [...(share.mixed?.shares ?? [])])).toEqual([...(mixed?.shares ?? [])])
      })
    }
  })

  test('takes into memory what fits, the test images first', async () => {
    const all = (230 + 30) * 12
    expect('images' in (await openPrepared(folder, { memoryLimit: all })).train).toBe(true)
    const some = await openPrepared(folder, { memoryLimit: all - 1 })
    expect(['images' in some.train, 'images' in some.test]).toEqual([false, true])
    const none = await openPrepared(folder, { memoryLimit: 0 })
    expect(['images' in none.train, 'images' in none.test]).toEqual([false, false])
    expect((await batchesOf(none.test as ImageStream, { batchSize: 50 })).map(({ count }) => count)).toEqual([
      30,
    ])
  })

  test('streams the same images, in this thread and ahead in another', async () => {
    const expected = await batchesOf(streamRecords(recordsOf(train), tooLarge), pass)
    for (const prefetch of [0, 2]) {
      const opened = await openPrepared(folder, { ...tooLarge, prefetch })
      expect(await batchesOf(opened.train as ImageStream, pass)).toEqual(expected)
      const rest = await batchesOf(opened.train as ImageStream, { ...pass, start: 64 })
      expect(rest).toEqual(expected.slice(2))
    }
  })

  test('balances and varies images wherever they are', async () => {
    const augment = { flip: true, padCrop: 1, jitter: { brightness: 0.3 }, mixup: 0.5, seed: 6 }
    const reading = { balance: 'group', augment } as const
    const stream = augmented(balanced(train, { by: 'group' }), reading.augment)
    const expected = await batchesOf(stream, pass)
    for (const place of [
      {},
      { workers: 2 },
      { prefetch: 0 },
      { ...tooLarge, prefetch: 0 },
      tooLarge,
      { ...tooLarge, workers: 2 },
      { ...tooLarge, workers: 0 },
    ]) {
      const opened = await openPrepared(folder, { ...reading, ...place })
      expect(await batchesOf(opened.train as ImageStream, pass)).toEqual(expected)
    }
    const { train: onlyVaried } = await openPrepared(folder, { augment: reading.augment })
    expect('images' in onlyVaried).toBe(false)
    const { train: onlyBalanced } = await openPrepared(folder, { balance: 'class' })
    expect(await batchesOf(onlyBalanced as ImageStream, pass)).toEqual(
      await batchesOf(balanced(train, { by: 'class' }), pass),
    )
  })

  test('takes the first images', async () => {
    for (const place of [{}, { memoryLimit: 0, prefetch: 1 }]) {
      const opened = await openPrepared(folder, { ...place, samples: 33, testSamples: 6 })
      expect([opened.train.count, opened.test.count]).toEqual([33, 6])
    }
  })

  test('refuses another dataset, and more images than there are', async () => {
    await expect(openPrepared(folder, { dataset: 'cifar10' })).rejects.toThrow(
      `${folder}: prepared images must be of cifar10, got numbered`,
    )
    await expect(openPrepared(folder, { testSamples: 33 })).rejects.toThrow(
      'class 0 "a" must have 11 images, got 10; class 1 "b" must have 11 images, got 10',
    )
  })

  test.each([
    [{ samples: 0 }, 'openPrepared: samples must be an integer of at least 1, got 0'],
    [{ testSamples: 1.5 }, 'openPrepared: testSamples must be an integer of at least 1, got 1.5'],
    [{ memoryLimit: -1 }, 'openPrepared: memoryLimit must be an integer of at least 0, got -1'],
    [{ prefetch: -1 }, 'openPrepared: prefetch must be an integer of at least 0, got -1'],
    [{ workers: 1.5 }, 'openPrepared: workers must be an integer of at least 0, got 1.5'],
    [{ ...tooLarge, shuffleWindow: 0 }, 'shuffleWindow must be a positive integer, got 0'],
  ])('refuses %j', async (request, message) => {
    await expect(openPrepared(folder, request)).rejects.toThrow(message)
  })
})

describe('reading ahead', () => {
  const stream = async (directory = folder) =>
    (await openPrepared(directory, { ...tooLarge, prefetch: 2 })).train as ImageStream

  test('keeps one thread from pass to pass, and none where batches are not taken to the end', async () => {
    const before = await threads()
    const ahead = await stream()
    const expected = await batchesOf(ahead, pass)
    const oneMore = await threads()
    expect(await batchesOf(ahead, pass)).toEqual(expected)
    expect(await threads()).toBe(oneMore)
    for await (const _ of ahead.batches(pass)) break
    expect(await threads()).toBeLessThanOrEqual(before)
    await expect(async () => {
      for await (const _ of ahead.batches(pass)) throw new Error('stop')
    }).rejects.toThrow('stop')
    expect(await threads()).toBeLessThanOrEqual(before)
  })

  test('goes through epochs as without a thread, in their order and in another one', async () => {
    const ahead = await stream()
    const direct = streamRecords(recordsOf(train), tooLarge)
    for (const epoch of [0, 1, 2, 1, 3]) {
      const of = { ...pass, shuffle: { seed: 8, epoch } }
      expect(await batchesOf(ahead, of)).toEqual(await batchesOf(direct, of))
      const part = { ...of, shuffle: { seed: 8, epoch: epoch + 1 }, start: 32 * epoch }
      if (epoch === 2) expect(await batchesOf(ahead, part)).toEqual(await batchesOf(direct, part))
    }
  })

  test('has two passes at a time, of which one keeps its thread', async () => {
    const ahead = await stream()
    const [one, other] = await Promise.all([batchesOf(ahead, pass), batchesOf(ahead, pass)])
    expect(other).toEqual(one)
  })

  test('does not keep a process alive', async () => {
    // Timers never end here: a thread that is waited for is waited for until the limit of this test.
    const script = `
      globalThis.setTimeout = () => ({ unref() {} })
      const { openPrepared } = await import(${JSON.stringify(new URL('../../../src/files/prepared/prepared-set.ts', import.meta.url).href)})
      const { train } = await openPrepared(${JSON.stringify(folder)}, ${JSON.stringify({ ...tooLarge, prefetch: 2 })})
      let count = 0
      for await (const batch of train.batches({ batchSize: 32 })) count += batch.count
      console.log(count)`
    const ran = await startTypeScript(['--input-type=module', '--eval', script]).finished
    expect(ran).toEqual({ code: 0, out: '230\n', err: '' })
  })

  test('tells of errors with their class and message', async () => {
    const copy = join(root, 'damaged')
    const { entry, source, decode } = numberedCatalog(230, 30)
    await prepareDataset({
      entry,
      source,
      decode,
      options: { seed: 1 },
      directory: copy,
      recordsPerShard: 50,
    })
    const ahead = await stream(copy)
    const shard = join(copy, 'train-00002-of-00005.tfrecord')
    const bytes = await readFile(shard)
    bytes[100]! ^= 1
    await writeFile(shard, bytes)
    const failure = await batchesOf(ahead, { batchSize: 32 }).catch((error: unknown) => error)
    expect(failure).toBeInstanceOf(RangeError)
    expect((failure as Error).message).toContain(
      `${shard}: data of record 0 at byte 0 must have the checksum`,
    )
    await rm(join(copy, 'manifest.json'))
    await expect(batchesOf(ahead, { batchSize: 32 })).rejects.toThrow(
      'manifest.json: must tell what was prepared',
    )
  })

  test('refuses a pass that cannot be before a thread is started', async () => {
    const ahead = await stream()
    expect(() => ahead.batches({ batchSize: 0 })).toThrow(
      'batches: batchSize must be a positive integer, got 0',
    )
  })
})

test('a folder is prepared when it has a manifest', async () => {
  expect(await isPrepared(folder)).toBe(true)
  expect(await isPrepared(root)).toBe(false)
  expect(await isPrepared(join(root, 'none'))).toBe(false)
  expect(await isPrepared(join(folder, 'manifest.json'))).toBe(false)
  await expect(readManifest(root)).rejects.toThrow(
    `${join(root, 'manifest.json')}: must tell what was prepared, got nothing there`,
  )
})

test('an index that is not the one that was prepared is refused', async () => {
  const directory = join(root, 'changed')
  const { entry, source, decode } = numberedCatalog(12, 6)
  await prepareDataset({ entry, source, decode, options: { seed: 1 }, directory })
  for (const half of ['train', 'test']) {
    const path = join(directory, `${half}.index.safetensors`)
    const bytes = await readFile(path)
    const { labels, ...rest } = readIndex(bytes, path, half === 'train' ? 12 : 6)
    await writeFile(path, writeIndex({ ...rest, labels: labels.map(label => (label + 1) % 3) }))
    const message = `${path}: index must have the sha256 `
    await expect(openPrepared(directory)).rejects.toThrow(message)
    await expect(preparedStream(directory, {})).rejects.toThrow(message)
    await writeFile(path, bytes)
  }
  expect((await openPrepared(directory)).train.count).toBe(12)
})

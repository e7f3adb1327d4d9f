import { createHash } from 'node:crypto'
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest'
import { subset } from '../../../src/data/batches.js'
import { cifar10 } from '../../../src/data/datasets/cifar10.js'
import { testSeed } from '../../../src/data/datasets/dataset.js'
import { digitsPatches } from '../../../src/data/datasets/digits-patches.js'
import { fashionNoise } from '../../../src/data/datasets/fashion-noise.js'
import { imageFolder } from '../../../src/data/datasets/image-folder/image-folder.js'
import { theoryClusters } from '../../../src/data/datasets/theory-clusters.js'
import { cifar10Format, readCifar } from '../../../src/data/formats/cifar.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { type PrepareProgress, prepareDataset } from '../../../src/files/prepared/prepare.js'
import { openPrepared } from '../../../src/files/prepared/prepared-set.js'
import { verifyFolder } from '../../../src/files/prepared/verify.js'
import { decodeByte } from '../../data/byte-decoder.js'
import { cifar10Files, cifarRecords } from '../../data/cifar-files.js'
import { memorySource } from '../../data/memory-source.js'
import { type NumberedCatalog, numberedCatalog } from '../prepare-catalog.js'

const disk = vi.hoisted(() => ({ room: Number.POSITIVE_INFINITY }))

// A disk that takes so many bytes and then is full.
vi.mock('node:fs/promises', async importOriginal => {
  const original = await importOriginal<typeof import('node:fs/promises')>()
  const open: typeof original.open = async (...args) => {
    const file = await original.open(...args)
    const write = file.writeFile.bind(file)
    file.writeFile = async data => {
      disk.room -= data.length
      if (disk.room < 0)
        throw Object.assign(new Error('ENOSPC: no space left on device, write'), { code: 'ENOSPC' })
      await write(data)
    }
    return file
  }
  return { ...original, open }
})

let folder: string

beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'prepare-'))
})

afterEach(async () => {
  disk.room = Number.POSITIVE_INFINITY
  await rm(folder, { recursive: true })
})

const never = async () => Promise.reject(new Error('decode: must not be called'))

/** Prepares a catalog in files of ten records. */
function prepare(
  { entry, source, decode }: NumberedCatalog,
  more: Partial<Parameters<typeof prepareDataset>[0]> = {},
) {
  const request = { entry, source, decode, options: { seed: 4 }, recordsPerShard: 10, inFlight: 3 }
  return prepareDataset({ ...request, directory: join(folder, 'p'), ...more })
}

/** The files of the folder by name, as digests. */
async function digests(directory = join(folder, 'p')): Promise<Record<string, string>> {
  const names = (await readdir(directory)).sort()
  const sums = names.map(async name => {
    return [
      name,
      createHash('sha256')
        .update(await readFile(join(directory, name)))
        .digest('hex'),
    ] as const
  })
  return Object.fromEntries(await Promise.all(sums))
}

const firstBytes = ({ images, count }: ImageSet) => Array.from({ length: count }, (_, i) => images[12 * i])

test('floats are refused before the folder is made', async () => {
  const directory = join(folder, 'floats')
  const options = { seed: 1, samples: 4, testSamples: 2 }
  await expect(
    prepareDataset({
      entry: theoryClusters,
      source: memorySource({}),
      options,
      decode: decodeByte,
      directory,
    }),
  ).rejects.toThrow(
    new TypeError(
      'theory-clusters: images must be pixels to be prepared, got floats (train on theory-clusters without preparing it)',
    ),
  )
  await expect(readdir(directory)).rejects.toThrow('ENOENT')
})

describe('a catalog of image files', () => {
  test('is stored in its order, with all that is known of it', async () => {
    const progress: PrepareProgress[] = []
    const manifest = await prepare(numberedCatalog(25, 12), {
      onProgress: step => progress.push({ ...step }),
    })
    expect(Object.keys(await digests())).toEqual([
      'manifest.json',
      'test-00000-of-00002.tfrecord',
      'test-00001-of-00002.tfrecord',
      'test.index.safetensors',
      'train-00000-of-00003.tfrecord',
      'train-00001-of-00003.tfrecord',
      'train-00002-of-00003.tfrecord',
      'train.index.safetensors',
    ])
    expect(manifest).toMatchObject({
      dataset: 'numbered',
      options: { seed: 4 },
      source: 'mem:',
      shape: [2, 2, 3],
      classNames: ['a', 'b', 'c'],
      groupNames: ['x', 'y', 'z'],
      train: { count: 25, classCounts: [9, 8, 8], groupCounts: [9, 8, 8], unreadable: [] },
      test: { count: 12, classCounts: [4, 4, 4] },
    })
    expect(manifest.train.shards.map(({ records }) => records)).toEqual([10, 10, 5])
    expect(progress).toHaveLength(37)
    expect(progress.at(-1)).toEqual({ done: 37, total: 37, kept: 0, unreadable: [] })
    const { train, test: tested } = (await openPrepared(join(folder, 'p'))) as {
      train: ImageSet
      test: ImageSet
    }
    expect(firstBytes(train)).toEqual(Array.from({ length: 25 }, (_, i) => i))
    expect(firstBytes(tested)).toEqual(Array.from({ length: 12 }, (_, i) => (1000 + i) % 256))
    expect([...train.labels.subarray(0, 5)]).toEqual([0, 1, 2, 0, 1])
    expect([...(train.groups?.subarray(0, 5) ?? [])]).toEqual([0, 0, 1, 1, 2])
    expect((await verifyFolder(join(folder, 'p'))).files.filter(({ problem }) => problem)).toEqual([])
  })

  test('may have images that cannot be decoded: they are named, and those after them take their places', async () => {
    const manifest = await prepare(numberedCatalog(25, 12, [3, 20, 1001]), { maxUnreadable: 3 })
    expect(manifest.train).toMatchObject({
      count: 23,
      classCounts: [8, 8, 7],
      unreadable: [
        { name: 'image-3.jpg', reason: 'image-3.jpg: image must decode, got a bad marker' },
        { name: 'image-20.jpg' },
      ],
    })
    expect(manifest.test.unreadable).toHaveLength(1)
    const { train } = (await openPrepared(join(folder, 'p'))) as { train: ImageSet }
    expect(firstBytes(train).slice(0, 5)).toEqual([0, 1, 2, 4, 5])
    expect([...train.labels.subarray(0, 5)]).toEqual([0, 1, 2, 1, 2])
  })

  test('is given up when more than the limit cannot be decoded, and goes on with a higher one', async () => {
    const catalog = numberedCatalog(25, 12, [3, 20])
    await expect(prepare(catalog, { maxUnreadable: 1 })).rejects.toThrow(
      'prepareDataset: unreadable images must be at most 1 (maxUnreadable or --max-unreadable), got 2 of 37:\n' +
        '  image-3.jpg: image must decode, got a bad marker\n  image-20.jpg: image must decode, got a bad marker',
    )
    expect(Object.keys(await digests())).toEqual([
      'preparing.json',
      'train-00000-of-00003.tfrecord',
      'train-00001-of-00003.tfrecord',
    ])
    await expect(prepare(catalog, { maxUnreadable: 2 })).resolves.toMatchObject({ train: { count: 23 } })
  })

  test('stops before the end of a half in which nothing can be decoded', async () => {
    await expect(prepare(numberedCatalog(3, 2, [1000, 1001]), { maxUnreadable: 2 })).rejects.toThrow(
      'prepareDataset: test images must be at least 1 that can be decoded, got 0',
    )
  })
})

describe('an interrupted preparation', () => {
  /** Prepares and stops once so many images are done. */
  async function stopAfter(images: number, catalog: NumberedCatalog): Promise<void> {
    const controller = new AbortController()
    const onProgress = ({ done }: PrepareProgress) => {
      if (done === images) controller.abort()
    }
    await expect(
      prepare(catalog, { signal: controller.signal, onProgress, maxUnreadable: 2 }),
    ).rejects.toThrow('aborted')
  }

  test.each([1, 15, 27, 36])(
    'goes on after %i images file by file, and ends in the same bytes',
    async images => {
      const broken = [3, 1001]
      const whole = numberedCatalog(25, 12, broken)
      await prepare(whole, { directory: join(folder, 'whole'), maxUnreadable: 2 })
      await stopAfter(images, numberedCatalog(25, 12, broken))
      const left = Object.keys(await digests())
      expect(left.filter(name => name.includes('tmp') || name === 'manifest.json')).toEqual([])
      const resumed = numberedCatalog(25, 12, broken)
      const progress: PrepareProgress[] = []
      await prepare(resumed, { onProgress: step => progress.push(step), maxUnreadable: 2 })
      expect(await digests()).toEqual(await digests(join(folder, 'whole')))
      const kept = { 1: 0, 15: 10, 27: 25, 36: 35 }[images] as number
      expect(progress.at(-1)).toMatchObject({ done: 37, kept })
      expect(resumed.decoded).toHaveLength(37 - kept)
    },
  )

  test('writes a finished file anew that was damaged meanwhile, and drops what a killed process left', async () => {
    await stopAfter(22, numberedCatalog(25, 12))
    const shard = join(folder, 'p', 'train-00001-of-00003.tfrecord')
    const bytes = await readFile(shard)
    bytes[200]! ^= 1
    await writeFile(shard, bytes)
    await rm(join(folder, 'p', 'train-00000-of-00003.tfrecord'))
    await writeFile(join(folder, 'p', '.train-00002-of-00003.tfrecord.99-1.tmp'), 'half')
    await prepare(numberedCatalog(25, 12))
    await prepare(numberedCatalog(25, 12), { directory: join(folder, 'whole') })
    expect(await digests()).toEqual(await digests(join(folder, 'whole')))
  })

  test('keeps what was finished when the disk is full', async () => {
    // Ten records of 105 bytes are a file; the second one does not fit any more beside the notes of progress.
    disk.room = 3000
    const failure = prepare(numberedCatalog(25, 12))
    await expect(failure).rejects.toThrow(
      /writeFileAtomic: .* must be writable, got: ENOSPC: no space left on device/,
    )
    disk.room = Number.POSITIVE_INFINITY
    const left = Object.keys(await digests())
    expect(left).toContain('train-00000-of-00003.tfrecord')
    expect(left).not.toContain('manifest.json')
    expect(left.filter(name => name.includes('tmp'))).toEqual([])
    const resumed = numberedCatalog(25, 12)
    await prepare(resumed)
    expect(resumed.decoded.length).toBeLessThan(37)
  })

  test('is not continued as something else, unless forced', async () => {
    await stopAfter(15, numberedCatalog(25, 12))
    await expect(prepare(numberedCatalog(25, 12), { options: { seed: 5 } })).rejects.toThrow(
      `${join(folder, 'p')}: folder must go on with what was begun in it, ` +
        '{"dataset":"numbered","seed":4,"source":"mem:"}, got {"dataset":"numbered","seed":5,"source":"mem:"} (--force begins anew)',
    )
    await expect(prepare(numberedCatalog(26, 12))).rejects.toThrow(
      'the images found there are others than before',
    )
    await prepare(numberedCatalog(26, 12), { force: true })
    expect((await openPrepared(join(folder, 'p'))).train.count).toBe(26)
  })

  test('is not continued where only the boxes of objects are others', async () => {
    const load = fashionNoise.load
    let shift = 0
    const entry: typeof fashionNoise = {
      ...fashionNoise,
      async load(...args) {
        const { name, train, test: tested } = await load(...args)
        const objectBox = train.objectBox?.map((side, i) => (i === 5 ? side ^ shift : side)) as Int32Array
        return { name, train: { ...train, objectBox }, test: tested }
      },
    }
    const options = { seed: 2, samples: 20, testSamples: 4, backgrounds: samplesFolder('plants32') }
    const source = samplesFolder('fashion-mini')
    const controller = new AbortController()
    const begin = () =>
      prepare(
        { entry, source, decode: decodeImage, decoded: [] },
        {
          options,
          signal: controller.signal,
          onProgress: ({ done }) => done === 12 && controller.abort(),
        },
      )
    await expect(begin()).rejects.toThrow('aborted')
    shift = 1
    await expect(prepare({ entry, source, decode: decodeImage, decoded: [] }, { options })).rejects.toThrow(
      'the images found there are others than before',
    )
    shift = 0
    await prepare({ entry, source, decode: decodeImage, decoded: [] }, { options })
    expect((await verifyFolder(join(folder, 'p'))).files.filter(({ problem }) => problem)).toEqual([])
  })

  test('with a damaged note of its progress is refused', async () => {
    await stopAfter(15, numberedCatalog(25, 12))
    await writeFile(join(folder, 'p', 'preparing.json'), '{')
    await expect(prepare(numberedCatalog(25, 12))).rejects.toThrow(
      /preparing\.json: must tell how far the folder is, got .*JSON.* \(--force begins anew\)/,
    )
  })
})

describe('a folder', () => {
  test('with prepared images is replaced only by force', async () => {
    await prepare(numberedCatalog(25, 12))
    await expect(prepare(numberedCatalog(25, 12))).rejects.toThrow(
      `${join(folder, 'p')}: folder must be new or empty, got prepared images (--force replaces them)`,
    )
    await writeFile(join(folder, 'p', 'notes.txt'), 'mine')
    await prepare(numberedCatalog(6, 3), { force: true })
    expect(Object.keys(await digests())).toEqual([
      'manifest.json',
      'notes.txt',
      'test-00000-of-00001.tfrecord',
      'test.index.safetensors',
      'train-00000-of-00001.tfrecord',
      'train.index.safetensors',
    ])
  })

  test('with something else is left alone', async () => {
    await writeFile(join(folder, 'notes.txt'), 'mine')
    await expect(prepare(numberedCatalog(2, 2), { directory: folder })).rejects.toThrow(
      `${folder}: folder must be new, empty or one that was begun, got a folder with notes.txt`,
    )
    expect(await readdir(folder)).toEqual(['notes.txt'])
  })

  test('is not ours because of the names in it, forced or not', async () => {
    const files = {
      'manifest.json': '{"name":"my web app"}',
      'manifest.json.bak': 'mine',
      'train-00000-of-00005.tfrecord': 'mine',
    }
    for (const [name, text] of Object.entries(files)) await writeFile(join(folder, name), text)
    for (const force of [false, true]) {
      await expect(prepare(numberedCatalog(2, 2), { directory: folder, force })).rejects.toThrow(
        `${folder}: folder must be new, empty or one of prepared images, got one whose manifest.json is something else`,
      )
    }
    await rm(join(folder, 'manifest.json'))
    await writeFile(join(folder, 'preparing.json'), '{"stage":3}')
    await expect(prepare(numberedCatalog(2, 2), { directory: folder, force: true })).rejects.toThrow(
      /preparing\.json: must tell how far the folder is, got .*\(this folder is something else\)/s,
    )
    expect(await readFile(join(folder, 'train-00000-of-00005.tfrecord'), 'utf8')).toBe('mine')
  })

  test('loses no other file by force, and keeps its images until the new ones are whole', async () => {
    await prepare(numberedCatalog(25, 12))
    const mine = join(folder, 'p', 'train-00000-of-00001.tfrecord')
    await writeFile(mine, 'mine')
    await expect(prepare(numberedCatalog(6, 3), { force: true })).rejects.toThrow(
      `${mine}: must be a new file, got a file that is there and not of the old ones`,
    )
    await expect(
      prepare(numberedCatalog(35, 3, [1, 2, 3]), { force: true, maxUnreadable: 2 }),
    ).rejects.toThrow('must be at most 2')
    expect(await readFile(mine, 'utf8')).toBe('mine')
    expect((await openPrepared(join(folder, 'p'))).train.count).toBe(25)
    expect((await verifyFolder(join(folder, 'p'))).files.filter(({ problem }) => problem)).toEqual([])
  })

  test('that cannot be made is named', async () => {
    await expect(prepare(numberedCatalog(2, 2), { directory: '/proc/none' })).rejects.toThrow(
      '/proc/none: folder must be writable, got ENOENT',
    )
    await writeFile(join(folder, 'file'), '')
    await expect(prepare(numberedCatalog(2, 2), { directory: join(folder, 'file') })).rejects.toThrow(
      `${join(folder, 'file')}: must be a readable folder, got ENOTDIR`,
    )
  })
})

test.each([
  [{ recordsPerShard: 0 }, 'prepareDataset: recordsPerShard must be a positive integer, got 0'],
  [{ inFlight: 1.5 }, 'prepareDataset: inFlight must be a positive integer, got 1.5'],
  [
    { maxUnreadable: -1 },
    'prepareDataset: maxUnreadable must be an integer of at least 0 or a percentage up to 100%, got -1',
  ],
])('refuses %j', async (more, message) => {
  await expect(prepare(numberedCatalog(2, 2), more)).rejects.toThrow(message)
})

describe('a dataset that is loaded', () => {
  const open = async (samples?: number) =>
    (await openPrepared(
      join(folder, 'p'),
      samples === undefined ? {} : { samples, testSamples: samples },
    )) as {
      train: ImageSet
      test: ImageSet
    }

  test('is stored so that its smaller sets are the beginning', async () => {
    const files = memorySource(cifar10Files(20))
    await prepareDataset({
      entry: cifar10,
      source: files,
      options: { seed: 3 },
      decode: never,
      directory: join(folder, 'p'),
    })
    for (const samples of [10, 20]) {
      const direct = await cifar10.load(files, { seed: 3, samples, testSamples: samples })
      expect(await open(samples)).toMatchObject({ train: direct.train, test: direct.test })
    }
    const all = await open()
    expect(all.train).toEqual((await cifar10.load(files, { seed: 3, samples: 100 })).train)
  })

  test('keeps all images of classes that differ in size', async () => {
    const labels = [0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9].map(label => [label])
    const uneven = memorySource({ ...cifar10Files(10), 'data_batch_1.bin': cifarRecords(labels, 9) })
    await prepareDataset({
      entry: cifar10,
      source: uneven,
      options: { seed: 3 },
      decode: never,
      directory: join(folder, 'p'),
    })
    const { train, test: tested } = await open()
    const direct = (await cifar10.load(uneven, { seed: 3 })).train
    expect(train.count).toBe(52)
    expect([...train.labels].sort()).toEqual([...direct.labels].sort())
    const first = await openPrepared(join(folder, 'p'), { samples: 50 })
    expect(first.train).toEqual(subset(direct, 50, 3))
    const stored = readCifar([{ name: 't', bytes: await uneven.read('test_batch.bin') }], cifar10Format)
    expect(tested).toEqual(subset(stored, 10, testSeed))
  })

  test('keeps the cells of composed images', async () => {
    const source = samplesFolder('digits8')
    const options = { seed: 2, samples: 30, testSamples: 10 }
    await prepareDataset({
      entry: digitsPatches,
      source,
      options,
      decode: never,
      directory: join(folder, 'p'),
    })
    const direct = await digitsPatches.load(source, options)
    expect(await open()).toMatchObject({ train: direct.train, test: direct.test })
    expect((await open(10)).train.trueCell).toEqual(direct.train.trueCell?.subarray(0, 10))
  })

  test('keeps the boxes of objects on backgrounds', async () => {
    const source = samplesFolder('fashion-mini')
    const backgrounds = samplesFolder('plants32')
    const options = { seed: 2, samples: 30, testSamples: 10, backgrounds }
    const request = {
      entry: fashionNoise,
      source,
      options,
      decode: decodeImage,
      directory: join(folder, 'p'),
    }
    expect((await prepareDataset(request)).objectBoxes).toBe(true)
    const direct = await fashionNoise.load(source, { ...options, decode: decodeImage })
    const { train, test: tested } = await open()
    expect({ train, test: tested }).toEqual({ train: direct.train, test: direct.test })
    expect(train.objectBox).toHaveLength(4 * 30)
    expect((await open(10)).train.objectBox).toEqual(direct.train.objectBox?.subarray(0, 40))
    expect((await verifyFolder(join(folder, 'p'))).files.filter(({ problem }) => problem)).toEqual([])
  })

  test('stores each box with its image where it brings images into another order', async () => {
    // Four images of one class and two of another: the classes cannot take turns to the end.
    const set: ImageSet = {
      images: Uint8Array.from({ length: 36 }, (_, i) => Math.floor(i / 6)),
      labels: Int32Array.of(0, 0, 0, 0, 1, 1),
      count: 6,
      shape: [6, 1, 1],
      classNames: ['four', 'two'],
      objectBox: Int32Array.from({ length: 24 }, (_, i) => [Math.floor(i / 4), 0, 1, 1][i % 4]!),
    }
    const uneven = {
      ...fashionNoise,
      name: 'uneven',
      load: async () => ({ name: 'uneven', train: set, test: set }),
    }
    const request = { entry: uneven, source: memorySource({}), options: { seed: 3 }, decode: never }
    await prepareDataset({ ...request, directory: join(folder, 'p') })
    const { train } = await open()
    expect([...train.labels]).toEqual([0, 1, 0, 1, 0, 0])
    const numbers = Array.from({ length: 6 }, (_, i) => train.images[6 * i])
    expect(Array.from({ length: 6 }, (_, i) => train.objectBox?.[4 * i])).toEqual(numbers)
    expect([...numbers].sort()).toEqual([0, 1, 2, 3, 4, 5])
  })
})

test('keeps a validation half, and opens what was prepared without one', async () => {
  const byte = (value: number) => Uint8Array.of(value)
  const halves = { train: 4, val: 3, test: 2 }
  const files = Object.entries(halves).flatMap(([half, count], h) =>
    ['a', 'b'].flatMap((name, label) =>
      Array.from(
        { length: count },
        (_, i) => [`${half}/${name}/${i}.png`, byte(60 * h + 30 * label + i)] as const,
      ),
    ),
  )
  const options = { seed: 1, imageSize: [2, 2] as const }
  const notes: string[] = []
  const request = {
    entry: imageFolder,
    decode: decodeByte,
    options,
    onNotes: (told: readonly string[]) => notes.push(...told),
  }
  const source = memorySource(Object.fromEntries(files))
  const manifest = await prepareDataset({ ...request, source, directory: join(folder, 'three') })
  expect(manifest.validation).toMatchObject({ count: 6, classCounts: [3, 3] })
  expect(notes).toEqual([expect.stringContaining('val/ like the validation half')])
  const { train, validation, test: tested } = await openPrepared(join(folder, 'three'))
  expect([train.count, validation?.count, tested.count]).toEqual([8, 6, 4])
  expect(firstBytes(validation as ImageSet).sort((x, y) => (x ?? 0) - (y ?? 0))).toEqual([
    60, 61, 62, 90, 91, 92,
  ])
  expect((await verifyFolder(join(folder, 'three'))).files.map(({ problem }) => problem)).toEqual(
    Array(6).fill(undefined),
  )
  // Without such a half the manifest has no word of it: what was prepared before is the same.
  const two = memorySource(Object.fromEntries(files.filter(([path]) => !path.startsWith('val/'))))
  await prepareDataset({ ...request, source: two, directory: join(folder, 'two') })
  expect(await readFile(join(folder, 'two', 'manifest.json'), 'utf8')).not.toContain('validation')
  expect((await openPrepared(join(folder, 'two'))).validation).toBeUndefined()
})

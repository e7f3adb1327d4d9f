import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { frameRecord } from '../../../src/data/formats/tfrecord.js'
import { loadRecords, streamRecords } from '../../../src/data/image-records.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import { type PreparedImage, readPreparedImage } from '../../../src/data/prepared/encoded-image.js'
import { readIndex, writeIndex } from '../../../src/data/prepared/index-file.js'
import { manifestText, type PreparedManifest, parseManifest } from '../../../src/data/prepared/manifest.js'
import { preparedRecords } from '../../../src/data/prepared/records.js'
import { preparedRecord } from '../../../src/files/prepared/shard.js'
import { memorySource } from '../memory-source.js'
import { numberedImages } from '../numbered-images.js'

const sha256 = '0'.repeat(64)
const set = numberedImages(60)
/** Records of three files of 20. */
const files: Record<string, Uint8Array> = {}
let manifest: PreparedManifest

const recordOf = (i: number, { images, labels, groups, shape }: PixelSet = set) => {
  const pixels = images.slice(12 * i, 12 * i + 12)
  return preparedRecord({ pixels, label: labels[i] as number, group: groups?.[i] as number }, shape)
}

beforeAll(() => {
  const offsets: number[] = []
  const shards = [0, 1, 2].map(number => {
    const records = Array.from({ length: 20 }, (_, i) => recordOf(20 * number + i))
    let bytes = 0
    for (const record of records) {
      offsets.push(bytes)
      bytes += record.length
    }
    const file = `train-${number}.tfrecord`
    files[file] = new Uint8Array(Buffer.concat(records))
    return { file, records: 20, bytes, sha256 }
  })
  const { labels, classNames } = set
  const groups = set.groups as Int32Array
  const index = writeIndex({ labels, groups, offsets: Float64Array.from(offsets) })
  files['train.index'] = index
  const half = {
    count: 60,
    classCounts: [20, 20, 20],
    groupCounts: [20, 20, 20],
    index: { file: 'train.index', bytes: index.length, sha256 },
    shards,
    unreadable: [],
  }
  const groupNames = set.groupNames as string[]
  const content = {
    dataset: 'd',
    options: { seed: 1 },
    source: 's',
    shape: [2, 2, 3],
    classNames,
    groupNames,
  } as const
  manifest = parseManifest(manifestText({ ...content, train: half, test: half }), 'm')
})

const indexBytes = () => files['train.index']?.length ?? 0

const open = (changed: Record<string, Uint8Array> = {}, samples?: number) =>
  preparedRecords(memorySource({ ...files, ...changed }), manifest, 'train', samples)

describe('preparedRecords', () => {
  test('holds all images, or the first of them', async () => {
    expect(await loadRecords(await open())).toEqual(set)
    const first = await loadRecords(await open({}, 25))
    expect(first.count).toBe(25)
    expect(first.images).toEqual(set.images.subarray(0, 25 * 12))
    expect(first.labels).toEqual(set.labels.subarray(0, 25))
  })

  test('reads any images in any order, also twice', async () => {
    const records = await open()
    await fc.assert(
      fc.asyncProperty(fc.array(fc.nat(59), { maxLength: 90 }), async positions => {
        const batch = await records.read(Int32Array.from(positions))
        expect(batch.count).toBe(positions.length)
        expect(positions.map((_, i) => batch.images[12 * i])).toEqual(positions)
        expect([...batch.labels]).toEqual(positions.map(position => set.labels[position]))
        expect([...(batch.groups ?? [])]).toEqual(positions.map(position => set.groups?.[position]))
      }),
      { numRuns: 40 },
    )
  })

  test('joins neighbours to one read', async () => {
    const source = memorySource(files)
    const asked: number[] = []
    const opened = {
      ...source,
      open: async (path: string) => {
        const file = await source.open(path)
        return {
          ...file,
          slice: (start: number, end: number) => {
            asked.push(end - start)
            return file.slice(start, end)
          },
        }
      },
    }
    const records = await preparedRecords(opened, manifest, 'train')
    await records.read(Int32Array.from({ length: 40 }, (_, i) => i))
    expect(asked.sort()).toEqual(
      [files['train-0.tfrecord']?.length, files['train-1.tfrecord']?.length].sort(),
    )
  })

  test.each([1, 2, 4, 7])(
    'reads for one of %i workers its images, and of others at most an eighth of all',
    async count => {
      const source = memorySource(files)
      const stored = Object.values(files).reduce((sum, { length }) => sum + length, 0) - indexBytes()
      for (let index = 0; index < count; index++) {
        let bytes = 0
        const opened = {
          ...source,
          open: async (path: string) => {
            const file = await source.open(path)
            const slice = (start: number, end: number) => {
              bytes += end - start
              return file.slice(start, end)
            }
            return { ...file, slice }
          },
        }
        const stream = streamRecords(await preparedRecords(opened, manifest, 'train'), { shuffleWindow: 32 })
        let images = 0
        const pass = { batchSize: 14, shuffle: { seed: 3, epoch: 1 }, shard: { index, count } }
        for await (const batch of stream.batches(pass)) images += batch.count
        const needed = (stored * images) / 60
        expect(bytes).toBeGreaterThanOrEqual(needed)
        expect(bytes).toBeLessThanOrEqual((needed * 8) / 7)
      }
    },
  )

  test('names the classes and groups that have too few images', async () => {
    await expect(open({}, 62)).rejects.toThrow(
      'mem:: class 0 "class 0" must have 21 images, got 20; class 1 "class 1" must have 21 images, got 20; ' +
        'group 0 "group of class 0" must have 21 images, got 20; group 1 "group of class 1" must have 21 images, got 20; ' +
        'group 2 "group of class 2" must have 21 images, got 20 (62 train images asked, 60 prepared)',
    )
  })

  test('names file, record and byte where a file is damaged', async () => {
    const bytes = (files['train-1.tfrecord'] as Uint8Array).slice()
    const size = bytes.length / 20
    bytes[3 * size + 30]! ^= 1
    const records = await open({ 'train-1.tfrecord': bytes })
    await expect(records.read(Int32Array.of(19, 20))).resolves.toMatchObject({ count: 2 })
    await expect(records.read(Int32Array.of(23))).rejects.toThrow(
      `mem:train-1.tfrecord: data of record 3 at byte ${3 * size} must have the checksum`,
    )
  })

  test('refuses a file of another length, and one with other images than the index says', async () => {
    const bytes = files['train-1.tfrecord'] as Uint8Array
    const short = await open({ 'train-1.tfrecord': bytes.slice(0, -1) })
    await expect(short.read(Int32Array.of(20))).rejects.toThrow(
      `mem:train-1.tfrecord: file must be ${bytes.length} bytes long, got ${bytes.length - 1}`,
    )
    const other = await open({ 'train-1.tfrecord': files['train-0.tfrecord'] as Uint8Array })
    await expect(other.read(Int32Array.of(20))).rejects.toThrow(
      'mem:train-1.tfrecord: record 0 must have the label 2 of train.index, got 0',
    )
  })

  test.each([
    ['labels', 3, 'label must be in [0, 2], got 3 (train record 5)'],
    ['groups', -1, 'group must be in [0, 2], got -1 (train record 5)'],
  ] as const)('refuses an index with impossible %s', async (key, value, message) => {
    const index = readIndex(files['train.index'] as Uint8Array, 'i', 60)
    index[key]?.set([value], 5)
    await expect(open({ 'train.index': writeIndex(index) })).rejects.toThrow(`mem:train.index: ${message}`)
  })

  test('refuses an index without groups where the manifest names some', async () => {
    const { labels, offsets } = readIndex(files['train.index'] as Uint8Array, 'i', 60)
    await expect(open({ 'train.index': writeIndex({ labels, offsets }) })).rejects.toThrow(
      'mem:train.index: index must have a group a record exactly where the manifest names them, got none',
    )
  })

  test('has the boxes of objects that the manifest tells of, within their images', async () => {
    const index = readIndex(files['train.index'] as Uint8Array, 'i', 60)
    const objectBox = Int32Array.from({ length: 240 }, (_, i) => [0, i < 120 ? 0 : 1, 2, 1][i % 4]!)
    const opened = (boxes: Int32Array | undefined, told: PreparedManifest) => {
      const changed = {
        ...files,
        'train.index': writeIndex({ ...index, ...(boxes && { objectBox: boxes }) }),
      }
      return preparedRecords(memorySource(changed), told, 'train', 40)
    }
    const boxed: PreparedManifest = { ...manifest, objectBoxes: true }
    const records = await opened(objectBox, boxed)
    expect(records.objectBox).toEqual(objectBox.subarray(0, 160))
    expect((await loadRecords(records)).objectBox).toEqual(objectBox.subarray(0, 160))
    const rule = 'mem:train.index: index must have a box a record exactly where the manifest names them'
    await expect(opened(objectBox, manifest)).rejects.toThrow(`${rule}, got some`)
    await expect(opened(undefined, boxed)).rejects.toThrow(`${rule}, got none`)
    objectBox[4 * 50 + 1] = 2
    await expect(opened(objectBox, boxed)).rejects.toThrow(
      'mem:train.index: objectBox (top, left, height, width) must lie within 2x2 pixels, got 0, 2, 2, 1 (train record 50)',
    )
  })
})

describe('readPreparedImage', () => {
  const read =
    (record: Uint8Array, shape: PixelSet['shape'] = [2, 2, 3]) =>
    () =>
      readPreparedImage(record.subarray(12, -4), shape, 'f: record 0')

  test('refuses another size, too few bytes, and a record without a label', () => {
    expect(read(recordOf(0), [2, 3, 3])).toThrow('f: record 0: image must be 2x3x3, got 2x2x3')
    const cut = preparedRecord({ pixels: new Uint8Array(11), label: 0 }, [2, 2, 3])
    expect(read(cut)).toThrow('f: record 0: image must hold the 12 bytes of 2x2x3 pixels, got 11')
    expect(read(frameRecord(new Uint8Array()))).toThrow(
      'f: record 0: record must have an integer feature height, got none',
    )
  })

  test('reads what is known of the image, and refuses a box that is none', () => {
    const image = {
      pixels: new Uint8Array(12).fill(7),
      label: 2,
      group: 1,
      cell: 0,
      box: [0, 1, 2, 1],
    } as const
    expect(read(preparedRecord(image, [2, 2, 3]))()).toEqual(image)
    const box = [0, 1, 2] as unknown as NonNullable<PreparedImage['box']>
    expect(read(preparedRecord({ ...image, box }, [2, 2, 3]))).toThrow(
      'f: record 0: box must be 4 integers (top, left, height, width), got 3 integers',
    )
  })
})

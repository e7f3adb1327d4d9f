import { Example } from 'tfrecord'
import { beforeAll, describe, expect, it } from 'vitest'
import { frameRecord } from '../../../src/data/formats/tfrecord.js'
import { writeIndex } from '../../../src/data/prepared/index-file.js'
import { manifestText, type PreparedManifest, parseManifest } from '../../../src/data/prepared/manifest.js'
import { preparedRegions } from '../../../src/data/prepared/regions.js'
import { arraySource } from '../../../src/data/regions/array-source.js'
import { preparedRecord } from '../../../src/files/prepared/shard.js'
import { memorySource } from '../memory-source.js'

const shape = [9, 300, 3] as const
const imageBytes = 9 * 300 * 3
const imageOf = (i: number) => Uint8Array.from({ length: imageBytes }, (_, at) => (at * (i + 3)) % 250)
const labels = Int32Array.of(0, 1, 0, 1, 0)
const files: Record<string, Uint8Array> = {}
let manifest: PreparedManifest

beforeAll(() => {
  const records = Array.from(labels, (label, i) => preparedRecord({ pixels: imageOf(i), label }, shape))
  files['a.tfrecord'] = new Uint8Array(Buffer.concat(records.slice(0, 3)))
  files['b.tfrecord'] = new Uint8Array(Buffer.concat(records.slice(3)))
  const { length } = records[0] as Uint8Array
  const index = writeIndex({ labels, offsets: Float64Array.of(0, length, 2 * length, 0, length) })
  files['half.index'] = index
  const sha256 = '0'.repeat(64)
  const half = {
    count: 5,
    classCounts: [3, 2],
    index: { file: 'half.index', bytes: index.length, sha256 },
    shards: [
      { file: 'a.tfrecord', records: 3, bytes: 3 * length, sha256 },
      { file: 'b.tfrecord', records: 2, bytes: 2 * length, sha256 },
    ],
    unreadable: [],
  }
  const content = { dataset: 'd', options: { seed: 1 }, source: 's', shape, classNames: ['x', 'y'] }
  manifest = parseManifest(manifestText({ ...content, shape: [...shape], train: half, test: half }), 'm')
})

const boxes = Int32Array.of(-1, 280, 4, 30, 6, 0, 4, 30)

describe('preparedRegions', () => {
  it('reads views and regions of records by their places, in any file', async () => {
    const records = await preparedRegions(memorySource(files), manifest, 'train')
    expect([records.count, records.shape, [...records.labels]]).toEqual([5, [...shape], [...labels]])
    for (let i = 0; i < 5; i++) {
      const [source, expected] = [await records.open(i), arraySource(imageOf(i), shape)]
      expect(await source.regions(boxes)).toEqual(await expected.regions(boxes))
      expect(await source.view(4)).toEqual(await expected.view(4))
    }
    expect(records.name(4)).toMatch(/b\.tfrecord: record 1$/)
    expect((await preparedRegions(memorySource(files), manifest, 'test', 2)).count).toBe(2)
  })

  it.each<[string, (file: Uint8Array) => Uint8Array, string]>([
    ['is cut off', file => file.subarray(0, -1), 'b.tfrecord: file must be 16414 bytes long, got 16413'],
    [
      'has no record at its place',
      file => Uint8Array.from(file, (byte, i) => (i === 3 ? 9 : byte)),
      'b.tfrecord: record 0 must be where the index says, got no record there (byte 0)',
    ],
    [
      'has a record of other pixels',
      file => {
        const other = preparedRecord({ pixels: new Uint8Array(12), label: 1 }, [2, 2, 3])
        return new Uint8Array(Buffer.concat([other, file.subarray(other.length)]))
      },
      'b.tfrecord: record 0: record must begin with the 8100 bytes of 9x300x3 pixels, got 12 bytes of image',
    ],
    [
      'has a record that begins with something else',
      file => {
        const label = { int64List: { value: [1] } }
        const other = frameRecord(Example.encode({ features: { feature: { label } } }).finish())
        return new Uint8Array(Buffer.concat([other, file.subarray(other.length)]))
      },
      'b.tfrecord: record 0: record must begin with the 8100 bytes of 9x300x3 pixels, got none',
    ],
  ])('names a file that %s', async (_, damaged, message) => {
    const broken = { ...files, 'b.tfrecord': damaged(files['b.tfrecord'] as Uint8Array) }
    const records = await preparedRegions(memorySource(broken), manifest, 'train')
    const source = await records.open(3)
    await expect(source.view(2)).rejects.toThrow(message)
    // The others are read.
    expect(await (await records.open(1)).view(1)).toEqual(imageOf(1))
  })

  it('names a file whose last record ends too early, though it is as long as it should be', async () => {
    const { length } = files['a.tfrecord'] as Uint8Array
    const record = length / 3
    const index = writeIndex({ labels, offsets: Float64Array.of(0, record, 2 * record, 0, 2 * record - 200) })
    const head = preparedRecord({ pixels: imageOf(1), label: 1 }, shape).subarray(0, 200)
    const file = new Uint8Array(2 * record)
    file.set(head, 2 * record - 200)
    const source = memorySource({ ...files, 'b.tfrecord': file, 'half.index': index })
    const opened = await (await preparedRegions(source, manifest, 'train')).open(4)
    await expect(opened.view(1)).rejects.toThrow(
      /record 1: pixels must end within the file of 16414 bytes, got \d+/,
    )
  })
})

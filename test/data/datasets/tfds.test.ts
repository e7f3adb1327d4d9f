import { readdirSync, readFileSync } from 'node:fs'
import { deflateSync, gzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { celebaMulticlass } from '../../../src/data/datasets/celeba/multiclass.js'
import { celebaSmiling } from '../../../src/data/datasets/celeba/smiling.js'
import type { DatasetEntry, DatasetOptions } from '../../../src/data/datasets/dataset.js'
import { tfds } from '../../../src/data/datasets/tfds.js'
import { frameRecord } from '../../../src/data/formats/tfrecord.js'
import type { CatalogHalf, ImageCatalog } from '../../../src/data/image-catalog.js'
import { memorySource } from '../memory-source.js'

// Written by TensorFlow: test/goldens/tfds/write.py says what is in them.
const folder = new URL('../../goldens/tfds/', import.meta.url)
const files = (pattern: RegExp, prefix = ''): Record<string, Uint8Array> =>
  Object.fromEntries(
    readdirSync(folder)
      .filter(name => pattern.test(name))
      .map(name => [prefix + name, new Uint8Array(readFileSync(new URL(name, folder)))]),
  )
const cifar = files(/^cifar10/)
const faces = files(/^celeb_a/)

const open = (
  from: Record<string, Uint8Array>,
  options: Partial<DatasetOptions> = {},
  entry: DatasetEntry = tfds,
): Promise<ImageCatalog> =>
  entry.catalog?.(memorySource(from), { seed: 1, ...options }) as Promise<ImageCatalog>

const names = (half: CatalogHalf): string[] => Array.from({ length: half.count }, (_, i) => half.name(i))
const numbers = (half: CatalogHalf): number[] =>
  names(half).map(name => Number(/record (\d+)$/.exec(name)?.[1]))
const startOf = (bytes: Uint8Array): string => Buffer.from(bytes.subarray(0, 4)).toString('latin1')

/** An Example of one feature, integers below 128. */
function example(feature: string, values: readonly number[]): Uint8Array {
  const field = (tag: number, content: Iterable<number>): number[] => {
    const bytes = [...content]
    return [tag, bytes.length, ...bytes]
  }
  const list = field(0x1a, field(0x0a, values))
  const entry = [...field(0x0a, new TextEncoder().encode(feature)), ...field(0x12, list)]
  return Uint8Array.from(field(0x0a, field(0x0a, entry)))
}

describe('tfds with cifar10', () => {
  it('has ten classes of PNG images, each image once', async () => {
    const { train, test, classNames, decoding } = await open(cifar)
    expect([train.count, test.count, decoding, classNames[9]]).toEqual([
      30,
      10,
      { shape: [32, 32, 3] },
      'truck',
    ])
    expect(numbers(train).sort((a, b) => a - b)).toEqual(Array.from({ length: 30 }, (_, i) => i))
    // The record's number gives its label in these files.
    expect([...train.labels]).toEqual(numbers(train).map(number => number % 10))
    expect(train.name(0)).toMatch(/^mem:cifar10-train\.tfrecord-00000-of-00001, record \d+$/)
    expect(startOf(await test.encoded(4))).toBe('\x89PNG')
  })

  it('takes fewer images, of all classes', async () => {
    const { train, test } = await open(cifar, { samples: 15, testSamples: 10 })
    expect([...train.labels]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0, 1, 2, 3, 4])
    expect(test.count).toBe(10)
    await expect(open(cifar, { samples: 31 })).rejects.toThrow(
      new RangeError(
        'tfds: cell "airplane" must have 4 training images, got 3 (31 images asked, at most 30 can be had)',
      ),
    )
  })

  it('finds the highest version of a dataset in a folder of datasets', async () => {
    const from = {
      ...files(/^cifar10/, 'cifar10/3.0.2/'),
      'cifar10/3.0.0/cifar10-train.tfrecord': new Uint8Array(1),
    }
    const { train } = await open({
      ...from,
      'mnist/3.0.1/mnist-train.tfrecord-00000-of-00001': new Uint8Array(1),
    })
    expect(train.name(0)).toMatch(/^mem:cifar10\/3\.0\.2\/cifar10-train/)
    expect((await open(files(/^cifar10/, '3.0.2/'))).test.count).toBe(10)
  })

  it('says which shards are missing', async () => {
    await expect(open(files(/^cifar10-train/))).rejects.toThrow(
      new Error('mem:: folder must hold cifar10-test.tfrecord, got cifar10-train.tfrecord'),
    )
    await expect(open({})).rejects.toThrow(/mem:: folder must/)
    await expect(open({ 'a.txt': new Uint8Array(1) })).rejects.toThrow(
      new Error(
        'mem:: folder must hold cifar10-train.tfrecord-00000-of-..., or the same of celeb_a, got neither',
      ),
    )
  })

  it('refuses records that are damaged, or of other features', async () => {
    const name = 'cifar10-test.tfrecord-00000-of-00001'
    const damaged = { ...cifar, [name]: Uint8Array.from(cifar[name] as Uint8Array) }
    ;(damaged[name] as Uint8Array)[40] = 1
    await expect(open(damaged)).rejects.toThrow(
      /^mem:cifar10-test.*: data of record 0 at byte 0 must have the checksum/,
    )
    const empty = { ...cifar, [name]: frameRecord(new Uint8Array(0)) }
    await expect(open(empty)).rejects.toThrow(
      new RangeError(`mem:${name}, record 0: feature label must be one integer, got none`),
    )
    await expect(open({ ...cifar, [name]: frameRecord(example('label', [1, 2])) })).rejects.toThrow(
      new RangeError(`mem:${name}, record 0: feature label must be one integer, got 2 integers`),
    )
    await expect(open({ ...cifar, [name]: frameRecord(example('label', [10])) })).rejects.toThrow(
      new RangeError(`mem:${name}, record 0: feature label must be in [0, 9], got 10`),
    )
    const labels = Array.from({ length: 10 }, (_, label) =>
      Buffer.from(frameRecord(example('label', [label]))),
    )
    const { test } = await open({ ...cifar, [name]: Buffer.concat(labels) })
    await expect(test.encoded(7)).rejects.toThrow(
      new RangeError(`mem:${name}, record 7: feature image must be the bytes of one image, got none`),
    )
  })
})

describe('tfds with integers of 64 bits', () => {
  const name = 'cifar10-test.tfrecord-00000-of-00001'
  const varint = (value: bigint): number[] =>
    value < 128n ? [Number(value)] : [Number(value & 127n) | 128, ...varint(value >> 7n)]
  const records = (label: (i: number) => readonly number[], id: readonly number[]) =>
    Buffer.concat(
      Array.from({ length: 10 }, (_, i) => {
        const both = [...example('label', label(i)), ...example('id', id)]
        return Buffer.from(frameRecord(Uint8Array.from(both)))
      }),
    )

  it('passes over those that it does not use', async () => {
    const bytes = records(i => [i], varint(2n ** 63n + 5n))
    expect((await open({ ...cifar, [name]: bytes })).test.count).toBe(10)
  })

  it.each([2n ** 31n, 2n ** 32n, 2n ** 53n + 1n, 2n ** 63n - 1n])('refuses the label %s', async value => {
    const bytes = records(() => varint(value), [1])
    await expect(open({ ...cifar, [name]: bytes })).rejects.toThrow(
      new RangeError(`mem:${name}, record 0: feature label must be a 32-bit integer, got ${value}`),
    )
  })
})

describe('tfds compressed', () => {
  const forms = { gzip: gzipSync, zlib: deflateSync }
  const packed = (form: keyof typeof forms, ending = '') =>
    Object.fromEntries(
      Object.entries(cifar).map(([name, bytes]) => [name + ending, new Uint8Array(forms[form](bytes))]),
    )

  it.each([
    ['gzip', ''],
    ['gzip', '.gz'],
    ['zlib', ''],
  ] as const)('reads %s under names that end in "%s" as plain files', async (form, ending) => {
    const [plain, read] = [await open(cifar), await open(packed(form, ending))]
    expect(read.train.labels).toEqual(plain.train.labels)
    for (const i of [29, 0, 7]) expect(await read.train.encoded(i)).toEqual(await plain.train.encoded(i))
  })

  it('reads some shards compressed and others plain', async () => {
    const name = 'celeb_a-train.tfrecord-00001-of-00002'
    const mixed = { ...faces, [name]: new Uint8Array(gzipSync(faces[name] as Uint8Array)) }
    expect((await open(mixed)).train.labels).toEqual((await open(faces)).train.labels)
  })

  it('names a compressed file that is damaged, and other compressions', async () => {
    const name = 'cifar10-train.tfrecord-00000-of-00001'
    const cut = (packed('gzip')[name] as Uint8Array).subarray(0, 100)
    await expect(open({ ...cifar, [name]: cut })).rejects.toThrow(
      `mem:${name}: gzip data must be whole, got unexpected end of file (file of 100 bytes)`,
    )
    const zstandard = Uint8Array.of(0x28, 0xb5, 0x2f, 0xfd, ...Array(20).fill(0))
    await expect(open({ ...cifar, [name]: zstandard })).rejects.toThrow(
      new Error(`mem:${name}: records must be plain or compressed with GZIP or ZLIB, got Zstandard`),
    )
  })
})

describe('tfds with celeb_a', () => {
  it('tells who smiles, from all shards', async () => {
    const { train, test, classNames, decoding } = await open(faces)
    expect([train.count, test.count, classNames, decoding.shape]).toEqual([
      16,
      8,
      ['Not_Smiling', 'Smiling'],
      [64, 64, 3],
    ])
    const shards = new Set(names(train).map(name => name.replace(/, record.*/, '')))
    expect([...shards].sort()).toEqual([
      'mem:celeb_a-train.tfrecord-00000-of-00002',
      'mem:celeb_a-train.tfrecord-00001-of-00002',
    ])
    expect(startOf(await train.encoded(0))).toBe('\xff\xd8\xff\xe0')
  })

  it('is CelebA to its tasks as well', async () => {
    const { train } = await open(faces, { samples: 8 }, celebaMulticlass)
    // Bits 0 and 1 of an image's number are Smiling and Eyeglasses; the second shard begins with the tenth image.
    const bits = names(train).map((name, i) => {
      const number = numbers(train)[i] as number
      return name.includes('00001-of') ? number + 9 : number
    })
    expect([...train.labels]).toEqual(bits.map(number => 2 * (number & 1) + ((number >> 1) & 1)))
    expect((await open(faces, { crop: 'center108' }, celebaSmiling)).decoding.cropSide).toBe(108)
  })

  it('refuses attributes that are neither 0 nor 1', async () => {
    const name = 'celeb_a-test.tfrecord-00000-of-00001'
    const wrong = { ...faces, [name]: frameRecord(example('attributes/Smiling', [2])) }
    await expect(open(wrong)).rejects.toThrow(
      new RangeError(`mem:${name}, record 0: feature attributes/Smiling must be 0 or 1, got 2`),
    )
  })

  it('names missing shards', async () => {
    await expect(open(files(/^celeb_a-(train.*-00000-of|test)/))).rejects.toThrow(
      /celeb_a-train\.tfrecord must have all of its 2 shards, got 1 \(missing 00001-of-00002\)$/,
    )
    await expect(open(files(/^celeb_a-train/))).rejects.toThrow(
      new Error('mem:: folder must hold celeb_a-test.tfrecord, got celeb_a-train.tfrecord'),
    )
  })
})

import { createHash } from 'node:crypto'
import { describe, expect, it } from 'vitest'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { samplesFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { decodeByte } from './byte-decoder.js'
import { cifar10Files } from './cifar-files.js'
import { memorySource } from './memory-source.js'

const digest = (bytes: Uint8Array | Float32Array): string => createHash('sha256').update(bytes).digest('hex')

/** The pixels in the box of an image, and one pixel outside of it. */
function partsOf(set: ImageSet, image: number): { object: Uint8Array; outside: number } {
  const [top = 0, left = 0, height = 0] = (set.objectBox as Int32Array).subarray(4 * image)
  const at = (y: number, x: number): number => (image * 1024 + y * 32 + x) * 3
  const rows = Array.from({ length: height }, (_, y) => [
    ...set.images.subarray(at(top + y, left), at(top + y, left + 16)),
  ])
  return {
    object: Uint8Array.from(rows.flat()),
    outside: set.images[top === 0 ? at(31, 0) : at(0, 0)] as number,
  }
}

describe('cifar10-noise', () => {
  const entry = datasetEntry('cifar10-noise')
  const files = cifar10Files(20)
  // The test half of these backgrounds is one image: which one shows in every test image.
  const backgrounds = memorySource(
    Object.fromEntries([1, 2, 3, 4, 5].map(value => [`${value}.jpg`, Uint8Array.of(value)])),
  )
  const options = { seed: 2, backgrounds, decode: decodeByte }

  it('shows every image once at half size, on photographs of its own half', async () => {
    const { train, test } = await entry.load(memorySource(files), options)
    expect([train.count, test.count, train.shape, train.classNames.length]).toEqual([
      100,
      20,
      [32, 32, 3],
      10,
    ])
    const known = new Map<string, number>()
    const bytes = files['test_batch.bin'] as Uint8Array
    for (let start = 0; start < bytes.length; start += 3073) {
      const half = Uint8Array.from({ length: 768 }, (_, byte) => {
        const [y, x, c] = [2 * Math.floor(byte / 48), 2 * Math.floor((byte % 48) / 3), byte % 3]
        const at = (dy: number, dx: number) => bytes[start + 1 + c * 1024 + (y + dy) * 32 + x + dx] as number
        return Math.round((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4)
      })
      known.set(digest(half), bytes[start] as number)
    }
    const objects = new Set<string>()
    const behind = new Set<number>()
    for (let i = 0; i < test.count; i++) {
      const { object, outside } = partsOf(test, i)
      expect(known.get(digest(object))).toBe(test.labels[i])
      objects.add(digest(object))
      behind.add(outside)
    }
    expect(objects.size).toBe(20)
    expect(behind.size).toBe(1)
    const trained = Array.from({ length: train.count }, (_, i) => partsOf(train, i).outside)
    expect(new Set([...trained, ...behind]).size).toBe(5)
    expect(trained).not.toContain([...behind][0])
  })

  it('composes by the seed, and the same test images always', async () => {
    const load = (seed: number) =>
      entry.load(memorySource(files), { ...options, seed, samples: 30, testSamples: 10 })
    const [first, again, other] = [await load(1), await load(1), await load(2)]
    expect(digest(again.train.images)).toBe(digest(first.train.images))
    expect(digest(other.train.images)).not.toBe(digest(first.train.images))
    expect(digest(other.test.images)).toBe(digest(first.test.images))
  })

  it('needs backgrounds', async () => {
    await expect(entry.load(memorySource(files), { seed: 1, decode: decodeByte })).rejects.toThrow(
      new TypeError('cifar10-noise: backgrounds must be a folder of images or a copy of ImageNet, got none'),
    )
  })
})

describe('fashion-noise', () => {
  it('lays the accessories of the samples on plants', async () => {
    const entry = datasetEntry('fashion-noise')
    const backgrounds = samplesFolder(entry.sampleBackgrounds as string)
    const { train, test } = await entry.load(samplesFolder('fashion-mini'), {
      seed: 1,
      backgrounds,
      decode: decodeImage,
    })
    expect([train.count, test.count, train.shape]).toEqual([1000, 1000, [32, 32, 3]])
    expect(train.classNames).toEqual(['sandal', 'sneaker', 'bag', 'ankle boot'])
    // Articles are grey, plants are not: red, green and blue are equal in the box and mostly differ elsewhere.
    const { object } = partsOf(train, 0)
    for (let pixel = 0; pixel < 256; pixel++) {
      expect([object[3 * pixel + 1], object[3 * pixel + 2]]).toEqual([object[3 * pixel], object[3 * pixel]])
    }
    // 600 articles a class in the samples: none comes twice among 250 of each.
    const objects = new Set(Array.from({ length: 1000 }, (_, i) => digest(partsOf(train, i).object)))
    expect(objects.size).toBe(1000)
  })
})

import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import type { Augmentation } from '../../../src/data/augmentation/augmentation.js'
import { augmented } from '../../../src/data/augmentation/augmented.js'
import type { ImageBatch, ImageSet } from '../../../src/data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../../../src/data/image-stream.js'

/** Images of one shape whose bytes are all different within an image, and none of them 0. */
function images(count: number, [height, width, channels]: ImageSet['shape']): ImageSet {
  const bytes = height * width * channels
  return {
    images: Uint8Array.from({ length: count * bytes }, (_, i) => 1 + (i % bytes)),
    labels: Int32Array.from({ length: count }, (_, i) => i % 2),
    count,
    shape: [height, width, channels],
    classNames: ['a', 'b'],
  }
}

const shuffle = { seed: 1, epoch: 0 }

async function imagesOf(stream: ImageStream, pass: StreamPass): Promise<number[][]> {
  const all: number[][] = []
  for await (const { images: pixels, count } of stream.batches(pass)) {
    const bytes = pixels.length / count
    for (let i = 0; i < count; i++) all.push([...pixels.subarray(i * bytes, (i + 1) * bytes)])
  }
  return all
}

describe('augmented', () => {
  test('mirrors every other image, pixel by pixel', async () => {
    // One row of three RGB pixels.
    const stream = augmented(streamOf(images(400, [1, 3, 3])), { flip: true, seed: 7 })
    const seen = (await imagesOf(stream, { batchSize: 64, shuffle })).map(image => image.join())
    const straight = seen.filter(image => image === '1,2,3,4,5,6,7,8,9').length
    const mirrored = seen.filter(image => image === '7,8,9,4,5,6,1,2,3').length
    expect(straight + mirrored).toBe(400)
    // Expected 200, with a standard deviation of 10: five of them.
    expect(Math.abs(mirrored - 200)).toBeLessThan(50)
  })

  test('cuts windows out of the padded image, each as often as the others', async () => {
    // Rows 1 2 and 3 4 with a border of zeros: nine windows.
    const windows = [
      '0,0,0,1',
      '0,0,1,2',
      '0,0,2,0',
      '0,1,0,3',
      '1,2,3,4',
      '2,0,4,0',
      '0,3,0,0',
      '3,4,0,0',
      '4,0,0,0',
    ]
    const stream = augmented(streamOf(images(1800, [2, 2, 1])), { padCrop: 1, seed: 2 })
    const seen = (await imagesOf(stream, { batchSize: 100, shuffle })).map(image => image.join())
    for (const window of windows) {
      // Expected 200, with a standard deviation of 13.3: five of them.
      expect(Math.abs(seen.filter(image => image === window).length - 200)).toBeLessThan(67)
    }
    expect(new Set(seen).size).toBe(9)
  })

  test('mirrors before it cuts', async () => {
    const stream = augmented(streamOf(images(600, [1, 3, 1])), { flip: true, padCrop: 0, seed: 2 })
    expect(new Set((await imagesOf(stream, { batchSize: 9, shuffle })).map(String))).toEqual(
      new Set(['1,2,3', '3,2,1']),
    )
    const both = augmented(streamOf(images(900, [2, 3, 1])), { flip: true, padCrop: 1, seed: 2 })
    const seen = new Set((await imagesOf(both, { batchSize: 9, shuffle })).map(String))
    // 3 x 3 windows of two images.
    expect(seen.size).toBe(18)
    expect(seen).toContain('2,1,0,5,4,0')
  })

  test('is a function of seed, epoch and place, whatever the batches and wherever a pass begins', async () => {
    const set = images(60, [4, 4, 3])
    const options = { flip: true, padCrop: 2 }
    const stream = augmented(streamOf(set), { ...options, seed: 3 })
    const whole = await imagesOf(stream, { batchSize: 60, shuffle })
    await fc.assert(
      fc.asyncProperty(fc.nat(60), fc.integer({ min: 1, max: 61 }), async (start, batchSize) => {
        expect(await imagesOf(stream, { batchSize, shuffle, start })).toEqual(whole.slice(start))
      }),
      { numRuns: 20 },
    )
    const otherEpoch = await imagesOf(stream, { batchSize: 60, shuffle: { seed: 1, epoch: 1 } })
    const otherSeed = await imagesOf(augmented(streamOf(set), { ...options, seed: 4 }), {
      batchSize: 60,
      shuffle,
    })
    expect(otherEpoch).not.toEqual(whole)
    expect(otherSeed).not.toEqual(whole)
  })

  test.each<Omit<Augmentation, 'seed'>>([
    { randomCrop: 0.3 },
    { verticalFlip: true },
    { rotate: 30 },
    { trivialAugment: true },
    { randAugment: { operations: 2, magnitude: 9 } },
    { jitter: { brightness: 0.4, contrast: 0.4, saturation: 0.4, hue: 0.1 } },
    { grey: 0.5 },
    { blur: 0.5 },
    { erase: 0.5 },
  ])('%j is a function of seed, epoch and place as well', async options => {
    const stream = augmented(streamOf(images(24, [7, 5, 3])), { ...options, seed: 3 })
    const whole = await imagesOf(stream, { batchSize: 24, shuffle })
    const plain = await imagesOf(streamOf(images(24, [7, 5, 3])), { batchSize: 24, shuffle })
    expect(whole).not.toEqual(plain)
    for (const [start, batchSize] of [
      [0, 1],
      [5, 7],
      [23, 4],
    ] as const) {
      expect(await imagesOf(stream, { batchSize, shuffle, start })).toEqual(whole.slice(start))
    }
    expect(await imagesOf(stream, { batchSize: 24, shuffle: { seed: 1, epoch: 1 } })).not.toEqual(whole)
  })

  test('mixes images with others of their batch, the same in a resumed pass', async () => {
    const stream = augmented(streamOf(images(24, [4, 4, 3])), { mixup: 0.5, cutmix: 1, flip: true, seed: 3 })
    const batches = async (start: number) => {
      const all: ImageBatch[] = []
      for await (const batch of stream.batches({ batchSize: 8, shuffle, start })) all.push(batch)
      return all
    }
    const whole = await batches(0)
    expect(await batches(8)).toEqual(whole.slice(1))
    for (const { labels, mixed } of whole) {
      expect(mixed?.labels).toEqual(labels.map((_, i) => labels[(i + 1) % 8] as number))
      expect(mixed?.shares.length).toBe(8)
    }
    for await (const batch of stream.batches({ batchSize: 8 })) expect(batch.mixed).toBeUndefined()
  })

  test('leaves evaluations and the images themselves as they are', async () => {
    const set = images(10, [4, 4, 3])
    const before = set.images.slice()
    const stream = augmented(streamOf(set), { flip: true, padCrop: 3, seed: 1 })
    const plain = await imagesOf(streamOf(set), { batchSize: 3 })
    expect(await imagesOf(stream, { batchSize: 3 })).toEqual(plain)
    await imagesOf(stream, { batchSize: 3, shuffle })
    expect(set.images).toEqual(before)
  })

  test('gives images the pixels that earlier versions gave them', async () => {
    // As they were while flip and padCrop were all there was: a hash of each image of a pass from place 1 on.
    const hash = (image: readonly number[]) =>
      image.reduce((sum, value) => (Math.imul(sum, 31) + value) | 0, 0)
    const pass = { batchSize: 4, shuffle: { seed: 3, epoch: 2 }, start: 1 }
    const hashes = async (options: Omit<Augmentation, 'seed'>, seed: number) =>
      (await imagesOf(augmented(streamOf(images(6, [5, 4, 2])), { ...options, seed }), pass)).map(hash)
    expect(await hashes({ flip: true, padCrop: 2 }, 7)).toEqual([
      -48160240, 1254244938, -1809407472, 166005231, -227925488,
    ])
    expect(await hashes({ flip: true }, 7)).toEqual([
      -338687340, 856091284, 856091284, -338687340, -338687340,
    ])
    expect(await hashes({ padCrop: 1 }, 9)).toEqual([
      1337913740, -380452468, -406158964, 1337913740, -157699700,
    ])
  })

  test('draws for each operation apart: what one does is the same beside others', async () => {
    const set = images(40, [6, 6, 3])
    const pass = { batchSize: 40, shuffle }
    const before = await imagesOf(streamOf(set), pass)
    const seen = (options: Omit<Augmentation, 'seed'>) =>
      imagesOf(augmented(streamOf(set), { ...options, seed: 5 }), pass)
    const flipped = await seen({ flip: true })
    const mirrored = flipped.map((image, i) => image.join() !== (before[i] as number[]).join())
    const both = await seen({ flip: true, jitter: { brightness: 0.3 }, erase: 0.5, rotate: 0 })
    const bright = await seen({ jitter: { brightness: 0.3 }, erase: 0.5 })
    // Brightening commutes with mirroring; boxes are erased at the same places of what was mirrored.
    const isSame = both.map((image, i) => image.join() === (bright[i] as number[]).join())
    expect(isSame.filter((same, i) => same && mirrored[i]).length).toBeLessThan(3)
    expect(isSame.every((same, i) => same || mirrored[i])).toBe(true)
  })

  test('is the stream itself where nothing is asked for', () => {
    const stream = streamOf(images(2, [4, 4, 3]))
    expect(augmented(stream, { seed: 1 })).toBe(stream)
  })

  test.each([-1, 0.5, 3])('refuses to pad %d pixels of 4x3', padCrop => {
    expect(() => augmented(streamOf(images(2, [4, 3, 1])), { padCrop, seed: 1 })).toThrow(
      `augmented: padCrop must be an integer in [0, 2], got ${padCrop}`,
    )
  })

  test.each<[Omit<Augmentation, 'seed'>, string]>([
    [{ randomCrop: 1.5 }, 'randomCrop must be in [0, 1], got 1.5'],
    [{ randomCrop: -0.1 }, 'randomCrop must be in [0, 1], got -0.1'],
    [{ rotate: 181 }, 'rotate must be in [0, 180], got 181'],
    [{ rotate: Number.NaN }, 'rotate must be in [0, 180], got NaN'],
    [
      { randAugment: { operations: 9, magnitude: 1 } },
      'randAugment.operations must be an integer in [0, 8], got 9',
    ],
    [
      { randAugment: { operations: 2, magnitude: 31 } },
      'randAugment.magnitude must be an integer in [0, 30], got 31',
    ],
    [{ jitter: { brightness: -1 } }, 'jitter.brightness must be a number of at least 0, got -1'],
    [{ jitter: { contrast: Infinity } }, 'jitter.contrast must be a number of at least 0, got Infinity'],
    [{ jitter: { hue: 0.6 } }, 'jitter.hue must be in [0, 0.5], got 0.6'],
    [{ grey: 2 }, 'grey must be in [0, 1], got 2'],
    [{ blur: -1 }, 'blur must be in [0, 1], got -1'],
    [{ erase: 1.1 }, 'erase must be in [0, 1], got 1.1'],
    [{ mixup: -1 }, 'mixup must be a number of at least 0, got -1'],
    [{ cutmix: Number.NaN }, 'cutmix must be a number of at least 0, got NaN'],
  ])('refuses %j', (options, message) => {
    expect(() => augmented(streamOf(images(2, [4, 4, 3])), { ...options, seed: 1 })).toThrow(
      new RangeError(`augmented: ${message}`),
    )
  })

  test('is off at 0', () => {
    const stream = streamOf(images(2, [4, 4, 3]))
    const none = { flip: false, padCrop: 0, randomCrop: 0, rotate: 0, jitter: { hue: 0 }, grey: 0, blur: 0 }
    const others = { erase: 0, mixup: 0, cutmix: 0, trivialAugment: false, verticalFlip: false }
    const randAugment = { operations: 0, magnitude: 9 }
    expect(augmented(stream, { ...none, ...others, randAugment, seed: 1 })).toBe(stream)
  })

  test.each<Omit<Augmentation, 'seed'>>([
    { jitter: { hue: 0.1 } },
    { grey: 0.1 },
    { trivialAugment: true },
    { randAugment: { operations: 1, magnitude: 5 } },
  ])('%j takes pixels of one or three channels', async options => {
    const name = Object.keys(options)[0]
    expect(() => augmented(streamOf(images(2, [4, 4, 5])), { ...options, seed: 1 })).toThrow(
      new RangeError(`augmented: ${name} must be used with images of 1 or 3 channels, got 5 (4x4x5)`),
    )
    const floats = { ...images(2, [4, 4, 3]), images: new Float32Array(96) }
    const stream = augmented(streamOf(floats), { ...options, seed: 1 })
    await expect(imagesOf(stream, { batchSize: 2, shuffle })).rejects.toThrow(
      new RangeError(`augmented: ${name} must be used with pixels 0..255, got floats`),
    )
  })
})

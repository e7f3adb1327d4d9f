import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { augmented } from '../../../src/data/augmentation/augmented.js'
import type { ImageSet } from '../../../src/data/image-set.js'
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

  test('leaves evaluations and the images themselves as they are', async () => {
    const set = images(10, [4, 4, 3])
    const before = set.images.slice()
    const stream = augmented(streamOf(set), { flip: true, padCrop: 3, seed: 1 })
    const plain = await imagesOf(streamOf(set), { batchSize: 3 })
    expect(await imagesOf(stream, { batchSize: 3 })).toEqual(plain)
    await imagesOf(stream, { batchSize: 3, shuffle })
    expect(set.images).toEqual(before)
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
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { augmented } from '../../src/data/augmentation/augmented.js'
import { balanced } from '../../src/data/balanced.js'
import { batches, subset } from '../../src/data/batches.js'
import { composeGrid } from '../../src/data/compose/compose.js'
import { composeOnBackgrounds } from '../../src/data/compose/compose-backgrounds.js'
import { loadRecords, recordsOf, streamRecords } from '../../src/data/image-records.js'
import type { ImageSet, PixelSet } from '../../src/data/image-set.js'
import { firstImages, type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { checkValues, valueDivisor } from '../../src/data/image-values.js'
import { viewableImages } from '../../src/data/viewable-images.js'
import { numberedImages } from './numbered-images.js'

const pixels = numberedImages(20)
/** The same images as negative fractions, which no byte can hold. */
const floats: ImageSet<Float32Array> = {
  ...pixels,
  images: Float32Array.from(pixels.images, value => -value / 4),
}

async function allValues(stream: ImageStream, batchSize: number, shuffle?: { seed: number; epoch: number }) {
  const values: number[] = []
  for await (const { images } of stream.batches({ batchSize, ...(shuffle && { shuffle }) })) {
    expect(images).toBeInstanceOf(Float32Array)
    values.push(...images)
  }
  return values
}

describe('sets of floats', () => {
  it('keep their values in batches, subsets, first images and records', async () => {
    const order = Int32Array.of(19, 3, 3)
    const [batch] = batches(floats, { batchSize: 3, order })
    expect(batch?.images).toEqual(Float32Array.from([19, 3, 3].flatMap(i => Array(12).fill(-i / 4))))
    const part = subset(floats, 6, 2)
    const twin = subset(pixels, 6, 2)
    expect(part.images).toEqual(Float32Array.from(twin.images, value => -value / 4))
    expect((await firstImages(floats, 2)).images).toEqual(floats.images.subarray(0, 24))
    expect((await firstImages(streamOf(floats), 2)).images).toEqual(floats.images.subarray(0, 24))
    expect(await loadRecords(recordsOf(floats))).toEqual(floats)
    const none = await recordsOf(floats).read(new Int32Array(0))
    expect(none.images).toEqual(new Float32Array(0))
  })

  it('come from streams as their twins of bytes do', async () => {
    const streams: [(set: ImageSet) => ImageStream, string][] = [
      [streamOf, 'in memory'],
      [set => streamRecords(recordsOf(set), { shuffleWindow: 7 }), 'in windows'],
      [set => balanced(set, { by: 'group' }), 'balanced'],
      [set => augmented(streamOf(set), { flip: true, padCrop: 1, seed: 3 }), 'augmented'],
    ]
    for (const [stream, kind] of streams) {
      const shuffle = { seed: 4, epoch: 2 }
      const bytes: number[] = []
      for await (const { images } of stream(pixels).batches({ batchSize: 6, shuffle })) bytes.push(...images)
      const values = await allValues(stream(floats), 6, shuffle)
      expect(
        values.map(value => Math.abs(4 * value)),
        kind,
      ).toEqual(bytes)
    }
  })

  it('cannot be composed into pixels', () => {
    const pool = floats as unknown as PixelSet
    const grid = { grid: [2, 2], targets: [0], distractors: [1], count: 2, seed: 1 } as const
    expect(() => composeGrid({ ...grid, pool })).toThrow(
      new TypeError('composeGrid: pool must hold pixels in a Uint8Array, got Float32Array'),
    )
    const backgrounds = { pool: pixels, targets: [0], backgrounds: pool, count: 2, seed: 1 }
    expect(() => composeOnBackgrounds(backgrounds)).toThrow(
      new TypeError('composeOnBackgrounds: backgrounds must hold pixels in a Uint8Array, got Float32Array'),
    )
    expect(() => composeOnBackgrounds({ ...backgrounds, pool, backgrounds: pixels })).toThrow(
      new TypeError('composeOnBackgrounds: pool must hold pixels in a Uint8Array, got Float32Array'),
    )
  })
})

describe('checkValues', () => {
  it('names the first value that is not finite, wherever it is', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 0, max: 59 }),
        fc.constantFrom(Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY),
        (at, value) => {
          const images = Float32Array.from({ length: 60 }, (_, i) => i - 30)
          images[at] = value
          images[59] = value
          expect(() => checkValues(images, [2, 3, 2], 'train: training set')).toThrow(
            new RangeError(
              `train: training set must hold finite values, got ${value} (image ${Math.floor(at / 12)}, value ${at % 12})`,
            ),
          )
        },
      ),
    )
  })

  it('takes every byte and every finite float', () => {
    const largest = (2 - 2 ** -23) * 2 ** 127
    checkValues(Float32Array.of(largest, -largest, -0, 1e-45), [1, 1, 1], 'x')
    checkValues(Uint8Array.of(0, 255), [1, 1, 1], 'x')
    checkValues(Uint8ClampedArray.of(0, 255) as unknown as Uint8Array, [1, 1, 1], 'x')
  })

  it.each([
    [Float64Array.of(0.5), 'Float64Array'],
    [Int32Array.of(3), 'Int32Array'],
    [[0.5], 'Array'],
    [undefined, 'Undefined'],
  ])('refuses other arrays, which would be cut to bytes: %o', (images, kind) => {
    expect(() => checkValues(images as unknown as Uint8Array, [1, 1, 1], 'evaluate: set')).toThrow(
      new TypeError(`evaluate: set must hold images in a Uint8Array or a Float32Array, got ${kind}`),
    )
  })

  it('is made where a set becomes a stream or records', () => {
    const broken = { ...floats, images: floats.images.map((value, i) => (i === 13 ? Number.NaN : value)) }
    expect(() => streamOf(broken)).toThrow(
      new RangeError('streamOf: set must hold finite values, got NaN (image 1, value 1)'),
    )
    expect(() => balanced(broken, { by: 'class' })).toThrow(
      new RangeError('recordsOf: set must hold finite values, got NaN (image 1, value 1)'),
    )
  })
})

it('divides pixels alone', () => {
  expect(valueDivisor(Uint8Array.of(1))).toBe(255)
  expect(valueDivisor(Float32Array.of(1))).toBe(1)
})

describe('viewableImages', () => {
  it('leaves pixels of 1 and 3 channels as they are', () => {
    for (const shape of [
      [2, 2, 3],
      [4, 3, 1],
    ] as const) {
      expect(viewableImages(pixels.images, shape)).toEqual({ pixels: pixels.images, shape })
    }
  })

  it('shows other channels side by side, in rows that are high enough to be seen', () => {
    expect(viewableImages(pixels.images, [3, 2, 2])).toEqual({ pixels: pixels.images, shape: [3, 4, 1] })
    const rows = viewableImages(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9, 10), [1, 1, 5])
    expect(rows.shape).toEqual([5, 5, 1])
    const repeated = [...Array(5).fill([1, 2, 3, 4, 5]), ...Array(5).fill([6, 7, 8, 9, 10])]
    expect([...rows.pixels]).toEqual(repeated.flat())
    expect(viewableImages(new Float32Array(400), [4, 1, 50])).toEqual({
      pixels: new Uint8Array(2 * 48 * 50).fill(128),
      shape: [48, 50, 1],
    })
  })

  it('shows 0 in middle grey and the largest magnitude in black or white', () => {
    const { pixels: shown } = viewableImages(Float32Array.of(0, -8, 8, 4, -2), [1, 1, 1])
    expect([...shown]).toEqual([128, 0, 255, 191, 96])
    expect([...viewableImages(Float32Array.of(0, 0), [1, 2, 1]).pixels]).toEqual([128, 128])
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { arraySource } from '../../../src/data/regions/array-source.js'
import { BlockMeans } from '../../../src/data/regions/block-means.js'
import { placedSource } from '../../../src/data/regions/placed-source.js'
import type { ImageShape } from '../../../src/shapes.js'
import { blockMeansOf, regionsOf } from './brute-force.js'

const pixelsOf = ([height, width, channels]: ImageShape): Uint8Array =>
  Uint8Array.from({ length: height * width * channels }, (_, i) => (i * 37 + (i >> 3) * 11) % 256)
const shapes = fc.tuple(
  fc.integer({ min: 1, max: 13 }),
  fc.integer({ min: 1, max: 13 }),
  fc.constantFrom(1, 3, 4),
)

describe('arraySource', () => {
  it('has views of block means, also at edges that a block reaches over', async () => {
    // Blocks of 2x2: (1 + 2 + 4 + 5) / 4 = 3, (3 + 6) / 2 = 4.5, rounded up; (7 + 8) / 2 = 7.5, 9.
    const source = arraySource(Uint8Array.of(1, 2, 3, 4, 5, 6, 7, 8, 9), [3, 3, 1])
    expect([...(await source.view(2))]).toEqual([3, 5, 8, 9])
    expect([...(await source.view(1))]).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9])
    expect([...(await source.view(99))]).toEqual([5])
  })

  it('has the views and regions of the definition', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.integer({ min: 1, max: 15 }),
        fc.array(fc.tuple(fc.nat(40), fc.nat(40)), { minLength: 1, maxLength: 4 }),
        async (shape, side, corners) => {
          const pixels = pixelsOf(shape)
          const source = arraySource(pixels, shape)
          expect(await source.view(side)).toEqual(blockMeansOf(pixels, shape, side))
          const [height, width] = shape
          const boxes = corners.flatMap(([y, x]) => [
            (y % (height + side - 1)) - side + 1,
            (x % (width + side)) - side,
            side,
            side + 1,
          ])
          expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(pixels, shape, boxes))
        },
      ),
    )
  })

  it('has no regions where no box is asked for', async () => {
    expect(await arraySource(new Uint8Array(6), [1, 2, 3]).regions(new Int32Array())).toEqual(
      new Uint8Array(),
    )
  })

  it('refuses what it cannot read, with its numbers', async () => {
    expect(() => arraySource(new Uint8Array(5), [1, 2, 3])).toThrow(
      new RangeError(
        'arraySource: pixels must be as many as [height, width, channels] of positive integers say, got 5 for [1, 2, 3]',
      ),
    )
    const source = arraySource(new Uint8Array(24), [4, 6, 1], 'a.png')
    await expect(source.view(0.5)).rejects.toThrow(
      new RangeError('a.png: scale must be a positive integer, got 0.5'),
    )
    const reads: readonly [readonly number[], string][] = [
      [[0, 0, 2], 'boxes must be four numbers each, got 3 numbers'],
      [[0, 0, 0, 2], 'boxes must be at least 1x1, got 0x2 (box 0)'],
      [[0, 0, 2, 2, 0, 0, 2, 3], 'boxes must be of one size, 2x2, got 2x3 (box 1)'],
      [
        [0, 0, 2, 2, 4, 0, 2, 2],
        'boxes (top, left, height, width) must have a pixel in the image of 4x6, got 4, 0, 2, 2 (box 1)',
      ],
      [
        [0, -2, 2, 2],
        'boxes (top, left, height, width) must have a pixel in the image of 4x6, got 0, -2, 2, 2 (box 0)',
      ],
    ]
    for (const [boxes, message] of reads) {
      await expect(source.regions(Int32Array.from(boxes))).rejects.toThrow(
        new RangeError(`a.png: ${message}`),
      )
    }
  })
})

describe('BlockMeans', () => {
  it('takes an image in strips of any heights', () => {
    fc.assert(
      fc.property(
        shapes,
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 5 }),
        (shape, scale, rows) => {
          const pixels = pixelsOf(shape)
          const means = new BlockMeans(shape, scale)
          const stripBytes = rows * shape[1] * shape[2]
          for (let start = 0; start < pixels.length; start += stripBytes) {
            means.add(pixels.subarray(start, start + stripBytes))
          }
          expect(means.view).toEqual(blockMeansOf(pixels, shape, scale))
        },
      ),
    )
  })

  it('takes RGB four bytes at a time to the same means, with strips, edges and the largest sums', () => {
    fc.assert(
      fc.property(
        fc.tuple(fc.integer({ min: 1, max: 70 }), fc.integer({ min: 1, max: 24 })),
        fc.constantFrom(4, 8, 12, 32, 36),
        fc.integer({ min: 1, max: 70 }),
        fc.constantFrom(0, 1, 4),
        fc.boolean(),
        ([height, quarters], scale, rows, offset, isWhite) => {
          const shape: ImageShape = [height, 4 * quarters, 3]
          const bytes = new Uint8Array(offset + height * shape[1] * 3).fill(255)
          const pixels = bytes.subarray(offset)
          if (!isWhite) pixels.set(pixelsOf(shape))
          const means = new BlockMeans(shape, scale)
          const stripBytes = rows * shape[1] * 3
          for (let start = 0; start < pixels.length; start += stripBytes) {
            means.add(pixels.subarray(start, start + stripBytes))
          }
          expect(means.view).toEqual(blockMeansOf(pixels, shape, scale))
        },
      ),
    )
  })

  it('begins in the middle of a block where a turned image is stored so', () => {
    // 1 2 3 4 5 turned by 180 degrees is 5 4 3 2 1 with blocks (5 4) (3 2) (1): stored as (1) (2 3) (4 5).
    const means = new BlockMeans([1, 5, 1], 2, [0, 1])
    means.add(Uint8Array.of(10, 20, 30, 40, 50))
    expect([...means.view]).toEqual([10, 25, 45])
    const rows = new BlockMeans([5, 1, 1], 2, [1, 0])
    rows.add(Uint8Array.of(10, 20, 30, 40, 50))
    expect([...rows.view]).toEqual([10, 25, 45])
  })
})

describe('placedSource', () => {
  /** The canvas as a whole image. */
  const composed = (
    pixels: Uint8Array,
    [height, width, channels]: ImageShape,
    { canvas, top, left }: { canvas: readonly [number, number]; top: number; left: number },
  ): Uint8Array =>
    Uint8Array.from({ length: canvas[0] * canvas[1] * channels }, (_, i) => {
      const y = Math.floor(i / (canvas[1] * channels)) - top
      const x = Math.floor((i % (canvas[1] * channels)) / channels) - left
      const isInside = y >= 0 && y < height && x >= 0 && x < width
      return isInside ? (pixels[(y * width + x) * channels + (i % channels)] as number) : 0
    })

  it('is the image on a canvas of zeros', async () => {
    await fc.assert(
      fc.asyncProperty(
        shapes,
        fc.integer({ min: 1, max: 4 }),
        fc.tuple(fc.integer({ min: -2, max: 3 }), fc.integer({ min: -2, max: 3 })),
        fc.tuple(fc.integer({ min: 1, max: 5 }), fc.integer({ min: 1, max: 5 })),
        async (shape, scale, shift, cells) => {
          const pixels = pixelsOf(shape)
          const [top, left] = [shift[0] * scale, shift[1] * scale]
          const canvas = [cells[0] * scale, cells[1] * scale] as const
          const placed = placedSource(arraySource(pixels, shape), { canvas, top, left })
          const whole = composed(pixels, shape, { canvas, top, left })
          const canvasShape = [...canvas, shape[2]] as const
          const view = await placed.view(scale)
          // Rounded twice where the image ends within a block: half a step each time.
          blockMeansOf(whole, canvasShape, scale).forEach((value, i) => {
            expect(Math.abs((view[i] as number) - value)).toBeLessThanOrEqual(1)
          })
          const boxes = [-1, -1, 3, 4, canvas[0] - 1, canvas[1] - 2, 3, 4, 0, 0, 3, 4].flat()
          expect(await placed.regions(Int32Array.from(boxes))).toEqual(regionsOf(whole, canvasShape, boxes))
        },
      ),
    )
  })

  it('refuses a view whose blocks the shift cuts', async () => {
    const placed = placedSource(arraySource(new Uint8Array(16), [4, 4, 1]), {
      canvas: [4, 4],
      top: 2,
      left: -4,
    })
    await expect(placed.view(4)).rejects.toThrow(
      new RangeError('placedSource: scale must divide the shift 2, -4, got 4'),
    )
    await expect(placed.view(2)).resolves.toHaveLength(4)
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type PixelBox, resizePixels } from '../../../src/data/compose/resize.js'

/** One value by the definition, in double precision: sum of max(0, 1 - d/reach) v over the sum of the weights. */
function defined(
  pixels: Uint8Array,
  [height, width, channels]: readonly [number, number, number],
  size: readonly [number, number],
  box: PixelBox,
  [y, x, c]: readonly [number, number, number],
): number {
  const weight = (at: number, start: number, span: number, length: number, i: number): number => {
    const step = span / length
    return Math.max(0, 1 - Math.abs(at + 0.5 - (start + (i + 0.5) * step)) / Math.max(1, step))
  }
  let [sum, weights] = [0, 0]
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++) {
      const both =
        weight(row, box.top, box.height, size[0], y) * weight(column, box.left, box.width, size[1], x)
      sum += both * (pixels[(row * width + column) * channels + c] as number)
      weights += both
    }
  }
  return sum / weights
}

describe('resizePixels', () => {
  it('leaves an image of the right size as it is', () => {
    const pixels = Uint8Array.from({ length: 4 * 5 * 3 }, (_, i) => i * 4)
    expect(resizePixels(pixels, [4, 5, 3], [4, 5])).toEqual(pixels)
  })

  it('takes the triangle-weighted mean of what shrinks', () => {
    // 4 -> 2: the step is 2. The first new pixel is centred at 1 and reaches from -1 to 3: the pixels at 0.5, 1.5, 2.5
    // weigh 1 - 0.5/2, 1 - 0.5/2, 1 - 1.5/2, which is 3, 3 and 1 sevenths: (3*70 + 3*140 + 1*210) / 7 = 120.
    // The second is centred at 3: (1*140 + 3*210 + 3*7) / 7 = 113.
    expect([...resizePixels(Uint8Array.of(70, 140, 210, 7), [1, 4, 1], [1, 2])]).toEqual([120, 113])
    expect([...resizePixels(Uint8Array.of(70, 140, 210, 7), [4, 1, 1], [2, 1])]).toEqual([120, 113])
  })

  it('interpolates what grows', () => {
    // 2 -> 4: centres at 0.25, 0.75, 1.25, 1.75 between pixels at 0.5 and 1.5.
    expect([...resizePixels(Uint8Array.of(0, 200), [1, 2, 1], [1, 4])]).toEqual([0, 50, 150, 200])
  })

  it('takes the part in the box, whose sides may lie within pixels', () => {
    const pixels = Uint8Array.from({ length: 36 }, (_, i) => i)
    const middle = { top: 2, left: 1, height: 2, width: 3 }
    expect([...resizePixels(pixels, [6, 6, 1], [2, 3], middle)]).toEqual([13, 14, 15, 19, 20, 21])
    // Between columns 1.5 and 2.5: half of each.
    const between = { top: 0, left: 1.5, height: 1, width: 1 }
    expect([...resizePixels(Uint8Array.of(0, 10, 30, 90), [1, 4, 1], [1, 1], between)]).toEqual([20])
  })

  it('is what its definition says, for any sizes and boxes', () => {
    const side = fc.integer({ min: 1, max: 24 })
    const part = fc.tuple(
      fc.double({ min: 0, max: 0.5, noNaN: true }),
      fc.double({ min: 0.1, max: 0.5, noNaN: true }),
    )
    fc.assert(
      fc.property(
        side,
        side,
        fc.constantFrom(1, 2, 3),
        side,
        side,
        part,
        part,
        fc.infiniteStream(fc.nat(255)),
        (height, width, channels, newHeight, newWidth, [top, tall], [left, wide], values) => {
          const pixels = Uint8Array.from({ length: height * width * channels }, () => values.next().value)
          const box = { top: top * height, left: left * width, height: tall * height, width: wide * width }
          const resized = resizePixels(pixels, [height, width, channels], [newHeight, newWidth], box)
          expect(resized).toHaveLength(newHeight * newWidth * channels)
          for (const [i, value] of resized.entries()) {
            const place = [
              Math.floor(i / (newWidth * channels)),
              Math.floor(i / channels) % newWidth,
              i % channels,
            ] as const
            const exact = defined(pixels, [height, width, channels], [newHeight, newWidth], box, place)
            expect(Math.abs(value - exact)).toBeLessThanOrEqual(0.51)
          }
        },
      ),
      { numRuns: 60 },
    )
  })
})

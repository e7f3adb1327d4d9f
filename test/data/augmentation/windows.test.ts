import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  mirror,
  mirrorVertically,
  randomWindow,
  stretchWindow,
} from '../../../src/data/augmentation/windows.js'
import { random } from '../../../src/random.js'
import { applied, noise } from './applied.js'

const sides = fc.tuple(
  fc.integer({ min: 1, max: 9 }),
  fc.integer({ min: 1, max: 9 }),
  fc.integer({ min: 1, max: 4 }),
)

describe('mirrors', () => {
  test('of a worked example', () => {
    // Rows 1 2 3 and 4 5 6.
    const image = Uint8Array.of(1, 2, 3, 4, 5, 6)
    expect([...applied(mirror, image, [2, 3, 1])]).toEqual([3, 2, 1, 6, 5, 4])
    expect([...applied(mirrorVertically, image, [2, 3, 1])]).toEqual([4, 5, 6, 1, 2, 3])
  })

  test.each([mirror, mirrorVertically])('are undone by themselves', flip => {
    fc.assert(
      fc.property(sides, shape => {
        const image = noise(shape)
        expect(applied(flip, applied(flip, image, shape), shape)).toEqual(image)
      }),
    )
  })
})

describe('stretchWindow', () => {
  test('mixes neighbours by their distance, and goes on beyond the outer centres', () => {
    // Two pixels on four: centres at 1/4, 3/4, 5/4, 7/4 of a pixel, of which 1/2 and 3/2 are those of the old ones.
    const image = Float32Array.of(0, 8, 16, 24)
    expect([...applied(stretchWindow({ top: 0, left: 1, height: 1, width: 2 }), image, [1, 4, 1])]).toEqual([
      8, 10, 14, 16,
    ])
    // Bytes are rounded: 8 + 8/4 = 10, of 9 and 16 are 10.75 and 14.25.
    const bytes = Uint8Array.of(0, 9, 16, 24)
    expect([...applied(stretchWindow({ top: 0, left: 1, height: 1, width: 2 }), bytes, [1, 4, 1])]).toEqual([
      9, 11, 14, 16,
    ])
  })

  test('leaves an image as it is where the window is all of it', () => {
    fc.assert(
      fc.property(sides, ([height, width, channels]) => {
        const image = noise([height, width, channels])
        const whole = stretchWindow({ top: 0, left: 0, height, width })
        expect(applied(whole, image, [height, width, channels])).toEqual(image)
      }),
    )
  })

  test('keeps to the window: what lies around it does not show', () => {
    const image = new Uint8Array(6 * 6).fill(255)
    for (const row of [2, 3]) image.fill(7, row * 6 + 1, row * 6 + 4)
    const window = { top: 2, left: 1, height: 2, width: 3 }
    expect(new Set(applied(stretchWindow(window), image, [6, 6, 1]))).toEqual(new Set([7]))
  })
})

describe('randomWindow', () => {
  test('lies in the image, with the share and the proportions that were asked for', () => {
    const chance = random(1)
    for (const [height, width] of [
      [100, 100],
      [60, 120],
    ] as const) {
      for (let i = 0; i < 500; i++) {
        const window = randomWindow(chance, [height, width, 3], 0.4)
        expect(Math.min(window.top, window.left)).toBeGreaterThanOrEqual(0)
        expect(window.top + window.height).toBeLessThanOrEqual(height)
        expect(window.left + window.width).toBeLessThanOrEqual(width)
        // Sides are rounded by half a pixel at most.
        expect((window.height + 0.5) * (window.width + 0.5)).toBeGreaterThanOrEqual(0.4 * height * width)
        const stretch = (window.width * height) / (window.height * width)
        expect(Math.abs(Math.log(stretch))).toBeLessThan(Math.log(4 / 3) + 0.03)
      }
    }
  })

  test('is the whole image where only that is large enough', () => {
    const windows = Array.from({ length: 50 }, (_, seed) => randomWindow(random(seed), [8, 8, 1], 1))
    expect(windows).toEqual(windows.map(() => ({ top: 0, left: 0, height: 8, width: 8 })))
  })

  test('of a single pixel is that pixel', () => {
    expect(randomWindow(random(3), [1, 1, 1], 0.1)).toEqual({ top: 0, left: 0, height: 1, width: 1 })
  })
})

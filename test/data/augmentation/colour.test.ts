import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import {
  brighten,
  type ColorJitter,
  contrast,
  drawJitter,
  grey,
  inTurn,
  saturate,
  turnHue,
} from '../../../src/data/augmentation/colour.js'
import { random } from '../../../src/random.js'
import { applied, farthest, noise } from './applied.js'

const shape = [6, 5, 3] as const
const image = noise(shape)
const greyImage = noise([6, 5, 1])

describe('colours', () => {
  test('of worked examples', () => {
    const pixels = Uint8Array.of(100, 50, 200, 0, 255, 30)
    expect([...applied(brighten(1.5), pixels, [1, 2, 3])]).toEqual([150, 75, 255, 0, 255, 45])
    // Luminances: (100*19595 + 50*38470 + 200*7471 + 2^15) >> 16 = 82, (255*38470 + 30*7471 + 2^15) >> 16 = 153.
    expect([...applied(grey, pixels, [1, 2, 3])]).toEqual([82, 82, 82, 153, 153, 153])
    // Their mean is 117.5, rounded 118: 118 + (100 - 118)/2 = 109.
    expect([...applied(contrast(0.5), pixels, [1, 2, 3])]).toEqual([109, 84, 159, 59, 187, 74])
    // 82 + 2 (100 - 82) = 118, 82 + 2 (50 - 82) = 18, ...
    expect([...applied(saturate(2), pixels, [1, 2, 3])]).toEqual([118, 18, 255, 0, 255, 0])
  })

  test.each([
    ['brighten', brighten],
    ['contrast', contrast],
    ['saturate', saturate],
  ] as const)('%s by 1 changes nothing, by 0 gives black, grey or the mean', (name, change) => {
    expect(applied(change(1), image, shape)).toEqual(image)
    const none = applied(change(0), image, shape)
    if (name === 'brighten') expect(new Set(none)).toEqual(new Set([0]))
    if (name === 'contrast') expect(new Set(none).size).toBe(1)
    if (name === 'saturate') expect(none).toEqual(applied(grey, image, shape))
  })

  test('leave images of one channel grey', () => {
    for (const change of [saturate(3), saturate(0), turnHue(0.3), grey]) {
      expect(applied(change, greyImage, [6, 5, 1])).toEqual(greyImage)
    }
  })
})

describe('turnHue', () => {
  test('goes around the circle: thirds exchange the channels', () => {
    const pixels = Uint8Array.of(200, 10, 30)
    expect([...applied(turnHue(1 / 3), pixels, [1, 1, 3])]).toEqual([30, 200, 10])
    expect([...applied(turnHue(-1 / 3), pixels, [1, 1, 3])]).toEqual([10, 30, 200])
    // Red by a sixth is yellow, by half is cyan.
    expect([...applied(turnHue(1 / 6), Uint8Array.of(255, 0, 0), [1, 1, 3])]).toEqual([255, 255, 0])
    expect([...applied(turnHue(1 / 2), Uint8Array.of(255, 0, 0), [1, 1, 3])]).toEqual([0, 255, 255])
  })

  test.each([0, 1, -1])('by %d changes nothing', share => {
    expect(applied(turnHue(share), image, shape)).toEqual(image)
  })

  test('keeps the greatest and the least value of every pixel, and is undone by turning back', () => {
    fc.assert(
      fc.property(fc.double({ min: -1, max: 1, noNaN: true }), fc.nat(), (share, seed) => {
        const before = noise([3, 3, 3], seed)
        const after = applied(turnHue(share), before, [3, 3, 3])
        for (let at = 0; at < before.length; at += 3) {
          const [old, turned] = [before.slice(at, at + 3), after.slice(at, at + 3)]
          expect(Math.max(...turned)).toBe(Math.max(...old))
          expect(Math.min(...turned)).toBe(Math.min(...old))
        }
        // The middle value is rounded twice.
        expect(farthest(applied(turnHue(-share), after, [3, 3, 3]), before)).toBeLessThanOrEqual(1)
      }),
    )
  })
})

describe('drawJitter', () => {
  test('without a part changes nothing', () => {
    expect(applied(drawJitter(random(1), {}), image, shape)).toEqual(image)
  })

  test('draws factors around 1, each part in its own range', () => {
    const white = new Uint8Array(3).fill(100)
    const values = Array.from({ length: 400 }, (_, seed) => {
      const jitter: ColorJitter = { brightness: 0.4 }
      return applied(drawJitter(random(seed), jitter), white, [1, 1, 3])[0] as number
    })
    expect(Math.min(...values)).toBeGreaterThanOrEqual(60)
    expect(Math.max(...values)).toBeLessThanOrEqual(140)
    // Uniform on [60, 140]: mean 100 with a standard deviation of 23 / 20; five of them.
    expect(Math.abs(values.reduce((sum, value) => sum + value, 0) / 400 - 100)).toBeLessThan(6)
  })

  test('applies its parts in different orders', () => {
    const jitter = { brightness: 0.9, contrast: 0.9, saturation: 0.9, hue: 0.5 }
    const results = Array.from({ length: 40 }, (_, seed) =>
      applied(drawJitter(random(seed), jitter), image, shape).join(),
    )
    expect(new Set(results).size).toBe(40)
  })
})

describe('inTurn', () => {
  test('applies one after the other, and none at all', () => {
    expect(applied(inTurn([]), image, shape)).toEqual(image)
    const [one, two] = [brighten(0.5), turnHue(0.25)]
    expect(applied(inTurn([one, two, grey]), image, shape)).toEqual(
      applied(grey, applied(two, applied(one, image, shape), shape), shape),
    )
  })
})

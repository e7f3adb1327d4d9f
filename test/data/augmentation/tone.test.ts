import { describe, expect, test } from 'vitest'
import { autoContrast, equalize, posterize, sharpen, solarize } from '../../../src/data/augmentation/tone.js'
import { applied, noise } from './applied.js'

const shape = [5, 6, 3] as const
const image = noise(shape)

describe('tones', () => {
  test('of worked examples', () => {
    const pixels = Uint8Array.of(0, 15, 16, 130, 200, 255)
    expect([...applied(posterize(4), pixels, [1, 6, 1])]).toEqual([0, 0, 16, 128, 192, 240])
    expect([...applied(solarize(130), pixels, [1, 6, 1])]).toEqual([0, 15, 16, 125, 55, 0])
    // 50..150 on 0..255: (100 - 50) 2.55 = 127.5.
    expect([...applied(autoContrast, Uint8Array.of(50, 100, 150), [1, 3, 1])]).toEqual([0, 128, 255])
  })

  test('at their ends change nothing, or everything', () => {
    expect(applied(posterize(8), image, shape)).toEqual(image)
    expect(applied(solarize(255.5), image, shape)).toEqual(image)
    expect(applied(solarize(0), image, shape)).toEqual(image.map(value => 255 - value))
    expect(applied(sharpen(1), image, shape)).toEqual(image)
  })

  test('leave images of one value as they are', () => {
    const plain = new Uint8Array(5 * 6 * 3).fill(37)
    for (const change of [autoContrast, equalize, sharpen(0), sharpen(3)]) {
      expect(applied(change, plain, shape)).toEqual(plain)
    }
  })
})

describe('equalize', () => {
  test('makes the values of each channel about equally frequent', () => {
    const side = 64
    const dark = noise([side, side, 2]).map(value => Math.floor((value * value) / 255))
    const even = applied(equalize, dark, [side, side, 2])
    for (const channel of [0, 1]) {
      const values = even.filter((_, i) => i % 2 === channel)
      const mean = values.reduce((sum, value) => sum + value, 0) / values.length
      // Uniform on 0..255.
      expect(Math.abs(mean - 127.5)).toBeLessThan(6)
      expect(Math.max(...values)).toBeGreaterThan(245)
      expect(values.filter(value => value < 128).length / values.length).toBeCloseTo(0.5, 1)
    }
  })
})

describe('sharpen', () => {
  test('of a single bright pixel', () => {
    // Its smoothed value is 5/13 of 130 = 50, that of its neighbours 10.
    const pixels = new Uint8Array(25)
    pixels[12] = 130
    const smooth = applied(sharpen(0), pixels, [5, 5, 1])
    expect([...smooth.subarray(10, 15)]).toEqual([0, 10, 50, 10, 0])
    // 50 + 2 (130 - 50) = 210; 10 + 2 (0 - 10) < 0.
    expect([...applied(sharpen(2), pixels, [5, 5, 1]).subarray(10, 15)]).toEqual([0, 0, 210, 0, 0])
  })

  test('leaves the edges, and images without an inside', () => {
    expect([...applied(sharpen(0), image, shape).subarray(0, 18)]).toEqual([...image.subarray(0, 18)])
    expect(applied(sharpen(0), noise([2, 9, 1]), [2, 9, 1])).toEqual(noise([2, 9, 1]))
  })
})

import { describe, expect, test } from 'vitest'
import { blur } from '../../../src/data/augmentation/blur.js'
import type { ImageShape } from '../../../src/shapes.js'
import { applied, farthest, noise } from './applied.js'

/** Sums over all pixels within the radius, mirrored at the edges step by step. */
function slowly(image: Float32Array, [height, width, channels]: ImageShape, sigma: number): Float32Array {
  const radius = Math.ceil(3 * sigma)
  const mirrored = (place: number, length: number): number => {
    if (length === 1) return 0
    if (place < 0) return mirrored(-place, length)
    return place >= length ? mirrored(2 * (length - 1) - place, length) : place
  }
  const weight = (distance: number) => Math.exp(-(distance ** 2) / (2 * sigma ** 2))
  return image.map((_, i) => {
    const [row, column, c] = [
      Math.floor(i / (width * channels)),
      Math.floor(i / channels) % width,
      i % channels,
    ]
    let [sum, total] = [0, 0]
    for (let y = -radius; y <= radius; y++) {
      for (let x = -radius; x <= radius; x++) {
        const share = weight(y) * weight(x)
        const at = (mirrored(row + y, height) * width + mirrored(column + x, width)) * channels + c
        sum += share * (image[at] as number)
        total += share
      }
    }
    return sum / total
  })
}

describe('blur', () => {
  test.each([
    [[6, 7, 3], 0.8],
    [[3, 2, 1], 1.9],
    [[1, 5, 2], 2],
    [[1, 1, 1], 1],
  ] as const)('of %j by %d is the sum over all neighbours', (shape, sigma) => {
    const image = Float32Array.from(noise(shape), value => value - 100)
    expect(farthest(applied(blur(sigma), image, shape), slowly(image, shape, sigma))).toBeLessThan(1e-3)
  })

  test('rounds pixels, and leaves images of one value', () => {
    const plain = new Uint8Array(48).fill(200)
    expect(applied(blur(1.3), plain, [4, 4, 3])).toEqual(plain)
    const bytes = noise([5, 5, 1])
    const exact = slowly(Float32Array.from(bytes), [5, 5, 1], 1)
    expect(farthest(applied(blur(1), bytes, [5, 5, 1]), exact)).toBeLessThanOrEqual(0.501)
  })

  test('by next to nothing changes nothing', () => {
    const image = noise([4, 4, 3])
    expect(applied(blur(0.01), image, [4, 4, 3])).toEqual(image)
  })
})

import { describe, expect, test } from 'vitest'
import { mixed } from '../../../src/data/augmentation/mixing.js'
import type { ImageBatch } from '../../../src/data/image-set.js'
import { noise } from './applied.js'

const shape = [8, 6, 3] as const
const values = 8 * 6 * 3

function batch(count: number): ImageBatch {
  return {
    images: noise([count * 8, 6, 3]),
    labels: Int32Array.from({ length: count }, (_, i) => i % 5),
    count,
  }
}

const seedOf = (place: number) => place + 77

function imageAt({ images }: ImageBatch, i: number) {
  return images.subarray(i * values, (i + 1) * values)
}

describe('mixup', () => {
  const before = batch(50)
  const after = mixed(before, shape, { mixup: 0.4 }, seedOf)

  test('adds the next image of the batch, and tells labels and shares', () => {
    for (let i = 0; i < 50; i++) {
      const next = (i + 1) % 50
      const share = after.mixed.shares[i] as number
      expect(after.mixed.labels[i]).toBe(before.labels[next])
      expect(share).toBeGreaterThanOrEqual(0.5)
      expect(share).toBeLessThanOrEqual(1)
      const [own, other, to] = [imageAt(before, i), imageAt(before, next), imageAt(after, i)]
      for (let v = 0; v < values; v++) {
        const exact = share * (own[v] as number) + (1 - share) * (other[v] as number)
        expect(Math.abs((to[v] as number) - exact)).toBeLessThan(0.501)
      }
    }
    expect(after.labels).toBe(before.labels)
  })

  test('keeps floats as exact as they are', () => {
    const floats = { images: Float32Array.of(1, -3, 5, 1), labels: Int32Array.of(0, 1), count: 2 }
    const { images, mixed: others } = mixed(floats, [1, 2, 1], { mixup: 1 }, seedOf)
    const share = others.shares[0] as number
    expect(images[0]).toBeCloseTo(share * 1 + (1 - share) * 5, 5)
    expect(images[1]).toBeCloseTo(share * -3 + (1 - share) * 1, 5)
  })

  test('draws shares of a Beta distribution', () => {
    const shares = (alpha: number) => mixed(batch(4000), shape, { mixup: alpha }, seedOf).mixed.shares
    const mean = (of: Float32Array) => of.reduce((sum, share) => sum + share, 0) / of.length
    // Of a uniform number the greater part is 3/4 on the mean, with a standard deviation of 0.144 / sqrt 4000.
    expect(Math.abs(mean(shares(1)) - 0.75)).toBeLessThan(0.0115)
    // E max(x, 1 - x) of Beta(2, 2): 2 int_{1/2}^1 6 x^2 (1 - x) dx = 11/16.
    expect(Math.abs(mean(shares(2)) - 11 / 16)).toBeLessThan(0.0115)
    // Beta(1/2, 1/2), the arcsine distribution: 1/2 + 1/pi.
    expect(Math.abs(mean(shares(0.5)) - (0.5 + 1 / Math.PI))).toBeLessThan(0.013)
    // The extremes stay numbers.
    expect(Math.min(...shares(0.001))).toBeGreaterThanOrEqual(0.5)
    expect(Math.max(...shares(1e6))).toBeLessThan(0.51)
  })

  test('of a single image is that image', () => {
    const single = batch(1)
    const { images, mixed: others } = mixed(single, shape, { mixup: 1 }, seedOf)
    expect(images).toEqual(single.images)
    expect([...others.labels]).toEqual([0])
  })
})

describe('cutmix', () => {
  test('pastes one box of the next image, whose area is what the share leaves', () => {
    const count = 60
    const images = new Uint8Array(count * values)
    for (let i = 0; i < count; i++) images.fill(i + 1, i * values, (i + 1) * values)
    const before = { images, labels: new Int32Array(count), count }
    const after = mixed(before, shape, { cutmix: 1 }, seedOf)
    for (let i = 0; i < count; i++) {
      const pixels = [...imageAt(after, i)].filter((_, v) => v % 3 === 0)
      const pasted = pixels.flatMap((value, pixel) => (value === i + 1 ? [] : [pixel]))
      expect(new Set(pasted.map(pixel => pixels[pixel]))).toEqual(
        new Set(pasted.length > 0 ? [((i + 1) % count) + 1] : []),
      )
      const [rows, columns] = [pasted.map(pixel => Math.floor(pixel / 6)), pasted.map(pixel => pixel % 6)]
      if (pasted.length > 0) {
        const height = Math.max(...rows) - Math.min(...rows) + 1
        const width = Math.max(...columns) - Math.min(...columns) + 1
        expect(height * width).toBe(pasted.length)
      }
      expect(after.mixed.shares[i]).toBeCloseTo(1 - pasted.length / 48, 6)
      expect(after.mixed.shares[i]).toBeGreaterThanOrEqual(0.5)
    }
    expect(new Set(after.mixed.shares).size).toBeGreaterThan(5)
  })
})

describe('mixup and cutmix together', () => {
  test('each make about half of the images', () => {
    const count = 400
    const images = new Uint8Array(count * values)
    for (let i = 0; i < count; i++) images.fill(i % 2 === 0 ? 0 : 200, i * values, (i + 1) * values)
    const after = mixed(
      { images, labels: new Int32Array(count), count },
      shape,
      { mixup: 1e6, cutmix: 1e6 },
      seedOf,
    )
    // Shares of about 1/2: sums are 100, boxes have both values.
    const sums = Array.from({ length: count }, (_, i) => imageAt(after, i)[0] as number).filter(
      value => value > 90 && value < 110,
    ).length
    expect(Math.abs(sums - 200)).toBeLessThan(50)
  })
})

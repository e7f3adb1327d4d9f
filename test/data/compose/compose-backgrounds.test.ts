import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { subset } from '../../../src/data/batches.js'
import {
  composeOnBackgrounds,
  type OnBackgroundsOptions,
} from '../../../src/data/compose/compose-backgrounds.js'
import type { ImagePool } from '../../../src/data/compose/composing.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import { chiSquare } from '../chi-square.js'

/** Thirty images of 16x16 in three classes, ten a class: every pixel of image i is 100 + i. */
const pool: PixelSet = {
  images: Uint8Array.from({ length: 30 * 768 }, (_, byte) => 100 + Math.floor(byte / 768)),
  labels: Int32Array.from({ length: 30 }, (_, i) => i % 3),
  count: 30,
  shape: [16, 16, 3],
  classNames: ['a', 'b', 'c'],
}
/** Twelve backgrounds of 32x32: every pixel of background i is i. */
const backgrounds: ImagePool = {
  images: Uint8Array.from({ length: 12 * 3072 }, (_, byte) => Math.floor(byte / 3072)),
  count: 12,
  shape: [32, 32, 3],
}
const options: OnBackgroundsOptions = { pool, targets: [2, 0], backgrounds, count: 20_000, seed: 3 }

/** Position in the pool and background of a composed image, after checking each of its pixels. */
function partsOf(set: PixelSet, image: number): { shown: number; behind: number; top: number; left: number } {
  const [top, left, height, width] = (set.objectBox as Int32Array).subarray(4 * image, 4 * image + 4)
  const pixels = set.images.subarray(image * 3072, (image + 1) * 3072)
  if (top === undefined || left === undefined || height !== 16 || width !== 16) throw new Error('no box')
  const shown = pixels[(top * 32 + left) * 3] as number
  const behind = pixels[top === 0 && left === 0 ? 3071 : 0] as number
  pixels.forEach((value, byte) => {
    const [y, x] = [Math.floor(byte / 96), Math.floor((byte % 96) / 3)]
    const inside = y >= top && y < top + 16 && x >= left && x < left + 16
    if (value !== (inside ? shown : behind)) throw new Error(`image ${image}, byte ${byte}: ${value}`)
  })
  return { shown: shown - 100, behind, top, left }
}

describe('composeOnBackgrounds', () => {
  const set = composeOnBackgrounds(options)

  it('pastes an image of the labelled class on a background, where the box says', () => {
    expect([set.count, set.shape, set.classNames]).toEqual([20_000, [32, 32, 3], ['c', 'a']])
    for (let i = 0; i < 2000; i++) {
      const { shown, behind } = partsOf(set, i)
      expect(set.labels[i]).toBe(i % 2)
      expect(pool.labels[shown]).toBe(i % 2 === 0 ? 2 : 0)
      expect(behind).toBeLessThan(12)
    }
  })

  it('draws the 17x17 offsets and the backgrounds uniformly, and independently of the class', () => {
    const offsets = Array<number>(289).fill(0)
    const behinds = Array<number>(12).fill(0)
    const quadrants = Array<number>(8).fill(0)
    const bump = (counts: number[], place: number): void => {
      counts[place] = (counts[place] as number) + 1
    }
    for (let i = 0; i < set.count; i++) {
      const [top, left] = (set.objectBox as Int32Array).subarray(4 * i, 4 * i + 2) as unknown as [
        number,
        number,
      ]
      bump(offsets, top * 17 + left)
      // Any pixel outside of the box shows the background: one of two opposite corners is.
      const corner = top === 0 && left === 0 ? 3071 : 0
      bump(behinds, set.images[i * 3072 + corner] as number)
      if (top !== 8 && left !== 8) bump(quadrants, (i % 2) * 4 + (top > 8 ? 2 : 0) + (left > 8 ? 1 : 0))
    }
    expect(offsets.every(count => count > 0)).toBe(true)
    // 99.9 % points of chi-square: 366.5 with 288 degrees of freedom, 31.3 with 11, 24.3 with 7.
    expect(chiSquare(offsets)).toBeLessThan(366.5)
    expect(chiSquare(behinds)).toBeLessThan(31.3)
    expect(chiSquare(quadrants)).toBeLessThan(24.3)
  })

  it('shows the images of each class in turn, all before one comes again', () => {
    const shown = Array.from({ length: 40 }, (_, i) => partsOf(set, 2 * i).shown)
    expect(new Set(shown.slice(0, 10)).size).toBe(10)
    expect(shown.slice(10, 20)).toEqual(shown.slice(0, 10))
  })

  it('composes the same bytes from the same seed, and fewer images are the first of more', () => {
    fc.assert(
      fc.property(fc.integer(), fc.nat(20), fc.nat(20), (seed, fewer, more) => {
        const small = composeOnBackgrounds({ ...options, seed, count: fewer })
        const large = composeOnBackgrounds({ ...options, seed, count: fewer + more })
        expect(Buffer.compare(large.images.subarray(0, small.images.length), small.images)).toBe(0)
        expect(large.objectBox?.subarray(0, 4 * fewer)).toEqual(small.objectBox)
      }),
      { numRuns: 20 },
    )
    const other = composeOnBackgrounds({ ...options, seed: 4 })
    expect(Buffer.compare(other.images, set.images)).not.toBe(0)
  })

  it('keeps the boxes with their images in a subset', () => {
    const small = subset(set, 50, 9)
    const boxes = small.objectBox as Int32Array
    expect(boxes).toHaveLength(200)
    // Were a box another image's, its pixels would not be where it says.
    for (let i = 0; i < 50; i++) partsOf(small, i)
  })

  it('fills the whole background with an image of its size', () => {
    const whole = composeOnBackgrounds({
      ...options,
      backgrounds: { ...backgrounds, images: pool.images, count: 2, shape: [16, 16, 3] },
      count: 5,
    })
    expect([...(whole.objectBox as Int32Array).subarray(0, 8)]).toEqual([0, 0, 16, 16, 0, 0, 16, 16])
  })

  it.each<[string, Partial<OnBackgroundsOptions>, string]>([
    [
      'no background',
      { backgrounds: { ...backgrounds, count: 0 } },
      'composeOnBackgrounds: backgrounds must hold an image, got none',
    ],
    [
      'backgrounds that are too small',
      { backgrounds: { ...backgrounds, shape: [15, 32, 3] } },
      'composeOnBackgrounds: backgrounds must be at least 16x16 with 3 channels, as the pool, got 15x32 with 3',
    ],
    [
      'grey backgrounds',
      { backgrounds: { ...backgrounds, shape: [32, 96, 1] } },
      'composeOnBackgrounds: backgrounds must be at least 16x16 with 3 channels, as the pool, got 32x96 with 1',
    ],
    [
      'a count below 0',
      { count: -1 },
      'composeOnBackgrounds: count must be an integer of at least 0, got -1',
    ],
    ['no targets', { targets: [] }, 'composeOnBackgrounds: targets must name a class, got none'],
    ['an unknown class', { targets: [3] }, 'composeOnBackgrounds: targets must be classes in [0, 2], got 3'],
    [
      'a class twice',
      { targets: [1, 0, 1] },
      'composeOnBackgrounds: targets must differ from each other, got class 1 "b" twice',
    ],
    [
      'more than fits in memory',
      { count: 2 ** 52 },
      'composeOnBackgrounds: count must be of images that fit in memory, got 4503599627370496 (3072 bytes each)',
    ],
  ])('refuses %s', (_, wrong, message) => {
    expect(() => composeOnBackgrounds({ ...options, ...wrong })).toThrow(new RangeError(message))
  })
})

import { describe, expect, it } from 'vitest'
import { greyToRgb, halveImages, padImages } from '../../../src/data/compose/resample.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import type { ImageShape } from '../../../src/shapes.js'

function setOf(shape: ImageShape, pixels: number[]): PixelSet {
  const count = pixels.length / (shape[0] * shape[1] * shape[2])
  return { images: Uint8Array.from(pixels), labels: new Int32Array(count), count, shape, classNames: ['a'] }
}

describe('halveImages', () => {
  it('takes the mean of 2x2, rounding half up', () => {
    // Sums 3, 2, 1, 1020: means .75, .5, .25, 255.
    const set = setOf([2, 8, 1], [0, 1, 0, 1, 0, 0, 255, 255, 1, 1, 1, 0, 1, 0, 255, 255])
    expect(halveImages(set)).toEqual({ ...set, images: Uint8Array.of(1, 1, 0, 255), shape: [1, 4, 1] })
  })

  it('keeps channels and images apart', () => {
    const block = (red: number, blue: number): number[] => Array(4).fill([red, 0, blue]).flat()
    const set = setOf([2, 2, 3], [...block(10, 30), ...block(40, 60)])
    expect([...halveImages(set).images]).toEqual([10, 0, 30, 40, 0, 60])
  })

  it('refuses odd sides', () => {
    expect(() => halveImages(setOf([3, 2, 1], [1, 2, 3, 4, 5, 6]))).toThrow(
      new RangeError('halveImages: sides of the images must be even, got 3x2'),
    )
  })
})

describe('padImages', () => {
  it('puts a black border around every image', () => {
    const padded = padImages(setOf([1, 2, 1], [1, 2, 3, 4]), 1)
    expect(padded.shape).toEqual([3, 4, 1])
    expect([...padded.images]).toEqual([
      0, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 3, 4, 0, 0, 0, 0, 0,
    ])
  })
})

describe('greyToRgb', () => {
  it('repeats the channel', () => {
    const rgb = greyToRgb(setOf([1, 2, 1], [7, 9]))
    expect(rgb.shape).toEqual([1, 2, 3])
    expect([...rgb.images]).toEqual([7, 7, 7, 9, 9, 9])
  })

  it('refuses colour', () => {
    expect(() => greyToRgb(setOf([1, 1, 3], [1, 2, 3]))).toThrow(
      new RangeError('greyToRgb: images must have 1 channel, got 3'),
    )
  })
})

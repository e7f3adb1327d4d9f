import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { patchesOfBox, patchesOfCells } from '../../../src/train/routing/true-patches.js'

const numbersOf = (patches: readonly boolean[] | undefined) =>
  patches?.flatMap((isTrue, patch) => (isTrue ? [patch] : []))

describe('patchesOfCells', () => {
  it('takes every patch that shows a part of the true cell for a true one', () => {
    // 4x4 patches on 2x2 cells: cell 1 is the upper right quadrant.
    expect(numbersOf(patchesOfCells([4, 4], [2, 2])[1])).toEqual([2, 3, 6, 7])
    // 2x2 patches on 4x4 cells: cell 6 (row 1, column 2) lies in patch 1.
    expect(patchesOfCells([2, 2], [4, 4])[6]).toEqual([false, true, false, false])
    // 3 columns on 2 cells: the middle one shows both.
    expect(patchesOfCells([1, 3], [1, 2])).toEqual([
      [true, true, false],
      [false, true, true],
    ])
  })
})

describe('patchesOfBox, worked by hand', () => {
  // 4x4 patches of 8x8 pixels on 32x32, as the objects of 16x16 on backgrounds of 32x32 are seen.
  const found = (top: number, left: number) => numbersOf(patchesOfBox([4, 4], [32, 32], [top, left, 16, 16]))

  it('takes the four patches that an object in their grid covers', () => {
    expect(found(8, 16)).toEqual([6, 7, 10, 11])
  })

  it('takes patches of which half lies in the box, and leaves those with less', () => {
    // Rows 4..20 cover half of patch rows 0 and 2, columns 0..16 the first two patches: 32 of 64 pixels each.
    expect(found(4, 0)).toEqual([0, 1, 4, 5, 8, 9])
    // One row lower the first row of patches has 3 of 8 rows in it, the third 5 of 8.
    expect(found(5, 0)).toEqual([4, 5, 8, 9])
    // Corners of 5 x 5 = 25, 5 x 3 and 3 x 3 pixels; sides of 5 x 8 = 40 and 3 x 8 = 24; the middle one whole.
    expect(found(3, 3)).toEqual([1, 4, 5])
  })

  it('takes the patch that overlaps most where half of none lies in the box', () => {
    // 2x2 patches of 8x8: the object of 4x4 takes 3x3 pixels of patch 0, 3x1, 1x3 and 1x1 of the others.
    expect(numbersOf(patchesOfBox([2, 2], [16, 16], [5, 5, 4, 4]))).toEqual([0])
    // One further down and right: 2x2 pixels of each.
    expect(numbersOf(patchesOfBox([2, 2], [16, 16], [6, 6, 4, 4]))).toEqual([0, 1, 2, 3])
    expect(numbersOf(patchesOfBox([2, 2], [16, 16], [15, 15, 1, 1]))).toEqual([3])
  })

  it('measures patches whose sides are no whole pixels exactly', () => {
    // 3 columns of 10 pixels: patch 1 goes from 10/3 to 20/3; its half, 5/3, needs the box to reach to 5.
    expect(numbersOf(patchesOfBox([1, 3], [1, 10], [0, 0, 1, 5]))).toEqual([0, 1])
    expect(numbersOf(patchesOfBox([1, 3], [1, 10], [0, 0, 1, 4]))).toEqual([0])
  })

  it('agrees with counting the pixels', () => {
    const side = fc.integer({ min: 1, max: 4 })
    const share = fc.double({ min: 0, max: 1, maxExcluded: true, noNaN: true })
    fc.assert(
      fc.property(side, side, side, side, fc.array(share, { minLength: 4, maxLength: 4 }), (...drawn) => {
        const [rows, columns, h, w, shares] = drawn
        const [H, W] = [rows * h, columns * w]
        const [top, left] = [Math.floor(shares[0]! * H), Math.floor(shares[1]! * W)]
        const height = 1 + Math.floor(shares[2]! * (H - top))
        const width = 1 + Math.floor(shares[3]! * (W - left))
        const pixels = new Array<number>(rows * columns).fill(0)
        for (let y = top; y < top + height; y++)
          for (let x = left; x < left + width; x++)
            pixels[Math.floor(y / h) * columns + Math.floor(x / w)]! += 1
        const half = pixels.flatMap((count, patch) => (2 * count >= h * w ? [patch] : []))
        const most = Math.max(...pixels)
        const expected = half.length > 0 ? half : pixels.flatMap((count, i) => (count === most ? [i] : []))
        expect(numbersOf(patchesOfBox([rows, columns], [H, W], [top, left, height, width]))).toEqual(expected)
      }),
    )
  })
})

import { describe, expect, test } from 'vitest'
import { rotate, shearX, shearY } from '../../../src/data/augmentation/affine.js'
import { turnImages } from '../../../src/data/compose/quarter-turns.js'
import { applied, noise } from './applied.js'

describe('rotate', () => {
  test.each([3, 4])('by quarters is exact, of %d x %d pixels', side => {
    const shape = [side, side, 3] as const
    const image = noise(shape)
    const turned = (turns: number) =>
      turnImages(
        { images: image, labels: Int32Array.of(0), count: 1, shape, classNames: ['a'] },
        Int32Array.of(turns),
      ).images
    expect(applied(rotate(90), image, shape)).toEqual(turned(1))
    expect(applied(rotate(180), image, shape)).toEqual(turned(2))
    expect(applied(rotate(-90), image, shape)).toEqual(turned(3))
  })

  test('turns counter-clockwise', () => {
    // 1 2 / 3 4: what was on the right comes to the top.
    expect([...applied(rotate(90), Uint8Array.of(1, 2, 3, 4), [2, 2, 1])]).toEqual([2, 4, 1, 3])
  })

  test.each([0, 360, -360])('by %d degrees changes nothing', degrees => {
    const image = noise([5, 7, 3])
    expect(applied(rotate(degrees), image, [5, 7, 3])).toEqual(image)
  })

  test('brings zeros in at the corners, and keeps the middle', () => {
    const shape = [21, 21, 1] as const
    const turned = applied(rotate(45), new Uint8Array(21 * 21).fill(200), shape)
    expect([turned[0], turned[20], turned[20 * 21], turned[21 * 21 - 1]]).toEqual([0, 0, 0, 0])
    expect(turned[10 * 21 + 10]).toBe(200)
    // The corners of a square that is turned by 45 degrees leave it: of its area 2 sqrt 2 - 2 = 0.83 stays.
    expect(turned.filter(value => value > 0).length / (21 * 21)).toBeCloseTo(0.83, 1)
  })

  test('takes floats, also below 0', () => {
    const image = Float32Array.of(-1.5, 2.5, 3.25, -4.75)
    expect([...applied(rotate(180), image, [2, 2, 1])].map(value => Math.round(value * 1e6) / 1e6)).toEqual([
      -4.75, 3.25, 2.5, -1.5,
    ])
  })
})

describe('shears', () => {
  test('move rows by their distance from the upper edge', () => {
    // By 1/2 and 3/2 pixels: row 0 lies between its pixels, 0 comes in where the centre comes from outside.
    const image = Float32Array.of(2, 4, 6, 8, 10, 12)
    expect([...applied(shearX(1), image, [2, 3, 1])]).toEqual([2, 3, 5, 0, 8, 9])
  })

  test('along the axes are each other with the axes exchanged', () => {
    const side = 6
    const image = noise([side, side, 1])
    const exchanged = (of: Uint8Array) =>
      of.map((_, i) => of[(i % side) * side + Math.floor(i / side)] as number)
    const shape = [side, side, 1] as const
    expect(exchanged(applied(shearX(0.4), exchanged(image), shape))).toEqual(
      applied(shearY(0.4), image, shape),
    )
  })

  test.each([shearX, shearY])('by 0 change nothing', shear => {
    const image = noise([5, 7, 3])
    expect(applied(shear(0), image, [5, 7, 3])).toEqual(image)
  })
})

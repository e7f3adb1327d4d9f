import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { boxAt, checkBoxes, pickBoxes } from '../../../src/data/compose/object-box.js'

const boxes = Int32Array.of(0, 1, 2, 3, /**/ 4, 5, 6, 7, /**/ 8, 9, 10, 11)

test('the boxes of some images are those of each one, in their order', () => {
  expect(boxAt(boxes, 1)).toEqual([4, 5, 6, 7])
  expect([...pickBoxes(boxes, Int32Array.of(2, 0, 2))]).toEqual([8, 9, 10, 11, 0, 1, 2, 3, 8, 9, 10, 11])
})

describe('checkBoxes', () => {
  const check = (...values: number[]) =>
    checkBoxes(Int32Array.from(values), [8, 6], 'w', image => `no. ${image}`)

  test('takes boxes up to the borders of the image', () => {
    const side = fc.integer({ min: 1, max: 6 })
    fc.assert(
      fc.property(side, side, (height, width) =>
        check(0, 0, height, width, 8 - height, 6 - width, height, width),
      ),
    )
  })

  test.each([
    [[-1, 0, 2, 2], '-1, 0, 2, 2'],
    [[0, -1, 2, 2], '0, -1, 2, 2'],
    [[7, 0, 2, 2], '7, 0, 2, 2'],
    [[0, 5, 2, 2], '0, 5, 2, 2'],
    [[0, 0, 0, 2], '0, 0, 0, 2'],
    [[0, 0, 2, 0], '0, 0, 2, 0'],
  ])('refuses %j', (box, got) => {
    expect(() => check(0, 0, 1, 1, ...box)).toThrow(
      new RangeError(
        `w: objectBox (top, left, height, width) must lie within 8x6 pixels, got ${got} (no. 1)`,
      ),
    )
  })
})

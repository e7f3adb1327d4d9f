import fc from 'fast-check'
import { expect, it } from 'vitest'
import { keepForTest } from '../../../../src/data/datasets/image-folder/test-share.js'

it('divides images into two halves that share none, a fifth of them for testing', () => {
  fc.assert(
    fc.property(fc.integer({ min: 2, max: 300 }), fc.string(), (count, purpose) => {
      const { train, test } = keepForTest(count, purpose)
      const all = [...train, ...test].sort((a, b) => a - b)
      expect(all).toEqual(Array.from({ length: count }, (_, position) => position))
      expect(train.length).toBeGreaterThanOrEqual(1)
      expect(test.length).toBeGreaterThanOrEqual(1)
      expect(Math.abs(test.length - 0.2 * count)).toBeLessThanOrEqual(count < 5 ? 1 : 0.5)
      expect(keepForTest(count, purpose)).toEqual({ train, test })
    }),
  )
  expect(keepForTest(100, 'a').test).not.toEqual(keepForTest(100, 'b').test)
})

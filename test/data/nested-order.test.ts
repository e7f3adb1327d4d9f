import fc from 'fast-check'
import { expect, test } from 'vitest'
import { subset } from '../../src/data/batches.js'
import { largestNested, nestedOrder } from '../../src/data/nested-order.js'
import { numberedImages } from './numbered-images.js'

const labelled = (labels: readonly number[]) => ({
  ...numberedImages(labels.length),
  labels: Int32Array.from(labels),
})

test('beginnings of the order are the subsets of the seed, as far as classes have images; then come the others', () => {
  const labels = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 3, maxLength: 60 })
  fc.assert(
    fc.property(labels, fc.nat(), (given, seed) => {
      const set = labelled([0, 1, 2, ...given])
      const order = nestedOrder(set, seed)
      expect(order.toSorted()).toEqual(Int32Array.from({ length: set.count }, (_, i) => i))
      const largest = largestNested(set)
      const chosen = subset(set, largest, seed)
      expect([...order.subarray(0, largest)]).toEqual(
        Array.from({ length: largest }, (_, i) => chosen.images[12 * i]),
      )
      if (largest < set.count) expect(() => subset(set, largest + 1, seed)).toThrow('must have')
    }),
  )
})

test('the largest nested subset ends before the first class that is short', () => {
  // Turns 0 1 2 0 1 2 0, and then class 1 has none left.
  expect(largestNested(labelled([0, 0, 0, 0, 1, 1, 2, 2, 2]))).toBe(7)
  expect(largestNested(labelled([0, 1, 2, 2, 1, 0]))).toBe(6)
  expect(largestNested(labelled([1, 2]))).toBe(0)
})

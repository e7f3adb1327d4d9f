import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'

beforeAll(async () => {
  await useBackend('wasm')
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** The numbers of a slice, straight from the definition. */
function sliced(shape: readonly number[], begin: readonly number[], size: readonly number[]): number[] {
  const strides = tf.util.computeStrides([...shape, 1])
  const take = (axis: number, at: number): number[] =>
    axis === shape.length
      ? [at]
      : Array.from({ length: size[axis]! }, (_, i) => i + begin[axis]!).flatMap(i =>
          take(axis + 1, at + i * strides[axis]!),
        )
  return take(0, 0)
}

describe('slice on wasm', () => {
  const cases = fc
    .array(fc.tuple(fc.integer({ min: 1, max: 5 }), fc.nat(), fc.nat()), { minLength: 1, maxLength: 5 })
    .map(axes => ({
      shape: axes.map(([side]) => side),
      begin: axes.map(([side, first]) => first % side),
      size: axes.map(([side, first, count]) => 1 + (count % (side - (first % side)))),
    }))
  for (const dtype of ['float32', 'int32', 'bool'] as const)
    it(`takes what it is asked for, in one piece or not, of ${dtype}`, () => {
      fc.assert(
        fc.property(cases, ({ shape, begin, size }) => {
          const count = tf.util.sizeFromShape(shape)
          const values = Array.from({ length: count }, (_, i) => (dtype === 'bool' ? i % 2 : i))
          const piece = tf.slice(tf.tensor(values, shape, dtype), begin, size)
          expect(piece.shape).toEqual(size)
          expect(piece.dtype).toBe(dtype)
          expect(Array.from(piece.dataSync())).toEqual(sliced(shape, begin, size).map(i => values[i]))
        }),
        { numRuns: 60, seed: 1 },
      )
    })

  it('takes all that is left where the size is -1, an empty piece, and strings', () => {
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6], [3, 2])
    expect(tf.slice(x, [1, 0], [-1, -1]).arraySync()).toEqual([
      [3, 4],
      [5, 6],
    ])
    expect(tf.slice(x, [1, 0], [0, 2]).shape).toEqual([0, 2])
    expect(tf.slice(tf.tensor1d(['a', 'b', 'c']), [1], [2]).arraySync()).toEqual(['b', 'c'])
  })

  it('copies: the piece keeps its numbers when the whole is gone', () => {
    const x = tf.tensor1d([1, 2, 3, 4])
    const piece = tf.slice(x, [1], [2])
    x.dispose()
    tf.tensor1d([9, 9, 9, 9])
    expect(piece.arraySync()).toEqual([2, 3])
  })
})

import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { random } from '../../../src/random.js'
import { expectAllClose } from '../../all-close.js'

beforeAll(async () => {
  await useBackend('wasm')
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Sums in float64, straight from the definition. */
function sums(values: Float32Array, shape: number[], axes: number[]): number[] {
  const kept = shape.map((side, axis) => (axes.includes(axis) ? 1 : side))
  const totals = new Array<number>(kept.reduce((size, side) => size * side, 1)).fill(0)
  values.forEach((value, at) => {
    let rest = at
    let target = 0
    let stride = 1
    for (let axis = shape.length - 1; axis >= 0; axis--) {
      const place = rest % (shape[axis] as number)
      rest = Math.floor(rest / (shape[axis] as number))
      if (!axes.includes(axis)) target += place * stride
      stride *= kept[axis] as number
    }
    totals[target] = (totals[target] as number) + value
  })
  return totals
}

describe('sum and mean on wasm', () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 7 }), { minLength: 1, maxLength: 5 })
  it('equal plain sums over any axes of any shape', () => {
    fc.assert(
      fc.property(shapes, fc.nat(), fc.boolean(), (shape, choice, keepDims) => {
        const axes = shape.map((_, axis) => axis).filter(axis => (choice >> axis) & 1)
        if (axes.length === 0) return
        const numbers = random(choice)
        const size = shape.reduce((product, side) => product * side, 1)
        const values = Float32Array.from({ length: size }, () => numbers.normal())
        const x = tf.tensor(values, shape)
        const expected = sums(values, shape, axes)
        const count = size / expected.length
        const sum = tf.sum(x, axes, keepDims)
        const mean = tf.mean(x, axes, keepDims)
        const kept = shape.map((side, axis) => (axes.includes(axis) ? 1 : side))
        const left = keepDims ? kept : shape.filter((_, axis) => !axes.includes(axis))
        expect(sum.shape).toEqual(left)
        expect(mean.shape).toEqual(left)
        expectAllClose(sum.dataSync(), expected)
        expectAllClose(
          mean.dataSync(),
          expected.map(total => total / count),
        )
      }),
    )
  })

  it('sums integers as integers', () => {
    const total = tf.sum(
      tf.tensor2d(
        [
          [1, 2],
          [3, 2 ** 24],
        ],
        [2, 2],
        'int32',
      ),
      0,
    )
    expect(total.dtype).toBe('int32')
    expect(Array.from(total.dataSync())).toEqual([4, 2 ** 24 + 2])
  })

  it('keep what is not finite as it is', () => {
    const values = [1, NaN, Infinity, -Infinity, 2, 3, 4, 5, 6, -Infinity, 7, 8]
    for (const reduce of [tf.sum, tf.mean]) {
      const reduced = reduce(tf.tensor3d(values, [1, 3, 4]), 1)
      expect(Array.from(reduced.dataSync())).toEqual([
        expect.closeTo(reduce === tf.sum ? 9 : 3),
        NaN,
        Infinity,
        -Infinity,
      ])
    }
  })

  it('keeps the gradient, and leaks nothing', () => {
    const x = tf.tensor2d([
      [1, 2],
      [3, 4],
      [5, 6],
    ])
    const before = tf.memory().numTensors
    const dx = tf.tidy(() =>
      tf
        .grad(t => tf.mul(tf.mean(t, 0), [3, 6]))(x)
        .dataSync(),
    )
    expect(tf.memory().numTensors).toBe(before)
    expectAllClose(dx, [1, 2, 1, 2, 1, 2])
  })
})

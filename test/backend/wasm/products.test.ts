import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { mergeAxes, transpositionSteps } from '../../../src/backend/wasm/products.js'
import { permutation, random } from '../../../src/random.js'
import { expectAllClose } from '../../all-close.js'

beforeAll(() => useBackend('wasm'))

describe('the axes of a transposition', () => {
  test('that stay together are one, and those of size 1 do not count', () => {
    // (B, H, W, C) -> (C, B, H, W) is a matrix (B H W, C) transposed.
    expect(mergeAxes({ shape: [2, 3, 4, 5], perm: [3, 0, 1, 2] })).toEqual({ shape: [24, 5], perm: [1, 0] })
    expect(mergeAxes({ shape: [7, 1, 6, 5], perm: [0, 2, 1, 3] })).toEqual({ shape: [210], perm: [0] })
    expect(mergeAxes({ shape: [4, 1, 6], perm: [2, 1, 0] })).toEqual({ shape: [4, 6], perm: [1, 0] })
    expect(mergeAxes({ shape: [2, 3, 4, 5, 6], perm: [0, 1, 3, 2, 4] })).toEqual({
      shape: [6, 4, 5, 6],
      perm: [0, 2, 1, 3],
    })
  })

  test('of a large matrix are split into three, of many axes into steps of at most four', () => {
    expect(transpositionSteps({ shape: [1000, 64], perm: [1, 0] })).toEqual([
      { shape: [2, 500, 64], perm: [2, 0, 1] },
    ])
    expect(transpositionSteps({ shape: [4, 1001, 64], perm: [0, 2, 1] })).toEqual([
      { shape: [4, 7, 143, 64], perm: [0, 3, 1, 2] },
    ])
    expect(transpositionSteps({ shape: [1009, 64], perm: [1, 0] })).toEqual([
      { shape: [1009, 2, 32], perm: [1, 2, 0] },
    ])
    const steps = transpositionSteps({ shape: [2, 3, 4, 5, 6], perm: [4, 2, 0, 3, 1] })
    expect(Math.max(...steps.map(({ shape }) => shape.length))).toBeLessThanOrEqual(4)
  })
})

test('a transposition puts every element where its indices say, in any rank and order', () => {
  const shapes = fc.array(fc.integer({ min: 1, max: 5 }), { minLength: 1, maxLength: 6 })
  fc.assert(
    fc.property(shapes, fc.nat(), (shape, seed) => {
      expectTransposed(shape, [...permutation(shape.length, random(seed))])
    }),
    { numRuns: 200, seed: 5 },
  )
})

test.each([
  [
    [1024, 32],
    [1, 0],
  ],
  [
    [1009, 64],
    [1, 0],
  ],
  [
    [1009, 37],
    [1, 0],
  ],
  [
    [3, 512, 40],
    [0, 2, 1],
  ],
  [
    [2, 16, 16, 33],
    [3, 1, 2, 0],
  ],
  [
    [4, 8, 2, 8, 2, 24],
    [2, 4, 0, 1, 3, 5],
  ],
])('a large transposition of %j by %j', (shape, perm) => {
  expectTransposed(shape, perm)
})

test('integers and truth values are transposed as they are', () => {
  const integers = tf.transpose(tf.tensor3d([1, 2, 3, 4, 5, 6], [1, 2, 3], 'int32'), [2, 0, 1])
  expect([integers.dtype, integers.arraySync()]).toEqual(['int32', [[[1, 4]], [[2, 5]], [[3, 6]]]])
  const truths = tf.transpose(tf.tensor2d([1, 0, 1, 1], [2, 2], 'bool'))
  expect([truths.dtype, [...truths.dataSync()]]).toEqual(['bool', [1, 1, 0, 1]])
})

describe('a product of matrices', () => {
  const cases: [batch: number[], rows: number, inner: number, columns: number][] = [
    [[], 2, 3, 4],
    [[], 70, 40, 50],
    [[], 300, 64, 33],
    [[1], 40, 40, 40],
    [[3], 40, 50, 60],
    [[2, 3], 5, 6, 7],
    [[2, 2], 33, 34, 35],
    [[5], 300, 4, 64],
  ]
  for (const [batch, rows, inner, columns] of cases) {
    for (const transposed of [0, 1, 2, 3]) {
      const [first, second] = [(transposed & 1) === 1, (transposed & 2) === 2]
      test(`(${[...batch, rows, inner]}) x (${[...batch, inner, columns]})${first ? ' a^T' : ''}${second ? ' b^T' : ''}`, () => {
        const a = normal([...batch, ...(first ? [inner, rows] : [rows, inner])], 1)
        const b = normal([...batch, ...(second ? [columns, inner] : [inner, columns])], 2)
        const before = tf.memory().numTensors
        const product = tf.matMul(a, b, first, second)
        expect(tf.memory().numTensors).toBe(before + 1)
        expect(product.shape).toEqual([...batch, rows, columns])
        expectAllClose(product.dataSync(), products(a, b, first, second), 1e-4)
        tf.dispose([a, b, product])
      })
    }
  }

  test('of one matrix with each of a batch', () => {
    const [a, b] = [normal([4, 40, 30], 3), normal([1, 30, 50], 4)]
    const all = tf.matMul(a, b)
    const second = tf.matMul(a.slice([1, 0, 0], [1, 40, 30]).reshape([40, 30]), b.reshape([30, 50]))
    expectAllClose(all.slice([1, 0, 0], [1, 40, 50]).dataSync(), second.dataSync())
  })

  test('leaves no data behind, nor does a transposition in steps', () => {
    const [a, b] = [normal([3, 64, 64], 5), normal([3, 64, 64], 6)]
    const maps = normal([2, 3, 4, 5, 6], 7)
    const step = () => tf.tidy(() => void [tf.matMul(a, b, true, true), tf.transpose(maps, [4, 2, 0, 3, 1])])
    step()
    const before = [tf.memory().numTensors, tf.memory().numDataBuffers, tf.engine().backend.numDataIds()]
    for (let i = 0; i < 3; i++) step()
    expect([tf.memory().numTensors, tf.memory().numDataBuffers, tf.engine().backend.numDataIds()]).toEqual(
      before,
    )
    tf.dispose([a, b, maps])
  })
})

function expectTransposed(shape: number[], perm: number[]): void {
  const x = normal(shape, 1)
  const result = tf.transpose(x, perm)
  expect(result.shape).toEqual(perm.map(axis => shape[axis]))
  const strides = shape.map((_, axis) => shape.slice(axis + 1).reduce((size, side) => size * side, 1))
  const values = x.dataSync()
  const expected = Float32Array.from({ length: values.length }, (_, position) => {
    let rest = position
    let source = 0
    for (const axis of perm.toReversed()) {
      const side = shape[axis] as number
      source += (rest % side) * (strides[axis] as number)
      rest = Math.floor(rest / side)
    }
    return values[source] as number
  })
  expect(result.dataSync()).toEqual(expected)
  tf.dispose([x, result])
}

/** The products by their definition, in float64. */
function products(a: tf.Tensor, b: tf.Tensor, first: boolean, second: boolean): number[] {
  const [rows, inner] = (first ? a.shape.slice(-2).reverse() : a.shape.slice(-2)) as [number, number]
  const columns = b.shape.at(second ? -2 : -1) as number
  const [left, right] = [a.dataSync(), b.dataSync()]
  const result: number[] = []
  for (let matrix = 0; matrix < a.size / (rows * inner); matrix++) {
    const [atA, atB] = [matrix * rows * inner, matrix * inner * columns]
    for (let row = 0; row < rows; row++) {
      for (let column = 0; column < columns; column++) {
        let sum = 0
        for (let i = 0; i < inner; i++) {
          const one = left[atA + (first ? i * rows + row : row * inner + i)] as number
          sum += one * (right[atB + (second ? column * inner + i : i * columns + column)] as number)
        }
        result.push(sum)
      }
    }
  }
  return result
}

function normal(shape: number[], seed: number): tf.Tensor {
  const source = random(seed, 'products')
  const size = shape.reduce((product, side) => product * side, 1)
  return tf.tensor(Float32Array.from({ length: size }, source.normal), shape)
}

test.each([
  [
    [3, 1],
    [3, 4],
  ],
  [
    [3, 1],
    [1, 4],
  ],
  [[2, 3], [3]],
  [
    [2, 1, 3],
    [4, 1],
  ],
  [[1], [6]],
  [
    [4, 2],
    [1, 1],
  ],
  [[5], []],
])('products of batches %j and %j are those of the matrices that broadcasting pairs', (left, right) => {
  const numbers = random(left.length * 10 + right.length)
  const drawn = (shape: number[]) =>
    tf.tensor(
      Float32Array.from({ length: tf.util.sizeFromShape(shape) }, () => numbers.normal()),
      shape,
    )
  for (const [transposeA, transposeB] of [
    [false, false],
    [true, true],
  ] as const)
    tf.tidy(() => {
      const a = drawn([...left, ...(transposeA ? [4, 3] : [3, 4])])
      const b = drawn([...right, ...(transposeB ? [5, 4] : [4, 5])])
      const product = tf.matMul(a, b, transposeA, transposeB)
      // The sum over k of a[.., i, k] b[.., k, j], with an axis for each of i, k and j.
      const rows = tf.expandDims(transposeA ? swapLast(a) : a, -1)
      const columns = tf.expandDims(transposeB ? swapLast(b) : b, -3)
      const expected = tf.sum(tf.mul(rows, columns), -2)
      expect(product.shape).toEqual(expected.shape)
      expectAllClose(product.dataSync(), expected.dataSync())
    })
})

function swapLast(x: tf.Tensor): tf.Tensor {
  const axes = [...x.shape.keys()]
  return tf.transpose(x, [...axes.slice(0, -2), x.rank - 1, x.rank - 2])
}

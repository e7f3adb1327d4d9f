import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { useBackend } from '../../src/backend/choose.js'

beforeAll(() => useBackend('wasm'))

test('a short kernel under a longer stride reads the pixel that it is on, also with a bias and depthwise', () => {
  // Rows 1 2 3 4 under the kernel 1, 10, 100 with stride 2: 1 + 20 + 300 and, a zero after the row, 3 + 40.
  const x = tf.tensor4d(
    Array.from({ length: 16 }, (_, i) => (i % 4) + 1),
    [1, 4, 4, 1],
  )
  const kernel = tf.tensor4d([1, 10, 100], [1, 3, 1, 1])
  const rows = [321, 43, 321, 43]
  expect(Array.from(tf.conv2d(x, kernel, 2, 'same').dataSync())).toEqual(rows)
  expect(Array.from(tf.depthwiseConv2d(x, kernel, 2, 'same').dataSync())).toEqual(rows)
  const fused = tf.fused.conv2d({ x, filter: kernel, strides: 2, pad: 'same', bias: tf.tensor1d([1000]) })
  expect(Array.from(fused.dataSync())).toEqual(rows.map(value => value + 1000))
})

test('the derivative of an average pool shares among the pixels of the map', () => {
  // A window of 2 and the last of 1 pixel: halves, and a whole.
  const dx = tf.grad((x: tf.Tensor) => tf.avgPool(x as tf.Tensor4D, [1, 2], [1, 2], 'same'))(
    tf.ones([1, 1, 3, 1]),
    tf.tensor4d([4, 6], [1, 1, 2, 1]),
  )
  expect(Array.from(dx.dataSync())).toEqual([2, 2, 6])
})

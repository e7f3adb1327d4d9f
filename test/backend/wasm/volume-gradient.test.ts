import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'

type Shape5D = [number, number, number, number, number]
type Volume = Record<'x' | 'filter', Shape5D> & { strides: number; pad: 'same' | 'valid' }

beforeAll(() => useBackend('wasm'))

const side = fc.integer({ min: 1, max: 5 })
const short = fc.integer({ min: 1, max: 3 })
const volumes = fc
  .record({
    images: short,
    channels: short,
    outputs: short,
    sides: fc.tuple(side, side, side),
    taps: fc.tuple(short, short, short),
    strides: short,
    pad: fc.constantFrom('same' as const, 'valid' as const),
  })
  .filter(({ sides, taps, pad }) => pad === 'same' || sides.every((length, axis) => length >= taps[axis]!))
  .map(
    ({ images, channels, outputs, sides, taps, strides, pad }): Volume => ({
      x: [images, ...sides, channels],
      filter: [...taps, channels, outputs],
      strides,
      pad,
    }),
  )

test('a derivative worked by hand: three numbers under a filter of two', () => {
  const x = tf.tensor5d([1, 2, 3], [1, 3, 1, 1, 1])
  const filter = tf.tensor5d([4, 5], [2, 1, 1, 1, 1])
  const dy = tf.tensor5d([10, 100], [1, 2, 1, 1, 1])
  const dx = tf.grad(input => tf.conv3d(input as tf.Tensor5D, filter, 1, 'valid'))(x, dy)
  expect([...dx.dataSync()]).toEqual([40, 450, 500])
})

test('the derivative of a convolution of volumes by its input is its transpose', () => {
  const before = tf.memory().numTensors
  fc.assert(
    fc.property(volumes, ({ x: shape, filter: taps, strides, pad }) => {
      const [direct, transposed, scale] = tf.tidy(() => {
        const x = tf.randomNormal(shape, 0, 1, 'float32', 3) as tf.Tensor5D
        const filter = tf.randomNormal(taps, 0, 1, 'float32', 4) as tf.Tensor5D
        const convolve = (input: tf.Tensor) => tf.conv3d(input as tf.Tensor5D, filter, strides, pad)
        const y = convolve(x)
        const dy = tf.randomNormal(y.shape, 0, 1, 'float32', 5)
        const dx = tf.grad(convolve)(x, dy)
        // <y, dy> = <x, dx>, as y is linear in x.
        return [tf.sum(tf.mul(y, dy)), tf.sum(tf.mul(x, dx)), tf.mul(tf.norm(x), tf.norm(dx))].map(
          number => number.dataSync()[0]!,
        )
      }) as [number, number, number]
      expect(Math.abs(direct - transposed)).toBeLessThanOrEqual(1e-4 * scale)
    }),
    { numRuns: 80, seed: 6 },
  )
  expect(tf.memory().numTensors).toBe(before)
})

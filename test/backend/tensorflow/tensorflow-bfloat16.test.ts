import * as tf from '@tensorflow/tfjs'
import { describe, expect, it } from 'vitest'
import { bfloat16Memory, currentPrecision, setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { layerOps } from '../../../src/layers/ops.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { expectAllClose } from '../../all-close.js'
import { drawTensor } from '../../layers/random-tensors.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()

/** 1 + 2^-9 rounds to 1 in bfloat16, which has 8 bits of mantissa. */
const fine = 1 + 2 ** -9

/** A map that is stored in bfloat16, as a convolution leaves it. */
function storedMap(values: tf.Tensor4D): tf.Tensor4D {
  const channels = values.shape[3]
  return tf.conv2d(values, tf.eye(channels).reshape([1, 1, channels, channels]) as tf.Tensor4D, 1, 'same')
}

describe('feature maps in bf16', () => {
  it('are float32 to tfjs: read, cast where an operation knows no bfloat16, rounded where one does', () => {
    setPrecision('bf16')
    const map = storedMap(tf.fill([1, 1, 1, 2], 3))
    expect(bfloat16Memory().stored).toBe(1)
    expect(map.dtype).toBe('float32')
    // A product with a scalar is no operation of the table: 3 (1 + 2^-9) in full.
    const scaled = tf.mul(map, fine)
    expect(bfloat16Memory().stored).toBe(1)
    expect(scaled.dataSync()[0]).toBe(Math.fround(3 * fine))
    // A sum of maps is: 3 + 2^-9 rounds to 3.
    expect(tf.add(map, tf.fill([1, 1, 1, 2], 2 ** -9)).dataSync()[0]).toBe(3)
    expect(tf.add(tf.fill([2], 3), 2 ** -9).dataSync()[0]).toBe(Math.fround(3 + 2 ** -9))
    expect(Array.from(map.dataSync())).toEqual([3, 3])
  })

  it('are in float32 again where precision is, values unchanged', () => {
    setPrecision('bf16')
    expect(currentPrecision()).toBe('bf16')
    const map = storedMap(tf.tensor4d([1, -2, 0.5, 4], [1, 2, 1, 2]))
    const shared = tf.clone(map)
    setPrecision('float32')
    expect(currentPrecision()).toBe('float32')
    expect(bfloat16Memory()).toEqual({ stored: 0, copies: 0 })
    expect(Array.from(shared.dataSync())).toEqual([1, -2, 0.5, 4])
    expectAllClose(tf.mul(map, fine).dataSync(), [fine, -2 * fine, fine / 2, 4 * fine], 1e-6)
  })

  it('are freed with their tensors, clones included', () => {
    setPrecision('bf16')
    const map = storedMap(tf.ones([1, 2, 2, 3]))
    const shared = tf.clone(map)
    map.dispose()
    expect(bfloat16Memory().stored).toBe(1)
    expect(shared.dataSync()[0]).toBe(1)
    shared.dispose()
    expect(bfloat16Memory().stored).toBe(0)
  })

  it('go through BatchNorm, ReLU, sums, pooling and reshaping as bfloat16, close to float32', () => {
    const x = drawTensor<tf.Tensor4D>([4, 8, 8, 6], 1)
    const gamma = drawTensor<tf.Tensor1D>([6], 2)
    const network = (map: tf.Tensor, scale: tf.Tensor) => {
      const once = storedMap(map as tf.Tensor4D)
      const norm = layerOps().batchNorm({
        x: once,
        gamma: scale as tf.Tensor1D,
        beta: tf.ones([6]),
        epsilon: 1e-3,
        onMoments: () => {},
      })
      const sum = tf.add(layerOps().relu(norm), once) as tf.Tensor4D
      return tf.reshape(tf.maxPool(sum, 2, 2, 'same'), [4, -1])
    }
    const results = () => {
      const y = tf.tidy(() => tf.keep(network(x, gamma)))
      const gradients = tf.grads((a: tf.Tensor, b: tf.Tensor) => tf.sum(tf.square(network(a, b))))([x, gamma])
      return [y, ...gradients].map(tensor => tensor.dataSync())
    }
    const exact = results()
    setPrecision('bf16')
    const before = bfloat16Memory().stored
    const map = network(x, gamma)
    expect(bfloat16Memory().stored).toBeGreaterThan(before)
    map.dispose()
    // Rounding may choose another pixel of a pooling window, and so move one derivative to its neighbour.
    for (const [i, values] of exact.entries()) {
      const rounded = results()[i] as Float32Array
      const difference = Math.hypot(...values.map((value, at) => value - (rounded[at] as number)))
      expect(difference).toBeLessThan(0.1 * Math.hypot(...values))
      expect(difference).toBeGreaterThan(0)
    }
  })

  it('are summed in float32 for the derivative by a bias', () => {
    setPrecision('bf16')
    // In bfloat16 a running sum of ones would stop at 256.
    const ones = storedMap(tf.ones([4, 64, 64, 2]))
    expectAllClose(layerOps().channelSums(ones).dataSync(), [16384, 16384], 2 ** -8)
  })

  it('have their statistics, and the derivatives by BatchNorm, summed in float32', () => {
    setPrecision('bf16')
    const ones = storedMap(tf.ones([4, 64, 64, 2]))
    const gamma = tf.ones([2]) as tf.Tensor1D
    const means: number[] = []
    const norm = (beta: tf.Tensor) =>
      layerOps().batchNorm({
        x: ones,
        gamma,
        beta: beta as tf.Tensor1D,
        epsilon: 1e-3,
        onMoments: ({ mean }) => means.push(...mean.dataSync()),
      })
    const dBeta = tf.grad(beta => norm(beta))(tf.zeros([2]), storedMap(tf.ones([4, 64, 64, 2])))
    expectAllClose(means, [1, 1], 1e-4)
    expectAllClose(dBeta.dataSync(), [16384, 16384], 1e-4)
  })

  it('take no more room from step to step', () => {
    setPrecision('bf16')
    const pmoe = { numExperts: 2, patchesPerExpert: 2, patchSize: 2 }
    const model = wideResNet({ inputShape: [16, 16, 3], numClasses: 2, widenFactor: 1, pmoe, seed: 1 })
    const x = drawTensor<tf.Tensor4D>([4, 16, 16, 3], 1)
    const optimizer = tf.train.sgd(0.1)
    const step = () =>
      tf.tidy(() => {
        optimizer.minimize(() => tf.sum(model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar)
        return bfloat16Memory()
      })
    step()
    const after = bfloat16Memory()
    for (let i = 0; i < 5; i++) step()
    expect(bfloat16Memory()).toEqual(after)
    expect(after.stored).toBe(0)
  })
})

import * as tf from '@tensorflow/tfjs'
import { describe, expect, it } from 'vitest'
import { setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { expectAllClose } from '../../all-close.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()

/** 1 + 2^-9 rounds to 1 in bfloat16, which has 8 bits of mantissa. */
const fine = 1 + 2 ** -9

describe('bf16', () => {
  it('rounds the factors of products, sums them and returns them in float32', () => {
    setPrecision('bf16')
    const x = tf.fill([1, 300], fine)
    const ones = tf.ones([300, 1])
    const product = tf.matMul(x as tf.Tensor2D, ones as tf.Tensor2D)
    expect(product.dtype).toBe('float32')
    // 300 itself needs 9 bits: the sum of 300 ones is exact only when summed beyond bfloat16, then rounded once.
    expectAllClose(product.dataSync(), [300], 2 ** -8)
    const pixel = tf.fill([1, 1, 1, 1], fine) as tf.Tensor4D
    expect(tf.conv2d(pixel, tf.ones([1, 1, 1, 1]), 1, 'same').dataSync()[0]).toBe(1)
    expect(tf.add(pixel, 0).dataSync()[0]).toBe(Math.fround(fine))
    setPrecision('float32')
    expect(tf.conv2d(pixel, tf.ones([1, 1, 1, 1]), 1, 'same').dataSync()[0]).toBe(Math.fround(fine))
  })

  it('is close to float32 in values and gradients', () => {
    const x = tf.randomNormal([2, 8, 8, 16], 0, 1, 'float32', 1) as tf.Tensor4D
    const kernel = tf.randomNormal([3, 3, 16, 8], 0, 0.1, 'float32', 2) as tf.Tensor4D
    const results = () => {
      const [dx, dKernel] = tf.grads((a: tf.Tensor, b: tf.Tensor) =>
        tf.square(tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 2, 'same')),
      )([x, kernel])
      return [tf.conv2d(x, kernel, 2, 'same'), dx as tf.Tensor, dKernel as tf.Tensor].map(t => t.dataSync())
    }
    const exact = results()
    setPrecision('bf16')
    const rounded = results()
    for (const [i, values] of exact.entries()) {
      const scale = Math.max(...values.map(Math.abs))
      expectAllClose(rounded[i] as Float32Array, values, 0, 0.02 * scale)
      expect(Array.from(rounded[i] as Float32Array)).not.toEqual(Array.from(values))
    }
  })

  it('chooses patches by scores in float32', () => {
    setPrecision('bf16')
    const layer = patchMoE({ numExperts: 1, patchesPerExpert: 1, patchSize: 1, filters: 1, kernelSize: 1 })
    const x = tf.tensor4d([1, fine], [1, 1, 2, 1])
    layer.apply(x)
    layer.setWeights([tf.ones([1, 1, 1, 1]), tf.ones([1, 1, 1, 1])])
    expect(layer.route(x).indices.dataSync()[0]).toBe(1)
  })

  it('leaks nothing over steps of training, neither tensors nor copies', () => {
    setPrecision('bf16')
    const pmoe = { numExperts: 2, patchesPerExpert: 4, patchSize: 1 }
    const model = wideResNet({ inputShape: [16, 16, 3], numClasses: 2, widenFactor: 1, pmoe, seed: 1 })
    const x = tf.randomNormal([4, 16, 16, 3])
    const optimizer = tf.train.sgd(0.1)
    const step = () =>
      tf.tidy(() => {
        optimizer.minimize(() => tf.sum(model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar)
      })
    step()
    const tensors = tf.memory().numTensors
    const resident = () => process.memoryUsage().rss
    for (let i = 0; i < 20; i++) step()
    const before = resident()
    for (let i = 0; i < 60; i++) step()
    expect(tf.memory().numTensors).toBe(tensors)
    // 60 steps that kept their copies would hold about 60 x 1.5 MB.
    expect(resident() - before).toBeLessThan(45e6)
  })
})

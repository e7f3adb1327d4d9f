import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { patchConvolution } from '../../../src/backend/tensorflow/patch-convolution.js'
import { setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { filtersPerExpert, kernelOfExperts } from '../../../src/layers/moe/experts/expert-convolution.js'
import { layerOps } from '../../../src/layers/ops.js'
import type { Size2D } from '../../../src/shapes.js'
import { expectAllClose } from '../../all-close.js'
import { drawTensor, holds } from '../../layers/random-tensors.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()

/** One convolution an expert, differentiable. */
function convolutions(windows: tf.Tensor5D, kernel: tf.Tensor4D): tf.Tensor3D {
  const experts = windows.shape[0]
  const filters = kernel.shape[3] / experts
  const outputs = Array.from({ length: experts }, (_, s) => {
    const own = tf.slice(kernel, [0, 0, 0, s * filters], [-1, -1, -1, filters])
    return tf.conv2d(tf.squeeze(tf.slice(windows, [s], [1]), [0]) as tf.Tensor4D, own, 1, 'same')
  })
  return tf.reshape(tf.stack(outputs), [experts, -1, filters])
}

/** Values, and derivatives of <outputs, dOutputs>. */
function expected(windows: tf.Tensor5D, kernel: tf.Tensor4D, dOutputs: tf.Tensor3D) {
  const loss = (...inputs: tf.Tensor[]) =>
    tf.sum(tf.mul(convolutions(inputs[0] as tf.Tensor5D, inputs[1] as tf.Tensor4D), dOutputs))
  const [dWindows, dKernel] = tf.grads(loss as (...inputs: tf.Tensor[]) => tf.Tensor)([windows, kernel])
  return [convolutions(windows, kernel), dWindows as tf.Tensor, dKernel as tf.Tensor]
}

function actual(windows: tf.Tensor5D, kernel: tf.Tensor4D, dOutputs: tf.Tensor3D) {
  const filters = filtersPerExpert(kernel, windows.shape[0])
  const kernelSize: Size2D = [kernel.shape[0], kernel.shape[1]]
  const { dWindows, dFilters } = patchConvolution.gradient(dOutputs, windows, filters, kernelSize, 'same')
  const outputs = patchConvolution.forward(windows, filters, kernelSize, 'same')
  return [outputs, dWindows, kernelOfExperts(dFilters, kernel.shape)]
}

const sizes = fc.record({
  experts: fc.integer({ min: 1, max: 3 }),
  kept: fc.integer({ min: 1, max: 4 }),
  patch: fc.tuple(fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 4 })),
  channels: fc.integer({ min: 1, max: 5 }),
  filters: fc.integer({ min: 1, max: 3 }),
  kernel: fc.tuple(fc.constantFrom(1, 3, 5), fc.constantFrom(1, 3, 5)),
})

describe('patchConvolution', () => {
  it('sees zeros around each patch, and gives each expert its own filters', () => {
    // Two experts, one patch of 1x3 each: 1 2 3 and 4 5 6. Filters 1x3: 1 10 100 and 2 20 200.
    // Expert 0: 10 1 + 100 2 = 210; 1 + 20 + 300 = 321; 2 + 30 = 32. Expert 1: 80 + 1000 = 1080; 8 + 100 + 1200 = 1308; 10 + 120
    const windows = tf.tensor5d([1, 2, 3, 4, 5, 6], [2, 1, 1, 3, 1])
    const kernel = tf.tensor4d([1, 2, 10, 20, 100, 200], [1, 3, 1, 2])
    const y = patchConvolution.forward(windows, filtersPerExpert(kernel, 2), [1, 3], 'same')
    expect(y.shape).toEqual([2, 3, 1])
    expectAllClose(y.dataSync(), [210, 321, 32, 1080, 1308, 130])
  })

  it('equals one convolution an expert, values and gradients', () => {
    holds(sizes, ({ experts, kept, patch, channels, filters, kernel }) => {
      const windows = drawTensor<tf.Tensor5D>([experts, kept, ...patch, channels], 1)
      const weights = drawTensor<tf.Tensor4D>([...kernel, channels, experts * filters], 2)
      const dOutputs = drawTensor<tf.Tensor3D>([experts, kept * patch[0] * patch[1], filters], 3)
      const results = actual(windows, weights, dOutputs)
      for (const [i, tensor] of expected(windows, weights, dOutputs).entries()) {
        expect(results[i]?.shape).toEqual(tensor.shape)
        expectAllClose((results[i] as tf.Tensor).dataSync(), tensor.dataSync(), 1e-3, 1e-3)
      }
    })
  })

  it('is close to float32 in bf16', () => {
    const windows = drawTensor<tf.Tensor5D>([2, 3, 4, 4, 32], 1)
    const kernel = drawTensor<tf.Tensor4D>([3, 3, 32, 8], 2)
    const dOutputs = drawTensor<tf.Tensor3D>([2, 48, 4], 3)
    const exact = expected(windows, kernel, dOutputs).map(tensor => tensor.dataSync())
    setPrecision('bf16')
    for (const [i, tensor] of actual(windows, kernel, dOutputs).entries()) {
      const values = exact[i] as Float32Array
      expectAllClose(tensor.dataSync(), values, 0, 0.02 * Math.max(...values.map(Math.abs)))
    }
  })

  it('is used for kernels with neighbours, while what it makes on the way stays small', () => {
    const suits = (channels: number, filters: number, side: number) =>
      layerOps().patchConvolution?.suits(
        tf.zeros([2, 1, 4, 4, channels]),
        tf.zeros([side, side, channels, 2 * filters]),
        'same',
      )
    expect(suits(640, 80, 3)).toBe(true)
    // 9 taps x 8 filters = 72 numbers a pixel against 2 x 36 and 2 x 35
    expect(suits(36, 8, 3)).toBe(true)
    expect(suits(35, 8, 3)).toBe(false)
    expect(suits(640, 80, 1)).toBe(false)
  })

  it('leaks nothing', () => {
    const windows = drawTensor<tf.Tensor5D>([2, 3, 2, 2, 8], 1)
    const kernel = drawTensor<tf.Tensor4D>([3, 3, 8, 4], 2)
    const dOutputs = drawTensor<tf.Tensor3D>([2, 12, 2], 3)
    const before = tf.memory().numTensors
    tf.tidy(() => void actual(windows, kernel, dOutputs))
    expect(tf.memory().numTensors).toBe(before)
  })
})

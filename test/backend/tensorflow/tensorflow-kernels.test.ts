import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { registerTensorFlowKernels } from '../../../src/backend/tensorflow/kernels.js'
import { type BatchNormInputs, composedOps, type LayerOps, layerOps } from '../../../src/layers/ops.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
  registerTensorFlowKernels()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Values, moments and gradients of one implementation, as plain numbers. */
function results(ops: LayerOps, x: tf.Tensor2D, cotangent: tf.Tensor2D) {
  const channels = x.shape[1]
  const gamma = tf.randomUniform([channels], 0.5, 2, 'float32', 5) as tf.Tensor1D
  const beta = tf.randomNormal([channels], 0, 1, 'float32', 6) as tf.Tensor1D
  const moments: Record<string, Float32Array> = {}
  const norm = (input: tf.Tensor, scale: tf.Tensor, shift: tf.Tensor) =>
    ops.batchNorm({
      x: input,
      gamma: scale as tf.Tensor1D,
      beta: shift as tf.Tensor1D,
      epsilon: 1e-3,
      onMoments: ({ mean, variance }) => {
        moments.mean = mean.dataSync<'float32'>()
        moments.variance = variance.dataSync<'float32'>()
      },
    } satisfies BatchNormInputs)
  const y = norm(x, gamma, beta).dataSync()
  const loss = (...inputs: tf.Tensor[]) =>
    tf.sum(tf.mul(norm(inputs[0] as tf.Tensor, inputs[1] as tf.Tensor, inputs[2] as tf.Tensor), cotangent))
  const [dx, dGamma, dBeta] = tf.grads(loss as (...args: tf.Tensor[]) => tf.Tensor)([x, gamma, beta])
  return { y, ...moments, dx: dx?.dataSync(), dGamma: dGamma?.dataSync(), dBeta: dBeta?.dataSync() }
}

describe('fused BatchNorm equals the composed one', () => {
  it.each([
    [64, 3],
    [7, 1],
    [2048, 16],
    [9, 640],
  ])('on %i pixels of %i channels', (pixels, channels) => {
    const x = tf.randomNormal([pixels, channels], 3, 2, 'float32', 1) as tf.Tensor2D
    const cotangent = tf.randomNormal([pixels, channels], 0, 1, 'float32', 2) as tf.Tensor2D
    expect(layerOps().batchNorm).not.toBe(composedOps.batchNorm)
    const actual = results(layerOps(), x, cotangent)
    const expected = results(composedOps, x, cotangent)
    for (const [name, value] of Object.entries(expected)) {
      expectAllClose(actual[name as keyof typeof actual] as Float32Array, value as Float32Array, 1e-3, 1e-3)
    }
  })
})

describe('channelSums', () => {
  it('sums over all axes but the last', () => {
    expect(layerOps().channelSums).not.toBe(composedOps.channelSums)
    const x = tf.tensor4d([1, 10, 2, 20, 3, 30, 4, 40], [2, 2, 1, 2])
    expect(Array.from(layerOps().channelSums(x).dataSync())).toEqual([10, 100])
    expect(Array.from(composedOps.channelSums(x).dataSync())).toEqual([10, 100])
  })
})

describe('the gradient of ReLU', () => {
  it('passes where the output is positive, through one TensorFlow operation', () => {
    const run = vi.spyOn(
      tf.backend() as unknown as { executeMultipleOutputs: (name: string) => unknown },
      'executeMultipleOutputs',
    )
    const dx = tf.grad(x => layerOps().relu(x))(
      tf.tensor1d([-1, 0, 2, -3, 4]),
      tf.tensor1d([10, 20, 30, 40, 50]),
    )
    expect(Array.from(dx.dataSync())).toEqual([0, 0, 30, 0, 50])
    expect(run.mock.calls.map(([name]) => name)).toEqual(['ReluGrad'])
    run.mockRestore()
  })

  it('leaks nothing', () => {
    const x = tf.randomNormal([8, 4])
    const before = tf.memory().numTensors
    tf.tidy(() =>
      tf
        .grad(t => tf.sum(layerOps().relu(t)))(x)
        .dataSync(),
    )
    expect(tf.memory().numTensors).toBe(before)
  })
})

it('casts without an operation where there is nothing to cast', () => {
  const x = tf.tensor1d([1.5, -2.5])
  const { numDataBuffers } = tf.memory()
  const same = tf.cast(x, 'float32')
  expect(tf.memory().numDataBuffers).toBe(numDataBuffers)
  x.dispose()
  expect([...same.dataSync()]).toEqual([1.5, -2.5])
  expect([...tf.cast(same, 'int32').dataSync()]).toEqual([1, -2])
  expect([...tf.cast(tf.tensor1d([0, 3], 'int32'), 'bool').dataSync()]).toEqual([0, 1])
})

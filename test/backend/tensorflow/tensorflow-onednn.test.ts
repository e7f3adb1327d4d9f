import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it, vi } from 'vitest'
import { registerTensorFlowKernels } from '../../../src/backend/tensorflow/kernels.js'
import { biasedConvolution, biasedKernelGradient, hasOneDnn } from '../../../src/backend/tensorflow/onednn.js'
import { nativeBackend } from '../../../src/backend/tensorflow/operations.js'
import { bfloat16Memory, setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { type BatchNormInputs, composedOps, layerOps } from '../../../src/layers/ops.js'
import { expectAllClose } from '../../all-close.js'
import { drawTensor } from '../../layers/random-tensors.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()
beforeAll(() => registerTensorFlowKernels())

const convolutions = [
  [3, 1, 'same'],
  [3, 2, 'same'],
  [3, 2, 'valid'],
  [1, 1, 'same'],
  [1, 2, 'valid'],
  [5, 1, 'valid'],
] as const

function drawConvolution(size: number, stride: number, pad: 'same' | 'valid') {
  const x = drawTensor<tf.Tensor4D>([2, 9, 8, 5], 1)
  const kernel = drawTensor<tf.Tensor4D>([size, size, 5, 7], 2)
  const bias = drawTensor<tf.Tensor1D>([7], 3)
  const strides: [number, number] = [stride, stride]
  const dy = drawTensor<tf.Tensor4D>(tf.conv2d(x, kernel, strides, pad).shape, 4)
  return { x, kernel, bias, strides, pad, dy, kernelShape: kernel.shape }
}

describe('the operations of oneDNN', () => {
  it('are there on x86 processors, and are used', () => {
    expect(hasOneDnn()).toBe(process.arch === 'x64')
    expect(layerOps().biasedConvolution).toBe(hasOneDnn() ? biasedConvolution : composedOps.biasedConvolution)
  })

  it.each(convolutions)('add a bias to a convolution of %i pixels, stride %i, %s', (size, stride, pad) => {
    const inputs = drawConvolution(size, stride, pad)
    const [actual, expected] = [layerOps(), composedOps].map(ops => ops.biasedConvolution(inputs))
    expect(actual?.shape).toEqual(expected?.shape)
    expectAllClose(actual?.dataSync() as Float32Array, expected?.dataSync() as Float32Array, 1e-5, 1e-5)
  })

  it.each(convolutions)('differentiate a convolution of %i pixels, stride %i, %s', (size, stride, pad) => {
    const inputs = drawConvolution(size, stride, pad)
    const expected = composedOps.biasedKernelGradient(inputs)
    for (const { dKernel, dBias } of [
      biasedKernelGradient(inputs),
      layerOps().biasedKernelGradient(inputs),
    ]) {
      expectAllClose(dKernel.dataSync(), expected.dKernel.dataSync(), 1e-4, 1e-4)
      expectAllClose(dBias.dataSync(), expected.dBias.dataSync(), 1e-4, 1e-4)
    }
  })

  it.each([[[4, 6, 5, 3]], [[300, 16]], [[2, 3, 4, 5, 6]]])('normalize and rectify %j', shape => {
    const x = drawTensor(shape, 1)
    const cotangent = drawTensor(shape, 2)
    const channels = shape.at(-1) as number
    const weights = [drawTensor([channels], 3), drawTensor([channels], 4)]
    const results = (operation: (inputs: BatchNormInputs) => tf.Tensor) => {
      const moments: Float32Array[] = []
      const apply = (map: tf.Tensor, gamma: tf.Tensor, beta: tf.Tensor) =>
        operation({
          x: map,
          gamma: gamma as tf.Tensor1D,
          beta: beta as tf.Tensor1D,
          epsilon: 1e-3,
          onMoments: ({ mean, variance }) =>
            moments.push(mean.dataSync<'float32'>(), variance.dataSync<'float32'>()),
        })
      const y = apply(x, weights[0] as tf.Tensor, weights[1] as tf.Tensor)
      expect(y.shape).toEqual(shape)
      const gradients = tf.grads(apply as (...inputs: tf.Tensor[]) => tf.Tensor)([x, ...weights], cotangent)
      return [y, ...gradients].map(tensor => tensor.dataSync<'float32'>()).concat(moments.slice(0, 2))
    }
    const expected = results(inputs => tf.relu(composedOps.batchNorm(inputs)))
    for (const [i, values] of results(layerOps().batchNormRelu).entries()) {
      expectAllClose(values, expected[i] as Float32Array, 1e-3, 1e-3)
    }
  })

  it('sum the derivative by a bias in float32 where maps are in bfloat16, and leave nothing behind', () => {
    setPrecision('bf16')
    // In bfloat16 a running sum of ones would stop at 256.
    const x = tf.ones([4, 64, 64, 2]) as tf.Tensor4D
    const before = bfloat16Memory()
    tf.tidy(() => {
      const { dKernel, dBias } = layerOps().biasedKernelGradient({
        x,
        dy: tf.clone(x),
        kernelShape: [3, 3, 2, 2],
        strides: [1, 1],
        pad: 'same',
      })
      expect(Array.from(dBias.dataSync())).toEqual([16384, 16384])
      expect(dKernel.dataSync()[8 * 2]).toBeCloseTo(4 * 64 * 64, -3)
      const y = layerOps().biasedConvolution({
        x,
        kernel: tf.ones([1, 1, 2, 2]),
        bias: tf.tensor1d([1, 2]),
        strides: [1, 1],
        pad: 'same',
      })
      expect(bfloat16Memory().stored).toBe(before.stored + 1)
      expect(Array.from(y.dataSync().subarray(0, 2))).toEqual([3, 4])
    })
    x.dispose()
    expect(bfloat16Memory()).toEqual({ stored: 0, copies: 0 })
  })
})

describe('hasOneDnn', () => {
  const fresh = async () => {
    vi.resetModules()
    return (await import('../../../src/backend/tensorflow/onednn.js')).hasOneDnn
  }

  it('says no where TensorFlow does not know the operations', async () => {
    const run = vi.spyOn(nativeBackend(), 'executeSingleOutput').mockImplementation(name => {
      throw new Error(`Op type not registered '${name}'`)
    })
    const asked = await fresh()
    expect(asked()).toBe(false)
    expect(run).toHaveBeenCalledTimes(1)
    run.mockRestore()
    // It is known then.
    expect(asked()).toBe(false)
  })

  it('says no where they are turned off', async () => {
    vi.stubEnv('TF_ENABLE_ONEDNN_OPTS', '0')
    const run = vi.spyOn(nativeBackend(), 'executeSingleOutput')
    expect((await fresh())()).toBe(false)
    expect(run).not.toHaveBeenCalled()
    run.mockRestore()
    vi.unstubAllEnvs()
  })
})

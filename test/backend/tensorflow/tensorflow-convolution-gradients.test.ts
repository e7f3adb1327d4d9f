import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { describe, expect, it, vi } from 'vitest'
import {
  type ConvolutionSizes,
  inputGradient,
  kernelGradient,
  outputSize,
} from '../../../src/backend/checks/plain-arithmetic.js'
import { nativeBackend } from '../../../src/backend/tensorflow/operations.js'
import { setPrecision } from '../../../src/backend/tensorflow/precision.js'
import { expectAllClose } from '../../all-close.js'
import { draw, holds, sizeOf, tensorOf } from '../../layers/random-tensors.js'
import { inScopesOfFloat32 } from '../precision-frame.js'

inScopesOfFloat32()

/** What plain tfjs gives for a convolution, and plain loops beside it. */
function derivatives(sizes: ConvolutionSizes) {
  const [rows, columns] = outputSize(sizes)
  const kernelShape = [...sizes.kernel, sizes.map[3], sizes.filters] as [number, number, number, number]
  const outShape = [sizes.map[0], rows, columns, sizes.filters]
  const [x, kernel, dy] = [
    draw(sizeOf(sizes.map), 1),
    draw(sizeOf(kernelShape), 2),
    draw(sizeOf(outShape), 3),
  ]
  const convolve = (map: tf.Tensor, filter: tf.Tensor): tf.Tensor =>
    tf.conv2d(map as tf.Tensor4D, filter as tf.Tensor4D, [...sizes.strides], sizes.pad)
  const [dx, dKernel] = tf.grads(convolve)(
    [tensorOf(x, sizes.map), tensorOf(kernel, kernelShape)],
    tensorOf(dy, outShape),
  ) as [tf.Tensor, tf.Tensor]
  return {
    dx: dx.dataSync<'float32'>(),
    dKernel: dKernel.dataSync<'float32'>(),
    expected: { dx: inputGradient(dy, kernel, sizes), dKernel: kernelGradient(x, dy, sizes) },
  }
}

function expectRight(sizes: ConvolutionSizes): void {
  const { dx, dKernel, expected } = derivatives(sizes)
  expectAllClose(dx, expected.dx, 1e-4, 1e-3)
  expectAllClose(dKernel, expected.dKernel, 1e-4, 1e-3)
}

/** The operations of TensorFlow that run within. */
function operationsOf(compute: () => unknown): string[] {
  const run = vi.spyOn(nativeBackend(), 'executeSingleOutput')
  compute()
  const names = run.mock.calls.map(([name]) => name)
  run.mockRestore()
  return names
}

const side = (max: number): fc.Arbitrary<number> => fc.integer({ min: 1, max })
const pair = (max: number): fc.Arbitrary<[number, number]> => fc.tuple(side(max), side(max))

describe('derivatives of tfjs convolutions', () => {
  it('are those of plain arithmetic with one channel and one filter', () => {
    const sizes = fc.record({
      map: fc.tuple(side(3), side(9), side(9), fc.constant(1)),
      kernel: pair(5),
      filters: fc.constant(1),
      strides: pair(3),
      pad: fc.constant('same' as const),
    })
    holds(sizes, expectRight, 60)
  })

  it('are those of plain arithmetic for 1x1 kernels with strides, at even and odd sizes', () => {
    const sizes = fc.record({
      map: fc.tuple(side(3), side(17), side(17), side(5)),
      kernel: fc.constant<[number, number]>([1, 1]),
      filters: side(5),
      strides: pair(4),
      pad: fc.constantFrom('same' as const, 'valid' as const),
    })
    holds(sizes, expectRight, 60)
  })

  it('take the gradient operation with two filters for one, and no gradient operation for a strided 1x1 kernel', () => {
    const one = { map: [1, 4, 4, 1], kernel: [3, 3], filters: 1, strides: [1, 1], pad: 'same' } as const
    const run = vi.spyOn(nativeBackend(), 'executeSingleOutput')
    derivatives(one)
    const call = run.mock.calls.find(([name]) => name === 'Conv2DBackpropInput')
    expect(call?.[2].map(({ shape }) => shape)).toEqual([[4], [3, 3, 1, 2], [1, 4, 4, 2]])
    run.mockRestore()
    const shortcut = { map: [1, 4, 4, 3], kernel: [1, 1], filters: 2, strides: [2, 2], pad: 'same' } as const
    expect(operationsOf(() => derivatives(shortcut))).not.toContain('Conv2DBackpropFilter')
  })

  it('are 0 for taps that meet no pixel, also in bf16, whatever memory held before', () => {
    const sizes = { map: [2, 1, 2, 32], kernel: [3, 5], filters: 48, strides: [1, 1], pad: 'same' } as const
    for (const precision of ['float32', 'bf16'] as const) {
      setPrecision(precision)
      for (let round = 0; round < 20; round++) {
        tf.fill([16 * 32 * 48], 1e7).dispose()
        const { dKernel, expected } = derivatives(sizes)
        expectAllClose(dKernel, expected.dKernel, 0.02, 0.1)
      }
    }
  })

  it('look at no pixel that the strides pass over', () => {
    const x = tf.tensor4d([1, Number.NaN, 2, Number.NaN, Number.NaN, Number.NaN], [1, 2, 3, 1])
    const gradient = tf.grad((k: tf.Tensor) => tf.conv2d(x, k as tf.Tensor4D, 2, 'same'))(
      tf.ones([1, 1, 1, 1]),
    )
    // Outputs at columns 0 and 2: 1 + 2.
    expect(Array.from(gradient.dataSync())).toEqual([3])
  })

  it('are close in bf16, where maps are stored in bfloat16', () => {
    setPrecision('bf16')
    for (const sizes of [
      { map: [2, 8, 6, 1], kernel: [3, 3], filters: 1, strides: [1, 1], pad: 'same' },
      { map: [2, 8, 6, 5], kernel: [1, 1], filters: 4, strides: [2, 2], pad: 'same' },
    ] as const) {
      const { dx, dKernel, expected } = derivatives(sizes)
      expectAllClose(dx, expected.dx, 0.02, 0.05)
      expectAllClose(dKernel, expected.dKernel, 0.02, 0.1)
    }
  })

  it('leave nothing behind but their result', () => {
    const [x, dy] = [tf.ones([1, 5, 5, 1]), tf.ones([1, 3, 3, 1])]
    const filter = tf.ones([3, 3, 1, 1])
    const attributes = { strides: [2, 2], pad: 'same', dataFormat: 'NHWC' }
    for (const run of [
      () => kernelOf('Conv2DBackpropInput', { dy, filter }, { ...attributes, inputShape: x.shape }),
      () => kernelOf('Conv2DBackpropFilter', { x, dy }, { ...attributes, filterShape: [1, 1, 1, 1] }),
    ]) {
      const before = tf.memory().numTensors
      const result = run()
      expect(tf.memory().numTensors).toBe(before + 1)
      result.dispose()
    }
  })
})

function kernelOf(name: string, inputs: tf.NamedTensorMap, attributes: object): tf.Tensor {
  return tf.engine().runKernel(name, inputs, attributes as tf.NamedAttrMap) as tf.Tensor
}

describe('depthwise and three-dimensional convolutions', () => {
  it('of one channel have the derivatives of a convolution', () => {
    for (const strides of [1, 2]) {
      const [x, kernel] = [
        tensorOf<tf.Tensor4D>(draw(98, 1), [2, 7, 7, 1]),
        tensorOf<tf.Tensor4D>(draw(9, 2), [3, 3, 1, 1]),
      ]
      const loss =
        (convolve: (a: tf.Tensor4D, k: tf.Tensor4D) => tf.Tensor) => (a: tf.Tensor, k: tf.Tensor) =>
          tf.sum(tf.square(convolve(a as tf.Tensor4D, k as tf.Tensor4D)))
      const [full, depthwise] = [
        tf.grads(loss((a, k) => tf.conv2d(a, k, strides, 'same')))([x, kernel]),
        tf.grads(loss((a, k) => tf.depthwiseConv2d(a, k, strides, 'same')))([x, kernel]),
      ]
      for (const at of [0, 1]) expectAllClose(depthwise[at]!.dataSync(), full[at]!.dataSync(), 1e-4, 1e-4)
    }
  })

  it('of one channel work in the layer of tfjs, which gives no dilation', () => {
    const x = tensorOf<tf.Tensor4D>(draw(98, 1), [2, 7, 7, 1])
    const layer = tf.layers.depthwiseConv2d({ kernelSize: 3, padding: 'same' })
    const y = layer.apply(x) as tf.Tensor
    const full = tf.conv2d(x, layer.getWeights()[0] as tf.Tensor4D, 1, 'same')
    expectAllClose(y.dataSync(), full.dataSync())
  })

  it('of 1x1 kernels with strides sum over the pixels that the strides meet', () => {
    const x = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8], [1, 2, 2, 2])
    const depthwise = tf.grad((k: tf.Tensor) => tf.depthwiseConv2d(x, k as tf.Tensor4D, 2, 'same'))(
      tf.ones([1, 1, 2, 2]),
    )
    // Only the pixel (1, 2) is met; two filters of each channel.
    expect(Array.from(depthwise.dataSync())).toEqual([1, 1, 2, 2])
    const volume = tf.tensor5d(
      Array.from({ length: 16 }, (_, i) => i + 1),
      [1, 2, 2, 4, 1],
    )
    const spatial = tf.grad((k: tf.Tensor) => tf.conv3d(volume, k as tf.Tensor5D, 2, 'same'))(
      tf.ones([1, 1, 1, 1, 1]),
    )
    expect(Array.from(spatial.dataSync())).toEqual([1 + 3])
  })

  it('of one channel and one filter in three dimensions have the derivative of plain sums', () => {
    const kernel = tf.tensor5d([1, 2, 3, 4, 5, 6, 7, 8], [2, 2, 2, 1, 1])
    const gradient = tf.grad((x: tf.Tensor) => tf.conv3d(x as tf.Tensor5D, kernel, 1, 'valid'))(
      tf.ones([1, 2, 2, 2, 1]),
    )
    expect(Array.from(gradient.dataSync())).toEqual([1, 2, 3, 4, 5, 6, 7, 8])
  })
})

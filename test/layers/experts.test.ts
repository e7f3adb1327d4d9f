import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import {
  expertConvolution,
  expertConvolutionGradient,
  filtersPerExpert,
} from '../../src/layers/moe/experts/expert-convolution.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor, holds, innerProduct } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('expertConvolution', () => {
  it('with border zero sees nothing past the patch', () => {
    // 1 2 3    A kernel of ones sums a pixel and its neighbours in the patch:
    // 4 5 6    1+2+4+5 = 12, 12+3+6 = 21, 2+3+5+6 = 16; then with the third row 27, 45, 33; 24, 39, 28
    // 7 8 9
    const patch = tf.tensor5d([1, 2, 3, 4, 5, 6, 7, 8, 9], [1, 1, 3, 3, 1])
    const { outputs: y } = expertConvolution(patch, tf.ones([3, 3, 1, 1]), 'zero')
    expect(y.shape).toEqual([1, 9, 1])
    expectAllClose(y.dataSync(), [12, 21, 16, 27, 45, 33, 24, 39, 28])
  })

  it('with border halo sees the window around it', () => {
    // A patch of 1x2 (6 and 7) in its window of 3x4, numbered from 1:
    //  1  2  3  4     around 6: 1+2+3+5+6+7+9+10+11 = 54
    //  5 [6  7] 8     around 7: 2+3+4+6+7+8+10+11+12 = 63
    //  9 10 11 12
    const window = tf.tensor5d([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12], [1, 1, 3, 4, 1])
    const { outputs: y } = expertConvolution(window, tf.ones([3, 3, 1, 1]), 'halo')
    expectAllClose(y.dataSync(), [54, 63])
  })

  it('gives each expert its own filters, side by side in the kernel', () => {
    // One pixel of two channels an expert: (1, 2) and (3, 4). Filters, per channel: expert 0 owns the first two.
    const pixels = tf.tensor5d([1, 2, 3, 4], [2, 1, 1, 1, 2])
    const kernel = tf.tensor4d([1, 10, 100, 1000, 2, 20, 200, 2000], [1, 1, 2, 4])
    // Expert 0: 1 1 + 2 2 = 5, 1 10 + 2 20 = 50. Expert 1: 3 100 + 4 200 = 1100, 3 1000 + 4 2000 = 11000.
    const expected = [5, 50, 1100, 11000]
    expectAllClose(expertConvolution(pixels, kernel, 'zero').outputs.dataSync(), expected)
    // The same filters in the middle of a 3x3 kernel see the same single pixel.
    const wide = tf.pad(kernel, [
      [1, 1],
      [1, 1],
      [0, 0],
      [0, 0],
    ])
    expectAllClose(expertConvolution(pixels, wide, 'zero').outputs.dataSync(), expected)
  })
})

describe('expertConvolutionGradient', () => {
  it('of a 1x1 kernel by hand', () => {
    const pixels = tf.tensor5d([1, 2, 3, 4], [2, 1, 1, 1, 2])
    const kernel = tf.tensor4d([5, 7, 6, 8], [1, 1, 2, 2])
    const { dWindows, dKernel } = expertConvolutionGradient(
      tf.tensor3d([10, 100], [2, 1, 1]),
      pixels,
      kernel,
      filtersPerExpert(kernel, 2),
      'zero',
      [1, 1],
    )
    // dWindows: 10 (5, 6) and 100 (7, 8). dKernel: channels 1, 2 times 10 and 3, 4 times 100.
    expect(Array.from(dWindows.dataSync())).toEqual([50, 60, 700, 800])
    expect(Array.from(dKernel.dataSync())).toEqual([10, 300, 20, 400])
  })

  const small = fc.integer({ min: 1, max: 3 })
  const odd = fc.constantFrom(1, 3, 5)
  const cases = fc.record({
    experts: small,
    kept: small,
    height: small,
    width: small,
    channels: small,
    filters: small,
    kernel: fc.tuple(odd, odd),
    border: fc.constantFrom('zero' as const, 'halo' as const),
    seed: fc.nat(),
  })

  it('is the adjoint by windows and by kernel, the convolution being linear in both', () => {
    holds(
      cases,
      ({ experts, kept, height, width, channels, filters, kernel: [kh, kw], border, seed }) => {
        const [up, left] = border === 'zero' ? [0, 0] : [(kh - 1) / 2, (kw - 1) / 2]
        const windows: tf.Tensor5D = drawTensor(
          [experts, kept, height + 2 * up, width + 2 * left, channels],
          seed,
        )
        const kernel: tf.Tensor4D = drawTensor([kh, kw, channels, experts * filters], seed + 1)
        const { outputs: y, filters: own } = expertConvolution(windows, kernel, border)
        const dy: tf.Tensor3D = drawTensor([experts, kept * height * width, filters], seed + 2)
        expect(y.shape).toEqual(dy.shape)
        const { dWindows, dKernel } = expertConvolutionGradient(dy, windows, kernel, own, border, [
          height,
          width,
        ])
        expect([dWindows.shape, dKernel.shape]).toEqual([windows.shape, kernel.shape])
        const expected = innerProduct(y, dy)
        const actual = [innerProduct(windows, dWindows), innerProduct(kernel, dKernel)]
        expectAllClose(actual, [expected, expected], 1e-4, 1e-3)
      },
      80,
    )
  })
})

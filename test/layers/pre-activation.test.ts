import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest'
import {
  type ExpertNorm,
  expertMoments,
  normRelu,
  normReluGradient,
} from '../../src/layers/moe/experts/pre-activation.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, sizeOf, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('expertMoments', () => {
  it('are the mean and the biased variance of each expert and channel', () => {
    // Expert 0: channel 0 is 1, 3 (mean 2, variance 1), channel 1 is 10, 10. Expert 1: 0, 4 (2, 4) and -6, 0 (-3, 9).
    const patches = tf.tensor5d([1, 10, 3, 10, 0, -6, 4, 0], [2, 2, 1, 1, 2])
    const { mean, variance } = expertMoments(patches)
    expectAllClose(mean.arraySync(), [2, 10, 2, -3])
    expectAllClose(variance.arraySync(), [1, 0, 4, 9])
  })
})

describe('normRelu', () => {
  const norm = (): ExpertNorm => ({
    gamma: tf.tensor2d([2, 3], [2, 1]),
    beta: tf.tensor2d([1, -1], [2, 1]),
    epsilon: 0.5,
    moments: { mean: tf.tensor2d([4, 1], [2, 1]), variance: tf.tensor2d([3.5, 8.5], [2, 1]) },
  })

  it('normalises, scales, shifts and rectifies with numbers of each expert', () => {
    // Expert 0: 2 (x - 4) / 2 + 1 = x - 3. Expert 1: 3 (x - 1) / 3 - 1 = x - 2.
    const windows = tf.tensor5d([2, 5, 2, 5], [2, 2, 1, 1, 1])
    expectAllClose(normRelu(windows, norm(), undefined).active.dataSync(), [0, 2, 0, 3])
  })

  it('leaves 0 outside the map, where BatchNorm of a 0 would not', () => {
    const windows = tf.tensor5d([7, 0, 7, 0], [2, 1, 1, 2, 1])
    const inside = tf.tensor5d([1, 0, 1, 0], [2, 1, 1, 2, 1])
    const high = { ...norm(), beta: tf.tensor2d([50, 50], [2, 1]) }
    // 7 - 4 + 50 = 53 and 7 - 1 + 50 = 56.
    expectAllClose(normRelu(windows, high, inside).active.dataSync(), [53, 0, 56, 0])
  })
})

const SHAPE = [2, 3, 4, 4, 2] as const // (K,M,window height,window width,C)
const REACH = 1
const EPSILON = 0.01

interface Numbers {
  readonly windows: Float64Array
  readonly gamma: Float64Array
  readonly beta: Float64Array
}

/** Whether the pixel of number `at` lies on the patch, not on the halo. */
function onCore(at: number): boolean {
  const [, , height, width, channels] = SHAPE
  const x = Math.floor(at / channels) % width
  const y = Math.floor(at / channels / width) % height
  return y >= REACH && y < height - REACH && x >= REACH && x < width - REACH
}

/** Expert and channel of number `at`, as one number. */
function statisticOf(at: number): number {
  const channels = SHAPE[4]
  return Math.floor(at / sizeOf(SHAPE.slice(1))) * channels + (at % channels)
}

function momentsByHand(windows: Float64Array, core: boolean): { mean: number[]; variance: number[] } {
  const groups: number[][] = Array.from({ length: SHAPE[0] * SHAPE[4] }, () => [])
  windows.forEach((value, at) => {
    if (!core || onCore(at)) groups[statisticOf(at)]?.push(value)
  })
  const average = (values: number[]) => values.reduce((sum, value) => sum + value, 0) / values.length
  const mean = groups.map(average)
  return { mean, variance: groups.map((values, g) => average(values.map(v => (v - mean[g]!) ** 2))) }
}

/** BatchNorm and ReLU in float64; `moments` given for inference, else of the windows (of their cores, with a halo). */
function normReluByHand(
  { windows, gamma, beta }: Numbers,
  core: boolean,
  moments = momentsByHand(windows, core),
): Float64Array {
  return windows.map((value, at) => {
    const s = statisticOf(at)
    const normal = (value - moments.mean[s]!) / Math.sqrt(moments.variance[s]! + EPSILON)
    return Math.max(normal * gamma[s]! + beta[s]!, 0)
  })
}

describe('normReluGradient equals central differences', () => {
  const numbers: Numbers = { windows: draw(sizeOf(SHAPE), 1), gamma: draw(4, 2), beta: draw(4, 3) }
  const dActive = draw(sizeOf(SHAPE), 4)
  const fixed = { mean: [0.1, -0.3, 0.2, 0.5], variance: [0.7, 1.2, 0.4, 2] }

  for (const [name, core, moving] of [
    ['statistics of whole windows', false, undefined],
    ['statistics of the patches within windows', true, undefined],
    ['given statistics', true, fixed],
  ] as const)
    it(name, () => {
      const pair = (values: ArrayLike<number>): tf.Tensor2D => tensorOf(values, [2, 2])
      const moments = moving ?? momentsByHand(numbers.windows, core)
      const norm: ExpertNorm = {
        gamma: pair(numbers.gamma),
        beta: pair(numbers.beta),
        epsilon: EPSILON,
        moments: { mean: pair(moments.mean), variance: pair(moments.variance) },
      }
      const windows: tf.Tensor5D = tensorOf(numbers.windows, SHAPE)
      const { active } = normRelu(windows, norm, undefined)
      expectAllClose(active.dataSync(), normReluByHand(numbers, core, moments))

      const mask = Float32Array.from({ length: 16 }, (_, pixel) => (onCore(pixel * SHAPE[4]) ? 1 : 0))
      const statistics = moving
        ? undefined
        : {
            coreMask: core ? (tensorOf(mask, [1, 1, 4, 4, 1]) as tf.Tensor5D) : undefined,
            coreCount: core ? 3 * 2 * 2 : 3 * 4 * 4,
          }
      const actual = normReluGradient(tensorOf(dActive, SHAPE), active, windows, norm, statistics)
      const by = (key: keyof Numbers) =>
        centralDifferences(
          numbers[key],
          values => normReluByHand({ ...numbers, [key]: values }, core, moving),
          dActive,
        )
      expectAllClose(actual.dWindows.dataSync(), by('windows'), 1e-3, 1e-4)
      expectAllClose(actual.dGamma.dataSync(), by('gamma'), 1e-3, 1e-4)
      expectAllClose(actual.dBeta.dataSync(), by('beta'), 1e-3, 1e-4)
    })
})

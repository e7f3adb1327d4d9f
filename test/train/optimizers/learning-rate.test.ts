import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  clippedByNorm,
  learningRateOf,
  setLearningRate,
} from '../../../src/train/optimizers/learning-rate.js'
import { createOptimizer } from '../../../src/train/optimizers/optimizer.js'
import { checkOptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(() => useTestBackend())

describe('another learning rate', () => {
  it.each(['sgd', 'momentum', 'adam', 'adamw'] as const)('changes the steps of %s', name => {
    const optimizer = createOptimizer({ name, learningRate: 0.5 })
    const weight = tf.variable(tf.tensor1d([0]))
    const step = () => {
      const before = weight.dataSync()[0] as number
      optimizer.applyGradients([{ name: weight.name, tensor: tf.tensor1d([1]) }])
      return before - (weight.dataSync()[0] as number)
    }
    expectAllClose([step()], [0.5])
    setLearningRate(optimizer, 0.05)
    expect(learningRateOf(optimizer)).toBe(0.05)
    // Momentum has gathered 0.9 of the first gradient.
    expectAllClose([step()], [name === 'momentum' ? 0.095 : 0.05])
  })
})

describe('the norm of gradients', () => {
  it('is at most the limit, over all of them together', () => {
    const gradients = { a: tf.tensor1d([3, 0]), b: tf.tensor1d([4]) }
    expect(clippedByNorm(gradients, undefined)).toBe(gradients)
    const clipped = clippedByNorm(gradients, 1)
    expectAllClose([...(clipped.a?.dataSync() ?? []), ...(clipped.b?.dataSync() ?? [])], [0.6, 0, 0.8])
    const within = clippedByNorm(gradients, 5.1)
    expect([...(within.a?.dataSync() ?? []), ...(within.b?.dataSync() ?? [])]).toEqual([3, 0, 4])
  })

  it('has its range', () => {
    const check = (options: object) => () =>
      checkOptimizerOptions({ name: 'adam', learningRate: 1, ...options } as never)
    expect(check({ clipNorm: 0 })).toThrow('optimizer: clipNorm must be a number greater than 0, got 0')
    expect(check({ clipNorm: Number.NaN })).toThrow('got NaN')
    expect(check({ clipNorm: 1, name: 'normalized-gd' })).toThrow(
      'optimizer: clipNorm must be left out for normalized-gd, got 1',
    )
  })
})

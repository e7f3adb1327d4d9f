import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { train } from '../../../src/train/loop.js'
import { clippedByNorm, scheduledRate, setLearningRate } from '../../../src/train/optimizers/learning-rate.js'
import { createOptimizer } from '../../../src/train/optimizers/optimizer.js'
import { checkOptimizerOptions, optimizerNames } from '../../../src/train/optimizers/optimizer-options.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, denseModel, historyOf } from '../tasks.js'

beforeAll(() => useTestBackend())

describe('a schedule', () => {
  it('takes the rate down half a wave, or leaves it', () => {
    const rates = [0, 0.25, 0.5, 0.75].map(share =>
      scheduledRate({ name: 'sgd', learningRate: 2, schedule: 'cosine' }, share),
    )
    expectAllClose(rates, [2, 1 + Math.SQRT1_2, 1, 1 - Math.SQRT1_2], 0, 1e-12)
    expect(scheduledRate({ name: 'sgd', learningRate: 2 }, 0.5)).toBe(2)
  })

  it.each(['sgd', 'momentum', 'adam'] as const)('changes the steps of %s', name => {
    const optimizer = createOptimizer({ name, learningRate: 0.5 })
    const weight = tf.variable(tf.tensor1d([0]))
    const step = () => {
      const before = weight.dataSync()[0] as number
      optimizer.applyGradients([{ name: weight.name, tensor: tf.tensor1d([1]) }])
      return before - (weight.dataSync()[0] as number)
    }
    expectAllClose([step()], [0.5])
    setLearningRate(optimizer, 0.05)
    // Momentum has gathered 0.9 of the first gradient.
    expectAllClose([step()], [name === 'momentum' ? 0.095 : 0.05])
  })

  it('reports the rate of the last step of each epoch', async () => {
    const optimizer = { name: 'adam', learningRate: 0.1, schedule: 'cosine', clipNorm: 0.5 } as const
    const history = await historyOf(
      train(denseModel(), { train: brightRows(8, 3, 1), epochs: 3, batchSize: 4, seed: 1, optimizer }),
    )
    const rateAfter = (steps: number) => 0.05 * (1 + Math.cos((Math.PI * steps) / 6))
    expectAllClose(
      history.map(({ learningRate }) => learningRate),
      [rateAfter(1), rateAfter(3), rateAfter(5)],
    )
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

  it('and the schedule have their ranges', () => {
    const check = (options: object) => () =>
      checkOptimizerOptions({ name: 'adam', learningRate: 1, ...options } as never)
    expect(check({ clipNorm: 0 })).toThrow('optimizer: clipNorm must be a number greater than 0, got 0')
    expect(check({ clipNorm: Number.NaN })).toThrow('got NaN')
    expect(check({ clipNorm: 1, name: 'normalized-gd' })).toThrow(
      'optimizer: clipNorm must be left out for normalized-gd, got 1',
    )
    expect(check({ schedule: 'linear' })).toThrow(
      'optimizer: schedule must be constant or cosine, got linear',
    )
    for (const name of optimizerNames) expect(check({ name, schedule: 'cosine' })).not.toThrow()
  })
})

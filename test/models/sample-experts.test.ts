import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { modelCost } from '../../src/models/cost.js'
import { sampleExpertsModel } from '../../src/models/sample-experts.js'
import { train } from '../../src/train/loop.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, historyOf } from '../train/tasks.js'

beforeAll(() => useTestBackend())

const options = { inputShape: [8, 8, 1], numClasses: 3, numExperts: 4, filters: 2, seed: 3 } as const

describe('sampleExpertsModel', () => {
  it('has four networks at the cost of one, and the single network with one expert', () => {
    const [four, one] = [
      modelCost(sampleExpertsModel(options)),
      modelCost(sampleExpertsModel({ ...options, numExperts: 1, gate: 'uniform' })),
    ]
    // Router 4x4x1 and bias for each expert; convolutions to 2, 4, 8 filters, 8 numbers to 3 outputs.
    const network = 9 * 2 + 2 + 9 * 8 + 4 + 9 * 32 + 8 + 24 + 3
    expect(four.parameters.total).toBe(4 * (network + 17))
    expect(one.parameters.total).toBe(network + 17)
    expect(four.multiplyAdds.forward - one.multiplyAdds.forward).toBe(3 * 16)
  })

  it('trains by normalised gradients as published, and repeats', async () => {
    const run = async () => {
      const model = sampleExpertsModel(options)
      const set = brightRows(24, 3, 1, 8)
      return (
        await historyOf(
          train(model, {
            train: set,
            epochs: 2,
            batchSize: 8,
            seed: 5,
            loadBalance: 0.01,
            optimizer: {
              name: 'normalized-gd',
              learningRate: 1e-2,
              momentum: 0.9,
              layerRates: [{ pattern: 'experts/router*', learningRate: 1e-4 }],
            },
          }),
        )
      ).map(({ trainLoss, loadBalance }) => [trainLoss, loadBalance])
    }
    const first = await run()
    expect(first.flat().every(Number.isFinite)).toBe(true)
    expect(await run()).toEqual(first)
  })

  it('takes networks of your own', () => {
    const { filters: _, ...own } = options
    const expert = (inputShape: readonly number[]) =>
      tf.sequential({
        layers: [tf.layers.flatten({ inputShape: [...inputShape] }), tf.layers.dense({ units: 3 })],
      })
    expect(sampleExpertsModel({ ...own, expert }).outputs[0]?.shape).toEqual([null, 3])
    expect(() => sampleExpertsModel({ ...options, expert })).toThrow(
      "sampleExpertsModel: filters must be left out with an expert of one's own, got 2",
    )
  })

  it('refuses options out of their range', () => {
    expect(() => sampleExpertsModel({ ...options, filters: 0 })).toThrow(
      'filters must be a positive integer, got 0',
    )
    expect(() => sampleExpertsModel({ ...options, numClasses: 0 })).toThrow(
      'numClasses must be a positive integer, got 0',
    )
  })
})

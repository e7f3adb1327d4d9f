import type * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { train } from '../../../src/train/loop.js'
import type { OptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import { stepFactors } from '../../../src/train/optimizers/parameter-groups.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, denseModel, historyOf, weightsOf } from '../tasks.js'

beforeAll(() => useTestBackend())

const set = brightRows(8, 3, 1)

/** What so many steps on the same batch do to the weights: hidden kernel, hidden bias, kernel, bias. */
async function changes(optimizer: OptimizerOptions, steps: number): Promise<number[][]> {
  const model = denseModel()
  const before = weightsOf(model)
  await historyOf(train(model, { train: set, epochs: steps, batchSize: 8, optimizer, seed: 1 }))
  const after = weightsOf(model)
  model.dispose()
  return after.map((weight, i) => weight.map((value, j) => value - (before[i]?.[j] as number)))
}

describe.each(['sgd', 'momentum', 'adam'] as const)('%s', name => {
  it('takes steps as long as the rates say', async () => {
    const slow = await changes({ name, learningRate: 0.01 }, 1)
    const model = denseModel()
    const rates = [{ pattern: (model.layers[2] as tf.layers.Layer).name, learningRate: 0.05 }]
    const before = weightsOf(model)
    const optimizer = { name, learningRate: 0.01, layerRates: rates }
    await historyOf(train(model, { train: set, epochs: 1, batchSize: 8, optimizer, seed: 1 }))
    const step = weightsOf(model).map((weight, i) =>
      weight.map((value, j) => value - (before[i]?.[j] as number)),
    )
    for (const i of [0, 1]) expectAllClose(step[i] as number[], slow[i] as number[], 1e-4, 1e-7)
    for (const i of [2, 3])
      expectAllClose(
        step[i] as number[],
        (slow[i] as number[]).map(value => 5 * value),
        1e-3,
        1e-6,
      )
    model.dispose()
  })

  it('equals another learning rate where it is that of every layer, over many steps', async () => {
    const layerRates = [{ pattern: '*', learningRate: 0.03 }]
    const [by, as] = [
      await changes({ name, learningRate: 0.01, layerRates }, 6),
      await changes({ name, learningRate: 0.03 }, 6),
    ]
    for (const [i, change] of as.entries()) expectAllClose(by[i] as number[], change, 1e-3, 1e-5)
  })
})

it('has the last rate that matches count, and none where all are the learning rate', () => {
  const model = denseModel()
  const [, hidden, logits] = model.layers.map(layer => layer.name) as [string, string, string]
  const options = { name: 'sgd', learningRate: 0.1 } as const
  const layerRates = [
    { pattern: '*', learningRate: 0.2 },
    { pattern: hidden, learningRate: 0.05 },
  ]
  expect(stepFactors(model, { ...options, layerRates })).toEqual([0.5, 0.5, 2, 2])
  expect(stepFactors(model, options)).toBeUndefined()
  expect(
    stepFactors(model, { ...options, layerRates: [{ pattern: logits, learningRate: 0.1 }] }),
  ).toBeUndefined()
  expect(() => stepFactors(model, { ...options, layerRates: [{ pattern: '*', learningRate: 0 }] })).toThrow(
    'train: learning rate of * must be greater than 0, got 0',
  )
  expect(() => stepFactors(model, { ...options, layerRates: [{ pattern: 'no', learningRate: 1 }] })).toThrow(
    'train: layer of a learning rate must match a layer with weights, or one of its weights, got "no"',
  )
  model.dispose()
})

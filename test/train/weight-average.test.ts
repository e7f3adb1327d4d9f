import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { latestCheckpoint, memoryStore, readCheckpoint, type TrainState } from '../../src/train/checkpoint.js'
import { evaluate } from '../../src/train/evaluate.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { WeightAverage } from '../../src/train/weight-average.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf } from './tasks.js'

beforeAll(() => useTestBackend())

const options: TrainOptions = {
  train: brightRows(12, 3, 1),
  test: brightRows(9, 3, 2),
  epochs: 3,
  batchSize: 12,
  optimizer: { name: 'sgd', learningRate: 0.5 },
  seed: 1,
}

async function finalState(changed: Partial<TrainOptions>, model = denseModel()): Promise<TrainState> {
  const checkpoints = memoryStore()
  await historyOf(train(model, { ...options, ...changed, checkpoints }))
  return readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
}

describe('the average of the weights', () => {
  it('follows them by min(decay, (1 + n)/(10 + n)), from where they begin', async () => {
    const first = weightsOf(denseModel()).flat()
    const after: number[][] = []
    for (const epochs of [1, 2, 3]) {
      const model = denseModel()
      await historyOf(train(model, { ...options, epochs }))
      after.push(weightsOf(model).flat())
    }
    const decay = 0.22
    const expected = after.reduce((average, weights, i) => {
      // Steps 1 to 3: 2/11, then 3/12 and 4/13, which are more than the decay.
      const share = 1 - (i === 0 ? 2 / 11 : decay)
      return average.map((value, j) => value + share * ((weights[j] as number) - value))
    }, first)
    const model = denseModel()
    await historyOf(train(model, { ...options, emaDecay: decay }))
    expectAllClose(weightsOf(model).flat(), expected, 1e-5, 1e-6)
  })

  it.each(['recomputed', 'moving'] as const)(
    'is what is evaluated and what the model ends with, with statistics that are %s',
    async bnStatistics => {
      const changed = { bnStatistics, emaDecay: 0.9 }
      const model = denseModel({ normalized: true })
      const history = await historyOf(train(model, { ...options, ...changed }))
      const { loss, accuracy } = await evaluate(model, brightRows(9, 3, 2), { batchSize: 9 })
      expect([history.at(-1)?.testLoss, history.at(-1)?.testAccuracy]).toEqual([loss, accuracy])
      const bare = denseModel({ normalized: true })
      const plain = await historyOf(train(bare, { ...options, bnStatistics }))
      // The training itself is the same.
      expect(history.map(({ trainLoss }) => trainLoss)).toEqual(plain.map(({ trainLoss }) => trainLoss))
      expect(loss).not.toBe(plain.at(-1)?.testLoss)
      expect(weightsOf(model)).not.toEqual(weightsOf(bare))
      const state = await finalState(changed, denseModel({ normalized: true }))
      const trained = ['kernel', 'bias', 'gamma', 'beta', 'kernel', 'bias']
      const moving = bnStatistics === 'moving' ? ['moving_mean', 'moving_variance'] : []
      expect(state.average?.map(([name]) => name.slice(name.lastIndexOf('/') + 1))).toEqual([
        ...trained,
        ...moving,
      ])
    },
  )

  it('is what an aborted run ends with, while its state keeps the weights', async () => {
    const controller = new AbortController()
    const model = denseModel()
    const events = train(model, { ...options, emaDecay: 0.9, signal: controller.signal })
    for await (const event of events) if (event.type === 'epoch') controller.abort()
    const one = denseModel()
    await historyOf(train(one, { ...options, epochs: 1, emaDecay: 0.9 }))
    expect(weightsOf(model)).toEqual(weightsOf(one))
    const state = await finalState({ epochs: 1, emaDecay: 0.9 })
    const bare = denseModel()
    await historyOf(train(bare, { ...options, epochs: 1 }))
    expect(state.weights.map(([, { data }]) => [...data])).toEqual(weightsOf(bare))
    expect(state.average?.map(([, { data }]) => [...data])).toEqual(weightsOf(one))
  })

  it('leaves no tensor behind, and copies none when it changes places with the weights', async () => {
    const model = denseModel({ normalized: true })
    await historyOf(train(model, options))
    const before = tf.memory().numTensors
    await historyOf(train(model, { ...options, emaDecay: 0.9 }))
    expect(tf.memory().numTensors).toBe(before)
    const average = new WeightAverage(model, { decay: 0.9, movingStatistics: true })
    const bytes = tf.memory().numBytes
    average.exchange()
    expect(tf.memory().numBytes).toBe(bytes)
    average.dispose()
    expect(tf.memory().numTensors).toBe(before)
  })

  it('gives the weights back where an evaluation fails', async () => {
    const model = denseModel()
    const average = new WeightAverage(model, { decay: 0.9, movingStatistics: false })
    const before = weightsOf(model)
    model.setWeights(model.getWeights().map(weight => tf.add(weight, 1)))
    const moved = weightsOf(model)
    const failing = average.during(async () => {
      expect(weightsOf(model)).toEqual(before)
      throw new Error('no')
    })
    await expect(failing).rejects.toThrow('no')
    expect(weightsOf(model)).toEqual(moved)
  })
})

describe('a training refuses', () => {
  it.each([0, 1, Number.NaN])('the decay %d', async emaDecay => {
    await expect(allEvents(train(denseModel(), { ...options, emaDecay }))).rejects.toThrow(
      `train: emaDecay must be in (0, 1), got ${emaDecay}`,
    )
  })

  it('a state of another average, and leaves the model as it was', async () => {
    const state = await finalState({ epochs: 1, emaDecay: 0.9 })
    const refused = async (resume: TrainState, emaDecay: number | undefined) => {
      const model = denseModel({ seed: 3 })
      const before = weightsOf(model)
      const run = train(model, { ...options, ...(emaDecay !== undefined && { emaDecay }), resume })
      const error = await allEvents(run).catch((reason: Error) => reason.message)
      expect(weightsOf(model)).toEqual(before)
      return error
    }
    expect(await refused(state, 0.8)).toBe(
      'train: checkpoint must be of this configuration, got emaDecay 0.9 (this run has 0.8)',
    )
    expect(await refused(state, undefined)).toBe(
      'train: checkpoint must be of this configuration, got emaDecay 0.9 (this run has nothing)',
    )
    const { average = [], ...without } = state
    expect(await refused(without, 0.9)).toBe('train: checkpoint must have averages of 4 weights, got 0')
    const turned = { ...state, average: [...average].reverse() }
    expect(await refused(turned, 0.9)).toMatch(
      /^train: checkpoint must have an average of .*kernel \[16, 8\], got .*bias \[3\]$/,
    )
  })
})

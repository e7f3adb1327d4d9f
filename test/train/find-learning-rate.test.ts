import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { automaticBatchSize } from '../../src/train/batch-size.js'
import { findLearningRate, type LearningRateSearch } from '../../src/train/find-learning-rate.js'
import { train } from '../../src/train/loop.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, denseModel, historyOf, weightsOf } from './tasks.js'

beforeAll(() => useTestBackend())

const search: LearningRateSearch = {
  train: brightRows(60, 3, 1),
  batchSize: 20,
  optimizer: { name: 'sgd', learningRate: 1 },
  seed: 1,
}

describe('a search for a learning rate', () => {
  it('grows the rate by the same factor from step to step, and ends where the loss runs away', async () => {
    const { tried, suggestion } = await findLearningRate(denseModel(), { ...search, highest: 1e4, steps: 60 })
    expectAllClose(
      tried.slice(0, 3).map(({ learningRate }) => learningRate),
      [1e-6, 1e-6 * 1e10 ** (1 / 59), 1e-6 * 1e10 ** (2 / 59)],
      1e-9,
      0,
    )
    expect(tried.length).toBeLessThan(60)
    const [first, second] = tried
    expect(first?.smoothed).toBeCloseTo(first?.loss ?? 0, 6)
    expect(second?.smoothed).toBeCloseTo((0.9 * (first?.loss ?? 0) + (second?.loss ?? 0)) / 1.9, 6)
    const least = tried.slice(5).reduce((best, each) => (each.smoothed < best.smoothed ? each : best))
    expect(suggestion).toBeCloseTo(least.learningRate / 10, 12)
  })

  it('suggests a rate that trains better than one a hundredth as large', async () => {
    const { suggestion = 0 } = await findLearningRate(denseModel(), search)
    const lossWith = async (learningRate: number) => {
      const optimizer = { name: 'sgd', learningRate } as const
      const { train: images, batchSize, seed } = search
      const history = await historyOf(
        train(denseModel(), { train: images as never, batchSize, seed, epochs: 5, optimizer }),
      )
      return history.at(-1)?.trainLoss ?? Infinity
    }
    expect(await lossWith(suggestion)).toBeLessThan(await lossWith(suggestion / 100))
  })

  it('leaves model and memory as they were, whatever the optimizer, its schedule and its end', async () => {
    const model = denseModel({ normalized: true })
    await findLearningRate(model, { ...search, steps: 10 })
    const before = weightsOf(model)
    const { numTensors } = tf.memory()
    const optimizer = { name: 'adamw', learningRate: 1, schedule: 'plateau', warmupEpochs: 2 } as const
    await findLearningRate(model, { ...search, optimizer, steps: 12, labelSmoothing: 0.1 })
    expect(weightsOf(model)).toEqual(before)
    const aborted = findLearningRate(model, { ...search, signal: AbortSignal.abort(new Error('enough')) })
    await expect(aborted).rejects.toThrow('enough')
    expect(weightsOf(model)).toEqual(before)
    expect(tf.memory().numTensors).toBe(numTensors)
  })

  it('suggests nothing where the loss never falls', async () => {
    const images = brightRows(20, 3, 1)
    const still = { ...search, train: images, lowest: 1e-30, highest: 1e-29, steps: 10 }
    expect((await findLearningRate(denseModel(), still)).suggestion).toBeUndefined()
  })

  it.each([
    [{ lowest: 0 }, 'findLearningRate: lowest must be greater than 0, got 0'],
    [{ highest: 1e-7 }, 'findLearningRate: highest must be greater than lowest, got 1e-7 (lowest 0.000001)'],
    [{ steps: 9 }, 'findLearningRate: steps must be an integer of at least 10, got 9'],
  ])('refuses %o', async (options, message) => {
    await expect(findLearningRate(denseModel(), { ...search, ...options })).rejects.toThrow(
      new RangeError(message),
    )
  })
})

describe('an automatic batch size', () => {
  const { batchSize: _, ...options } = search
  const many = { ...options, train: brightRows(3000, 3, 1) }

  it('is the largest power of two that memory, images and the limit allow', async () => {
    const model = denseModel({ normalized: true })
    const before = weightsOf(model)
    const { numTensors } = tf.memory()
    const chosen = (memory: number, most?: number) =>
      automaticBatchSize(model, { ...many, memory, ...(most !== undefined && { most }) })
    expect(await chosen(1e12)).toMatchObject({ batchSize: 128, limit: 'most' })
    expect(await chosen(1e12, 50)).toMatchObject({ batchSize: 32, limit: 'most' })
    expect(await chosen(1e12, 1000)).toMatchObject({ batchSize: 256, limit: 'images' })
    const { bytes } = await chosen(1e12, 16)
    expect(await chosen(bytes, 64)).toEqual({ batchSize: 16, bytes, limit: 'memory' })
    expect(weightsOf(model)).toEqual(before)
    expect(tf.memory().numTensors).toBe(numTensors)
  })

  it.each([
    [3, 2],
    [30, 8],
    [160, 16],
  ])('of %d images is %d: at least ten steps an epoch, from 8 images on', async (count, batchSize) => {
    const set = { ...options, train: brightRows(count, 3, 1) }
    expect(await automaticBatchSize(denseModel(), { ...set, memory: 1e12 })).toMatchObject({
      batchSize,
      limit: 'images',
    })
  })

  it('is refused where it is out of range, or no image fits', async () => {
    const refused = (changed: { memory: number; most?: number }) =>
      expect(automaticBatchSize(denseModel(), { ...options, ...changed })).rejects
    await refused({ memory: 0 }).toThrow('automaticBatchSize: memory must be greater than 0, got 0')
    await refused({ memory: 1e9, most: 0.5 }).toThrow(
      'automaticBatchSize: most must be a positive integer, got 0.5',
    )
    await refused({ memory: 10 }).toThrow(
      /^automaticBatchSize: memory must hold a step of 1 image, \d+ bytes, got 10$/,
    )
  })
})

import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { batches, epochOrder } from '../../src/data/batches.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { deriveSeed } from '../../src/random.js'
import { recomputeStatistics } from '../../src/train/bn-statistics.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, denseModel } from './tasks.js'

beforeAll(() => useTestBackend())

/** Normalizes the flattened pixels: its statistics can be computed from the bytes. */
function pixelStatistics(): tf.Sequential {
  const model = tf.sequential()
  model.add(tf.layers.flatten({ inputShape: [4, 4, 1] }))
  model.add(tf.layers.batchNormalization({ momentum: 0.97 }))
  model.add(tf.layers.dense({ units: 3 }))
  return model
}

function moving(model: tf.LayersModel): { mean: number[]; variance: number[] } {
  const named = (name: string) => [
    ...(model.weights
      .find(w => w.originalName.endsWith(name))
      ?.read()
      .dataSync() ?? []),
  ]
  return { mean: named('moving_mean'), variance: named('moving_variance') }
}

/** Mean over the batches of each pixel's mean and (biased) variance, as the doc comment has it. */
function expectedStatistics(set: ImageSet, batchSize: number, used: number, seed: number) {
  const order = epochOrder(set.count, deriveSeed(seed, 'statistics'), 0).subarray(0, used)
  const mean = new Array<number>(16).fill(0)
  const variance = new Array<number>(16).fill(0)
  const all = [...batches(set, { batchSize, order })]
  for (const { images, count } of all) {
    for (let pixel = 0; pixel < 16; pixel++) {
      const values = Array.from({ length: count }, (_, i) => (images[i * 16 + pixel] ?? 0) / 255)
      const m = values.reduce((a, b) => a + b, 0) / count
      const v = values.reduce((a, b) => a + (b - m) ** 2, 0) / count
      mean[pixel] = (mean[pixel] ?? 0) + m / all.length
      variance[pixel] = (variance[pixel] ?? 0) + v / all.length
    }
  }
  return { mean, variance }
}

describe('recomputeStatistics', () => {
  // The backends report the biased or the unbiased variance of a batch, which differ by 8/7 at batch size 8.
  it('is the plain average over whole training batches', async () => {
    const set = brightRows(30, 3, 7)
    const model = pixelStatistics()
    expect(await recomputeStatistics(model, set, { batchSize: 8, seed: 5 })).toBe(24)
    const expected = expectedStatistics(set, 8, 24, 5)
    const { mean, variance } = moving(model)
    for (let pixel = 0; pixel < 16; pixel++) {
      expect(mean[pixel]).toBeCloseTo(expected.mean[pixel] ?? Number.NaN, 5)
      const ratio = (variance[pixel] ?? Number.NaN) / (expected.variance[pixel] ?? Number.NaN)
      expect([1, 8 / 7].some(factor => Math.abs(ratio - factor) < 1e-3)).toBe(true)
    }
  })

  it('forgets earlier statistics wholly, and repeats itself', async () => {
    const set = brightRows(24, 3, 7)
    const model = pixelStatistics()
    await recomputeStatistics(model, set, { batchSize: 8, seed: 5 })
    const first = moving(model)
    for (const weight of model.weights.filter(w => w.originalName.includes('moving_'))) {
      weight.write(tf.fill([16], 1e30))
    }
    await recomputeStatistics(model, set, { batchSize: 8, seed: 5 })
    expect(moving(model)).toEqual(first)
  })

  it('uses at most the examples that are asked for, and all of a set smaller than a batch', async () => {
    const set = brightRows(30, 3, 7)
    const model = pixelStatistics()
    expect(await recomputeStatistics(model, set, { batchSize: 8, examples: 17, seed: 1 })).toBe(16)
    expect(await recomputeStatistics(model, set, { batchSize: 64, seed: 1 })).toBe(30)
    const expected = expectedStatistics(set, 64, 30, 1)
    expect(moving(model).mean[3]).toBeCloseTo(expected.mean[3] ?? Number.NaN, 5)
    expect(await recomputeStatistics(model, brightRows(1003, 3, 7), { batchSize: 50, seed: 1 })).toBe(1000)
  })

  it('reaches layers in nested models, and restores every momentum', async () => {
    const inner = pixelStatistics()
    const outer = tf.sequential()
    outer.add(inner)
    const set = brightRows(16, 3, 2)
    await recomputeStatistics(outer, set, { batchSize: 16, seed: 1 })
    const expected = expectedStatistics(set, 16, 16, 1)
    expect(moving(inner).mean[0]).toBeCloseTo(expected.mean[0] ?? Number.NaN, 5)
    expect(inner.layers[1]?.getConfig().momentum).toBe(0.97)
  })

  it('leaves trainable weights alone and no tensor behind, also when aborted', async () => {
    const set = brightRows(16, 3, 2)
    const model = denseModel({ normalized: true })
    const trainable = () => model.trainableWeights.map(w => [...w.read().dataSync()])
    const before = trainable()
    const tensors = tf.memory().numTensors
    await recomputeStatistics(model, set, { batchSize: 4, seed: 1 })
    const signal = AbortSignal.abort(new Error('enough'))
    await expect(recomputeStatistics(model, set, { batchSize: 4, seed: 1, signal })).rejects.toThrow('enough')
    expect(trainable()).toEqual(before)
    expect(tf.memory().numTensors).toBe(tensors)
    expect(model.layers[2]?.getConfig().momentum).toBe(0.9)
  })

  it('does nothing for a model without statistics', async () => {
    expect(await recomputeStatistics(denseModel(), brightRows(8, 3, 2), { batchSize: 4, seed: 1 })).toBe(0)
  })

  it('refuses what is out of range', async () => {
    const model = pixelStatistics()
    const set = brightRows(8, 3, 2)
    const refuse = (changed: object, options: object, message: string) =>
      expect(
        recomputeStatistics(model, { ...set, ...changed }, { batchSize: 4, seed: 1, ...options }),
      ).rejects.toThrow(message)
    await refuse({}, { batchSize: 0 }, 'recomputeStatistics: batchSize must be a positive integer, got 0')
    await refuse({}, { examples: 2.5 }, 'recomputeStatistics: examples must be a positive integer, got 2.5')
    await refuse({ count: 0 }, {}, 'recomputeStatistics: set must hold at least 1 image, got 0')
    await refuse({ shape: [2, 8, 1] }, {}, "recomputeStatistics: set must fit the model's input [4, 4, 1]")
  })
})

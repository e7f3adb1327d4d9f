import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { recomputeActivations } from '../../src/layers/recomputation.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { epochScalars } from '../../src/train/tensorboard.js'
import { upload } from '../../src/train/upload.js'
import { useTestBackend } from '../backend-under-test.js'
import { type NoisyScale, noisyModel } from './noisy-experts.js'
import { allEvents, brightRows, denseModel, historyOf, weightsOf, withoutClock } from './tasks.js'

beforeAll(() => useTestBackend())

const rows = brightRows(30, 3, 1)
const base: TrainOptions = {
  train: rows,
  epochs: 2,
  batchSize: 8,
  optimizer: { name: 'sgd', learningRate: 0.1 },
  seed: 5,
}
const wholeBatch: TrainOptions = { ...base, epochs: 1, batchSize: rows.count }

/** The activations of the noiseless layer for all images, and their mean square. */
function activations(model: tf.Sequential): { hidden: tf.Tensor; meanSquare: number } {
  const hidden = model.layers
    .slice(0, 3)
    .reduce<tf.Tensor>((x, layer) => layer.apply(x) as tf.Tensor, upload(rows.images, rows.shape))
  return { hidden, meanSquare: tf.mean(tf.square(hidden)).dataSync()[0] ?? Number.NaN }
}

describe('the balance loss of a run', () => {
  it('is added to the loss with its coefficient, and reported without', async () => {
    const [plain] = await historyOf(train(noisyModel({ amplitude: 0 }), wholeBatch))
    const model = noisyModel({ amplitude: 0 })
    const { meanSquare } = activations(model)
    const events = await allEvents(train(model, { ...wholeBatch, loadBalance: 0.25 }))
    const [step] = events.filter(({ type }) => type === 'step')
    const [epoch] = events.filter(({ type }) => type === 'epoch')
    expect(step).toHaveProperty('loadBalance', expect.closeTo(meanSquare, 5))
    expect(epoch).toHaveProperty('loadBalance', expect.closeTo(meanSquare, 5))
    expect(epoch).toHaveProperty(
      'trainLoss',
      expect.closeTo((plain?.trainLoss ?? Number.NaN) + 0.25 * meanSquare, 5),
    )
  })

  it('is differentiated: d mean(y^2)/dw = 2 mean(x^2) w a unit', async () => {
    const [plain, balanced] = [noisyModel({ amplitude: 0 }), noisyModel({ amplitude: 0 })]
    const { hidden } = activations(plain)
    const units = 6
    const expected = [...tf.div(tf.mul(tf.mean(tf.square(hidden), 0), 2), units).dataSync()]
    await historyOf(train(plain, wholeBatch))
    await historyOf(train(balanced, { ...wholeBatch, loadBalance: 0.25 }))
    const scaleOf = (model: tf.Sequential) => weightsOf(model)[2] ?? []
    const differences = scaleOf(plain).map((scale, unit) => (scale - (scaleOf(balanced)[unit] ?? 0)) / 0.1)
    for (const [unit, difference] of differences.entries()) {
      expect(difference).toBeCloseTo(0.25 * (expected[unit] ?? Number.NaN), 4)
    }
  })

  it('is the mean over images, not over batches', async () => {
    const events = await allEvents(train(noisyModel(), { ...base, loadBalance: 0.01 }))
    const steps = events.flatMap(event => (event.type === 'step' && event.epoch === 1 ? [event] : []))
    const sum = steps.reduce(
      (total, { loadBalance = Number.NaN }, i) => total + loadBalance * (i < 3 ? 8 : 6),
      0,
    )
    expect(events.find(({ type }) => type === 'epoch')).toHaveProperty('loadBalance', sum / 30)
  })

  it('is absent without a coefficient', async () => {
    const events = await allEvents(train(noisyModel(), base))
    expect(events.filter(event => 'loadBalance' in event)).toEqual([])
    const same = await historyOf(train(noisyModel(), { ...base, loadBalance: 0 }))
    expect(same.every(epoch => !('loadBalance' in epoch))).toBe(true)
  })

  it('is a curve of TensorBoard', async () => {
    const [epoch] = await historyOf(train(noisyModel(), { ...base, epochs: 1, loadBalance: 0.01 }))
    if (!epoch) throw new Error('no epoch')
    const points = epochScalars(epoch, 0).filter(({ tag }) => tag === 'loss/balance')
    expect(points).toEqual([{ tag: 'loss/balance', value: epoch.loadBalance, step: 4, wallTime: 0 }])
  })

  it('leaks nothing, and is the same with recomputed activations', async () => {
    const options = { ...base, loadBalance: 0.1 }
    const model = noisyModel()
    const before = tf.memory().numTensors
    const history = await historyOf(train(model, options))
    expect(tf.memory().numTensors).toBe(before)
    recomputeActivations(true)
    try {
      const again = await historyOf(train(noisyModel(), options))
      expect(withoutClock(again)).toEqual(withoutClock(history))
    } finally {
      recomputeActivations(false)
    }
  })

  it('is refused where no layer gives it, or below 0', async () => {
    const run = (model: tf.LayersModel, loadBalance: number) =>
      historyOf(train(model, { ...base, loadBalance }))
    await expect(run(denseModel(), 0.01)).rejects.toThrow(
      new RangeError('train: loadBalance must be 0 for a model without a layer of experts, got 0.01'),
    )
    for (const wrong of [-0.01, Number.NaN, Infinity]) {
      await expect(run(noisyModel(), wrong)).rejects.toThrow(
        new RangeError(`train: loadBalance must be a number of at least 0, got ${wrong}`),
      )
    }
  })

  it('is refused where a layer lists it and does not add it', async () => {
    const model = denseModel()
    Object.assign(model.layers[1] as object, { auxiliaryTerms: ['load-balance'] })
    await expect(historyOf(train(model, { ...base, loadBalance: 1 }))).rejects.toThrow(
      new RangeError('train: load-balance must be added by the layers that list it, got none'),
    )
  })
})

/** A map of 8x8, of which two experts choose 2 of 16 patches, and logits. */
function patchModel({ numExperts = 2, seed = 1 } = {}): tf.Sequential {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        inputShape: [8, 8, 1],
        filters: 3,
        kernelSize: 3,
        padding: 'same',
        kernelInitializer: tf.initializers.glorotUniform({ seed }),
      }),
      patchMoE({
        numExperts,
        patchesPerExpert: 2,
        patchSize: 2,
        filters: 2 * numExperts,
        routerInitializer: tf.initializers.randomNormal({ stddev: 0.3, seed: seed + 1 }),
        seed,
      }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 3, kernelInitializer: tf.initializers.glorotUniform({ seed: seed + 2 }) }),
    ],
  })
}

describe('the terms of experts that choose patches', () => {
  const images = brightRows(30, 3, 1, 8)
  const terms = { loadBalance: 0.5, diversity: 2 }
  const options: TrainOptions = { ...base, train: images }

  it('are added with their coefficients, and reported without', async () => {
    const whole: TrainOptions = { ...options, epochs: 1, batchSize: images.count }
    const [plain] = await historyOf(train(patchModel(), whole))
    const [epoch] = await historyOf(train(patchModel(), { ...whole, ...terms }))
    const { trainLoss = 0, loadBalance = 0, diversity = 0 } = epoch ?? {}
    expect(diversity).toBeGreaterThan(0)
    expect(diversity).toBeLessThanOrEqual(1.00001)
    expect(trainLoss - (plain?.trainLoss ?? Number.NaN)).toBeCloseTo(0.5 * loadBalance + 2 * diversity, 4)
    const tags = epoch ? epochScalars(epoch, 0).map(({ tag }) => tag) : []
    expect(tags).toEqual(expect.arrayContaining(['loss/balance', 'loss/diversity']))
  })

  it('move routers apart', async () => {
    const long: TrainOptions = { ...options, epochs: 10 }
    const lastOf = async (diversity: number) =>
      (await historyOf(train(patchModel(), { ...long, diversity }))).at(-1)?.diversity ?? Number.NaN
    expect(await lastOf(3)).toBeLessThan((await lastOf(1e-6)) - 0.05)
  })

  it('give the same numbers with recomputed activations, and after a stop and a resume', async () => {
    const asked = { ...options, ...terms }
    const before = tf.memory().numTensors
    const model = patchModel()
    const weights = model.weights.length
    const history = await historyOf(train(model, asked))
    expect(tf.memory().numTensors - before).toBe(weights)
    recomputeActivations(true)
    try {
      expect(withoutClock(await historyOf(train(patchModel(), asked)))).toEqual(withoutClock(history))
    } finally {
      recomputeActivations(false)
    }
    const store = memoryStore()
    const controller = new AbortController()
    const stopped = { ...asked, checkpoints: store, checkpointSteps: 1, signal: controller.signal }
    for await (const event of train(patchModel(), stopped)) {
      if (event.type === 'step' && event.step === 2) controller.abort()
    }
    const bytes = await store.read(latestCheckpoint)
    if (!bytes) throw new Error('no checkpoint')
    const resume = readCheckpoint(bytes, 'test')
    expect(resume.running.diversitySum).toBeGreaterThan(0)
    const resumed = patchModel({ seed: 4 })
    expect(withoutClock(await historyOf(train(resumed, { ...asked, resume })))).toEqual(withoutClock(history))
    expect(weightsOf(resumed)).toEqual(weightsOf(model))
  })

  it('are refused where no layer gives them, or below 0', async () => {
    const run = (model: tf.LayersModel, more: Partial<TrainOptions>) =>
      historyOf(train(model, { ...options, ...more }))
    const without =
      'train: diversity must be 0 for a model without a layer of 2 experts or more that choose patches'
    await expect(run(patchModel({ numExperts: 1 }), { diversity: 0.5 })).rejects.toThrow(
      new RangeError(`${without}, got 0.5`),
    )
    await expect(historyOf(train(noisyModel(), { ...base, diversity: 0.1 }))).rejects.toThrow(
      new RangeError(`${without}, got 0.1`),
    )
    for (const wrong of [-1, Number.NaN, Infinity]) {
      await expect(run(patchModel(), { diversity: wrong })).rejects.toThrow(
        new RangeError(`train: diversity must be a number of at least 0, got ${wrong}`),
      )
    }
  })
})

describe('the noise of a run', () => {
  it('differs from step to step, and returns to the layer when the run ends', async () => {
    const model = noisyModel()
    await historyOf(train(model, base))
    const { stepSeeds } = model.layers[2] as NoisyScale
    expect(stepSeeds.at(-1)).toBeUndefined()
    const used = stepSeeds.slice(0, -1)
    expect(used).toHaveLength(8)
    expect(new Set(used).size).toBe(8)
  })

  it.each([1, 3])('repeats when the run was stopped after step %i and resumed', async stopAfter => {
    const options = { ...base, loadBalance: 0.1 }
    const model = noisyModel()
    const history = await historyOf(train(model, options))
    const store = memoryStore()
    const controller = new AbortController()
    const stopped = { ...options, checkpoints: store, checkpointSteps: 1, signal: controller.signal }
    for await (const event of train(noisyModel(), stopped)) {
      if (event.type === 'step' && event.step === stopAfter) controller.abort()
    }
    const bytes = await store.read(latestCheckpoint)
    if (!bytes) throw new Error('no checkpoint')
    const resume = readCheckpoint(bytes, 'test')
    expect(resume.running.loadBalanceSum).toBeGreaterThan(0)
    const resumed = noisyModel({ seed: 2 })
    const again = await historyOf(train(resumed, { ...options, resume }))
    expect(withoutClock(again)).toEqual(withoutClock(history))
    expect(weightsOf(resumed)).toEqual(weightsOf(model))
  })
})

describe('terms that nothing trained changes', () => {
  const mixtureModel = () => {
    const layers = [
      tf.layers.conv2d({ inputShape: [4, 4, 1], filters: 2, kernelSize: 3, padding: 'same', name: 'stem' }),
      patchMoE({
        ...{ numExperts: 2, patchesPerExpert: 1, patchSize: 2, filters: 2, name: 'moe' },
        preActivation: 'batch-norm-relu',
      }),
    ]
    return tf.sequential({
      layers: [...layers, tf.layers.flatten(), tf.layers.dense({ units: 3, name: 'logits' })],
    })
  }
  const images = { ...brightRows(12, 3, 1), shape: [4, 4, 1] as const, images: new Uint8Array(12 * 16) }
  const trainFrozen = (freeze: Partial<TrainOptions>) =>
    historyOf(train(mixtureModel(), { ...base, train: images, epochs: 1, diversity: 0.5, ...freeze }))

  it.each([
    [{ trainOnly: ['logits'] }],
    [{ freezeUntil: 'moe' }],
    [{ freeze: ['stem'], freezeRouters: true }],
    // Its normalization uses its averages as they are: the layer computes as in an evaluation, and adds no terms.
    [{ freeze: ['moe'] }],
  ])('are refused: %j', async freeze => {
    await expect(trainFrozen(freeze)).rejects.toThrow(
      new RangeError('train: diversity must be 0 where nothing that is trained changes it, got 0.5 (moe)'),
    )
  })

  it.each([
    [{ freezeRouters: true }],
    [{ freezeUntil: 'stem' }],
    [{ trainOnly: ['moe/router', 'logits'] }],
    [{ freeze: ['moe'], frozenStatistics: 'followed' }],
  ] as const)(
    'are not those of a layer before the experts, of a router, or of one that is trained later: %j',
    async freeze => {
      expect((await trainFrozen(freeze)).length).toBeGreaterThan(0)
    },
  )

  it('are left out until a layer that adds them is unfrozen', async () => {
    const history = await trainFrozen({ freezeUntil: 'moe', unfreezeEvery: 1, epochs: 2 })
    expect(history.map(epoch => 'diversity' in epoch)).toEqual([false, true])
  })
})

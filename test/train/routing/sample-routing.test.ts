import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ImageSet } from '../../../src/data/image-set.js'
import { type SampleMoE, sampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { random } from '../../../src/random.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../../src/train/checkpoint.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { type TrainOptions, train } from '../../../src/train/loop.js'
import {
  measureSampleRouting,
  summarizeSampleRouting,
} from '../../../src/train/routing/sample-routing-metrics.js'
import { epochScalars } from '../../../src/train/tensorboard.js'
import { useTestBackend } from '../../backend-under-test.js'
import { denseModel, historyOf, weightsOf, withoutClock } from '../tasks.js'

beforeAll(() => useTestBackend())

/** Samples of 2 patches with 3 channels; those of group g have channel g at 1 and the class in the sign of channel 2. */
function pairs(count: number): ImageSet {
  const source = random(3, 'pairs')
  const groups = Int32Array.from({ length: count }, (_, i) => i % 2)
  const labels = Int32Array.from({ length: count }, () => source.below(2))
  const images = new Float32Array(count * 6)
  for (let i = 0; i < count; i++) {
    images[i * 6 + (groups[i] ?? 0)] = 1
    images[i * 6 + 5] = (labels[i] === 1 ? 1 : -1) * (0.5 + source.next())
  }
  return {
    images,
    labels,
    groups,
    count,
    shape: [2, 1, 3],
    classNames: ['down', 'up'],
    groupNames: ['cluster 1', 'cluster 2'],
  }
}

/** A mixture of 3 experts behind the input, whose router sends group 0 to expert 0 and group 1 to expert 2. */
function mixture({
  gate = 'softmax',
  routingNoise = 1,
}: {
  gate?: 'softmax' | 'raw'
  routingNoise?: number
} = {}): {
  model: tf.LayersModel
  layer: SampleMoE
} {
  const layer = sampleMoE({ numExperts: 3, outputs: 2, patchSize: 1, gate, routingNoise, seed: 4 })
  const input = tf.input({ shape: [2, 1, 3] })
  const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
  const [, ...experts] = layer.getWeights()
  // Channels x experts.
  const sends = tf.tensor4d([0.4, 0, 0, 0, 0, 0.4, 0, 0, 0], [1, 1, 3, 3])
  layer.setWeights([sends, ...experts])
  sends.dispose()
  return { model, layer }
}

describe('measureSampleRouting', () => {
  it('counts which expert each sample of a group chose', async () => {
    const [metrics] = await measureSampleRouting(mixture().model, pairs(9), { batchSize: 4 })
    expect(metrics).toMatchObject({
      images: 9,
      parts: 'groups',
      partNames: ['cluster 1', 'cluster 2'],
      expertNames: ['0', '1', '2'],
      deadExperts: [1],
      negativeGates: 0,
    })
    expect(metrics?.dispatch.counts).toEqual([
      [5, 0, 0],
      [0, 0, 4],
    ])
    expect(metrics?.dispatch.entropy).toBe(0)
    expect(metrics).not.toHaveProperty('noise')
  })

  it('counts by classes where the set has no groups', async () => {
    const { groups: _, groupNames: __, ...set } = pairs(9)
    const [metrics] = await measureSampleRouting(mixture().model, set)
    const ups = set.labels.filter(label => label === 1).length
    expect(metrics?.parts).toBe('classes')
    expect(metrics?.dispatch.counts.map(row => row.reduce((sum, count) => sum + count, 0))).toEqual([
      9 - ups,
      ups,
    ])
  })

  it('repeats with noise, the same for the same seed', async () => {
    const { model } = mixture()
    const set = pairs(200)
    const measured = async (seed: number) =>
      (await measureSampleRouting(model, set, { routingNoise: true, seed }))[0]
    const [first, again, other] = [await measured(1), await measured(1), await measured(2)]
    expect(first?.noise?.dispatch.entropy).toBeGreaterThan(0)
    expect(first?.noise).toEqual(again?.noise)
    expect(first?.noise?.dispatch.counts).not.toEqual(other?.noise?.dispatch.counts)
    expect(first?.dispatch.entropy).toBe(0)
    // h = (0.4, 0, 0) and r of U[0, 1): the first stays ahead with probability 0.4 + the integral of u^2 over [0.4, 1].
    const stays = 0.4 + (1 - 0.4 ** 3) / 3
    expect((first?.noise?.dispatch.counts[0]?.[0] ?? 0) / 100).toBeCloseTo(stays, 0)
  })

  it('tells the share of negative gates', async () => {
    const { model, layer } = mixture({ gate: 'raw' })
    const [, kernel, bias] = layer.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor]
    // Scores of group 0 are -1, -2, -3; of group 1 they are 1, 0, 0.
    const router = tf.tensor4d([-1, -2, -3, 1, 0, 0, 0, 0, 0], [1, 1, 3, 3])
    layer.setWeights([router, kernel, bias])
    const [metrics] = await measureSampleRouting(model, pairs(8))
    expect(metrics?.negativeGates).toBe(0.5)
    expect(metrics?.deadExperts).toEqual([1, 2])
    expect(metrics?.dispatch.entropy).toBeCloseTo(Math.log(2), 6)
  })

  it('finds layers behind others, and in nested models', async () => {
    const { model } = mixture()
    const input = tf.input({ shape: [2, 1, 3] })
    const scaled = tf.layers.activation({ activation: 'linear' }).apply(input) as tf.SymbolicTensor
    const outer = tf.model({ inputs: input, outputs: model.apply(scaled) as tf.SymbolicTensor })
    const before = tf.memory().numTensors
    const [metrics] = await measureSampleRouting(outer, pairs(9), { routingNoise: true })
    expect(metrics?.dispatch.counts).toEqual([
      [5, 0, 0],
      [0, 0, 4],
    ])
    expect(metrics?.noise?.dispatch.sent).toBe(9)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is nothing for other models, and for a single expert', async () => {
    expect(await measureSampleRouting(denseModel(), pairs(4))).toEqual([])
    const layer = sampleMoE({ numExperts: 1, outputs: 2, patchSize: 1, gate: 'uniform' })
    const input = tf.input({ shape: [2, 1, 3] })
    const single = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
    expect(await measureSampleRouting(single, pairs(4))).toEqual([])
    expect(await evaluate(single, pairs(4), { batchSize: 4 })).not.toHaveProperty('routing')
  })

  it('refuses a batch size that is no positive integer', async () => {
    await expect(measureSampleRouting(mixture().model, pairs(4), { batchSize: 0 })).rejects.toThrow(
      new RangeError('measureSampleRouting: batchSize must be a positive integer, got 0'),
    )
  })

  it('counts every choice of samples that choose several experts', async () => {
    const layer = sampleMoE({ numExperts: 3, outputs: 2, patchSize: 1, expertsPerSample: 2 })
    const input = tf.input({ shape: [2, 1, 3] })
    const model = tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
    const set = pairs(9)
    const [metrics] = await measureSampleRouting(model, set)
    // All scores are 0: of equal ones the first two.
    expect(metrics?.dispatch.counts).toEqual([
      [5, 5, 0],
      [4, 4, 0],
    ])
    expect((await evaluate(model, set, { batchSize: 4 })).routing).toEqual([metrics])
  })
})

describe('evaluate', () => {
  it('measures the routing in passing, and everything once more with noise', async () => {
    const { model } = mixture()
    const set = pairs(50)
    const before = tf.memory().numTensors
    const plain = await evaluate(model, set, { batchSize: 16 })
    const noisy = await evaluate(model, set, { batchSize: 16, routingNoise: true, seed: 3 })
    expect(tf.memory().numTensors).toBe(before)
    const options = { batchSize: 16, routingNoise: true, seed: 3 }
    expect(noisy.routing).toEqual(await measureSampleRouting(model, set, options))
    const { withNoise, routing: _, ...scores } = noisy
    const { routing: __, ...alone } = plain
    expect(scores).toEqual(alone)
    expect(withNoise?.perGroup).toHaveLength(2)
  })

  it('computes with the noise that it counts by', async () => {
    // All samples go where the noise sends them; with the raw gate the output is 0 without it.
    const { model, layer } = mixture({ gate: 'raw' })
    const [, kernel, bias] = layer.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor]
    layer.setWeights([tf.zeros([1, 1, 3, 3]), tf.mul(kernel, 1e4), bias])
    const { loss, withNoise } = await evaluate(model, pairs(20), { batchSize: 8, routingNoise: true })
    expect(loss).toBeCloseTo(Math.log(2), 6)
    expect(withNoise?.loss).not.toBeCloseTo(Math.log(2), 3)
  })

  it('refuses noise for other models', async () => {
    await expect(
      evaluate(denseModel(), { ...pairs(4), shape: [4, 4, 1] }, { batchSize: 4, routingNoise: true }),
    ).rejects.toThrow()
    const layer = tf.layers.flatten({ inputShape: [2, 1, 3] })
    const model = tf.sequential({ layers: [layer, tf.layers.dense({ units: 2 })] })
    await expect(evaluate(model, pairs(4), { batchSize: 4, routingNoise: true })).rejects.toThrow(
      new RangeError('evaluate: routingNoise must be for a model that sends samples to experts, got none'),
    )
  })
})

describe('training of a mixture of whole samples', () => {
  const set = pairs(40)
  const options: TrainOptions = {
    train: set,
    test: pairs(30),
    epochs: 4,
    batchSize: 40,
    optimizer: {
      name: 'normalized-gd',
      learningRate: 0.01,
      layerRates: [{ pattern: '*/router', learningRate: 0.1 }],
    },
    seed: 2,
    loadBalance: 0.01,
    routingMetrics: true,
  }

  it('reports entropies, dead experts, and the balance loss of each epoch', async () => {
    const { model } = mixture()
    const history = await historyOf(train(model, options))
    const last = history.at(-1)
    const [trained] = await measureSampleRouting(model, set)
    const [tested] = await measureSampleRouting(model, pairs(30))
    if (!trained || !tested || !last) throw new Error('no routing')
    expect(last.sampleRouting).toEqual(summarizeSampleRouting([trained], [tested]))
    expect(last.loadBalance).toBeGreaterThan(0)
    const tags = epochScalars(last, 0).map(({ tag }) => tag)
    expect(tags).toEqual(expect.arrayContaining(['routing/dispatch entropy train', 'loss/balance']))
  })

  it('moves each expert that got samples by the learning rate, and the others not at all', async () => {
    const { model } = mixture({ routingNoise: 0 })
    const before = weightsOf(model)
    await historyOf(train(model, { ...options, epochs: 1 }))
    const squares = [0, 0, 0]
    for (const i of [1, 2]) {
      for (const [j, value] of (weightsOf(model)[i] ?? []).entries()) {
        const expert = Math.floor((j % 48) / 16)
        squares[expert] = (squares[expert] ?? 0) + (value - (before[i]?.[j] ?? 0)) ** 2
      }
    }
    const [first, second, third] = squares.map(Math.sqrt)
    expect(first).toBeCloseTo(0.01, 5)
    expect(second).toBe(0)
    expect(third).toBeCloseTo(0.01, 5)
  })

  it.each([
    ['full batches', 40],
    ['several batches', 11],
  ])('repeats its noise when it is stopped and resumed, with %s', async (_, batchSize) => {
    const whole = { ...options, batchSize }
    const { model } = mixture()
    const history = await historyOf(train(model, whole))
    const store = memoryStore()
    const controller = new AbortController()
    const stopped = { ...whole, checkpoints: store, signal: controller.signal }
    for await (const event of train(mixture().model, stopped)) {
      if (event.type === 'step' && event.epoch === 3) controller.abort()
    }
    const bytes = await store.read(latestCheckpoint)
    if (!bytes) throw new Error('no checkpoint')
    const resumed = mixture().model
    const again = await historyOf(train(resumed, { ...whole, resume: readCheckpoint(bytes, 'test') }))
    expect(withoutClock(again)).toEqual(withoutClock(history))
    expect(weightsOf(resumed)).toEqual(weightsOf(model))
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { type SampleExperts, sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { expertScores, pruneExperts } from '../../src/prune/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { applied, fillWeights, uniform } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Networks of one shape, so that only names tell their weights apart; the second layer normalizes. */
function expert(inputShape: readonly number[]): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({ inputShape: [...inputShape], filters: 2, kernelSize: 2, name: 'conv' }),
      tf.layers.batchNormalization({ name: 'norm' }),
      tf.layers.flatten({ name: 'flat' }),
      tf.layers.dense({ units: 3, name: 'dense' }),
    ],
  })
}

type Gate = 'raw' | 'softmax' | 'uniform'

function network(gate: Gate, expertsPerSample = 1): tf.LayersModel {
  const layer = sampleExperts({
    name: 'experts',
    numExperts: 4,
    patchSize: 2,
    routerBias: true,
    ...{ expert, gate, expertsPerSample },
  })
  const image = tf.input({ shape: [4, 4, 2] })
  return fillWeights(tf.model({ inputs: image, outputs: applied(layer, image), name: 'networks' }))
}

const layerOf = (model: tf.LayersModel) => model.getLayer('experts') as unknown as SampleExperts

const data = {
  images: Float32Array.from({ length: 7 * 32 }, (_, i) => Math.sin(3 * i)),
  labels: Int32Array.from([0, 1, 2, 0, 1, 2, 0]),
  count: 7,
  shape: [4, 4, 2] as const,
  classNames: ['a', 'b', 'c'],
}

/** The best of the experts that stay, each applied to all samples. */
function bruteForce(model: tf.LayersModel, kept: readonly number[], gate: Gate, x: tf.Tensor4D): number[] {
  const layer = layerOf(model)
  const scores = layer.route(x).scores.arraySync()
  const outputs = [...layer.networks.values()].map(each => (each.predict(x) as tf.Tensor2D).arraySync())
  return scores.flatMap((row, b) => {
    const best = kept.reduce((a, m) => (row[m]! > row[a]! ? m : a))
    const sum = kept.reduce((total, m) => total + Math.exp(row[m]! - row[best]!), 0)
    const factor = { raw: row[best]!, softmax: 1 / sum, uniform: 1 }[gate]
    return outputs[best]![b]!.map(value => factor * value)
  })
}

describe('pruning networks that samples choose', () => {
  it.each(['raw', 'softmax', 'uniform'] as const)(
    "leaves the networks that stay as they were, gate '%s'",
    async gate => {
      const model = network(gate)
      const x = uniform([9, 4, 4, 2]) as tf.Tensor4D
      const { scores } = (await expertScores(model, { criteria: ['router-magnitude'] }))['router-magnitude']
      const { model: pruned, receipt } = await pruneExperts(model, {
        criterion: 'router-magnitude',
        keep: 2,
        sample: x,
      })
      const byScore = [0, 1, 2, 3].toSorted((a, b) => scores[b]! - scores[a]!)
      const kept = byScore.slice(0, 2).toSorted((a, b) => a - b)
      expect(receipt).toMatchObject({ operator: 'reroute', kept, expertNames: kept.map(String) })
      expectAllClose((pruned.predict(x) as tf.Tensor).dataSync(), bruteForce(model, kept, gate, x))
      expect([...layerOf(pruned).networks.keys()]).toEqual(kept.map(m => `expert_${m}`))
      const gone = receipt.removed.map(m => `experts/expert_${m}/conv`)
      const lost = receipt.changedLayers.filter(({ after }) => after.length === 0).map(({ path }) => path)
      expect(lost).toEqual(expect.arrayContaining(gone))
      expect(receipt.parameters.after).toBeLessThan(receipt.parameters.before)
    },
  )

  it('keeps frozen networks frozen, and names, when pruned twice', async () => {
    const model = network('softmax', 2)
    ;[...layerOf(model).networks.values()][3]!.trainable = false
    const magnitude = { criterion: 'random', sample: uniform([5, 4, 4, 2]) } as const
    const first = await pruneExperts(model, { ...magnitude, keep: 3 })
    const { model: second, receipt } = await pruneExperts(first.model, { ...magnitude, keep: 2 })
    expect(layerOf(second).expertNames).toEqual(receipt.expertNames)
    for (const [name, { trainable }] of layerOf(second).networks) expect(trainable).toBe(name !== 'expert_3')
    expect(receipt.difference).toBeLessThan(1e-5)
  })

  it('scores them by what they do with images', async () => {
    const criteria = [
      'importance',
      'usage',
      'gate-mass',
      'activation-norm',
      'taylor',
      'expert-magnitude',
    ] as const
    const model = network('softmax')
    const scores = await expertScores(model, { criteria, data })
    const x = tf.tensor(data.images, [7, 4, 4, 2]) as tf.Tensor4D
    const chosen = [...layerOf(model).route(x).indices.dataSync()]
    const shares = [0, 1, 2, 3].map(m => chosen.filter(each => each === m).length / 7)
    expectAllClose(scores.usage.scores, shares)
    for (const [m, share] of shares.entries()) {
      if (share > 0) continue
      expect(scores['activation-norm'].scores[m]).toBe(0)
      expect(scores.taylor.scores[m]).toBe(0)
    }
    expectAllClose([scores.importance.scores.reduce((sum, value) => sum + value, 0)], [1])
    for (const value of scores['expert-magnitude'].scores) expect(value).toBeGreaterThan(0)
  })
})

describe('refuses', () => {
  it('the operator of experts that have no networks of their own', async () => {
    const options = { criterion: 'random', keep: 2, operator: 'zero' } as const
    await expect(pruneExperts(network('softmax'), options)).rejects.toThrow(
      'pruneExperts: operator must be \'reroute\' for the experts of experts (SampleExperts), got "zero"',
    )
  })

  it('fewer experts than each sample chooses', async () => {
    await expect(pruneExperts(network('raw', 3), { criterion: 'random', keep: 2 })).rejects.toThrow(
      "at least 3 experts must stay for operator 'reroute', as many as each sample chooses, got 2 (layer experts)",
    )
  })

  it('to take channels from them', async () => {
    const image = tf.input({ shape: [4, 4, 1] })
    const before = patchMoE({
      name: 'before',
      numExperts: 2,
      patchesPerExpert: 2,
      patchSize: 2,
      filters: 4,
      kernelSize: 1,
    })
    const layer = sampleExperts({ name: 'experts', numExperts: 2, patchSize: 2, expert })
    const model = tf.model({ inputs: image, outputs: applied(layer, applied(before, image)) })
    await expect(pruneExperts(model, { layer: 'before', criterion: 'random', keep: 1 })).rejects.toThrow(
      'got layer experts (SampleExperts): its experts are networks, which read all channels; operator',
    )
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type SampleMoE, sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { expertScores, mixturesOf, pruneExperts } from '../../src/prune/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { applied, fillWeights, uniform } from '../models/example-models.js'
import { type Golden, goldenOf, imagesOf, pretrained, tensorOf } from './golden-networks.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

function network(golden: Golden, gate: 'raw' | 'softmax'): tf.LayersModel {
  const experts = sampleMoE({
    name: 'experts',
    numExperts: 4,
    outputs: 2,
    filtersPerOutput: 2,
    patchSize: 2,
    gate,
    gateNoise: 'included',
  })
  const image = tf.input({ shape: [4, 4, 2] })
  const model = tf.model({ inputs: image, outputs: applied(experts, image) })
  experts.setWeights(['router', 'kernel', 'bias'].map(name => tensorOf(golden, name)))
  return model
}

function layerOf(model: tf.LayersModel): SampleMoE {
  return model.getLayer('experts') as unknown as SampleMoE
}

function outputOf(model: tf.LayersModel, golden: Golden): tf.Tensor {
  return model.predict(tensorOf(golden, 'x')) as tf.Tensor
}

describe.each([
  ['pruning_sample_moe_raw', 'raw'],
  ['pruning_sample_moe_softmax', 'softmax'],
] as const)('%s', (name, gate) => {
  const golden = goldenOf(name)

  it('computes the unpruned network', () => {
    const model = network(golden, gate)
    expectAllClose(outputOf(model, golden).dataSync(), golden('output').data)
    const { indices, gates } = layerOf(model).route(tensorOf(golden, 'x') as tf.Tensor4D)
    expect([...indices.dataSync()]).toEqual(golden('indices').data)
    expectAllClose(gates.dataSync(), golden('gates').data)
  })

  it('scores by every criterion as the golden does', async () => {
    const criteria = ['router-norm', 'importance', 'usage', 'gate-mass', 'activation-norm', 'taylor'] as const
    const scores = await expertScores(network(golden, gate), {
      criteria,
      reference: pretrained(golden),
      data: imagesOf(golden, 2),
      batchSize: 3,
    })
    for (const criterion of criteria) {
      expectAllClose(scores[criterion].scores, golden(`criterion_${criterion.replaceAll('-', '_')}`).data)
    }
  })

  it("lets pruned experts answer 0 and keeps the router with operator 'zero', the default", async () => {
    const model = network(golden, gate)
    const { model: pruned, receipt } = await pruneExperts(model, {
      reference: pretrained(golden),
      keep: 2,
      sample: tensorOf(golden, 'x'),
    })
    expect(receipt).toMatchObject({ operator: 'zero', kept: golden('keep').data })
    expectAllClose(outputOf(pruned, golden).dataSync(), golden('output_zero').data)
    const [router, kernel, bias] = layerOf(pruned).getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor]
    expect([...router.dataSync()]).toEqual(golden('router').data)
    expect([...kernel.dataSync()]).toEqual(golden('kernel_pruned').data)
    expect([...bias.dataSync()]).toEqual(golden('bias_pruned').data)
  })

  it("sends samples to the experts that stay with operator 'reroute'", async () => {
    const { model: pruned } = await pruneExperts(network(golden, gate), {
      reference: pretrained(golden),
      keep: 2,
      operator: 'reroute',
      sample: tensorOf(golden, 'x'),
    })
    expectAllClose(outputOf(pruned, golden).dataSync(), golden('output_reroute').data)
    const { indices, gates } = layerOf(pruned).route(tensorOf(golden, 'x') as tf.Tensor4D)
    expect([...indices.dataSync()]).toEqual(golden('indices_reroute').data)
    expectAllClose(gates.dataSync(), golden('gates_reroute').data)
    const weights = layerOf(pruned).getWeights()
    for (const [i, key] of ['router_pruned', 'kernel_pruned', 'bias_pruned'].entries()) {
      expect([...(weights[i] as tf.Tensor).dataSync()]).toEqual(golden(key).data)
    }
    expect(layerOf(pruned).expertNames).toEqual(golden('keep').data.map(String))
  })
})

/** A convolution, a SampleMoE in which every sample chooses two of five experts. */
function twoOfFive(gate: 'raw' | 'softmax' | 'uniform'): tf.LayersModel {
  const image = tf.input({ shape: [4, 4, 1] })
  const map = applied(tf.layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same', name: 'conv' }), image)
  const experts = sampleMoE({
    name: 'experts',
    numExperts: 5,
    outputs: 3,
    filtersPerOutput: 2,
    patchSize: [4, 2],
    activation: 'relu',
    expertsPerSample: 2,
    gate,
  })
  return fillWeights(tf.model({ inputs: image, outputs: applied(experts, map) }))
}

describe('SampleMoE with two experts a sample', () => {
  it.each(['raw', 'softmax', 'uniform'] as const)(
    "equals the masked network twice over, gate '%s'",
    async gate => {
      const sample = uniform([9, 4, 4, 1])
      for (const operator of ['zero', 'reroute'] as const) {
        const first = await pruneExperts(twoOfFive(gate), {
          criterion: 'random',
          keep: 4,
          operator: 'zero',
          sample,
        })
        const options = { criterion: 'random', keep: 2, operator, sample } as const
        const { model, receipt } = await pruneExperts(first.model, options)
        expect(receipt.scores).toHaveLength(4)
        expect(receipt.difference).toBeLessThan(1e-5)
        const { numExperts, expertNames, prunedExperts } = layerOf(model)
        expect(numExperts - prunedExperts.length).toBe(2)
        const names = expertNames.filter((_, expert) => !prunedExperts.includes(expert))
        expect(names).toEqual(receipt.expertNames)
      }
    },
  )

  it('scores only experts that were not pruned', async () => {
    const { model } = await pruneExperts(twoOfFive('softmax'), { criterion: 'random', keep: 3 })
    const data = {
      images: Float32Array.from({ length: 6 * 16 }, (_, i) => Math.sin(i)),
      labels: Int32Array.from([0, 1, 2, 0, 1, 2]),
      count: 6,
      shape: [4, 4, 1] as const,
      classNames: ['a', 'b', 'c'],
    }
    const criteria = ['usage', 'taylor', 'expert-magnitude', 'router-magnitude'] as const
    const scores = await expertScores(model, { criteria, data })
    for (const criterion of criteria) expect(scores[criterion].scores).toHaveLength(3)
    expect(mixturesOf(model).map(({ numExperts }) => numExperts)).toEqual([3])
  })

  it('needs as many experts as each sample chooses to reroute', async () => {
    const options = { criterion: 'random', keep: 1, operator: 'reroute' } as const
    await expect(pruneExperts(twoOfFive('raw'), options)).rejects.toThrow(
      "pruneExperts: at least 2 experts must stay for operator 'reroute', as many as each sample chooses, got 1 (layer experts)",
    )
  })
})

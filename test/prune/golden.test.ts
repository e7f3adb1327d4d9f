import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { CRITERIA, expertScores, pruneExperts } from '../../src/prune/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  convolutionNetwork,
  denseNetwork,
  type Golden,
  goldenOf,
  imagesOf,
  pretrained,
  tensorOf,
} from './golden-networks.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** The weights of a layer by their own names. */
function weightsOf(model: tf.LayersModel, layer: string): ReadonlyMap<string, tf.Tensor> {
  return new Map(
    model
      .getLayer(layer)
      .weights.map(weight => [weight.originalName.split('/').at(-1) as string, weight.read()]),
  )
}

function expectWeights(
  model: tf.LayersModel,
  layer: string,
  golden: Golden,
  names: Record<string, string>,
): void {
  const weights = weightsOf(model, layer)
  for (const [own, key] of Object.entries(names)) {
    const weight = weights.get(own) as tf.Tensor
    expect([...weight.shape]).toEqual(golden(key).shape)
    expect([...weight.dataSync()]).toEqual(golden(key).data)
  }
}

const NORM = {
  gamma: 'bn_gamma_pruned',
  beta: 'bn_beta_pruned',
  moving_mean: 'bn_mean_pruned',
  moving_variance: 'bn_variance_pruned',
}

/** The output of the mixture. */
function mapOf(model: tf.LayersModel, x: tf.Tensor): tf.Tensor {
  const experts = model.getLayer('experts')
  return tf
    .model({ inputs: model.inputs, outputs: experts.output as tf.SymbolicTensor })
    .predict(x) as tf.Tensor
}

describe.each([
  ['pruning_dense', denseNetwork],
  ['pruning_conv', convolutionNetwork],
] as const)('%s', (name, network) => {
  const golden = goldenOf(name)

  it('computes the unpruned network', () => {
    const model = network(golden)
    const x = tensorOf(golden, 'x')
    expectAllClose(mapOf(model, x).dataSync(), golden('map').data)
    expectAllClose((model.predict(x) as tf.Tensor).dataSync(), golden('logits').data)
  })

  it('routes, loses and slopes as the golden does', () => {
    const model = network(golden)
    const x = tensorOf(golden, 'x')
    const { indices, gates } = (model.getLayer('experts') as unknown as PatchMoE).route(x as tf.Tensor4D)
    expect([...indices.dataSync()]).toEqual(golden('indices').data)
    expectAllClose(gates.dataSync(), golden('gates').data)
    const behind = model.layers.slice(model.layers.findIndex(({ name }) => name === 'experts') + 1)
    const loss = (map: tf.Tensor) => {
      const logits = behind.reduce((tensor, layer) => layer.apply(tensor) as tf.Tensor, map)
      const truth = tf.oneHot(tf.tensor1d([...golden('labels').data], 'int32'), 3)
      return tf.losses.softmaxCrossEntropy(truth, logits) as tf.Scalar
    }
    const { value, grad } = tf.valueAndGrad(loss)(mapOf(model, x))
    expectAllClose(value.dataSync(), golden('loss').data)
    expectAllClose(grad.dataSync(), golden('dmap').data, 1e-3)
  })

  it('keeps the experts of the golden and cuts every weight as it says', async () => {
    const model = network(golden)
    const { model: pruned, receipt } = await pruneExperts(model, { reference: pretrained(golden), keep: 2 })
    expect(receipt.kept).toEqual(golden('keep').data)
    expectAllClose(receipt.scores, golden('criterion_router_norm').data)
    expectWeights(pruned, 'bn', golden, NORM)
    expectWeights(pruned, 'experts', golden, {
      router: 'router_pruned',
      kernel: 'kernel_pruned',
      ...(name === 'pruning_conv'
        ? { bias: 'bias_pruned' }
        : {
            gamma: 'gamma_pruned',
            beta: 'beta_pruned',
            moving_mean: 'moving_mean_pruned',
            moving_variance: 'moving_variance_pruned',
          }),
    })
    expectWeights(
      pruned,
      name === 'pruning_conv' ? 'conv' : 'dense',
      golden,
      name === 'pruning_conv' ? { kernel: 'conv_kernel_pruned' } : { kernel: 'dense_kernel_pruned' },
    )
  })

  it.each([1, 2, 32])(
    'scores by every criterion as the golden does, %i images at a time',
    async batchSize => {
      const criteria = CRITERIA.filter(criterion => !['usage', 'gate-mass', 'random'].includes(criterion))
      const scores = await expertScores(network(golden), {
        criteria,
        reference: pretrained(golden),
        data: imagesOf(golden),
        batchSize,
      })
      for (const criterion of criteria) {
        const key = criterion.replaceAll('-', '_')
        expectAllClose(scores[criterion].scores, golden(`criterion_${key}`).data)
        expect(scores[criterion].order).toEqual(golden(`order_${key}`).data)
      }
      expectAllClose(scores.coverage.scores, golden('criterion_coverage').data, 0, 1e-7)
    },
  )

  it('gives the logits of removed channels', async () => {
    const model = network(golden)
    const { model: pruned, receipt } = await pruneExperts(model, {
      reference: pretrained(golden),
      keep: 2,
      sample: tensorOf(golden, 'x'),
    })
    expectAllClose(
      (pruned.predict(tensorOf(golden, 'x')) as tf.Tensor).dataSync(),
      golden('logits_removed').data,
    )
    expect(receipt.difference).toBeLessThan(1e-5)
  })

  it('keeps the channels of the experts that stay', async () => {
    const model = network(golden)
    const x = tensorOf(golden, 'x')
    const { model: pruned, receipt } = await pruneExperts(model, { reference: pretrained(golden), keep: 2 })
    const channels = receipt.kept.flatMap(expert => [2 * expert, 2 * expert + 1])
    const before = tf.gather(mapOf(model, x), tf.tensor1d(channels, 'int32'), 3)
    expectAllClose(mapOf(pruned, x).dataSync(), before.dataSync(), 1e-5, 1e-5)
    expectAllClose(mapOf(pruned, x).dataSync(), golden('map_pruned').data)
  })

  it("gives the logits of experts that answer 0 with operator 'zero'", async () => {
    const model = network(golden)
    const { model: pruned, receipt } = await pruneExperts(model, {
      reference: pretrained(golden),
      keep: 2,
      operator: 'zero',
    })
    expectAllClose(
      (pruned.predict(tensorOf(golden, 'x')) as tf.Tensor).dataSync(),
      golden('logits_zeroed').data,
    )
    expect(receipt.changedLayers.every(({ path }) => path === 'experts')).toBe(true)
    expect(receipt.parameters.after).toBeLessThan(receipt.parameters.before)
  })
})

describe('compensation', () => {
  it("puts the constants of silent experts into the next bias: compensate 'zero'", async () => {
    const golden = goldenOf('pruning_dense')
    const { model, receipt } = await pruneExperts(denseNetwork(golden), {
      reference: pretrained(golden),
      keep: 2,
      compensate: 'zero',
    })
    expectAllClose(weightsOf(model, 'dense').get('bias')?.dataSync() ?? [], golden('dense_bias_zeroed').data)
    expectAllClose(
      (model.predict(tensorOf(golden, 'x')) as tf.Tensor).dataSync(),
      golden('logits_zeroed').data,
    )
    expect(receipt.compensate).toBe('zero')
  })

  it("puts the means over images into the next bias: compensate 'mean'", async () => {
    const golden = goldenOf('pruning_dense')
    const { model } = await pruneExperts(denseNetwork(golden), {
      reference: pretrained(golden),
      data: imagesOf(golden),
      keep: 2,
      compensate: 'mean',
    })
    expectAllClose(weightsOf(model, 'dense').get('bias')?.dataSync() ?? [], golden('dense_bias_mean').data)
    expectAllClose((model.predict(tensorOf(golden, 'x')) as tf.Tensor).dataSync(), golden('logits_mean').data)
  })

  it("is refused before a 'same' convolution of several pixels, where it is not exact", async () => {
    const golden = goldenOf('pruning_conv')
    const options = { reference: pretrained(golden), keep: 2, compensate: 'zero' } as const
    await expect(pruneExperts(convolutionNetwork(golden), options)).rejects.toThrow(
      "pruneExperts: compensate 'zero' must be possible in every layer that reads removed channels, got layer conv (Conv2D): " +
        "its 3x3 kernel with padding 'same' sees zeros past the border, where a channel is not constant; compensate 'none' or 'mean' is possible",
    )
  })
})

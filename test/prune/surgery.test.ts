import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { mixturesOf, type PruneExpertsOptions, pruneExperts } from '../../src/prune/index.js'
import { useTestBackend } from '../backend-under-test.js'
import { applied, fillWeights, uniform } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

type Layers = (x: tf.SymbolicTensor) => tf.SymbolicTensor

const chain =
  (...layers: tf.layers.Layer[]): Layers =>
  x =>
    layers.reduce((tensor, layer) => applied(layer, tensor), x)

function mixture(name = 'experts', more: Partial<Parameters<typeof patchMoE>[0]> = {}): PatchMoE {
  return patchMoE({
    name,
    numExperts: 4,
    patchesPerExpert: 5,
    patchSize: 2,
    filters: 8,
    kernelSize: 3,
    useBias: true,
    preActivation: 'batch-norm-relu',
    ...more,
  })
}

/** An image of 8x8 pixels through a mixture of 4 experts with 2 channels each, and what follows. */
function behind(following: Layers, experts = mixture()): tf.LayersModel {
  const image = tf.input({ shape: [8, 8, 3] })
  return fillWeights(tf.model({ inputs: image, outputs: following(applied(experts, image)) }))
}

const dense = (units = 3) => tf.layers.dense({ units, name: 'dense' })
const pool = () => tf.layers.globalAveragePooling2d({ name: 'pool' })
const concatenated =
  (name: string, ...parts: Layers[]): Layers =>
  x =>
    applied(
      tf.layers.concatenate({ name }),
      parts.map(part => part(x)),
    )

const options: PruneExpertsOptions = { criterion: 'random', seed: 3, keep: 2 }

/** What may stand behind a mixture. Pruning checks itself: it throws where the network is not the masked one. */
const networks: Readonly<Record<string, () => Layers>> = {
  'batch norm, activations, dropout': () =>
    chain(
      tf.layers.batchNormalization({ name: 'bn' }),
      tf.layers.reLU(),
      tf.layers.dropout({ rate: 0.5 }),
      tf.layers.leakyReLU(),
      tf.layers.elu(),
      tf.layers.thresholdedReLU({ theta: 0.1 }),
      tf.layers.activation({ activation: 'tanh' }),
      tf.layers.gaussianNoise({ stddev: 1 }),
      tf.layers.gaussianDropout({ rate: 0.5 }),
      tf.layers.alphaDropout({ rate: 0.5 }),
      tf.layers.rescaling({ scale: 2, offset: 1 }),
      pool(),
      dense(),
    ),
  'batch norm without scale': () =>
    chain(tf.layers.batchNormalization({ scale: false, name: 'bn' }), pool(), dense()),
  'a dropout whose noise is shared by positions': () =>
    chain(tf.layers.dropout({ rate: 0.5, noiseShape: [1, 1, 1, 8] }), pool(), dense()),
  'PReLU of each position': () => chain(tf.layers.prelu({ name: 'prelu' }), pool(), dense()),
  'PReLU shared by positions': () =>
    chain(tf.layers.prelu({ name: 'prelu', sharedAxes: [1, 2] }), pool(), dense()),
  'PReLU shared by channels': () =>
    chain(tf.layers.prelu({ name: 'prelu', sharedAxes: [1, 2, 3] }), pool(), dense()),
  pooling: () =>
    chain(
      tf.layers.maxPooling2d({ poolSize: 2, strides: 1, padding: 'same' }),
      tf.layers.averagePooling2d({ poolSize: 2 }),
      tf.layers.globalMaxPooling2d({}),
      dense(),
    ),
  'padding, cropping, upsampling': () =>
    chain(
      tf.layers.zeroPadding2d({ padding: 2 }),
      tf.layers.cropping2D({ cropping: 1 }),
      tf.layers.upSampling2d({ size: [2, 2] }),
      pool(),
      dense(),
    ),
  flatten: () => chain(tf.layers.maxPooling2d({ poolSize: 2 }), tf.layers.flatten(), dense()),
  'a dense layer on the map': () =>
    chain(tf.layers.dense({ units: 4, activation: 'relu' }), tf.layers.flatten(), dense()),
  'a strided convolution without bias': () =>
    chain(
      tf.layers.conv2d({ filters: 3, kernelSize: 3, strides: 2, useBias: false, name: 'conv' }),
      pool(),
      dense(),
    ),
  'a depthwise convolution of two filters a channel': () =>
    chain(
      tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, padding: 'same', name: 'depthwise' }),
      pool(),
      dense(),
    ),
  'a separable convolution': () =>
    chain(tf.layers.separableConv2d({ filters: 3, kernelSize: 3, depthMultiplier: 2 }), pool(), dense()),
  'a transposed convolution': () =>
    chain(tf.layers.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2 }), pool(), dense()),
  'reshape to one axis of positions, permuted, and a convolution over it': () =>
    chain(
      tf.layers.reshape({ targetShape: [64, 8] }),
      tf.layers.permute({ dims: [1, 2] }),
      tf.layers.conv1d({ filters: 3, kernelSize: 3 }),
      tf.layers.globalMaxPooling1d({}),
      dense(),
    ),
  'reshape behind the pool, repeated': () =>
    chain(
      pool(),
      tf.layers.repeatVector({ n: 2 }),
      tf.layers.reshape({ targetShape: [2, 1, 8] }),
      tf.layers.flatten(),
      dense(),
    ),
  'two readers': () => x =>
    applied(tf.layers.add(), [
      chain(tf.layers.conv2d({ filters: 3, kernelSize: 1 }))(x),
      chain(tf.layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same' }))(x),
    ]),
  'concatenation with other maps': () => x =>
    chain(
      pool(),
      dense(),
    )(
      concatenated(
        'joined',
        y => applied(tf.layers.conv2d({ filters: 3, kernelSize: 1 }), y),
        y => applied(tf.layers.batchNormalization({ name: 'bn' }), y),
        y => y,
      )(x),
    ),
  'concatenation along the height': () => x =>
    chain(
      pool(),
      dense(),
    )(applied(tf.layers.concatenate({ axis: 1 }), [x, applied(tf.layers.maxPooling2d({ poolSize: 1 }), x)])),
  'an Add of maps that lose the same channels': () => x =>
    chain(pool(), dense())(applied(tf.layers.add(), [x, applied(tf.layers.reLU(), x)])),
  'a product with a mask of one channel': () => x =>
    chain(
      pool(),
      dense(),
    )(applied(tf.layers.multiply(), [x, applied(tf.layers.conv2d({ filters: 1, kernelSize: 1 }), x)])),
  'a patch gate': () => chain(patchGate({ patchSize: 4, patchesPerExpert: 2 }), pool(), dense()),
  'another PatchMoE': () => chain(mixture('second', { filters: 4, gate: 'softmax-all' }), pool(), dense()),
  TwoLayerExperts: () =>
    chain(twoLayerExperts({ numExperts: 2, patchesPerExpert: 3, patchSize: 2, hiddenUnits: 6, outputs: 3 })),
  SampleMoE: () => chain(sampleMoE({ numExperts: 3, outputs: 3, filtersPerOutput: 2, patchSize: 4 })),
  'a nested model of its own input': () => {
    const inner = tf.input({ shape: [8, 8, 8], name: 'inner_map' })
    const head = tf.model({
      inputs: inner,
      outputs: chain(tf.layers.batchNormalization({ name: 'bn' }), pool(), dense())(inner),
      name: 'head',
    })
    return chain(head as unknown as tf.layers.Layer)
  },
  'a nested sequential model': () =>
    chain(
      tf.sequential({
        name: 'head',
        layers: [
          tf.layers.batchNormalization({ inputShape: [8, 8, 8], name: 'bn' }),
          tf.layers.flatten(),
          dense(),
        ],
      }) as unknown as tf.layers.Layer,
    ),
  'a shared layer': () => {
    const shared = tf.layers.conv2d({ filters: 2, kernelSize: 1, name: 'shared' })
    return x => applied(tf.layers.add(), [applied(shared, x), applied(shared, applied(tf.layers.reLU(), x))])
  },
}

describe('pruneExperts', () => {
  it.each(Object.entries(networks))('goes through %s', async (_, following) => {
    const model = behind(following())
    const { model: pruned, receipt } = await pruneExperts(model, {
      ...options,
      layer: 'experts',
      sample: uniform([3, 8, 8, 3]),
    })
    expect(receipt.difference).toBeLessThan(1e-4)
    expect(receipt.parameters.after).toBe(pruned.countParams())
    expect(receipt.parameters.before).toBe(model.countParams())
    expect(receipt.multiplyAdds.after).toBeLessThan(receipt.multiplyAdds.before)
  })

  it('shares nothing with the old model, and leaves it as it was', async () => {
    const model = behind(chain(tf.layers.batchNormalization({ name: 'bn' }), pool(), dense()))
    const x = uniform([2, 8, 8, 3])
    const before = (model.predict(x) as tf.Tensor).dataSync()
    const { model: pruned } = await pruneExperts(model, options)
    const alone = (pruned.predict(x) as tf.Tensor).dataSync()
    fillWeights(pruned, 9)
    expect((model.predict(x) as tf.Tensor).dataSync()).toEqual(before)
    const again = await pruneExperts(model, options)
    disposeModel(model)
    expect((again.model.predict(x) as tf.Tensor).dataSync()).toEqual(alone)
  })

  it('leaves no tensors behind but the new weights', async () => {
    const model = behind(chain(pool(), dense()))
    const numTensors = tf.memory().numTensors
    const { model: pruned } = await pruneExperts(model, options)
    expect(tf.memory().numTensors - numTensors).toBe(pruned.weights.length)
    disposeModel(pruned)
    expect(tf.memory().numTensors).toBe(numTensors)
  })

  it('returns an equal network when every expert stays', async () => {
    const model = behind(chain(pool(), dense()))
    const { model: same, receipt } = await pruneExperts(model, { criterion: 'router-magnitude', keep: 4 })
    expect(receipt).toMatchObject({
      kept: [0, 1, 2, 3],
      removed: [],
      ratio: 0,
      difference: 0,
      changedLayers: [],
    })
    expect(same.getLayer('experts').getConfig()).toEqual(model.getLayer('experts').getConfig())
    const x = uniform([2, 8, 8, 3])
    expect((same.predict(x) as tf.Tensor).dataSync()).toEqual((model.predict(x) as tf.Tensor).dataSync())
  })

  it('keeps what is trained and what is frozen', async () => {
    const experts = mixture()
    const model = behind(chain(tf.layers.batchNormalization({ name: 'bn' }), pool(), dense()), experts)
    const router = experts.weights[0] as { trainable: boolean }
    router.trainable = false
    model.getLayer('dense').trainable = false
    const { model: pruned } = await pruneExperts(model, options)
    const trained = (from: tf.LayersModel) => from.trainableWeights.map(({ originalName }) => originalName)
    expect(trained(pruned)).toEqual(trained(model))
  })

  it('prunes several mixtures, of one number each or one for all', async () => {
    const two = () => behind(chain(mixture('second', { filters: 4 }), pool(), dense()))
    const { model, receipts } = await pruneExperts(two(), {
      criterion: 'random',
      keep: { experts: 3, second: 1 },
    })
    expect(receipts.map(({ layer, kept }) => [layer, kept.length])).toEqual([
      ['experts', 3],
      ['second', 1],
    ])
    expect(mixturesOf(model).map(({ numExperts }) => numExperts)).toEqual([3, 1])
    const halved = await pruneExperts(two(), { criterion: 'random', ratio: 0.5 })
    expect(mixturesOf(halved.model).map(({ numExperts }) => numExperts)).toEqual([2, 2])
    const one = await pruneExperts(two(), { criterion: 'random', keep: { second: 2 } })
    expect(mixturesOf(one.model).map(({ numExperts }) => numExperts)).toEqual([4, 2])
  })

  it('lists every weight that changed', async () => {
    const model = behind(chain(tf.layers.batchNormalization({ name: 'bn' }), pool(), dense()))
    const { receipt } = await pruneExperts(model, options)
    const listed = receipt.changedLayers.map(({ path, weight, before, after }) => [
      `${path}/${weight}`,
      before.join('x'),
      after.join('x'),
    ])
    expect(listed).toEqual([
      ['experts/router', '2x2x3x4', '2x2x3x2'],
      ['experts/kernel', '3x3x3x8', '3x3x3x4'],
      ['experts/bias', '8', '4'],
      ['experts/gamma', '4x3', '2x3'],
      ['experts/beta', '4x3', '2x3'],
      ['experts/moving_mean', '4x3', '2x3'],
      ['experts/moving_variance', '4x3', '2x3'],
      ['bn/gamma', '8', '4'],
      ['bn/beta', '8', '4'],
      ['bn/moving_mean', '8', '4'],
      ['bn/moving_variance', '8', '4'],
      ['dense/kernel', '8x3', '4x3'],
    ])
  })

  it('keeps the names of experts through two prunings', async () => {
    const model = behind(chain(pool(), dense()), mixture('experts', { expertNames: ['a', 'b', 'c', 'd'] }))
    const first = await pruneExperts(model, { ...options, keep: 3 })
    const second = await pruneExperts(first.model, { ...options, keep: 1 })
    const names = first.receipt.kept.map(expert => 'abcd'[expert])
    expect(first.receipt.expertNames).toEqual(names)
    expect(second.receipt.expertNames).toEqual(second.receipt.kept.map(expert => names[expert]))
  })
})

describe('whole networks', () => {
  const small = { inputShape: [16, 16, 3], numClasses: 4, widenFactor: 1 } as const
  const pmoe = { numExperts: 4, patchesPerExpert: 2, patchSize: 2 } as const

  it("prunes a wide residual network, variant 'sparse'", async () => {
    const { receipt } = await pruneExperts(fillWeights(wideResNet({ ...small, pmoe })), options)
    expect(receipt.changedLayers.map(({ path }) => path)).toContain('final_bn')
    expect(receipt.changedLayers.at(-1)).toMatchObject({ path: 'logits', before: [64, 4], after: [32, 4] })
  })

  it("drops the branches of variant 'authors', and the Concatenate where one is left", async () => {
    const model = fillWeights(wideResNet({ ...small, pmoe, variant: 'authors' }))
    expect(mixturesOf(model).map(({ path, numExperts }) => [path, numExperts])).toEqual([['experts', 4]])
    const { model: pruned, receipt } = await pruneExperts(model, options)
    const names = pruned.layers.map(({ name }) => name).filter(name => name.endsWith('_gate'))
    expect(names).toEqual(receipt.kept.map(expert => `expert${expert + 1}_gate`))
    expect(mixturesOf(pruned)[0]?.expertNames).toEqual(receipt.kept.map(String))
    const one = await pruneExperts(pruned, { ...options, keep: 1 })
    expect(one.model.layers.some(({ name }) => name === 'experts')).toBe(false)
    expect(one.model.getLayer('expert1_gate') ?? true).toBeTruthy()
  })

  it("cannot take channels from variant 'drop-in', and zeroes them", async () => {
    const model = fillWeights(wideResNet({ ...small, pmoe, variant: 'drop-in' }))
    await expect(pruneExperts(model, options)).rejects.toThrow(
      'pruneExperts: channels of patch_moe must be removable from every layer that gets them, got layer group3_block1_add ' +
        "(Add): it adds the channels to other maps, which keep all 64 channels; operator 'zero' is possible, which keeps them",
    )
    const { model: zeroed, receipt } = await pruneExperts(model, { ...options, operator: 'zero' })
    const layer = zeroed.getLayer('patch_moe') as unknown as PatchMoE
    expect(layer).toMatchObject({ filters: 64, numExperts: 2 })
    const channels = receipt.kept.flatMap(expert => Array.from({ length: 16 }, (_, i) => expert * 16 + i))
    expect(layer.getConfig().channelsOf).toEqual(channels)
    const again = await pruneExperts(zeroed, { ...options, operator: 'zero', keep: 1 })
    expect(again.receipt.difference).toBeLessThan(1e-4)
  })

  it('prunes TwoLayerExperts, whose outputs are summed', async () => {
    const model = twoLayerPatchModel({
      inputShape: [8, 8, 1],
      numClasses: 3,
      numExperts: 4,
      patchesPerExpert: 3,
      patchSize: 2,
      hiddenUnits: 8,
    })
    const { model: pruned, receipt } = await pruneExperts(fillWeights(model), options)
    expect(receipt.difference).toBeLessThan(1e-6)
    expect(pruned.getLayer('logits').weights.map(({ shape }) => shape)).toEqual([
      [2, 2, 1, 2],
      [2, 2, 1, 4],
      [4, 3],
    ])
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { BatchNormalization } from '../../src/layers/batch-norm.js'
import { allPlacedLayers, placedLayers } from '../../src/layers/layer-paths.js'
import {
  type SampleExperts,
  type SampleExpertsOptions,
  sampleExperts,
} from '../../src/layers/moe/sample-experts.js'
import { modelCost } from '../../src/models/cost.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { withFasterLayers } from '../../src/models/faster-layers.js'
import { rebuildModel } from '../../src/models/rebuild.js'
import { checkedModel } from '../../src/topology/checked-model.js'
import { recomputeStatistics } from '../../src/train/bn-statistics.js'
import { latestCheckpoint, memoryStore, readCheckpoint } from '../../src/train/checkpoint.js'
import { type TrainOptions, train } from '../../src/train/loop.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { brightRows, historyOf, weightsOf, withoutClock } from '../train/tasks.js'
import { drawTensor } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const INPUT = [4, 4, 1]
const glorot = (seed: number) => tf.initializers.glorotUniform({ seed })

/** Batch normalization, dropout, a regularizer, and a nested model in which a layer has the name of one outside. */
function network(inputShape: readonly number[], k: number): tf.LayersModel {
  const head = tf.sequential({
    name: 'head',
    layers: [
      tf.layers.dense({ name: 'dense', units: 3, inputShape: [4], kernelInitializer: glorot(k + 20) }),
    ],
  })
  const x = tf.input({ shape: [...inputShape], name: 'pixels' })
  const layers = [
    tf.layers.conv2d({
      name: 'conv',
      filters: 3,
      kernelSize: 3,
      kernelInitializer: glorot(k + 1),
      kernelRegularizer: tf.regularizers.l2({ l2: 0.01 }),
    }),
    tf.layers.batchNormalization({ name: 'norm', momentum: 0.8 }),
    tf.layers.reLU({ name: 'relu' }),
    tf.layers.flatten({ name: 'flat' }),
    tf.layers.dropout({ name: 'drop', rate: 0.2 }),
    tf.layers.dense({ name: 'dense', units: 4, kernelInitializer: glorot(k + 10), biasConstraint: 'nonNeg' }),
    head,
  ]
  const y = layers.reduce<tf.SymbolicTensor>((value, layer) => layer.apply(value) as tf.SymbolicTensor, x)
  return tf.model({ inputs: x, outputs: y, name: `network_${k}` })
}

/** Experts behind a convolution, so that a gradient by their input is taken as well. */
function made(options: Partial<SampleExpertsOptions> = {}): tf.LayersModel {
  const experts = sampleExperts({
    name: 'experts',
    numExperts: 2,
    expert: network,
    patchSize: 2,
    ...options,
  })
  return tf.sequential({
    name: 'whole',
    layers: [
      tf.layers.conv2d({
        name: 'stem',
        filters: 2,
        kernelSize: 1,
        inputShape: INPUT,
        kernelInitializer: glorot(5),
      }),
      experts,
    ],
  })
}

/** The same, with a router that draws samples to both experts. */
function routed(options: Partial<SampleExpertsOptions> = {}): tf.LayersModel {
  const model = made(options)
  const [router] = expertsOf(model).weights
  router?.write(tf.mul(drawTensor(router.shape as number[], 3), 3))
  return model
}

const expertsOf = (model: tf.LayersModel) => model.getLayer('experts') as unknown as SampleExperts
const names = (weights: readonly { originalName: string }[]) =>
  weights.map(({ originalName }) => originalName)
const predicted = (model: tf.LayersModel, x: tf.Tensor) => (model.predict(x) as tf.Tensor).dataSync()

/** What a file of the model would hold. */
async function savedBy(model: tf.LayersModel): Promise<tf.io.ModelArtifacts> {
  let saved: tf.io.ModelArtifacts = {}
  await model.save(
    tf.io.withSaveHandler(async artifacts => {
      saved = artifacts
      return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
    }),
  )
  return { ...saved, modelTopology: JSON.parse(JSON.stringify(saved.modelTopology)) }
}

/** A model or layer in a file, as far as these tests damage it. */
interface Stored {
  class_name: string
  inbound_nodes: unknown
  config: { layers: Stored[]; units?: number; experts?: Stored[] }
}

const OF_EXPERT = [
  'conv/kernel',
  'conv/bias',
  'norm/gamma',
  'norm/beta',
  'norm/moving_mean',
  'norm/moving_variance',
  'dense/kernel',
  'dense/bias',
  'head/dense/kernel',
  'head/dense/bias',
]
const WEIGHTS = [
  'experts/router',
  ...[0, 1].flatMap(m => OF_EXPERT.map(name => `experts/expert_${m}/${name}`)),
]

describe('networks that a layer holds', () => {
  it('have their weights in one order, whatever is trained', () => {
    const layer = expertsOf(made())
    expect(names(layer.weights)).toEqual(WEIGHTS)
    layer.networks.get('expert_0')?.getLayer('conv') &&
      Object.assign(layer.networks.get('expert_0')!.getLayer('conv'), { trainable: false })
    ;(layer.networks.get('expert_1') as tf.LayersModel).trainable = false
    expect(names(layer.weights)).toEqual(WEIGHTS)
    expect(names(layer.trainableWeights)).toEqual(
      WEIGHTS.filter(name => !/moving|expert_0.conv|expert_1/.test(name)),
    )
    expect(names(layer.nonTrainableWeights)).toEqual(
      WEIGHTS.filter(name => /moving|expert_0.conv|expert_1/.test(name)),
    )
    layer.trainable = false
    expect(layer.trainableWeights).toEqual([])
    expect(names(layer.nonTrainableWeights)).toEqual(WEIGHTS)
    layer.trainable = true
    expect(names(layer.trainableWeights)).toEqual(
      WEIGHTS.filter(name => !/moving|expert_0.conv|expert_1/.test(name)),
    )
  })

  it('exchange weights with setWeights and getWeights', () => {
    const [a, b] = [expertsOf(made()), expertsOf(made())]
    b.setWeights(a.getWeights().map(weight => tf.add(weight, 0.25)))
    b.getWeights().forEach((weight, i) => {
      expectAllClose(weight.dataSync(), tf.add(a.getWeights()[i] as tf.Tensor, 0.25).dataSync())
    })
    expect(() => b.setWeights([])).toThrow(/expecting 21 weights/)
  })

  it('add the penalties of their regularizers', () => {
    const model = made()
    const kernels = model.weights.filter(({ originalName }) => originalName.endsWith('conv/kernel'))
    const expected = kernels.reduce(
      (sum, kernel) => sum + 0.01 * (tf.sum(tf.square(kernel.read())).dataSync()[0] as number),
      0,
    )
    const penalties = expertsOf(model)
      .calculateLosses()
      .map(penalty => penalty.dataSync()[0] as number)
    expect(penalties.length).toBe(2)
    expectAllClose([penalties.reduce((a, b) => a + b)], [expected])
  })

  it('are listed with their layers by path, but not among the layers of the graph', () => {
    const model = made()
    const inner = ['pixels', 'conv', 'norm', 'relu', 'flat', 'drop', 'dense', 'head/dense']
    expect(placedLayers(model).map(({ path }) => path)).toEqual(['stem', 'experts'])
    expect(allPlacedLayers(model).map(({ path }) => path)).toEqual([
      'stem',
      'experts',
      ...[0, 1].flatMap(m => inner.map(name => `experts/expert_${m}/${name}`)),
    ])
    expect(allPlacedLayers(model).map(({ holders }) => holders.length)).toEqual([
      0,
      0,
      ...new Array(16).fill(1),
    ])
  })

  it('are saved and loaded, frozen parts too, by tfjs alone and when checked', async () => {
    const model = routed({ expertNames: ['7', '9'], routerBias: true, seed: 4 })
    ;(expertsOf(model).networks.get('expert_9') as tf.LayersModel).trainable = false
    const x = drawTensor<tf.Tensor4D>([9, ...INPUT], 1)
    const artifacts = await savedBy(model)
    const handler = () => tf.io.fromMemory(structuredClone(artifacts))
    for (const loaded of [
      await tf.loadLayersModel(handler()),
      await tf.loadLayersModel(checkedModel(handler())),
    ]) {
      expectAllClose(predicted(loaded, x), predicted(model, x))
      expect(names(loaded.weights)).toEqual(names(model.weights))
      expect(names(loaded.trainableWeights)).toEqual(names(model.trainableWeights))
      expect(JSON.stringify(loaded.toJSON())).toBe(JSON.stringify(model.toJSON()))
      expect([...expertsOf(loaded).networks.keys()]).toEqual(['expert_7', 'expert_9'])
    }
  })

  it.each<[string, (network: Stored) => void, RegExp]>([
    [
      'a layer of an unknown class',
      n => Object.assign(n.config.layers[1] as Stored, { class_name: 'Magic' }),
      /"conv" must be of a class that is registered, got "Magic"/,
    ],
    [
      'a layer that takes its own output',
      n => Object.assign(n.config.layers[1] as Stored, { inbound_nodes: [[['dense', 0, 0, {}]]] }),
      /must not wait for each other/,
    ],
    [
      'a layer too many units',
      n => Object.assign((n.config.layers[6] as Stored).config, { units: 1e9 }),
      /units must be at most/,
    ],
    [
      'no layers',
      n => Object.assign(n.config, { layers: undefined }),
      /layers of "network_1" must be a list/,
    ],
  ])('are refused in a file with %s', async (_, damage, message) => {
    const saved = await savedBy(made())
    const topology = saved.modelTopology as unknown as Stored
    damage(topology.config.layers[1]!.config.experts![1] as Stored)
    const handler = checkedModel(tf.io.fromMemory(saved))
    await expect(tf.loadLayersModel(handler)).rejects.toThrow(message)
  })

  it('are rebuilt with their weights, sharing nothing', () => {
    const model = routed()
    ;(expertsOf(model).networks.get('expert_0') as tf.LayersModel).trainable = false
    const x = drawTensor<tf.Tensor4D>([9, ...INPUT], 1)
    const before = predicted(model, x)
    const rebuilt = rebuildModel(model, new Map(), 'test')
    expect(names(rebuilt.trainableWeights)).toEqual(names(model.trainableWeights))
    expectAllClose(predicted(rebuilt, x), before)
    for (const weight of rebuilt.weights) weight.write(tf.zerosLike(weight.read()))
    expectAllClose(predicted(model, x), before)

    const faster = withFasterLayers(model)
    const norms = allPlacedLayers(faster).filter(({ layer }) => layer.getClassName() === 'BatchNormalization')
    expect(norms.map(({ layer }) => layer instanceof BatchNormalization)).toEqual([true, true])
    expectAllClose(predicted(faster, x), before)
  })

  it('work inside an expert of another layer', () => {
    const outer = (inputShape: readonly number[], k: number) =>
      tf.sequential({
        layers: [
          sampleExperts({
            name: 'inner',
            inputShape: [...inputShape],
            numExperts: 2,
            expert: (shape, j) => network(shape, 2 * k + j),
            patchSize: 4,
          }),
        ],
      })
    const model = routed({ expert: outer })
    const x = drawTensor<tf.Tensor4D>([9, ...INPUT], 1)
    expect(model.weights.length).toBe(2 + 1 + 2 * WEIGHTS.length)
    expect(new Set(names(model.weights)).size).toBe(model.weights.length)
    expect(names(model.weights)).toContain('experts/expert_1/inner/expert_0/head/dense/kernel')
    const rebuilt = rebuildModel(model, new Map(), 'test')
    expectAllClose(predicted(rebuilt, x), predicted(model, x))
  })

  it('count in the cost: the router and the experts of one sample', () => {
    const { layers, parameters } = modelCost(made())
    const cost = layers.find(({ name }) => name === 'experts')
    // conv 2x2 outputs of 3x3x2 to 3, dense 12 to 4, head 4 to 3
    const expert = 4 * 18 * 3 + 48 + 12
    expect(cost?.multiplyAdds.forward).toBe(2 * 2 * 2 * 2 + expert)
    expect(cost?.dense?.multiplyAdds.forward).toBe(2 * expert)
    const own = 54 + 3 + 12 + 48 + 4 + 12 + 3
    expect(cost?.parameters).toBe(16 + 2 * own)
    expect(cost?.dense?.parameters).toBe(2 * own)
    expect(parameters).toEqual({ trainable: 4 + 16 + 2 * (own - 6), total: 4 + 16 + 2 * own })
    const two = modelCost(made({ expertsPerSample: 2 })).layers.find(({ name }) => name === 'experts')
    expect(two?.multiplyAdds.forward).toBe(16 + 2 * expert)
  })

  it('leave no tensors when the model is disposed', () => {
    const before = tf.memory().numTensors
    const model = made()
    disposeModel(rebuildModel(model, new Map(), 'test'))
    disposeModel(model)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('train alike whether experts see their samples or all of them', async () => {
    const expert = (inputShape: readonly number[], k: number) =>
      tf.sequential({
        layers: [
          tf.layers.flatten({ inputShape: [...inputShape] }),
          tf.layers.dense({ units: 3, kernelInitializer: glorot(k + 1) }),
        ],
      })
    const x = drawTensor<tf.Tensor4D>([12, ...INPUT], 1)
    const y = tf.oneHot(
      tf.tensor1d(
        Array.from({ length: 12 }, (_, i) => i % 3),
        'int32',
      ),
      3,
    )
    const trained = []
    for (const dispatch of ['chosen', 'all'] as const) {
      const model = made({ dispatch, expert, seed: 2, numExperts: 3 })
      model.compile({ optimizer: tf.train.adam(0.05), loss: 'meanSquaredError' })
      await model.fit(x, y, { epochs: 4, batchSize: 4, shuffle: false, verbose: 0 })
      trained.push(weightsOf(model).flat())
    }
    expectAllClose(trained[0] as number[], trained[1] as number[])
  })
})

const run: TrainOptions = {
  train: brightRows(24, 3, 1),
  epochs: 3,
  batchSize: 8,
  optimizer: { name: 'momentum', learningRate: 0.02 },
  seed: 5,
  loadBalance: 0.01,
}

describe('a training run of experts that are networks', () => {
  it('is repeated and resumed in the same numbers', async () => {
    const whole = made()
    const history = withoutClock(await historyOf(train(whole, run)))
    expect(history.length).toBe(3)

    const checkpoints = memoryStore()
    const controller = new AbortController()
    for await (const event of train(made(), { ...run, checkpoints, signal: controller.signal }))
      if (event.type === 'step' && event.epoch === 2 && event.step === 2) controller.abort()
    const state = readCheckpoint((await checkpoints.read(latestCheckpoint)) as Uint8Array, latestCheckpoint)
    const resumed = made({ expert: (shape, k) => network(shape, k + 5) })
    expect(withoutClock(await historyOf(train(resumed, { ...run, resume: state })))).toEqual(history)
    expect(weightsOf(resumed)).toEqual(weightsOf(whole))
  })

  it('leaves frozen layers, experts and normalizations as they are', async () => {
    const model = routed()
    const before = new Map(model.weights.map(weight => [weight.originalName, [...weight.read().dataSync()]]))
    const flags = model.weights.map(({ trainable }) => trainable)
    await historyOf(train(model, { ...run, freeze: ['experts/expert_0/*', 'experts/expert_1/norm'] }))
    const changed = model.weights.filter(
      weight => `${[...weight.read().dataSync()]}` !== `${before.get(weight.originalName)}`,
    )
    expect(names(changed)).toEqual([
      'stem/kernel',
      'stem/bias',
      'experts/router',
      ...[
        'conv/kernel',
        'conv/bias',
        'dense/kernel',
        'dense/bias',
        'head/dense/kernel',
        'head/dense/bias',
      ].map(name => `experts/expert_1/${name}`),
    ])
    expect(model.weights.map(({ trainable }) => trainable)).toEqual(flags)
  })

  it('gives all flags back when a layer is frozen before the layer that holds it', async () => {
    const model = routed()
    const trained = names(model.trainableWeights)
    await historyOf(
      train(model, { ...run, epochs: 1, loadBalance: 0, freeze: ['experts/expert_0/conv', 'experts'] }),
    )
    expect(names(model.trainableWeights)).toEqual(trained)
  })

  it('estimates the statistics of an expert over the batches that it computed', async () => {
    const model = made({ routingNoise: 0 })
    const set = brightRows(24, 3, 1)
    const statistics = (expert: number) =>
      model.weights
        .flatMap(({ originalName }) => originalName)
        .map((name, i) => [name, model.weights[i]] as const)
        .filter(([name]) => name.includes(`expert_${expert}/norm/moving`))
        .flatMap(([, weight]) => [...(weight?.read().dataSync() ?? [])])
    const unused = statistics(1)
    await recomputeStatistics(model, set, { batchSize: 8, seed: 3 })
    // Without noise and with a router of zeros every sample goes to the first expert.
    expect(statistics(1)).toEqual(unused)

    const alone = tf.sequential({
      layers: [tf.layers.inputLayer({ inputShape: INPUT }), model.getLayer('stem'), network([4, 4, 2], 0)],
    })
    await recomputeStatistics(alone, set, { batchSize: 8, seed: 3 })
    const expected = alone.weights
      .filter(({ originalName }) => originalName.includes('moving'))
      .flatMap(weight => [...weight.read().dataSync()])
    expectAllClose(statistics(0), expected)
  })
})

describe('a network is refused as an expert', () => {
  const dense = (options: object = {}) => tf.layers.dense({ units: 3, ...options })
  const shared = tf.sequential({
    layers: [tf.layers.flatten({ inputShape: [4, 4, 2] }), tf.layers.dense({ units: 3 })],
  })
  it.each<[string, (shape: readonly number[], k: number) => unknown, RegExp]>([
    ['that is no model', () => dense(), /expert_0 must be a model of tfjs-layers, got object/],
    ['that is nothing', () => undefined, /expert_0 must be a model of tfjs-layers, got undefined/],
    [
      'for other images',
      (shape, k) => (k === 0 ? network(shape, k) : network([8, 8, 2], k)),
      /expert_1 must take any number of samples of shape \(4, 4, 2\), got a network for \(null, 8, 8, 2\)/,
    ],
    [
      'for a fixed batch',
      () => tf.sequential({ layers: [tf.layers.flatten({ batchInputShape: [8, 4, 4, 2] }), dense()] }),
      /expert_0 must take any number .* got a network for \(8, 4, 4, 2\)/,
    ],
    [
      'of another number of outputs than the first',
      (_, k) =>
        tf.sequential({
          layers: [tf.layers.flatten({ inputShape: [4, 4, 2] }), tf.layers.dense({ units: 3 + k })],
        }),
      /expert_1 must return the shape \(3\) of the first, got \(4\)/,
    ],
    [
      'that returns a map',
      () =>
        tf.sequential({ layers: [tf.layers.conv2d({ filters: 3, kernelSize: 1, inputShape: [4, 4, 2] })] }),
      /expert_0 must return D numbers for each sample, got \(4, 4, 3\)/,
    ],
    [
      'that is another one as well',
      () => shared,
      /expert_1 must be a network of its own, got one that shares the weight .*kernel/,
    ],
    [
      'with two outputs',
      () => {
        const x = tf.input({ shape: [4, 4, 2] })
        const flat = tf.layers.flatten().apply(x)
        return tf.model({
          inputs: x,
          outputs: [dense().apply(flat), dense().apply(flat)] as tf.SymbolicTensor[],
        })
      },
      /expert_0 must have 1 input and 1 output, got 1 and 2/,
    ],
  ])('%s', (_, expert, message) => {
    expect(() => made({ expert: expert as never })).toThrow(message)
  })

  it('in a configuration that has fewer than experts', () => {
    const { layers } = made().getConfig() as never as { layers: { config: { experts: unknown[] } }[] }
    const config = layers[1]?.config
    config?.experts.pop()
    expect(() => tf.Sequential.fromConfig(tf.Sequential as never, { layers } as never)).toThrow(
      /experts must be 2 networks, one for each expert, got 1/,
    )
  })
})

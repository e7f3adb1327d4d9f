import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../../src/layers/moe/patch-moe-options.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { draw } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const INPUT = [4, 8, 3]
const OPTIONS: PatchMoEOptions = {
  name: 'moe',
  numExperts: 2,
  patchesPerExpert: 3,
  patchSize: 2,
  filters: 4,
  border: 'halo',
  preActivation: 'batch-norm-relu',
  useBias: true,
  momentum: 0.8,
  seed: 3,
}

function layerOf(options: Partial<PatchMoEOptions> = {}): PatchMoE {
  return patchMoE({ ...OPTIONS, ...options })
}
const stem = () =>
  tf.layers.conv2d({ filters: 3, kernelSize: 1, inputShape: INPUT, kernelInitializer: seeded(1) })
const pool = () => tf.layers.globalAveragePooling2d({})
const classify = () =>
  tf.layers.dense({ units: 3, activation: 'softmax', name: 'classes', kernelInitializer: seeded(2) })
const seeded = (seed: number) => tf.initializers.glorotUniform({ seed })

function sequential(options: Partial<PatchMoEOptions> = {}): tf.LayersModel {
  const model = tf.sequential()
  model.add(stem())
  model.add(layerOf(options))
  model.add(pool())
  model.add(classify())
  return model
}

function functional(): tf.LayersModel {
  const input = tf.input({ shape: INPUT })
  const map = layerOf().apply(stem().apply(input)) as tf.SymbolicTensor
  return tf.model({
    inputs: input,
    outputs: classify().apply(pool().apply(map)) as tf.SymbolicTensor,
  })
}

function nested(): tf.LayersModel {
  const trunk = tf.sequential({ name: 'trunk', layers: [stem(), layerOf()] })
  return tf.sequential({ layers: [trunk, pool(), classify()] })
}

/** Images whose class is the channel that is brightest in one patch. */
function data(count = 12) {
  const labels = Int32Array.from({ length: count }, (_, i) => i % 3)
  const pixels = draw(count * 96, 5)
  labels.forEach((label, i) => {
    for (const pixel of [9, 10, 17, 18]) pixels[i * 96 + pixel * 3 + label]! += 4
  })
  const x = tf.tensor4d(Float32Array.from(pixels), [count, 4, 8, 3])
  return { x, y: tf.oneHot(tf.tensor1d(labels, 'int32'), 3).toFloat() }
}

function compiled<T extends tf.LayersModel>(
  model: T,
  optimizer: string | tf.Optimizer = tf.train.adam(0.03),
): T {
  model.compile({ optimizer, loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
  return model
}

async function train(model: tf.LayersModel, epochs: number): Promise<number[]> {
  const { x, y } = data()
  const { history } = await model.fit(x, y, { epochs, batchSize: 4, shuffle: false, verbose: 0 })
  return history.loss as number[]
}

const valuesOf = (weights: readonly tf.Tensor[]) => weights.map(weight => Array.from(weight.dataSync()))
const moeOf = (model: tf.LayersModel) => model.getLayer('moe') as PatchMoE
const predictions = (model: tf.LayersModel, x: tf.Tensor) =>
  Array.from((model.predict(x) as tf.Tensor).dataSync())

describe.each([
  ['model.add', sequential],
  ['the functional API', functional],
  ['a nested model', nested],
])('PatchMoE through %s', (_, build) => {
  it('starts from the same numbers as elsewhere', () => {
    const { x } = data()
    expect(predictions(build(), x)).toEqual(predictions(sequential(), x))
  })

  it('learns in fit', async () => {
    const losses = await train(compiled(build()), 8)
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) * 0.8)
    expect(losses.every(Number.isFinite)).toBe(true)
  })

  it('predicts each image alike, whatever the batch', () => {
    const { x } = data(7)
    const model = build()
    const whole = predictions(model, x)
    const one = tf.unstack(x).flatMap(image => predictions(model, tf.expandDims(image)))
    expectAllClose(one, whole)
    expectAllClose((model.predict(x, { batchSize: 3 }) as tf.Tensor).dataSync(), whole)
  })

  it('evaluates to the cross entropy of what it predicts', () => {
    const { x, y } = data(7)
    const model = compiled(build())
    const [loss] = model.evaluate(x, y, { batchSize: 3 }) as tf.Scalar[]
    const truth = y.dataSync()
    const total = predictions(model, x).reduce((sum, p, i) => sum - truth[i]! * Math.log(p), 0)
    expectAllClose(loss?.dataSync() as Float32Array, [total / 7])
  })

  it('gives its tensors back when disposed', () => {
    const before = tf.memory().numTensors
    build().dispose()
    expect(tf.memory().numTensors).toBe(before)
  })
})

const EVERY_OPTION: PatchMoEOptions = {
  name: 'moe',
  inputShape: INPUT,
  numExperts: 3,
  patchesPerExpert: 4,
  patchSize: [2, 1],
  filters: 6,
  kernelSize: [3, 1],
  border: 'halo',
  gate: 'softmax-all',
  gateScale: 'none',
  preActivation: 'batch-norm-relu',
  useBias: true,
  activation: 'elu',
  kernelInitializer: tf.initializers.randomNormal({ mean: 0.5, stddev: 2, seed: 21 }),
  kernelRegularizer: tf.regularizers.l2({ l2: 0.25 }),
  kernelConstraint: tf.constraints.maxNorm({ maxValue: 3, axis: 2 }),
  biasInitializer: tf.initializers.randomUniform({ minval: 1, maxval: 2, seed: 22 }),
  biasRegularizer: tf.regularizers.l1({ l1: 0.125 }),
  biasConstraint: 'nonNeg',
  routerInitializer: tf.initializers.randomUniform({ minval: -1, maxval: 1, seed: 23 }),
  routerRegularizer: tf.regularizers.l1l2({ l1: 0.5, l2: 0.0625 }),
  routerConstraint: tf.constraints.unitNorm({ axis: 0 }),
  routerTrainable: false,
  momentum: 0.7,
  epsilon: 0.02,
}

async function throughJSON(model: tf.LayersModel): Promise<tf.LayersModel> {
  return tf.models.modelFromJSON(JSON.parse(JSON.stringify(model.toJSON(null, false))))
}

describe('the configuration of PatchMoE', () => {
  it('keeps every option through a saved model', async () => {
    const model = tf.sequential({ layers: [patchMoE(EVERY_OPTION)] })
    const loaded = await throughJSON(model)
    const layer = moeOf(loaded)
    expect(layer.getConfig()).toEqual(moeOf(model).getConfig())
    expect(layer.getConfig()).toMatchObject({
      name: 'moe',
      batchInputShape: [null, ...INPUT],
      numExperts: 3,
      patchesPerExpert: 4,
      patchSize: [2, 1],
      filters: 6,
      kernelSize: [3, 1],
      border: 'halo',
      gate: 'softmax-all',
      gateScale: 'none',
      preActivation: 'batch-norm-relu',
      useBias: true,
      activation: 'elu',
      kernelInitializer: { className: 'RandomNormal', config: { mean: 0.5, stddev: 2, seed: 21 } },
      kernelRegularizer: { className: 'L1L2', config: { l1: 0, l2: 0.25 } },
      kernelConstraint: { className: 'MaxNorm', config: { maxValue: 3, axis: 2 } },
      biasInitializer: { className: 'RandomUniform', config: { minval: 1, maxval: 2, seed: 22 } },
      biasRegularizer: { className: 'L1L2', config: { l1: 0.125, l2: 0 } },
      biasConstraint: { className: 'NonNeg' },
      routerInitializer: { className: 'RandomUniform', config: { minval: -1, maxval: 1, seed: 23 } },
      routerRegularizer: { className: 'L1L2', config: { l1: 0.5, l2: 0.0625 } },
      routerConstraint: { className: 'UnitNorm', config: { axis: 0 } },
      routerTrainable: false,
      momentum: 0.7,
      epsilon: 0.02,
    })
    expect(valuesOf(loaded.getWeights())).toEqual(valuesOf(model.getWeights()))
  })

  it('keeps the seed of the default initializers', async () => {
    const model = sequential({ seed: 9 })
    const start = valuesOf(moeOf(model).getWeights())
    expect(valuesOf(moeOf(await throughJSON(model)).getWeights())).toEqual(start)
    const other = valuesOf(moeOf(sequential({ seed: 10 })).getWeights())
    expect(other[0]).not.toEqual(start[0])
    expect(other[1]).not.toEqual(start[1])
  })

  it('reaches the weights: penalties and confines', async () => {
    const input = tf.input({ shape: INPUT })
    const outputs = patchMoE(EVERY_OPTION).apply(input) as tf.SymbolicTensor
    const model = await throughJSON(tf.model({ inputs: input, outputs }))
    const layer = moeOf(model)
    const ones = (at: number) => tf.ones(layer.weights[at]?.shape as number[])
    // The router (2,1,3,3) of -4 has a norm of 1 along its first axis: each number becomes -1/sqrt(2). The kernel
    // (3,1,3,6) of 10 has a norm of 3 along its channels: sqrt(3) each. The bias of -5 becomes 0.
    const weights = layer.getWeights()
    layer.setWeights([tf.mul(ones(0), -4), tf.mul(ones(1), 10), tf.mul(ones(2), -5), ...weights.slice(3)])
    const [router, kernel, bias] = valuesOf(layer.getWeights()) as [number[], number[], number[]]
    expectAllClose(router, Array(18).fill(-Math.SQRT1_2), 1e-4, 1e-5)
    expectAllClose(kernel, Array(54).fill(Math.sqrt(3)), 1e-4, 1e-5)
    expect(bias).toEqual(Array(6).fill(0))
    // Router: 18 (0.5 / sqrt(2) + 0.0625 / 2). Kernel: 0.25 54 3. Bias: 0.
    const penalties = model.calculateLosses().map(loss => loss.dataSync()[0] as number)
    expectAllClose(
      penalties.sort((a, b) => a - b),
      [0, 18 * (0.5 * Math.SQRT1_2 + 0.0625 / 2), 0.25 * 54 * 3],
    )
  })

  it('refuses an assignment to weights', () => {
    const layer = layerOf()
    layer.build([null, ...INPUT])
    expect(() => {
      layer.weights = []
    }).toThrow(new TypeError('PatchMoE: weights must be set through setWeights(), got an assignment'))
  })
})

async function savedArtifacts(
  model: tf.LayersModel,
  config: tf.io.SaveConfig = {},
): Promise<tf.io.ModelArtifacts> {
  let artifacts: tf.io.ModelArtifacts = {}
  const handler = tf.io.withSaveHandler(async saved => {
    artifacts = saved
    return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(saved) }
  })
  await model.save(handler, config)
  return artifacts
}

describe('a saved model with PatchMoE', () => {
  it.each([
    ['model.add', sequential],
    ['the functional API', functional],
    ['a nested model', nested],
    ['a frozen router', () => sequential({ routerTrainable: false })],
  ])('predicts the same after loading: %s', async (_, build) => {
    const model = compiled(build())
    await train(model, 1)
    const { x } = data(7)
    const before = predictions(model, x)
    const loaded = await tf.loadLayersModel(tf.io.fromMemory(await savedArtifacts(model)))
    expect(predictions(loaded, x)).toEqual(before)
  })

  it.each(['adam', 'sgd', 'momentum'] as const)(
    'goes on training in the same numbers, optimizer %s',
    async name => {
      const optimizers = {
        adam: tf.train.adam(0.03),
        sgd: tf.train.sgd(0.1),
        momentum: tf.train.momentum(0.1, 0.9),
      }
      const model = compiled(sequential(), optimizers[name])
      await train(model, 2)
      const artifacts = await savedArtifacts(model, { includeOptimizer: true })
      const loaded = await tf.loadLayersModel(tf.io.fromMemory(artifacts))
      const expected = await train(model, 2)
      expectAllClose(await train(loaded, 2), expected, 1e-5, 1e-6)
      const [after, target] = [loaded, model].map(m => valuesOf(m.getWeights()))
      expectAllClose(after as number[][], target as number[][], 1e-4, 1e-5)
    },
  )
})

describe('what of PatchMoE is trained', () => {
  const ORDER = ['router', 'kernel', 'bias', 'gamma', 'beta', 'moving_mean', 'moving_variance']
  const names = (weights: readonly tf.LayerVariable[]) =>
    weights.map(weight => weight.originalName.replace('moe/', ''))

  /** Which weights of the layer an epoch moves. */
  async function moved(model: tf.LayersModel): Promise<string[]> {
    const layer = moeOf(model)
    const before = valuesOf(layer.getWeights())
    await train(model, 1)
    const after = valuesOf(layer.getWeights())
    return names(layer.weights).filter((_, i) => String(after[i]) !== String(before[i]))
  }

  it('everything but the moving averages, which follow the batches', async () => {
    const model = compiled(sequential())
    expect(names(moeOf(model).weights)).toEqual(ORDER)
    expect(names(moeOf(model).trainableWeights)).toEqual(ORDER.slice(0, 5))
    expect(await moved(model)).toEqual(ORDER)
  })

  it('not the router where routerTrainable is false; the order stays', async () => {
    const model = compiled(sequential({ routerTrainable: false }))
    expect(names(moeOf(model).weights)).toEqual(ORDER)
    expect(names(moeOf(model).trainableWeights)).toEqual(ORDER.slice(1, 5))
    expect(await moved(model)).toEqual(ORDER.slice(1))
  })

  it('nothing where the layer is not trainable, all again later, but not a frozen router', async () => {
    const model = sequential({ routerTrainable: false })
    const layer = moeOf(model)
    layer.trainable = false
    expect(layer.trainableWeights).toEqual([])
    expect(names(layer.weights)).toEqual(ORDER)
    expect(await moved(compiled(model))).toEqual(['moving_mean', 'moving_variance'])
    layer.trainable = true
    expect(names(layer.trainableWeights)).toEqual(ORDER.slice(1, 5))
    expect(await moved(compiled(model))).toEqual(ORDER.slice(1))
  })

  it('as a Conv2D is, penalties and confines included, at L = N, gate uniform, border halo', async () => {
    // tfjs confines weights where they are set, not after a step of fit; whatever it does, both do alike.
    const shared = {
      filters: 4,
      kernelSize: 3,
      useBias: true,
      kernelInitializer: seeded(4),
      kernelRegularizer: tf.regularizers.l2({ l2: 0.1 }),
      kernelConstraint: tf.constraints.maxNorm({ maxValue: 0.5 }),
      biasInitializer: 'ones' as const,
      biasRegularizer: tf.regularizers.l1({ l1: 0.1 }),
      biasConstraint: tf.constraints.nonNeg(),
    }
    const sparse = layerOf({ ...shared, patchesPerExpert: 8, gate: 'uniform', preActivation: 'none' })
    const dense = tf.layers.conv2d({ ...shared, padding: 'same' })
    const around = (layer: tf.layers.Layer) =>
      compiled(tf.sequential({ layers: [stem(), layer, pool(), classify()] }), tf.train.sgd(0.2))
    expectAllClose(await train(around(sparse), 3), await train(around(dense), 3))
    expectAllClose(valuesOf(sparse.getWeights().slice(1)), valuesOf(dense.getWeights()), 1e-4, 1e-4)
  })
})

import * as tf from '@tensorflow/tfjs'
import * as fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import { pruneExperts } from '../../src/prune/index.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { fillWeights, uniform } from '../models/example-models.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const networks = fc.record({
  cells: fc.tuple(fc.integer({ min: 1, max: 3 }), fc.integer({ min: 1, max: 3 })),
  patchSize: fc.integer({ min: 1, max: 2 }),
  channels: fc.integer({ min: 1, max: 3 }),
  numExperts: fc.integer({ min: 1, max: 5 }),
  filtersEach: fc.integer({ min: 1, max: 3 }),
  kept: fc.double({ min: 0, max: 1, noNaN: true }),
  keep: fc.double({ min: 0, max: 1, noNaN: true }),
  kernelSize: fc.constantFrom(1, 3),
  border: fc.constantFrom('zero', 'halo'),
  gate: fc.constantFrom('softmax-selected', 'softmax-all', 'uniform'),
  gateScale: fc.constantFrom('mean-one', 'none'),
  preActivation: fc.constantFrom('none', 'relu', 'batch-norm-relu'),
  useBias: fc.boolean(),
  /** What hands channels on. */
  passing: fc.array(
    fc.constantFrom('batch norm', 'relu', 'padding', 'pool', 'depthwise', 'upsampling', 'prelu'),
    { maxLength: 4 },
  ),
  reader: fc.constantFrom('dense behind the pool', 'flatten and dense', 'convolution', 'strided convolution'),
  seed: fc.integer({ min: 0, max: 2 ** 31 }),
})
type Network = typeof networks extends fc.Arbitrary<infer T> ? T : never

/** Makes layers that hand channels on; new ones for each name. */
const PASSING: Readonly<Record<Network['passing'][number], (name: string) => tf.layers.Layer>> = {
  'batch norm': name => tf.layers.batchNormalization({ name }),
  relu: name => tf.layers.reLU({ name }),
  padding: name => tf.layers.zeroPadding2d({ name }),
  pool: name => tf.layers.maxPooling2d({ name, poolSize: 2, strides: 1, padding: 'same' }),
  depthwise: name => tf.layers.depthwiseConv2d({ name, kernelSize: 3, padding: 'same', depthMultiplier: 2 }),
  upsampling: name => tf.layers.upSampling2d({ name }),
  prelu: name => tf.layers.prelu({ name, sharedAxes: [1, 2] }),
}

function readers(reader: Network['reader']): tf.layers.Layer[] {
  const dense = tf.layers.dense({ units: 3, name: 'dense' })
  const pool = tf.layers.globalAveragePooling2d({ name: 'pool' })
  const convolution = (strides: number) =>
    tf.layers.conv2d({ filters: 4, kernelSize: 3, strides, padding: 'same', name: 'conv' })
  return {
    'dense behind the pool': [pool, dense],
    'flatten and dense': [tf.layers.flatten(), dense],
    convolution: [convolution(1), pool],
    'strided convolution': [convolution(2), pool],
  }[reader]
}

interface BuiltNetwork {
  readonly model: tf.LayersModel
  /** The mixture's map. */
  readonly map: tf.LayersModel
  /** From the image to what is read: the map behind all that hands channels on. */
  readonly features: tf.LayersModel
  /** From there to the output. */
  readonly rest: tf.LayersModel
}

function built(network: Network): BuiltNetwork {
  const {
    cells,
    patchSize,
    channels,
    numExperts,
    filtersEach,
    kept,
    passing,
    reader,
    keep: _,
    ...mixture
  } = network
  const patches = cells[0] * cells[1]
  const image = tf.input({ shape: [cells[0] * patchSize, cells[1] * patchSize, channels] })
  const experts = patchMoE({
    ...mixture,
    name: 'experts',
    patchSize,
    numExperts,
    filters: numExperts * filtersEach,
    patchesPerExpert: Math.max(1, Math.round(kept * patches)),
  })
  const apply = (layers: tf.layers.Layer[], from: tf.SymbolicTensor) =>
    layers.reduce((x, layer) => layer.apply(x) as tf.SymbolicTensor, from)
  const map = apply([experts], image)
  const read = apply(
    passing.map((name, i) => PASSING[name](`pass${i}`)),
    map,
  )
  const reading = readers(reader)
  const model = tf.model({ inputs: image, outputs: apply(reading, read) })
  const input = tf.input({ shape: read.shape.slice(1) })
  fillWeights(model, network.seed)
  return {
    model,
    map: tf.model({ inputs: image, outputs: map }),
    features: tf.model({ inputs: image, outputs: read }),
    rest: tf.model({ inputs: input, outputs: apply(reading, input) }),
  }
}

/** Two images of seeded numbers. */
function imagesFor({ inputs: [input] }: tf.LayersModel, seed: number): tf.Tensor {
  return uniform([2, ...((input as tf.SymbolicTensor).shape.slice(1) as number[])], seed)
}

describe('pruning any network', () => {
  it('gives the unpruned one with the channels of removed experts set to 0 where they are read', async () => {
    await fc.assert(
      fc.asyncProperty(networks, async network => {
        const { model, map, features, rest } = built(network)
        const { numExperts, filtersEach, seed } = network
        const keep = Math.max(1, Math.round(network.keep * numExperts))
        const { model: pruned, receipt } = await pruneExperts(model, { criterion: 'random', seed, keep })
        const x = imagesFor(model, seed)

        const read = features.predict(x) as tf.Tensor
        const times = (read.shape.at(-1) as number) / (numExperts * filtersEach)
        const mask = Array.from({ length: numExperts }, (_, s) => (receipt.kept.includes(s) ? 1 : 0))
        const ofChannels = mask.flatMap(value => new Array<number>(filtersEach * times).fill(value))
        const expected = rest.predict(tf.mul(read, tf.tensor1d(ofChannels))) as tf.Tensor
        expectAllClose((pruned.predict(x) as tf.Tensor).dataSync(), expected.dataSync(), 1e-3, 1e-4)

        const experts = pruned.getLayer('experts') as unknown as PatchMoE
        const own = tf.model({ inputs: pruned.inputs, outputs: experts.output as tf.SymbolicTensor })
        const channels = receipt.kept.flatMap(s =>
          Array.from({ length: filtersEach }, (_, i) => s * filtersEach + i),
        )
        const before = tf.gather(map.predict(x) as tf.Tensor, tf.tensor1d(channels, 'int32'), 3)
        // To rounding: how a product adds depends on its number of columns, on wasm (two or fewer) and on TensorFlow.
        expectAllClose((own.predict(x) as tf.Tensor).dataSync(), before.dataSync(), 1e-5, 1e-5)
      }),
      { numRuns: 25 },
    )
  })

  it("gives the unpruned one with experts that answer 0, by operator 'zero' and by compensation", async () => {
    const constant = networks.filter(({ passing, reader }) => {
      const hasBorder = passing.includes('padding') || passing.includes('depthwise')
      return !hasBorder && !reader.endsWith('convolution')
    })
    await fc.assert(
      fc.asyncProperty(constant, async network => {
        const { model } = built(network)
        const { numExperts, filtersEach, seed } = network
        const keep = Math.max(1, Math.round(network.keep * numExperts))
        const options = { criterion: 'random', seed, keep } as const
        const zeroed = await pruneExperts(model, { ...options, operator: 'zero' })
        const compensated = await pruneExperts(model, { ...options, compensate: 'zero' })
        const x = imagesFor(model, seed)

        // The experts' own weights: kernels of 0 and no bias give 0.
        const layer = model.getLayer('experts') as unknown as PatchMoE
        const weights = layer.getWeights()
        const silent = layer.weights.map(({ originalName, shape }, i) => {
          if (!/\/(kernel|bias)$/.test(originalName)) return weights[i] as tf.Tensor
          const mask = Array.from({ length: numExperts * filtersEach }, (_, channel) =>
            zeroed.receipt.kept.includes(Math.floor(channel / filtersEach)) ? 1 : 0,
          )
          return tf.mul(
            weights[i] as tf.Tensor,
            tf.reshape(
              mask,
              shape.map((_, axis) => (axis === shape.length - 1 ? -1 : 1)),
            ),
          )
        })
        layer.setWeights(silent)
        const expected = (model.predict(x) as tf.Tensor).dataSync()
        expectAllClose((zeroed.model.predict(x) as tf.Tensor).dataSync(), expected, 1e-3, 1e-4)
        expectAllClose((compensated.model.predict(x) as tf.Tensor).dataSync(), expected, 1e-3, 1e-4)
      }),
      { numRuns: 25 },
    )
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'

/** A layer in a model of its own: dense, the layer, dense. */
interface LayerCase {
  /** What it is given, without the batch. */
  readonly input: readonly number[]
  readonly layer: () => tf.layers.Layer
  /** Whether it draws numbers, so that no derivative can be measured. */
  readonly draws?: boolean
  /** Whether it joins two tensors. */
  readonly joins?: boolean
}

const map = [6, 6, 4]
const row = [6, 4]
const volume = [4, 4, 4, 2]
const l = tf.layers

const activations = [
  'elu',
  'gelu',
  'gelu_new',
  'hardSigmoid',
  'linear',
  'mish',
  'relu',
  'relu6',
  'selu',
  'sigmoid',
  'softmax',
  'softplus',
  'softsign',
  'swish',
  'tanh',
] as const

/** By the factory of tfjs, and what else is said of it. */
const cases: Record<string, LayerCase> = {
  ...Object.fromEntries(
    activations.map(activation => [
      `activation ${activation}`,
      { input: map, layer: () => l.activation({ activation }) },
    ]),
  ),
  add: { input: row, layer: () => l.add(), joins: true },
  alphaDropout: { input: map, layer: () => l.alphaDropout({ rate: 0.2 }), draws: true },
  average: { input: row, layer: () => l.average(), joins: true },
  averagePooling1d: { input: row, layer: () => l.averagePooling1d({ poolSize: 2 }) },
  averagePooling2d: { input: map, layer: () => l.averagePooling2d({ poolSize: 2 }) },
  'averagePooling2d 3 / 2 same': {
    input: map,
    layer: () => l.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  },
  averagePooling3d: { input: volume, layer: () => l.averagePooling3d({ poolSize: 2 }) },
  batchNormalization: { input: map, layer: () => l.batchNormalization() },
  bidirectional: {
    input: row,
    layer: () => l.bidirectional({ layer: l.gru({ units: 3 }) as tf.RNN, mergeMode: 'concat' }),
  },
  concatenate: { input: row, layer: () => l.concatenate(), joins: true },
  conv1d: { input: row, layer: () => l.conv1d({ filters: 3, kernelSize: 3 }) },
  conv2d: { input: map, layer: () => l.conv2d({ filters: 3, kernelSize: 3, activation: 'relu' }) },
  'conv2d stride 2 same': {
    input: map,
    layer: () => l.conv2d({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' }),
  },
  'conv2d channels first': {
    input: map,
    layer: () => l.conv2d({ filters: 3, kernelSize: 3, dataFormat: 'channelsFirst' }),
  },
  conv2dTranspose: { input: map, layer: () => l.conv2dTranspose({ filters: 3, kernelSize: 3 }) },
  'conv2dTranspose stride 2 same': {
    input: map,
    layer: () => l.conv2dTranspose({ filters: 3, kernelSize: 3, strides: 2, padding: 'same' }),
  },
  conv3d: { input: volume, layer: () => l.conv3d({ filters: 3, kernelSize: 2 }) },
  'conv3d stride 2 same': {
    input: volume,
    layer: () => l.conv3d({ filters: 2, kernelSize: 3, strides: 2, padding: 'same' }),
  },
  convLstm2d: { input: [3, 5, 5, 2], layer: () => l.convLstm2d({ filters: 2, kernelSize: 3 }) },
  cropping2D: {
    input: map,
    layer: () =>
      l.cropping2D({
        cropping: [
          [1, 1],
          [0, 2],
        ],
      }),
  },
  dense: { input: [5], layer: () => l.dense({ units: 3 }) },
  depthwiseConv2d: { input: map, layer: () => l.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }) },
  'depthwiseConv2d stride 2 same': {
    input: map,
    layer: () => l.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: 'same' }),
  },
  dot: { input: row, layer: () => l.dot({ axes: -1 }), joins: true },
  dropout: { input: map, layer: () => l.dropout({ rate: 0.2 }), draws: true },
  elu: { input: map, layer: () => l.elu() },
  flatten: { input: map, layer: () => l.flatten() },
  gaussianDropout: { input: map, layer: () => l.gaussianDropout({ rate: 0.2 }), draws: true },
  gaussianNoise: { input: map, layer: () => l.gaussianNoise({ stddev: 0.2 }), draws: true },
  globalAveragePooling1d: { input: row, layer: () => l.globalAveragePooling1d() },
  globalAveragePooling2d: { input: map, layer: () => l.globalAveragePooling2d({}) },
  globalMaxPooling1d: { input: row, layer: () => l.globalMaxPooling1d() },
  globalMaxPooling2d: { input: map, layer: () => l.globalMaxPooling2d({}) },
  gru: { input: row, layer: () => l.gru({ units: 3 }) },
  layerNormalization: { input: map, layer: () => l.layerNormalization() },
  leakyReLU: { input: map, layer: () => l.leakyReLU() },
  lstm: { input: row, layer: () => l.lstm({ units: 3, returnSequences: true }) },
  maxPooling1d: { input: row, layer: () => l.maxPooling1d({ poolSize: 2 }) },
  maxPooling2d: {
    input: map,
    layer: () => l.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' }),
  },
  maxPooling3d: { input: volume, layer: () => l.maxPooling3d({ poolSize: 2 }) },
  maximum: { input: row, layer: () => l.maximum(), joins: true },
  minimum: { input: row, layer: () => l.minimum(), joins: true },
  multiply: { input: row, layer: () => l.multiply(), joins: true },
  permute: { input: map, layer: () => l.permute({ dims: [3, 1, 2] }) },
  prelu: { input: map, layer: () => l.prelu({ alphaInitializer: tf.initializers.constant({ value: 0.2 }) }) },
  reLU: { input: map, layer: () => l.reLU({ maxValue: 6 }) },
  repeatVector: { input: [5], layer: () => l.repeatVector({ n: 3 }) },
  reshape: { input: map, layer: () => l.reshape({ targetShape: [12, 12] }) },
  rnn: {
    input: row,
    layer: () => l.rnn({ cell: [l.gruCell({ units: 3 }), l.lstmCell({ units: 2 })] as tf.layers.RNNCell[] }),
  },
  separableConv2d: { input: map, layer: () => l.separableConv2d({ filters: 3, kernelSize: 3 }) },
  simpleRNN: { input: row, layer: () => l.simpleRNN({ units: 3 }) },
  softmax: { input: row, layer: () => l.softmax({ axis: -1 }) },
  spatialDropout1d: { input: row, layer: () => l.spatialDropout1d({ rate: 0.2 }), draws: true },
  timeDistributed: { input: row, layer: () => l.timeDistributed({ layer: l.dense({ units: 3 }) }) },
  upSampling2d: { input: [3, 4, 2], layer: () => l.upSampling2d({ size: [2, 3] }) },
  'upSampling2d bilinear': {
    input: [3, 4, 2],
    layer: () => l.upSampling2d({ size: [2, 2], interpolation: 'bilinear' }),
  },
  zeroPadding2d: { input: map, layer: () => l.zeroPadding2d() },
}

/** What tfjs trains on no backend, and how it says so. */
const untrainable: Record<string, LayerCase & { readonly message: string }> = {
  'conv1d dilated': {
    input: row,
    layer: () => l.conv1d({ filters: 3, kernelSize: 3, dilationRate: 2 }),
    message: 'dilation rates greater than 1 are not yet supported',
  },
  'conv2d dilated': {
    input: map,
    layer: () => l.conv2d({ filters: 3, kernelSize: 3, dilationRate: 2 }),
    message: 'dilation rates greater than 1 are not yet supported',
  },
  'separableConv2d dilated': {
    input: map,
    layer: () => l.separableConv2d({ filters: 3, kernelSize: 3, dilationRate: 2 }),
    message: 'dilation rates greater than 1 are not yet supported',
  },
  conv3dTranspose: {
    input: volume,
    layer: () => l.conv3dTranspose({ filters: 3, kernelSize: 2 }),
    message: 'gradient function not found for Conv3DBackpropInputV2',
  },
  masking: {
    input: row,
    layer: () => l.masking(),
    message: 'gradient function not found for Any',
  },
  thresholdedReLU: {
    input: map,
    layer: () => l.thresholdedReLU({ theta: 0.1 }),
    message: 'gradient function not found for Greater',
  },
}

/** What stands in the table of tfjs's layers and is none that a network trains through, or has another case of its own. */
const others = [
  ...['Layer', 'RNN', 'RNNCell', 'input', 'inputLayer'],
  ...['gruCell', 'lstmCell', 'simpleRNNCell', 'stackedRNNCells', 'convLstm2dCell'],
  // Of integers, and those that prepare images.
  ...['embedding', 'categoryEncoding', 'centerCrop', 'randomWidth', 'rescaling', 'resizing'],
  // Other names of the same.
  ...['avgPool1d', 'avgPool2d', 'avgPool3d', 'avgPooling1d', 'avgPooling2d', 'avgPooling3d'],
  ...['globalMaxPool1d', 'globalMaxPool2d', 'maxPool1d', 'maxPool2d'],
]

beforeAll(() => useBackend('wasm'))
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

test('every layer of tfjs has a case', () => {
  const named = [...Object.keys(cases), ...Object.keys(untrainable)].map(name => name.split(' ')[0])
  const missing = Object.keys(tf.layers).filter(name => !named.includes(name) && !others.includes(name))
  expect(missing).toEqual([])
})

describe('one step of training on wasm moves every weight', () => {
  test.each(Object.entries(cases))('%s', async (_, layerCase) => {
    const model = modelOf(layerCase)
    model.compile({ optimizer: tf.train.sgd(1), loss: 'meanSquaredError' })
    const { x, y } = batch(layerCase)
    const weights = () => model.trainableWeights.map(weight => weight.read().dataSync().slice())
    const before = weights()
    await model.trainOnBatch(x, y)
    const unmoved = weights().flatMap((values, i) =>
      values.some((value, at) => value !== before[i]![at]) && values.every(Number.isFinite)
        ? []
        : [model.trainableWeights[i]!.originalName],
    )
    expect(unmoved).toEqual([])
  })
})

describe('derivatives of layers on wasm are the slope of the loss', () => {
  test.each(Object.entries(cases).filter(([, { draws }]) => !draws))('%s', (_, layerCase) => {
    const model = modelOf(layerCase)
    const { x, y } = batch(layerCase)
    const loss = () =>
      tf.losses.meanSquaredError(y, model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar
    const { grads } = tf.variableGrads(loss)
    // One weight at a time: a wrong derivative by a small one is not lost among those by others.
    for (const weight of model.trainableWeights) {
      const variable = weight.read() as tf.Variable
      const gradient = grads[variable.name]!
      const norm = tf.norm(gradient).dataSync()[0]!
      const start = variable.clone()
      const distance = 0.01
      const [ahead, behind] = [1, -1].map(sign => {
        variable.assign(tf.add(start, tf.mul(gradient, (sign * distance) / norm)))
        return loss().dataSync()[0]!
      }) as [number, number]
      variable.assign(start)
      const slope = (ahead - behind) / (2 * distance)
      expect(Math.abs(slope - norm) / norm, `${variable.name}: ${slope} for ${norm}`).toBeLessThan(0.05)
    }
  })
})

describe('no backend trains', () => {
  test.each(Object.entries(untrainable))('%s', async (_, layerCase) => {
    const model = modelOf(layerCase)
    model.compile({ optimizer: 'sgd', loss: 'meanSquaredError' })
    const { x, y } = batch(layerCase)
    await expect(model.trainOnBatch(x, y)).rejects.toThrow(layerCase.message)
  })
})

let drawn = 0
const initializer = () => tf.initializers.randomNormal({ stddev: 0.7, seed: ++drawn })
beforeEach(() => {
  drawn = 0
})

function modelOf({ input: shape, layer, joins = false }: LayerCase): tf.LayersModel {
  const input = tf.input({ shape: [...shape] })
  const first = () =>
    l
      .dense({ units: shape.at(-1)!, useBias: false, kernelInitializer: initializer() })
      .apply(input) as tf.SymbolicTensor
  const middle = layer().apply(joins ? [first(), first()] : first()) as tf.SymbolicTensor
  const flat = middle.shape.length > 2 ? (l.flatten().apply(middle) as tf.SymbolicTensor) : middle
  const output = l.dense({ units: 2, kernelInitializer: initializer() }).apply(flat) as tf.SymbolicTensor
  return tf.model({ inputs: input, outputs: output })
}

function batch({ input }: LayerCase): { x: tf.Tensor; y: tf.Tensor } {
  return {
    x: tf.randomNormal([3, ...input], 0, 1, 'float32', 11),
    y: tf.tensor2d([1, -1, 0, 2, 0.5, 3], [3, 2]),
  }
}

import * as tf from '@tensorflow/tfjs'
import { nameInLayer } from '../../src/export/weights/weights.js'
import { inputScaling, PIXEL_SCALINGS } from '../../src/layers/input-scaling.js'
import { BANK_ACTIVATIONS } from '../../src/layers/moe/filter-banks.js'
import { GATE_SCALES, GATES } from '../../src/layers/moe/gates.js'
import { patchExperts } from '../../src/layers/moe/patch-experts.js'
import type { PatchExpertsOptions } from '../../src/layers/moe/patch-experts-options.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../../src/layers/moe/patch-moe-options.js'
import { type SampleExpertsOptions, sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { sampleMoE } from '../../src/layers/moe/sample-moe.js'
import type { SampleMoEOptions } from '../../src/layers/moe/sample-moe-options.js'
import { GATE_NOISES_OF, SAMPLE_GATES } from '../../src/layers/moe/sample-routing.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { sampleExpertsModel } from '../../src/models/sample-experts.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { random } from '../../src/random.js'

/** A model to be exported, built when its test runs. */
export interface ModelCase {
  readonly name: string
  readonly build: () => tf.LayersModel
}

/** Gives a model weights as training leaves them: no zeros, no ones, routers that tell patches apart. */
export function trained(model: tf.LayersModel, seed = 1): tf.LayersModel {
  const numbers = random(seed, 'trained')
  for (const variable of model.weights) {
    const name = nameInLayer(variable)
    const shape = variable.shape as number[]
    const size = shape.reduce((product, side) => product * side, 1)
    const inputs = shape.slice(0, -1).reduce((product, side) => product * side, 1)
    const positive = name === 'moving_variance' || name === 'gamma'
    const values = Float32Array.from({ length: size }, () => {
      if (positive) return 0.5 + numbers.next()
      return shape.length > 1 && name !== 'beta' ? numbers.normal() / Math.sqrt(inputs) : numbers.normal() / 5
    })
    tf.tidy(() => {
      variable.write(tf.tensor(values, shape))
    })
  }
  return model
}

/** Numbers of [0, 1) for an input of a model, (batch, ...). */
export function noise(shape: readonly (number | null)[], batch: number, seed: number): tf.Tensor {
  const sides = [batch, ...(shape.slice(1) as number[])]
  const numbers = random(seed, 'noise')
  const size = sides.reduce((product, side) => product * side, 1)
  return tf.tensor(
    Float32Array.from({ length: size }, () => numbers.below(256) / 255),
    sides,
  )
}

/**
 * One image for each pixel of an input (B,H,W,C), with a number there that is not finite: NaN, infinity, minus infinity
 * in turn; then one of finite numbers.
 */
export function damagedImages(shape: readonly (number | null)[]): tf.Tensor {
  const [, height, width, channels] = shape as [null, number, number, number]
  const pixels = height * width
  const clean = noise(shape, pixels + 1, 1)
  const values = clean.dataSync() as Float32Array
  for (let i = 0; i < pixels; i++) {
    const at = (i * pixels + i) * channels + (i % channels)
    values[at] = [NaN, Infinity, -Infinity][i % 3] as number
  }
  return tf.tensor(values, clean.shape)
}

/** For each image of a batch, whether some of its outputs are NaN. */
export function hasNaN(data: Float32Array, batch: number): boolean[] {
  const size = data.length / batch
  return Array.from({ length: batch }, (_, i) => data.subarray(i * size, (i + 1) * size).some(Number.isNaN))
}

const mixture = { numExperts: 4, patchesPerExpert: 5, patchSize: 2 } as const
const wide = { inputShape: [32, 32, 3], numClasses: 4, widenFactor: 1 } as const

/** The networks of this library. */
export const networkCases: readonly ModelCase[] = [
  { name: 'dense WRN', build: () => wideResNet(wide) },
  {
    name: 'WRN of 16 layers, odd sizes',
    build: () => wideResNet({ ...wide, inputShape: [21, 27, 1], depth: 16 }),
  },
  { name: 'sparse WRN', build: () => wideResNet({ ...wide, pmoe: mixture }) },
  {
    name: 'sparse WRN, pixels',
    build: () => wideResNet({ ...wide, pmoe: { ...mixture, patchSize: 1, gate: 'softmax-all' } }),
  },
  {
    name: 'drop-in WRN',
    build: () => wideResNet({ ...wide, variant: 'drop-in', pmoe: { ...mixture, border: 'halo' } }),
  },
  {
    name: 'masked WRN, one logit',
    build: () => wideResNet({ ...wide, numClasses: 1, variant: 'authors', pmoe: mixture }),
  },
  {
    name: 'two-layer pMoE',
    build: () =>
      twoLayerPatchModel({
        ...{ inputShape: [32, 32, 1], numClasses: 2, numExperts: 8, patchesPerExpert: 6 },
        ...{ patchSize: 8, hiddenUnits: 40 },
      }),
  },
  {
    name: 'networks as experts of samples',
    build: () => sampleExpertsModel({ inputShape: [16, 16, 3], numExperts: 4, filters: 2, numClasses: 3 }),
  },
  {
    name: 'sample-level MoE',
    build: () => sampleMoEModel({ inputShape: [16, 16, 3], patchSize: [4, 8], numExperts: 4, numClasses: 2 }),
  },
]

/** The mixture layers, over their options. */
export const mixtureCases: readonly ModelCase[] = [
  ...GATES.flatMap(gate =>
    GATE_SCALES.map(gateScale => moeCase(`${gate}, ${gateScale}`, { gate, gateScale, useBias: true })),
  ),
  ...(['zero', 'halo'] as const).flatMap(border =>
    (['none', 'relu', 'batch-norm-relu'] as const).flatMap(preActivation =>
      [1, 3].map(kernelSize =>
        moeCase(`${border}, ${preActivation}, ${kernelSize}x${kernelSize}`, {
          border,
          preActivation,
          kernelSize,
        }),
      ),
    ),
  ),
  moeCase('a kernel of 3x5, patches of 2x4, sigmoid', {
    ...{ kernelSize: [3, 5], patchSize: [2, 4], border: 'halo', useBias: true, activation: 'sigmoid' },
  }),
  moeCase('every patch, one expert', { numExperts: 1, patchesPerExpert: 8, activation: 'relu' }),
  pooledCase('the mean of kept patches', {}),
  pooledCase(
    'the mean of kept patches behind BatchNorm, ReLU6 and LeakyReLU',
    { kernelSize: 1, patchSize: 1, patchesPerExpert: 7 },
    tf.layers.batchNormalization,
    () => tf.layers.reLU({ maxValue: 6 }),
    () => tf.layers.leakyReLU({ alpha: 0.25 }),
  ),
  pooledCase('the mean of all patches', { patchesPerExpert: 8 }, tf.layers.batchNormalization),
  pooledCase('the mean behind a sigmoid, which needs the map', {}, () =>
    tf.layers.activation({ activation: 'sigmoid' }),
  ),
  ...GATES.map(gate => ({
    name: `PatchGate, ${gate}`,
    build: () =>
      single([4, 8, 3], patchGate({ patchSize: [2, 1], patchesPerExpert: 5, gate, gateScale: 'mean-one' })),
  })),
  ...GATES.map(gate => ({
    name: `TwoLayerExperts, ${gate}`,
    build: () =>
      single(
        [4, 8, 3],
        twoLayerExperts({
          ...{ numExperts: 2, patchesPerExpert: 3, patchSize: 2, hiddenUnits: 6, outputs: 3 },
          ...{ gate, normalizer: gate === 'uniform' ? 'all' : 'selected' },
        }),
      ),
  })),
  ...SAMPLE_GATES.flatMap(gate =>
    GATE_NOISES_OF[gate].map(gateNoise =>
      sampleCase(`${gate}, ${gateNoise}`, { gate, gateNoise, activation: 'relu', filtersPerOutput: 1 }),
    ),
  ),
  ...BANK_ACTIVATIONS.flatMap(activation =>
    [1, 2].map(expertsPerSample =>
      sampleCase(`${activation}, ${expertsPerSample} a sample`, { activation, expertsPerSample }),
    ),
  ),
  sampleCase('patches across the map, without bias', { patchSize: [2, 8], useBias: false }),
  sampleCase('patches of a pixel', { patchSize: 1, activation: 'linear' }),
  sampleCase('pruned experts', { numExperts: 4, prunedExperts: [0, 2] }),
  sampleCase('pruned linear experts, raw', {
    numExperts: 4,
    prunedExperts: [1],
    activation: 'linear',
    gate: 'raw',
  }),
  sampleCase('one expert, uniform', { numExperts: 1, gate: 'uniform' }),
  ...SAMPLE_GATES.map(gate => networksCase(gate, { gate })),
  networksCase('2 a sample, with bias', { expertsPerSample: 2, routerBias: true }),
  // More experts than samples: some compute none.
  networksCase('nine experts', { numExperts: 9 }),
  networksCase('one expert', { numExperts: 1 }),
  ...(['product', ...GATES] as const).flatMap(gate => [
    patchesCase(gate, { gate }),
    patchesCase(`${gate}, two experts`, { gate, numExperts: 2 }),
  ]),
  patchesCase('one network for three experts, added up', {
    ...{ numExperts: 3, shareExpert: true, aggregate: 'sum', margin: 0 },
  }),
  patchesCase('without a prior', { prior: 'none', margin: 2, patchesPerExpert: 6 }),
]

/** Images whose sides are no whole cells. */
function patchesCase(name: string, options: Partial<PatchExpertsOptions>): ModelCase {
  const settings = {
    cellSize: 4,
    margin: 1,
    viewScale: 2,
    patchesPerExpert: 2,
    expert: patchNetwork,
    ...options,
  }
  return { name: `PatchExperts, ${name}`, build: () => single([9, 10, 3], patchExperts(settings)) }
}

function patchNetwork(patchShape: readonly number[]): tf.LayersModel {
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        ...{ inputShape: [...patchShape], filters: 4, kernelSize: 3, strides: 2 },
        ...{ padding: 'same', activation: 'relu', name: 'conv' },
      }),
      tf.layers.globalAveragePooling2d({ name: 'mean' }),
    ],
  })
}

function networksCase(name: string, options: Partial<SampleExpertsOptions>): ModelCase {
  const settings = { numExperts: 3, expert: expertNetwork, patchSize: 2, ...options }
  return { name: `SampleExperts, ${name}`, build: () => single([4, 8, 3], sampleExperts(settings)) }
}

/** Another network for each expert, of the layers that image networks have. */
function expertNetwork(inputShape: readonly number[], k: number): tf.LayersModel {
  const dense = tf.layers.dense({ units: 2, activation: 'softmax', name: 'answer' })
  const ends = [
    [tf.layers.flatten({ name: 'flat' })],
    [tf.layers.globalAveragePooling2d({ name: 'mean' })],
    [
      tf.layers.maxPooling2d({ poolSize: 2, name: 'pool' }),
      tf.layers.globalMaxPooling2d({ name: 'largest' }),
    ],
  ]
  return tf.sequential({
    layers: [
      tf.layers.conv2d({
        ...{ inputShape: [...inputShape], filters: 4 + k, kernelSize: 3, strides: 1 + (k % 2) },
        ...{ padding: 'same', activation: 'relu', name: 'conv' },
      }),
      tf.layers.batchNormalization({ name: 'norm' }),
      ...(ends[k % 3] as tf.layers.Layer[]),
      dense,
    ],
  })
}

function sampleCase(name: string, options: Partial<SampleMoEOptions>): ModelCase {
  const settings = { numExperts: 3, outputs: 2, filtersPerOutput: 3, patchSize: 2, ...options }
  return { name: `SampleMoE, ${name}`, build: () => single([4, 8, 3], sampleMoE(settings)) }
}

function moeCase(name: string, options: Partial<PatchMoEOptions>): ModelCase {
  const settings = { numExperts: 2, patchesPerExpert: 3, patchSize: 2, filters: 6, ...options }
  return { name: `PatchMoE, ${name}`, build: () => single([4, 8, 3], patchMoE(settings)) }
}

/** A mixture, layers that change each channel by itself, and the mean over the map. */
function pooledCase(
  name: string,
  options: Partial<PatchMoEOptions>,
  ...between: readonly (() => tf.layers.Layer)[]
): ModelCase {
  const settings = { numExperts: 2, patchesPerExpert: 3, patchSize: 2, filters: 6, useBias: true, ...options }
  return {
    name: `PatchMoE, ${name}`,
    build: () =>
      single(
        [4, 8, 3],
        patchMoE(settings),
        ...between.map(make => make()),
        tf.layers.globalAveragePooling2d({}),
        tf.layers.dense({ units: 3 }),
      ),
  }
}

function single(inputShape: readonly number[], ...layers: readonly tf.layers.Layer[]): tf.LayersModel {
  const input = tf.input({ shape: [...inputShape] })
  const output = layers.reduce((x, layer) => layer.apply(x) as tf.SymbolicTensor, input)
  return tf.model({ inputs: input, outputs: output })
}

const { layers } = tf

/** tfjs's layers by class name, each in the settings that are written differently. */
export const layerCases: Readonly<Record<string, readonly (() => tf.LayersModel)[]>> = {
  Activation: (
    [
      ...['linear', 'relu', 'relu6', 'elu', 'selu', 'sigmoid', 'hardSigmoid', 'softplus', 'softsign', 'tanh'],
      ...['softmax', 'logSoftmax', 'swish', 'mish', 'gelu', 'gelu_new'],
    ] as Parameters<typeof layers.activation>[0]['activation'][]
  ).map(activation => spread(() => layers.activation({ activation }))),
  Add: [merged(inputs => layers.add().apply(inputs))],
  AlphaDropout: [spread(() => layers.alphaDropout({ rate: 0.5 }))],
  Average: [merged(inputs => layers.average().apply(inputs))],
  AveragePooling2D: [
    spread(() => layers.averagePooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
    spread(() => layers.averagePooling2d({ poolSize: [2, 3] })),
  ],
  BatchNormalization: [
    spread(() => layers.batchNormalization()),
    spread(() => layers.batchNormalization({ center: false, epsilon: 0.1 })),
    spread(
      () => layers.conv2d({ filters: 3, kernelSize: 2 }),
      () => layers.batchNormalization(),
    ),
    spread(
      () => layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2 }),
      () => layers.batchNormalization(),
    ),
    spread(
      () => layers.conv2d({ filters: 3, kernelSize: 1, activation: 'relu' }),
      () => layers.batchNormalization(),
    ),
    spread(
      () => layers.flatten(),
      () => layers.dense({ units: 3, useBias: false }),
      () => layers.batchNormalization(),
    ),
  ],
  Concatenate: [
    merged(inputs => layers.concatenate().apply(inputs)),
    merged(inputs => layers.concatenate({ axis: 1 }).apply(inputs)),
  ],
  Conv2D: [
    spread(() =>
      layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, padding: 'same', activation: 'relu6' }),
    ),
    spread(() => layers.conv2d({ filters: 4, kernelSize: [2, 3], strides: [2, 1], useBias: false })),
    spread(() => layers.conv2d({ filters: 4, kernelSize: 3, dilationRate: 2, padding: 'same' })),
  ],
  Conv2DTranspose: [
    spread(() => layers.conv2dTranspose({ filters: 4, kernelSize: 3, strides: 2, padding: 'same' })),
    spread(() => layers.conv2dTranspose({ filters: 4, kernelSize: 4, strides: 2, activation: 'tanh' })),
    spread(() =>
      layers.conv2dTranspose({ filters: 4, kernelSize: 2, strides: 3, padding: 'same', useBias: false }),
    ),
  ],
  Cropping2D: [
    spread(() =>
      layers.cropping2D({
        cropping: [
          [1, 0],
          [2, 1],
        ],
      }),
    ),
  ],
  Dense: [
    spread(() => layers.dense({ units: 5, activation: 'elu' })),
    spread(
      () => layers.flatten(),
      () => layers.dense({ units: 5, useBias: false }),
    ),
    spread(
      () => layers.flatten(),
      () => layers.dense({ units: 5, activation: 'softmax' }),
    ),
  ],
  DepthwiseConv2D: [
    spread(() => layers.depthwiseConv2d({ kernelSize: 3, strides: 2, padding: 'same', depthMultiplier: 2 })),
    spread(() => layers.depthwiseConv2d({ kernelSize: 3, useBias: false, activation: 'relu' })),
  ],
  Dropout: [spread(() => layers.dropout({ rate: 0.5 }))],
  ELU: [spread(() => layers.elu())],
  Flatten: [spread(() => layers.flatten())],
  GaussianDropout: [spread(() => layers.gaussianDropout({ rate: 0.5 }))],
  GaussianNoise: [spread(() => layers.gaussianNoise({ stddev: 1 }))],
  GlobalAveragePooling1D: [sequence(() => layers.globalAveragePooling1d({}))],
  GlobalAveragePooling2D: [
    spread(
      () => layers.conv2d({ filters: 4, kernelSize: 1 }),
      () => layers.globalAveragePooling2d({}),
    ),
  ],
  GlobalMaxPooling1D: [sequence(() => layers.globalMaxPooling1d({}))],
  GlobalMaxPooling2D: [spread(() => layers.globalMaxPooling2d({}))],
  // Answers of bytes are made small, as tolerances are absolute.
  InputScaling: PIXEL_SCALINGS.flatMap(scaling => [
    spread(
      () => inputScaling({ scaling }),
      () => rescaling(1 / 255, 0),
    ),
    ...(['same', 'valid'] as const).map(padding => () => {
      const convolution = layers.conv2d({ filters: 2, kernelSize: 3, padding })
      return single([7, 6, 3], inputScaling({ scaling }), convolution, rescaling(1 / 255, 0))
    }),
  ]),
  LayerNormalization: [spread(() => layers.layerNormalization())],
  LeakyReLU: [spread(() => layers.leakyReLU()), spread(() => layers.leakyReLU({ alpha: 0.1 }))],
  MaxPooling2D: [
    spread(() => layers.maxPooling2d({ poolSize: 3, strides: 2, padding: 'same' })),
    spread(
      () => layers.conv2d({ filters: 4, kernelSize: 1 }),
      () => layers.maxPooling2d({ poolSize: 2 }),
    ),
  ],
  Maximum: [merged(inputs => layers.maximum().apply(inputs))],
  Minimum: [merged(inputs => layers.minimum().apply(inputs))],
  Multiply: [
    merged(inputs => layers.multiply().apply(inputs)),
    // A gate for each channel, as in squeeze and excitation.
    merged(([map, other]) => {
      const mean = layers.globalAveragePooling2d({}).apply(other as tf.SymbolicTensor)
      const column = layers.reshape({ targetShape: [1, 1, 3] }).apply(mean)
      const gate = layers.conv2d({ filters: 3, kernelSize: 1, activation: 'sigmoid' }).apply(column)
      return layers.multiply().apply([map as tf.SymbolicTensor, gate as tf.SymbolicTensor])
    }),
  ],
  PReLU: [
    spread(() => layers.prelu()),
    spread(
      () => layers.conv2d({ filters: 4, kernelSize: 1 }),
      () => layers.prelu({ sharedAxes: [1, 2] }),
    ),
  ],
  Permute: [
    spread(() => layers.permute({ dims: [3, 1, 2] })),
    spread(() => layers.permute({ dims: [2, 3, 1] })),
  ],
  ReLU: [spread(() => layers.reLU()), spread(() => layers.reLU({ maxValue: 0.5 }))],
  Rescaling: [spread(() => rescaling(2, -1))],
  Reshape: [spread(() => layers.reshape({ targetShape: [-1, 6] }))],
  SeparableConv2D: [
    spread(() =>
      layers.separableConv2d({ filters: 5, kernelSize: 3, strides: 2, padding: 'same', depthMultiplier: 2 }),
    ),
  ],
  Softmax: [
    spread(() => layers.softmax({ axis: -1 })),
    spread(
      () => layers.flatten(),
      () => layers.softmax(),
    ),
  ],
  SpatialDropout1D: [sequence(() => layers.spatialDropout1d({ rate: 0.5 }))],
  UpSampling2D: [
    spread(() => layers.upSampling2d({ size: [2, 3] })),
    spread(() => layers.upSampling2d({ size: [2, 2], interpolation: 'bilinear' })),
  ],
  ZeroPadding2D: [
    spread(
      () =>
        layers.zeroPadding2d({
          padding: [
            [1, 0],
            [0, 2],
          ],
        }),
      () => layers.conv2d({ filters: 2, kernelSize: 3 }),
    ),
    spread(
      () => layers.conv2d({ filters: 2, kernelSize: 3 }),
      () =>
        layers.zeroPadding2d({
          padding: [
            [1, 2],
            [0, 1],
          ],
        }),
    ),
  ],
}

/** tfjs has the layer, but no factory for it. */
function rescaling(scale: number, offset: number): tf.layers.Layer {
  const { classNameMap } = tf.serialization.SerializationMap.getMap()
  const [create, config] = classNameMap.Rescaling as [unknown, unknown] as unknown as [
    new (options: object) => tf.layers.Layer,
    unknown,
  ]
  void config
  return new create({ scale, offset })
}

/** Layers on a map of values around 0, of odd sides so that 'same' pads unevenly. */
function spread(...make: readonly (() => tf.layers.Layer)[]): () => tf.LayersModel {
  return () =>
    single([7, 6, 3], layers.conv2d({ filters: 3, kernelSize: 1 }), ...make.map(create => create()))
}

function sequence(make: () => tf.layers.Layer): () => tf.LayersModel {
  return () => single([6, 6, 1], layers.reshape({ targetShape: [6, 6] }), make())
}

type Joined = tf.SymbolicTensor | tf.SymbolicTensor[] | tf.Tensor | tf.Tensor[]

/** Two branches of one map, joined. */
function merged(join: (inputs: tf.SymbolicTensor[]) => Joined): () => tf.LayersModel {
  return () => {
    const input = tf.input({ shape: [5, 5, 3] })
    const branches = [1, 3].map(
      kernelSize =>
        layers.conv2d({ filters: 3, kernelSize, padding: 'same' }).apply(input) as tf.SymbolicTensor,
    )
    return tf.model({ inputs: input, outputs: join(branches) as tf.SymbolicTensor })
  }
}

/** A nested model used twice, two inputs and two outputs, one of them a map. */
export function tangled(): tf.LayersModel {
  const trunkInput = tf.input({ shape: [6, 6, 2], name: 'trunk_in' })
  const convolved = layers
    .conv2d({ filters: 4, kernelSize: 3, padding: 'same', name: 'conv' })
    .apply(trunkInput)
  const normed = layers.batchNormalization({ name: 'bn' }).apply(convolved)
  const trunk = tf.model({ inputs: trunkInput, outputs: normed as tf.SymbolicTensor, name: 'trunk' })
  const shared = layers.dense({ units: 3, name: 'shared' })
  const [left, right] = ['left', 'right'].map(name => tf.input({ shape: [6, 6, 2], name })) as [
    tf.SymbolicTensor,
    tf.SymbolicTensor,
  ]
  const maps = [left, right].map(input => trunk.apply(input) as tf.SymbolicTensor)
  const sum = layers.add({ name: 'sum' }).apply(maps) as tf.SymbolicTensor
  const pools = maps.map(map => layers.globalAveragePooling2d({}).apply(map) as tf.SymbolicTensor)
  const [first, second] = pools.map(pool => shared.apply(pool) as tf.SymbolicTensor) as [
    tf.SymbolicTensor,
    tf.SymbolicTensor,
  ]
  const joined = layers.concatenate({ name: 'joined' }).apply([first, second]) as tf.SymbolicTensor
  return tf.model({ inputs: [left, right], outputs: [sum, joined], name: 'tangled' })
}

import { type PixelScaling, pixelRule } from '../../layers/input-scaling.js'
import type { Size2D } from '../../shapes.js'
import { activated, scaled } from './activation-lowering.js'
import type { BinaryFunction, Constant, Dimension, Sliding, Value } from './graph.js'
import { floats, type GraphBuilder, number } from './graph-builder.js'
import type { ExportedLayer, Lowering } from './lowering.js'
import { meanOfKeptPatches } from './pooled-patches.js'

const same: Lowering = (_, [x]) => x as Value

const convolution: Lowering = (layer, [x], build) =>
  withActivation(
    layer,
    build,
    build.convolution(x as Value, layer.weight('kernel'), {
      ...sliding(layer),
      bias: layer.optionalWeight('bias'),
    }),
  )

const depthwiseConvolution: Lowering = (layer, [x], build) =>
  withActivation(
    layer,
    build,
    build.convolution(x as Value, layer.weight('depthwise_kernel'), {
      ...sliding(layer),
      depthwise: true,
      bias: layer.optionalWeight('bias'),
    }),
  )

const separableConvolution: Lowering = (layer, [x], build) => {
  const spread = build.convolution(x as Value, layer.weight('depthwise_kernel'), {
    ...sliding(layer),
    depthwise: true,
  })
  const mixed = build.convolution(spread, layer.weight('pointwise_kernel'), {
    bias: layer.optionalWeight('bias'),
  })
  return withActivation(layer, build, mixed)
}

const transposedConvolution: Lowering = (layer, [x], build) => {
  const { strides, padding } = sliding(layer)
  const grown = build.transposedConvolution(x as Value, layer.weight('kernel'), strides, padding)
  const bias = layer.optionalWeight('bias')
  return withActivation(layer, build, bias ? build.binary('add', grown, bias) : grown)
}

const dense: Lowering = (layer, [x], build) =>
  withActivation(layer, build, build.dense(x as Value, layer.weight('kernel'), layer.optionalWeight('bias')))

/** gamma (x - mean) / sqrt(variance + epsilon) + beta, as one factor and one offset a channel. */
const batchNormalization: Lowering = (layer, [x], build) => {
  const mean = layer.weight('moving_mean')
  const [gamma, beta] = [layer.optionalWeight('gamma'), layer.optionalWeight('beta')]
  const { scale, shift } = normalization(
    { mean, variance: layer.weight('moving_variance'), gamma, beta },
    layer,
  )
  const map = x as Value
  const axis = Array.isArray(layer.config.axis) ? layer.config.axis[0] : layer.config.axis
  if (positiveAxis(axis, map.shape.length) !== map.shape.length - 1) {
    layer.refuse(`axis ${axis}, for which the backends of tfjs compute different things`)
  }
  return build.affine(map, scale, shift)
}

/** The statistics and weights of a BatchNorm, in one shape. */
export interface NormWeights {
  readonly mean: Constant
  readonly variance: Constant
  readonly gamma?: Constant | undefined
  readonly beta?: Constant | undefined
}

/** BatchNorm with fixed statistics as x scale + shift, computed in double precision. */
export function normalization(
  { mean, variance, gamma, beta }: NormWeights,
  { config }: Pick<ExportedLayer, 'config'>,
): { readonly scale: Constant; readonly shift: Constant } {
  const epsilon = Number(config.epsilon ?? 1e-3)
  const factors = Array.from(variance.data, (value, i) => (gamma?.data[i] ?? 1) / Math.sqrt(value + epsilon))
  const offsets = factors.map((factor, i) => (beta?.data[i] ?? 0) - (mean.data[i] ?? 0) * factor)
  return { scale: floats(factors, mean.shape), shift: floats(offsets, mean.shape) }
}

const layerNormalization: Lowering = (layer, [x], build) => {
  const map = x as Value
  const last = map.shape.length - 1
  const axes = [layer.config.axis].flat().map(axis => positiveAxis(axis, map.shape.length))
  if (axes.length !== 1 || axes[0] !== last) layer.refuse(`axis ${JSON.stringify(layer.config.axis)}`)
  const centred = build.binary('sub', map, build.reduce(map, 'mean', [last], true))
  const variance = build.reduce(build.binary('mul', centred, centred), 'mean', [last], true)
  const deviation = build.unary(scaled(build, variance, 1, Number(layer.config.epsilon ?? 1e-3)), 'sqrt')
  const channels = map.shape[last] as number
  const weight = (name: string, value: number) =>
    layer.optionalWeight(name) ?? floats(new Float32Array(channels).fill(value), [channels])
  return build.affine(build.binary('div', centred, deviation), weight('gamma', 1), weight('beta', 0))
}

const relu: Lowering = ({ config: { maxValue } }, [x], build) =>
  typeof maxValue === 'number' ? build.clip(x as Value, 0, maxValue) : build.unary(x as Value, 'relu')

/** max(x, 0) + alpha min(x, 0), alpha for each position and channel or shared. */
const prelu: Lowering = (layer, [x], build) => {
  const below = build.binary('min', x as Value, number(0))
  return build.binary(
    'add',
    build.unary(x as Value, 'relu'),
    build.binary('mul', below, layer.weight('alpha')),
  )
}

function pooling(name: 'max' | 'average'): Lowering {
  return (layer, [x], build) => {
    requireChannelsLast(layer)
    return build.pool(x as Value, name, pair(layer.config.poolSize), {
      strides: pair(layer.config.strides ?? layer.config.poolSize),
      padding: paddingOf(layer),
    })
  }
}

function globalPooling(name: 'mean' | 'max', axes: readonly number[]): Lowering {
  return (layer, [x], build) => {
    requireChannelsLast(layer)
    const ofPatches = name === 'mean' && axes.length === 2 && meanOfKeptPatches(build, x as Value)
    return ofPatches || build.reduce(x as Value, name, axes)
  }
}

function merging(name: BinaryFunction): Lowering {
  return (layer, inputs, build) => {
    const ranks = new Set(inputs.map(({ shape }) => shape.length))
    if (ranks.size > 1) layer.refuse(`inputs of ${[...ranks].join(' and ')} axes`)
    return inputs.reduce((sum, next) => build.binary(name, sum, next))
  }
}

const average: Lowering = (layer, inputs, build) =>
  scaled(build, merging('add')(layer, inputs, build), 1 / inputs.length, 0)

const concatenate: Lowering = ({ config }, inputs, build) =>
  build.concat(inputs, positiveAxis(config.axis ?? -1, (inputs[0] as Value).shape.length))

/** Flatten and Reshape give their own output shape, except for at most one side, which takes the remaining elements. */
const reshape: Lowering = (layer, [x], build) => {
  requireChannelsLast(layer)
  const map = x as Value
  const sides = layer.outputShape.slice(1)
  const product = (shape: readonly Dimension[]) => shape.reduce<number>((all, side) => all * (side ?? 1), 1)
  const rest = product(map.shape.slice(1)) / product(sides)
  return build.reshape(map, [null, ...sides.map(side => side ?? rest)])
}

const permute: Lowering = ({ config }, [x], build) =>
  build.transpose(x as Value, [0, ...(config.dims as number[])])

function bordering(how: 'pad' | 'crop', option: 'padding' | 'cropping'): Lowering {
  return (layer, [x], build) => {
    requireChannelsLast(layer)
    const [height, width] = layer.config[option] as [[number, number], [number, number]]
    return build[how](x as Value, [[0, 0], height, width, [0, 0]])
  }
}

const upSampling: Lowering = (layer, [x], build) => {
  requireChannelsLast(layer)
  const mode = layer.config.interpolation === 'bilinear' ? 'bilinear' : 'nearest'
  return build.resize(x as Value, pair(layer.config.size), mode)
}

const rescaling: Lowering = ({ config }, [x], build) =>
  scaled(build, x as Value, Number(config.scale), Number(config.offset ?? 0))

/** Channels are reversed before they are scaled, so that a convolution behind them can take the scaling over. */
const inputScaling: Lowering = ({ config }, [x], build) => {
  const image = x as Value
  const channels = image.shape[3] as number
  const { scale, offset, reversed } = pixelRule(config.scaling as PixelScaling, channels)
  const inOrder = (numbers: readonly number[]) =>
    floats(reversed ? numbers.toReversed() : numbers, [channels])
  return build.affine(
    reversed ? reversedChannels(build, image, channels) : image,
    inOrder(scale),
    inOrder(offset),
  )
}

function reversedChannels(build: GraphBuilder, image: Value, channels: number): Value {
  const each = Array.from({ length: channels }, (_, channel) =>
    build.crop(image, [
      [0, 0],
      [0, 0],
      [0, 0],
      [channel, channels - 1 - channel],
    ]),
  )
  return build.concat(each.toReversed(), 3)
}

/** The layers of tfjs, and those around mixtures, that can be exported, by class name. */
export const layerLowerings: Readonly<Record<string, Lowering>> = {
  Activation: (layer, [x], build) => withActivation(layer, build, x as Value),
  Add: merging('add'),
  AlphaDropout: same,
  Average: average,
  AveragePooling2D: pooling('average'),
  BatchNormalization: batchNormalization,
  Concatenate: concatenate,
  Conv2D: convolution,
  Conv2DTranspose: transposedConvolution,
  Cropping2D: bordering('crop', 'cropping'),
  Dense: dense,
  DepthwiseConv2D: depthwiseConvolution,
  Dropout: same,
  ELU: (_, [x], build) => build.unary(x as Value, 'elu'),
  Flatten: reshape,
  GaussianDropout: same,
  GaussianNoise: same,
  GlobalAveragePooling1D: globalPooling('mean', [1]),
  GlobalAveragePooling2D: globalPooling('mean', [1, 2]),
  GlobalMaxPooling1D: globalPooling('max', [1]),
  GlobalMaxPooling2D: globalPooling('max', [1, 2]),
  InputScaling: inputScaling,
  LayerNormalization: layerNormalization,
  LeakyReLU: ({ config }, [x], build) => build.leakyRelu(x as Value, Number(config.alpha ?? 0.3)),
  MaxPooling2D: pooling('max'),
  Maximum: merging('max'),
  Minimum: merging('min'),
  Multiply: merging('mul'),
  PReLU: prelu,
  Permute: permute,
  ReLU: relu,
  Rescaling: rescaling,
  Reshape: reshape,
  SeparableConv2D: separableConvolution,
  Softmax: (_, [x], build) => build.softmax(x as Value),
  SpatialDropout1D: same,
  UpSampling2D: upSampling,
  ZeroPadding2D: bordering('pad', 'padding'),
}

/** Applies a layer's own activation to x. */
export function withActivation(layer: ExportedLayer, build: GraphBuilder, x: Value): Value {
  const name = layer.config.activation
  return activated(build, x, name) ?? layer.refuse(`activation ${JSON.stringify(name)}`)
}

function sliding(layer: ExportedLayer): Sliding {
  requireChannelsLast(layer)
  const { strides, dilationRate } = layer.config
  return { strides: pair(strides ?? 1), padding: paddingOf(layer), dilations: pair(dilationRate ?? 1) }
}

function paddingOf(layer: ExportedLayer): 'same' | 'valid' {
  const padding = layer.config.padding ?? 'valid'
  if (padding === 'same' || padding === 'valid') return padding
  return layer.refuse(`padding ${JSON.stringify(padding)}`)
}

function requireChannelsLast(layer: ExportedLayer): void {
  const { dataFormat } = layer.config
  if (dataFormat === 'channelsFirst') layer.refuse(`dataFormat ${dataFormat}`)
}

function pair(value: unknown): Size2D {
  const sides = [value].flat() as number[]
  return [sides[0] ?? 1, sides[1] ?? sides[0] ?? 1]
}

function positiveAxis(axis: unknown, rank: number): number {
  const index = Number(axis)
  return index < 0 ? index + rank : index
}

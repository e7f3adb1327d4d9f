import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { mixesChannels } from '../layers/activations.js'
import { type Channels, flattened, multiplied, sameChannels, sideBySideChannels } from './channels.js'

/** One call of a layer whose input has lost channels. */
export interface LayerUse {
  readonly layer: tfl.layers.Layer
  readonly config: tf.serialization.ConfigDict
  /** What is left of each input. */
  readonly inputs: readonly (Channels | undefined)[]
  readonly inputShapes: readonly tfl.Shape[]
  readonly outputShape: tfl.Shape
}

/** What is left of one axis of a weight. */
export interface WeightCut {
  readonly weight: string
  readonly axis: number
  readonly kept: readonly number[]
  /** Whether the axis is that of the channels that a layer sums over: zeros in their place would give the same. */
  readonly summed?: boolean
}

/** What becomes of a layer. */
export interface Treatment {
  readonly cuts?: readonly WeightCut[]
  /** Settings that change. */
  readonly config?: tf.serialization.ConfigDict
  /** What is left of its output; all unless given. */
  readonly output?: Channels | undefined
  /** Whether it sums over the channels, so that a removed one counts there as 0. */
  readonly reads?: boolean
}

/** How a layer goes on with fewer channels, or why it cannot. */
export type ChannelRule = (use: LayerUse) => Treatment | string

const pass: ChannelRule = ({ config, inputs }) => {
  const activation = config.activation
  if (typeof activation === 'string' && mixesChannels(activation)) return acrossChannels(activation)
  return { output: inputs[0], ...noise(config, inputs[0]) }
}

function acrossChannels(activation: string): string {
  return `${activation} runs over all channels`
}

/** The shape of a dropout's noise may name the channels. */
function noise(config: tf.serialization.ConfigDict, channels: Channels | undefined): Treatment {
  const shape = config.noiseShape
  if (!Array.isArray(shape) || !channels || shape.at(-1) !== channels.size) return {}
  return { config: { noiseShape: [...shape.slice(0, -1), channels.kept.length] as number[] } }
}

/** For layers whose channels must come last. */
function channelsLast(rule: ChannelRule): ChannelRule {
  return use => (use.config.dataFormat === 'channelsFirst' ? 'its channels come first' : rule(use))
}

/** Ends the channels: they are summed over by a weight, along this axis (negative from the end). */
function reading(weight: string, axis: (rank: number) => number): ChannelRule {
  return use => {
    const rank = rankOf(use.layer, weight)
    return { cuts: [{ weight, axis: axis(rank), kept: keptOf(use), summed: true }], reads: true }
  }
}

const batchNormalization: ChannelRule = use => {
  const [axis] = [use.config.axis].flat() as number[]
  const rank = use.inputShapes[0]?.length ?? 0
  if (axis !== undefined && axis !== -1 && axis !== rank - 1) return `it normalises axis ${axis}`
  const names = use.layer.weights.map(ownName)
  return { output: use.inputs[0], cuts: names.map(weight => ({ weight, axis: 0, kept: keptOf(use) })) }
}

const flatten: ChannelRule = use => {
  const positions = (use.inputShapes[0] ?? [])
    .slice(1, -1)
    .reduce<number>((all, side) => all * (side ?? 0), 1)
  if (positions === 0) return 'the size of its input is not fixed'
  return { output: flattened(use.inputs[0] as Channels, positions) }
}

const reshape: ChannelRule = ({ config, inputs, inputShapes, outputShape }) => {
  const channels = inputs[0] as Channels
  const target = config.targetShape as (number | null)[]
  if (outputShape.at(-1) !== inputShapes[0]?.at(-1)) return 'it gives the channels another shape'
  const last = target.at(-1) === channels.size ? channels.kept.length : (target.at(-1) ?? null)
  return { output: channels, config: { targetShape: [...target.slice(0, -1), last] } }
}

const permute: ChannelRule = ({ config, inputs, inputShapes }) => {
  const dims = config.dims as number[]
  const isLast = dims.at(-1) === (inputShapes[0]?.length ?? 0) - 1
  return isLast ? { output: inputs[0] } : 'it moves the channels to another axis'
}

const depthwise: ChannelRule = use => {
  const output = multiplied(use.inputs[0] as Channels, depthMultiplier(use.layer))
  const activation = use.config.activation
  if (typeof activation === 'string' && mixesChannels(activation)) return acrossChannels(activation)
  const bias = use.layer.weights.some(weight => ownName(weight) === 'bias')
  return {
    output,
    cuts: [
      { weight: 'depthwise_kernel', axis: 2, kept: keptOf(use) },
      ...(bias ? [{ weight: 'bias', axis: 0, kept: output.kept }] : []),
    ],
  }
}

/** Every number of the spread channels is multiplied by one row of the pointwise kernel. */
const separable: ChannelRule = use => {
  const multiplier = depthMultiplier(use.layer)
  const spread = multiplied(use.inputs[0] as Channels, multiplier)
  const cut = (weight: string, kept: readonly number[]) => {
    return { weight, axis: rankOf(use.layer, weight) - 2, kept, summed: true }
  }
  return {
    cuts: [cut('depthwise_kernel', keptOf(use)), cut('pointwise_kernel', spread.kept)],
    // tfjs 4.22 leaves it out of the configuration.
    config: { depthMultiplier: multiplier },
    reads: true,
  }
}

const prelu: ChannelRule = use => {
  const alpha = use.layer.weights.find(weight => ownName(weight) === 'alpha')
  const shape = alpha?.shape ?? []
  const isOfChannels = (shape.at(-1) ?? 1) > 1
  const cut = { weight: 'alpha', axis: shape.length - 1, kept: keptOf(use) }
  return { output: use.inputs[0], ...(isOfChannels && { cuts: [cut] }) }
}

/** Layers that combine their inputs number by number. */
function merging(verb: string): ChannelRule {
  return ({ inputs, inputShapes }) => {
    const channels = inputs.find(input => input !== undefined) as Channels
    const spreads = (i: number) => inputs[i] === undefined && inputShapes[i]?.at(-1) === 1
    const sameRank = new Set(inputShapes.map(shape => shape.length)).size === 1
    const agree = inputs.every((input, i) => sameChannels(input, channels) || spreads(i))
    if (agree && sameRank) return { output: channels }
    return `it ${verb} other maps, which keep all ${channels.size} channels`
  }
}

const concatenate: ChannelRule = ({ config, inputs, inputShapes }) => {
  const rank = inputShapes[0]?.length ?? 0
  const axis = Number(config.axis ?? -1)
  if (axis !== -1 && axis !== rank - 1) {
    const agree = inputs.every(input => sameChannels(input, inputs[0]))
    return agree ? { output: inputs[0] } : `it joins maps along axis ${axis} that keep other channels`
  }
  return {
    output: sideBySideChannels(
      inputs,
      inputShapes.map(shape => shape.at(-1) ?? 0),
    ),
  }
}

const cannot =
  (reason: string): ChannelRule =>
  () =>
    reason

const mapPass = channelsLast(pass)
const convolution = channelsLast(reading('kernel', rank => rank - 2))
const transposedConvolution = channelsLast(reading('kernel', rank => rank - 1))

/** What layers of tfjs do, by class name; this library's layers of the same names are no different. */
export const channelRules: Readonly<Record<string, ChannelRule>> = {
  Activation: pass,
  Add: merging('adds the channels to'),
  AlphaDropout: pass,
  Average: merging('averages the channels with'),
  AveragePooling1D: pass,
  AveragePooling2D: mapPass,
  AveragePooling3D: mapPass,
  BatchNormalization: batchNormalization,
  CenterCrop: pass,
  Concatenate: concatenate,
  Conv1D: convolution,
  Conv2D: convolution,
  Conv2DTranspose: transposedConvolution,
  Conv3D: convolution,
  Conv3DTranspose: transposedConvolution,
  Cropping2D: mapPass,
  Dense: reading('kernel', () => 0),
  DepthwiseConv2D: channelsLast(depthwise),
  Dot: cannot('it multiplies the channels with those of another map'),
  Dropout: pass,
  ELU: pass,
  Flatten: channelsLast(flatten),
  GaussianDropout: pass,
  GaussianNoise: pass,
  GlobalAveragePooling1D: pass,
  GlobalAveragePooling2D: mapPass,
  GlobalMaxPooling1D: pass,
  GlobalMaxPooling2D: mapPass,
  LayerNormalization: cannot('it normalises over the channels'),
  LeakyReLU: pass,
  Masking: cannot('it masks positions by all their channels'),
  MaxPooling1D: pass,
  MaxPooling2D: mapPass,
  MaxPooling3D: mapPass,
  Maximum: merging('compares the channels with'),
  Minimum: merging('compares the channels with'),
  Multiply: merging('multiplies the channels with'),
  PReLU: prelu,
  Permute: permute,
  RandomWidth: pass,
  ReLU: pass,
  RepeatVector: pass,
  Rescaling: pass,
  Reshape: reshape,
  Resizing: pass,
  SeparableConv2D: channelsLast(separable),
  Softmax: cannot('it runs over all channels'),
  SpatialDropout1D: pass,
  ThresholdedReLU: pass,
  UpSampling2D: mapPass,
  ZeroPadding2D: mapPass,
}

function keptOf({ inputs }: LayerUse): readonly number[] {
  return (inputs[0] as Channels).kept
}

/** A weight's own name, without the layer's. */
export function ownName({ originalName }: tfl.LayerVariable): string {
  return originalName.slice(originalName.lastIndexOf('/') + 1)
}

function depthMultiplier(layer: tfl.layers.Layer): number {
  const kernel = layer.weights.find(weight => ownName(weight) === 'depthwise_kernel')
  return kernel?.shape.at(-1) ?? 1
}

function rankOf(layer: tfl.layers.Layer, name: string): number {
  return layer.weights.find(weight => ownName(weight) === name)?.shape.length ?? 0
}

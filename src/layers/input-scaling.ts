import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { fixedAs } from './fixed-inputs.js'
import { type LayerOptions, layerOptionNames } from './standard-options.js'
import { checkMapShape, layerInput, oneOf } from './validation.js'

/** What is done to the pixels of an image, in [0, 1], channel by channel. */
interface PixelRule {
  /** One number for all channels, or one for each of red, green and blue. */
  readonly scale: number | readonly number[]
  /** Added afterwards. */
  readonly offset: number | readonly number[]
  /** Whether the channels are blue, green, red afterwards. */
  readonly reversed?: boolean
}

/** Mean and standard deviation of the pixels of ImageNet in [0, 1]: red, green, blue, as torchvision has them. */
const MEAN = [0.485, 0.456, 0.406]
const DEVIATION = [0.229, 0.224, 0.225]

/** Mean of the pixels of ImageNet in [0, 255]: red, green, blue, as Caffe's networks were trained with them. */
const MEAN_BYTES = [123.68, 116.779, 103.939]

const rules = {
  '0..1': { scale: 1, offset: 0 },
  '-1..1': { scale: 2, offset: -1 },
  '0..255': { scale: 255, offset: 0 },
  imagenet: {
    scale: DEVIATION.map(deviation => 1 / deviation),
    offset: MEAN.map((mean, channel) => -mean / (DEVIATION[channel] as number)),
  },
  caffe: { scale: 255, offset: MEAN_BYTES.map(mean => -mean), reversed: true },
} as const satisfies Readonly<Record<string, PixelRule>>

/** How a network takes pixels: the range of their values, or the published preparation of its training images. */
export type PixelScaling = keyof typeof rules

/** Every {@link PixelScaling}, in the order in which help texts list them. */
export const PIXEL_SCALINGS = Object.keys(rules) as readonly PixelScaling[]

/** Options of {@link InputScaling}. */
export interface InputScalingOptions extends LayerOptions {
  /**
   * `0..1` as they are; `-1..1`; `0..255`; `imagenet`: less the mean of each channel, over its standard deviation, as
   * torchvision; `caffe`: blue, green, red of 0..255, less the mean of each.
   */
  readonly scaling: PixelScaling
}

const WHERE = 'InputScaling'

const optionNames = {
  ...layerOptionNames,
  scaling: true,
} as const satisfies OptionNames<InputScalingOptions>

/**
 * Turns pixels of 0..1 into what a network was trained on, so that a model with this layer in front takes images as all
 * others do. It has no weights.
 *
 *     y[c] = x[c] scale[c] + offset[c],  where scaling is caffe with c from the last channel to the first
 *
 * Input and output (B,H,W,C) float32; `imagenet` and `caffe` need C = 3.
 *
 * @throws RangeError for another name of a scaling, or other than 3 channels where there must be 3
 */
export class InputScaling extends tfl.layers.Layer {
  /** @nocollapse */
  static readonly className = 'InputScaling'

  readonly scaling: PixelScaling

  constructor(options: InputScalingOptions) {
    checkOptionNames(WHERE, options, optionNames)
    super(options as LayerOptions as ConstructorParameters<typeof tfl.layers.Layer>[0])
    this.scaling = oneOf(PIXEL_SCALINGS, options.scaling, `${WHERE}: scaling`)
  }

  override build(inputShape: tfl.Shape | tfl.Shape[]): void {
    checkChannels(this.scaling, channelsOf(inputShape), WHERE)
    super.build(inputShape)
  }

  override computeOutputShape(inputShape: tfl.Shape | tfl.Shape[]): tfl.Shape {
    return inputShape as tfl.Shape
  }

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, WHERE)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const { scale, offset, reversed } = pixelRule(this.scaling, x.shape[3])
      const scaled = tf.add(tf.mul(x, tf.tensor1d([...scale])), tf.tensor1d([...offset]))
      return fixedAs(x, reversed ? tf.reverse(scaled, 3) : scaled)
    })
  }

  override getConfig(): tf.serialization.ConfigDict {
    return { ...super.getConfig(), scaling: this.scaling }
  }
}
tf.serialization.registerClass(InputScaling)

/** Creates an {@link InputScaling} layer. */
export function inputScaling(options: InputScalingOptions): InputScaling {
  return new InputScaling(options)
}

function channelsOf(inputShape: tfl.Shape | tfl.Shape[]): number {
  const sides = (Array.isArray(inputShape[0]) ? inputShape[0] : inputShape) as tfl.Shape
  // Height and width may be open.
  return checkMapShape([null, 1, 1, ...sides.slice(3)], WHERE)[2]
}

/**
 * Checks that a scaling is one for images of as many channels.
 *
 * @param where the caller, for errors
 * @throws RangeError naming both
 */
export function checkChannels(scaling: PixelScaling, channels: number, where: string): void {
  const { scale, offset } = rules[scaling] as PixelRule
  const needed = [scale, offset].find(value => typeof value !== 'number') as readonly number[] | undefined
  if (!needed || needed.length === channels) return
  throw new RangeError(
    `${where}: images must have ${needed.length} channels for scaling ${scaling}, got ${channels}`,
  )
}

/**
 * What a scaling does to each channel of 0..1, in their order before it.
 *
 * @param channels of the images, which the scaling is for
 * @returns factors, then numbers that are added, and whether the channels come in the other order afterwards
 */
export function pixelRule(
  scaling: PixelScaling,
  channels: number,
): { readonly scale: readonly number[]; readonly offset: readonly number[]; readonly reversed: boolean } {
  const { scale, offset, reversed = false } = rules[scaling] as PixelRule
  const each = (value: number | readonly number[]) =>
    typeof value === 'number' ? new Array<number>(channels).fill(value) : value
  return { scale: each(scale), offset: each(offset), reversed }
}

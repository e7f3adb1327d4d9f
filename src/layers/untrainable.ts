import type * as tfl from '@tensorflow/tfjs-layers'
import { untrainableOption } from './batch-norm.js'

/** Why tfjs cannot train a layer. */
export interface UntrainableSetting {
  /** The setting and its value: `dilationRate 2,2`. */
  readonly setting: string
  /** What can be done instead. */
  readonly remedy: string
}

/** Layers whose derivative tfjs (4.22) has at dilation 1 alone, on every backend. (Its DepthwiseConv2D computes no dilation.) */
const dilated: ReadonlySet<string> = new Set(['Conv1D', 'Conv2D', 'SeparableConv2D'])

/** The setting because of which tfjs cannot train the weights of a layer; undefined where it can, or where none is trained. */
export function untrainableSetting(layer: tfl.layers.Layer): UntrainableSetting | undefined {
  if (!layer.trainable) return undefined
  const option = untrainableOption(layer)
  if (option) {
    return {
      setting: `${option} false`,
      remedy: 'withFasterLayers makes a copy of the model that can be trained',
    }
  }
  const dilations = dilated.has(layer.getClassName()) ? dilationsOf(layer) : []
  if (dilations.every(rate => rate === 1) || layer.trainableWeights.length === 0) return undefined
  return {
    setting: `dilationRate ${dilations.join()}`,
    remedy:
      'no backend of tfjs has its derivative; freezeUntil, --freeze-until LAYER on the command line, trains what comes after it',
  }
}

function dilationsOf(layer: tfl.layers.Layer): readonly number[] {
  const { dilationRate = 1 } = layer as { dilationRate?: number | readonly number[] | null }
  return [dilationRate ?? 1].flat()
}

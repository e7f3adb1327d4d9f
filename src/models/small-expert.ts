import * as tfl from '@tensorflow/tfjs-layers'
import { convolution } from '../layers/convolution.js'
import { globalAveragePooling2d } from '../layers/global-average-pooling.js'
import { relu } from '../layers/relu.js'
import { deriveSeed } from '../random.js'

/** How a {@link smallExpert} takes pixels: as they are, or as 4 x - 2, about as spread around 0 as photographs are around grey. */
export const EXPERT_PIXELS = ['zero-to-one', 'centred'] as const
export type ExpertPixels = (typeof EXPERT_PIXELS)[number]

/** What of a {@link smallExpert} can be chosen. */
export interface SmallExpertOptions {
  /** Convolutions, in [1, 8]; default 3. */
  readonly expertLayers?: number
  /** Default 'zero-to-one'. */
  readonly expertPixels?: ExpertPixels
}

const mostLayers = 8
const firstFilters = 12
/** How often the channels double from the first convolution to the last. */
const doublings = 2

/**
 * The expert that a `routedModel` has unless another is given: convolutions of 3x3 and stride 2 with ReLU, of 12 channels at first and
 * 48 at last, and the mean over the map. More convolutions double their channels later, so that weights stay few: 12, 24, 48; or
 * 12, 12, 24, 24, 48.
 *
 * @param patchShape height, width and channels
 * @throws RangeError when `expertLayers` or `expertPixels` is none of these
 */
export function smallExpert(
  patchShape: readonly number[],
  seed: number,
  { expertLayers = 3, expertPixels = 'zero-to-one' }: SmallExpertOptions = {},
): tfl.LayersModel {
  if (!Number.isInteger(expertLayers) || expertLayers < 1 || expertLayers > mostLayers) {
    throw new RangeError(
      `routedModel: expertLayers must be an integer in [1, ${mostLayers}], got ${expertLayers}`,
    )
  }
  if (!EXPERT_PIXELS.includes(expertPixels)) {
    throw new RangeError(
      `routedModel: expertPixels must be ${EXPERT_PIXELS.join(' or ')}, got ${expertPixels as string}`,
    )
  }
  const input = tfl.input({ shape: [...patchShape], name: 'patch' })
  const layers: tfl.layers.Layer[] = Array.from({ length: expertLayers }, (_, i) => [
    convolution({
      name: `conv${i + 1}`,
      filters: firstFilters * 2 ** Math.floor((doublings * i) / Math.max(1, expertLayers - 1)),
      kernelSize: 3,
      strides: 2,
      padding: 'same',
      kernelInitializer: tfl.initializers.heNormal({ seed: deriveSeed(seed, `conv${i + 1}`) }),
    }),
    relu({ name: `relu${i + 1}` }),
  ]).flat()
  if (expertPixels === 'centred')
    layers.unshift(tfl.layers.rescaling({ name: 'centred', scale: 4, offset: -2 }))
  const map = layers.reduce((x, layer) => layer.apply(x) as tfl.SymbolicTensor, input)
  const features = globalAveragePooling2d({ name: 'mean' }).apply(map) as tfl.SymbolicTensor
  return tfl.model({ inputs: input, outputs: features, name: 'expert' })
}

import * as tf from '@tensorflow/tfjs-core'
import { averageOfPixels } from '../corrections/average-pool.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'

/*
 * Mends what tfjs's wasm backend gets wrong with padding 'same': a convolution whose kernel is shorter than its stride
 * along an axis (its outputs miss pixels or are zero), and the derivative of an average pool (it counts the pixels
 * outside the map).
 */

type Kernel = tf.KernelConfig['kernelFunc']

interface PaddedAttributes {
  readonly strides: number | [number, number]
  readonly pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding
  readonly dilations?: number | [number, number]
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/** Replaces the backend `wasm`'s convolutions and its average pool's derivative where they are wrong. */
export function registerWasmPadding(): void {
  for (const name of [tf.Conv2D, tf.FusedConv2D])
    wrapKernel('wasm', name, original => paddedByNumbers(original, false))
  for (const name of [tf.DepthwiseConv2dNative, tf.FusedDepthwiseConv2D])
    wrapKernel('wasm', name, original => paddedByNumbers(original, true))
  wrapKernel('wasm', tf.AvgPoolGrad, averageOfPixels)
}

/** The same padding as numbers, which the backend does not compute anew. */
function paddedByNumbers(original: Kernel, depthwise: boolean): Kernel {
  return args => {
    const attributes = args.attrs as unknown as PaddedAttributes
    if (attributes.pad !== 'same') return original(args)
    const x = args.inputs.x as tf.Tensor4D
    const filter = args.inputs.filter as tf.Tensor4D
    const { strides } = attributes
    // tf.depthwiseConv2d hands null on where a layer gives no dilation.
    const dilations = attributes.dilations ?? 1
    const info = tf.backend_util.computeConv2DInfo(
      x.shape,
      filter.shape,
      strides,
      dilations,
      'same',
      attributes.dimRoundingMode,
      depthwise,
    )
    const isShort =
      info.effectiveFilterHeight < info.strideHeight || info.effectiveFilterWidth < info.strideWidth
    if (!isShort) return original(args)
    const { top, bottom, left, right } = info.padInfo
    const pad = [
      [0, 0],
      [top, bottom],
      [left, right],
      [0, 0],
    ]
    return original({ ...args, attrs: { ...args.attrs, pad } as unknown as tf.NamedAttrMap })
  }
}

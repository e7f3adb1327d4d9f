import * as tf from '@tensorflow/tfjs-core'

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
  readonly filterSize?: number | [number, number]
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/** Replaces the backend `wasm`'s convolutions and its average pool's derivative where they are wrong. */
export function registerWasmPadding(): void {
  for (const name of [tf.Conv2D, tf.FusedConv2D]) replace(name, original => paddedByNumbers(original, false))
  for (const name of [tf.DepthwiseConv2dNative, tf.FusedDepthwiseConv2D])
    replace(name, original => paddedByNumbers(original, true))
  replace(tf.AvgPoolGrad, averageOfPixels)
}

function replace(kernelName: string, wrap: (original: Kernel) => Kernel): void {
  const config = tf.getKernel(kernelName, 'wasm')
  tf.unregisterKernel(kernelName, 'wasm')
  tf.registerKernel({ ...config, kernelFunc: wrap(config.kernelFunc) })
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

/** The derivative of a mean over the pixels of the map alone. */
function averageOfPixels(original: Kernel): Kernel {
  return args => {
    const { filterSize = 1, strides, pad, dimRoundingMode } = args.attrs as unknown as PaddedAttributes
    const x = args.inputs.input as tf.Tensor4D
    const info = tf.backend_util.computePool2DInfo(x.shape, filterSize, strides, 1, pad, dimRoundingMode)
    const { top, bottom, left, right } = info.padInfo
    if (top + bottom + left + right === 0) return original(args)
    const rows = shares(info.outHeight, info.strideHeight, top, info.effectiveFilterHeight, info.inHeight)
    const columns = shares(info.outWidth, info.strideWidth, left, info.effectiveFilterWidth, info.inWidth)
    return tf.tidy(() => {
      const scale = tf.outerProduct(tf.tensor1d(rows), tf.tensor1d(columns))
      const dy = tf.mul(args.inputs.dy as tf.Tensor, tf.reshape(scale, [1, rows.length, columns.length, 1]))
      return original({ ...args, inputs: { ...args.inputs, dy } }) as tf.Tensor
    })
  }
}

/** For each window along an axis, its length divided by how many of its pixels lie inside the map. */
function shares(outputs: number, stride: number, padding: number, filter: number, size: number): number[] {
  return Array.from({ length: outputs }, (_, output) => {
    const first = output * stride - padding
    return filter / (Math.min(size, first + filter) - Math.max(0, first))
  })
}

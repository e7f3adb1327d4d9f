import * as tf from '@tensorflow/tfjs-core'
import { type BiasedKernelGradient, composedOps, type KernelGradientInputs } from '../../layers/ops.js'
import { convolutionCode, convolutionVariant } from './convolution-code.js'
import { asTensor } from './device-program.js'
import { fitsTiles, type TiledProduct, tiledProduct } from './tiled-product.js'

/** Attributes of the kernel, as tfjs calls them. */
interface FilterGradientAttrs {
  readonly strides: number | [number, number]
  readonly pad: tf.backend_util.ExplicitPadding | 'same' | 'valid' | number
  readonly dataFormat: 'NHWC' | 'NCHW'
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
  readonly filterShape: [number, number, number, number]
}

/**
 * The derivative of a convolution by its kernel as one tiled product, of the pixels under each tap with the derivative by the outputs;
 * the original computes each number of the kernel by itself.
 */
export function filterGradientAsProduct(original: tf.KernelFunc): tf.KernelFunc {
  return params => {
    const { x, dy } = params.inputs as { x: tf.Tensor4D; dy: tf.Tensor4D }
    const attrs = params.attrs as unknown as FilterGradientAttrs
    const product = attrs.dataFormat === 'NHWC' && gradientProduct(x, dy, attrs, false)
    return product ? (tiledProduct(product)[0] as tf.TensorInfo) : original(params)
  }
}

/** The derivatives by kernel and bias as one product: a row of ones gives that by the bias. */
export function biasedKernelGradient(inputs: KernelGradientInputs): BiasedKernelGradient {
  const { x, dy, kernelShape, strides, pad } = inputs
  const attrs = { strides: [...strides] as [number, number], pad, dataFormat: 'NHWC' as const }
  const filterShape = [...kernelShape] as FilterGradientAttrs['filterShape']
  const product = gradientProduct(x, dy, { ...attrs, filterShape }, true)
  if (!product) return composedOps.biasedKernelGradient(inputs)
  const [dKernel, dBias] = tiledProduct(product) as [tf.TensorInfo, tf.TensorInfo]
  return { dKernel: asTensor(dKernel), dBias: asTensor(dBias) }
}

/** Rows are taps and channels, and one of ones; the inner axis is the pixels of the outputs. */
function gradientProduct(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  { strides, pad, filterShape, dimRoundingMode }: FilterGradientAttrs,
  isBiased: boolean,
): TiledProduct | undefined {
  const info = tf.backend_util.computeConv2DInfo(x.shape, filterShape, strides, 1, pad, dimRoundingMode)
  const sizes = {
    input: [info.inHeight, info.inWidth],
    output: [info.outHeight, info.outWidth],
    kernel: [info.filterHeight, info.filterWidth],
    strides: [info.strideHeight, info.strideWidth],
    padding: [info.padInfo.top, info.padInfo.left],
    channels: info.inChannels,
    filters: info.outChannels,
  } as const
  const kernelRows = info.filterHeight * info.filterWidth * info.inChannels
  const product = {
    groups: 1,
    rows: kernelRows + (isBiased ? 1 : 0),
    inner: info.batchSize * info.outHeight * info.outWidth,
    columns: info.outChannels,
  }
  const size = product.rows * product.inner * product.columns
  if (size === 0 || x.dtype !== 'float32' || dy.dtype !== 'float32' || !fitsTiles(product)) return undefined
  return {
    ...product,
    name: isBiased ? 'BiasedKernelGradient' : 'KernelGradient',
    variant: convolutionVariant(sizes),
    read: [
      { name: 'x', tensor: x },
      { name: 'dy', tensor: dy },
    ],
    leftAlong: 'rows',
    results: [filterShape, ...(isBiased ? [[info.outChannels]] : [])],
    code: () => `${convolutionCode(sizes)}
const KERNEL_ROWS = ${kernelRows};
fn leftAt(group: i32, row: i32, k: i32) -> f32 {
  if (row >= KERNEL_ROWS) { return 1.0; }
  let pixel = inputPlace(k, row / CHANNELS);
  if (pixel < 0) { return 0.0; }
  return xAt(pixel * CHANNELS + row % CHANNELS);
}
fn rightAt(group: i32, k: i32, column: i32) -> f32 { return dyAt(k * FILTERS + column); }
fn place0(group: i32, row: i32, column: i32) -> i32 {
  return select(-1, row * FILTERS + column, row < KERNEL_ROWS);
}
fn place1(group: i32, row: i32, column: i32) -> i32 { return select(-1, column, row >= KERNEL_ROWS); }`,
  }
}

import type { BackendWasm } from '@tensorflow/tfjs-backend-wasm'
import * as tf from '@tensorflow/tfjs-core'
import { zerosBetween } from './strides.js'

/*
 * The derivatives of a depthwise convolution, which tfjs's wasm backend lacks: that by the input as a depthwise convolution,
 * which XNNPACK computes 10 times faster than loops, that by the filter in loops, which are 2 to 6 times faster than what can be put
 * together from the backend's operations. M is the channel multiplier: output channel c M + m belongs to input channel c.
 */

type ConvInfo = tf.backend_util.Conv2DInfo
type Shape4D = [number, number, number, number]

/** What tfjs hands to both gradient kernels of a depthwise convolution. */
interface DepthwiseGradientAttrs {
  readonly strides: [number, number] | number
  readonly pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding
  readonly dilations?: [number, number] | number | null
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/** Registers both derivatives of a depthwise convolution with the backend `wasm`. */
export function registerWasmDepthwiseGradients(): void {
  tf.registerKernel({
    kernelName: tf.DepthwiseConv2dNativeBackpropInput,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { inputShape, ...rest } = attrs as unknown as DepthwiseGradientAttrs & { inputShape: Shape4D }
      const dy = inputs.dy as tf.Tensor4D
      const filter = inputs.filter as tf.Tensor4D
      return inputGradient(dy, filter, convolution(inputShape, filter.shape, rest), backend as BackendWasm)
    },
  })
  tf.registerKernel({
    kernelName: tf.DepthwiseConv2dNativeBackpropFilter,
    backendName: 'wasm',
    kernelFunc: ({ inputs, attrs, backend }) => {
      const { filterShape, ...rest } = attrs as unknown as DepthwiseGradientAttrs & { filterShape: Shape4D }
      const x = inputs.x as tf.Tensor4D
      const conv = convolution(x.shape, filterShape, rest)
      return filterGradient(x, inputs.dy as tf.Tensor4D, conv, backend as BackendWasm)
    },
  })
}

function convolution(input: Shape4D, filter: Shape4D, attrs: DepthwiseGradientAttrs): ConvInfo {
  const { strides, pad, dilations, dimRoundingMode } = attrs
  return tf.backend_util.computeConv2DInfo(input, filter, strides, dilations ?? 1, pad, dimRoundingMode, true)
}

/**
 * Gradient with respect to the input. Where numbers overflow or are not numbers, it is computed in loops: a convolution multiplies
 * them with the zeros around the map and between the pixels as well, and so spreads them further than the derivative does.
 *
 * @param dy (B, H', W', C M)
 * @param filter (kh, kw, C, M)
 * @returns (B, H, W, C)
 */
function inputGradient(
  dy: tf.Tensor4D,
  filter: tf.Tensor4D,
  conv: ConvInfo,
  backend: BackendWasm,
): tf.TensorInfo {
  const dx = tf.tidy(() => convolvedInputGradient(dy, filter, conv))
  if (areFinite(backend.typedArrayFromHeap(dx) as Float32Array)) return dx
  dx.dispose()
  const result = backend.makeOutput(conv.inShape, 'float32')
  // Views are taken after makeOutput: memory that grows moves to another buffer.
  const values = backend.typedArrayFromHeap(result) as Float32Array
  values.fill(0)
  const gradients = backend.typedArrayFromHeap(dy) as Float32Array
  addInputGradient(values, gradients, backend.typedArrayFromHeap(filter) as Float32Array, conv)
  return result
}

/**
 * dx[u] = sum over a of dz[u + p - d a] W[a], where dz is dy with zeros between its pixels: a convolution of dz with the flipped filter.
 */
function convolvedInputGradient(dy: tf.Tensor4D, filter: tf.Tensor4D, conv: ConvInfo): tf.Tensor4D {
  const { strideHeight, strideWidth, dilationHeight, dilationWidth, filterHeight, filterWidth, padInfo } =
    conv
  const { inHeight, inWidth, inChannels, outChannels } = conv
  const flipped = tf.reverse(tf.reshape(filter, [filterHeight, filterWidth, outChannels, 1]), [0, 1])
  const dz = zerosBetween(dy, strideHeight, strideWidth)
  const rows = margins((filterHeight - 1) * dilationHeight, padInfo.top, inHeight, dz.shape[1])
  const columns = margins((filterWidth - 1) * dilationWidth, padInfo.left, inWidth, dz.shape[2])
  const pad: tf.backend_util.ExplicitPadding = [[0, 0], rows.zeros, columns.zeros, [0, 0]]
  const map = tf.depthwiseConv2d(dz, flipped as tf.Tensor4D, 1, pad, 'NHWC', [dilationHeight, dilationWidth])
  const [batch, height, width] = map.shape
  const whole = height === inHeight && width === inWidth
  const dx = whole
    ? map
    : tf.slice(map, [0, rows.skip, columns.skip, 0], [batch, inHeight, inWidth, outChannels])
  if (inChannels === outChannels) return dx
  return tf.sum(tf.reshape(dx, [batch, inHeight, inWidth, inChannels, -1]), 4)
}

/** One axis of the convolution that computes the input gradient. */
interface Margins {
  /** Zeros around dz. */
  readonly zeros: [before: number, after: number]
  /** Positions before the first pixel of the input. */
  readonly skip: number
}

/** @param reach pixels from a filter's first tap to its last */
function margins(reach: number, padding: number, inSize: number, size: number): Margins {
  const before = reach - padding
  return { zeros: [Math.max(0, before), Math.max(0, inSize + padding - size)], skip: Math.max(0, -before) }
}

function areFinite(values: Float32Array): boolean {
  let difference = 0
  for (let at = 0; at < values.length; at++) difference += (values[at] as number) - (values[at] as number)
  return difference === 0
}

/** Adds the input gradient to dx, tap by tap. */
function addInputGradient(dx: Float32Array, dy: Float32Array, filter: Float32Array, conv: ConvInfo): void {
  const { inChannels, outChannels } = conv
  const multiplier = outChannels / inChannels
  forEachTapRow(conv, ({ input, output, tap, count, step }) => {
    for (let column = 0; column < count; column++) {
      for (let channel = 0; channel < outChannels; channel++) {
        const at = input + column * step + Math.floor(channel / multiplier)
        const gradient = dy[output + column * outChannels + channel] as number
        dx[at] = (dx[at] as number) + gradient * (filter[tap * outChannels + channel] as number)
      }
    }
  })
}

/**
 * Gradient with respect to the filter, summed in double precision.
 *
 * @param x (B, H, W, C)
 * @param dy (B, H', W', C M)
 * @returns (kh, kw, C, M)
 */
function filterGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  conv: ConvInfo,
  backend: BackendWasm,
): tf.TensorInfo {
  const { filterHeight, filterWidth, inChannels, outChannels } = conv
  const result = backend.makeOutput(
    [filterHeight, filterWidth, inChannels, outChannels / inChannels],
    'float32',
  )
  const pixels = backend.typedArrayFromHeap(x) as Float32Array
  const gradients = backend.typedArrayFromHeap(dy) as Float32Array
  const sums = new Float64Array(filterHeight * filterWidth * outChannels)
  forEachTapRow(conv, row => {
    addProducts(sums, pixels, gradients, row, conv)
  })
  ;(backend.typedArrayFromHeap(result) as Float32Array).set(sums)
  return result
}

/** Where one row of outputs meets the input under one tap of the filter; places in the arrays of all numbers. */
interface TapRow {
  /** The tap's number, row by row. */
  readonly tap: number
  /** First number of the first pixel of the input. */
  readonly input: number
  /** From one pixel of the input to the next. */
  readonly step: number
  /** First number of the first pixel of the output. */
  readonly output: number
  /** Pixels. */
  readonly count: number
}

/** Calls `visit` for each row of outputs and each tap, with the pixels whose input lies in the map. */
function forEachTapRow(conv: ConvInfo, visit: (row: TapRow) => void): void {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, padInfo } = conv
  const { filterHeight, filterWidth, strideHeight, strideWidth, dilationHeight, dilationWidth } = conv
  const step = strideWidth * inChannels
  for (let line = 0; line < batchSize * outHeight; line++) {
    const top = (line % outHeight) * strideHeight - padInfo.top
    const image = Math.floor(line / outHeight) * inHeight
    for (let tap = 0; tap < filterHeight * filterWidth; tap++) {
      const row = top + Math.floor(tap / filterWidth) * dilationHeight
      if (row < 0 || row >= inHeight) continue
      const left = (tap % filterWidth) * dilationWidth - padInfo.left
      const first = Math.max(0, Math.ceil(-left / strideWidth))
      const count = Math.min(outWidth, Math.ceil((inWidth - left) / strideWidth)) - first
      if (count <= 0) continue
      const input = ((image + row) * inWidth + first * strideWidth + left) * inChannels
      visit({ tap, input, step, output: (line * outWidth + first) * outChannels, count })
    }
  }
}

/** Adds to each channel's sum its products along a row: four channels at once, whose sums stay in registers. */
function addProducts(
  sums: Float64Array,
  x: Float32Array,
  dy: Float32Array,
  { tap, input, step, output, count }: TapRow,
  { inChannels, outChannels }: ConvInfo,
): void {
  const multiplier = outChannels / inChannels
  const last = outChannels - 1
  for (let channel = 0; channel < outChannels; channel += 4) {
    // Beyond the last channel, it is computed again and not added.
    const c1 = Math.min(channel + 1, last)
    const c2 = Math.min(channel + 2, last)
    const c3 = Math.min(channel + 3, last)
    let s0 = 0
    let s1 = 0
    let s2 = 0
    let s3 = 0
    let x0 = input + Math.floor(channel / multiplier)
    let x1 = input + Math.floor(c1 / multiplier)
    let x2 = input + Math.floor(c2 / multiplier)
    let x3 = input + Math.floor(c3 / multiplier)
    let at = output
    for (let column = 0; column < count; column++) {
      s0 += (x[x0] as number) * (dy[at + channel] as number)
      s1 += (x[x1] as number) * (dy[at + c1] as number)
      s2 += (x[x2] as number) * (dy[at + c2] as number)
      s3 += (x[x3] as number) * (dy[at + c3] as number)
      x0 += step
      x1 += step
      x2 += step
      x3 += step
      at += outChannels
    }
    const sum = tap * outChannels + channel
    sums[sum] = (sums[sum] as number) + s0
    if (c1 === channel + 1) sums[sum + 1] = (sums[sum + 1] as number) + s1
    if (c2 === channel + 2) sums[sum + 2] = (sums[sum + 2] as number) + s2
    if (c3 === channel + 3) sums[sum + 3] = (sums[sum + 3] as number) + s3
  }
}

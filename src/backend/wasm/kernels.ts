import * as tf from '@tensorflow/tfjs-core'
import { shapeSize } from '../../shapes.js'
import { registerWasmDepthwiseGradients } from './depthwise-gradients.js'
import { keepSpareMemory } from './memory.js'
import { registerWasmPadding } from './padding.js'
import { registerWasmProducts } from './products.js'
import { registerWasmReductions } from './reductions.js'
import { registerWasmSlices } from './slices.js'
import { zerosBetween } from './strides.js'
import { registerWasmVolumeGradient } from './volume-gradient.js'

/*
 * The kernels that training needs and tfjs's wasm backend lacks or runs slowly, each put in terms of what its
 * XNNPACK does fast: forward convolutions and matrix products without transposed operands.
 */

type ConvInfo = tf.backend_util.Conv2DInfo
type Margin = readonly [before: number, after: number]

/** What tfjs hands to both gradient kernels of a convolution. */
interface ConvGradientAttrs {
  readonly strides: [number, number] | number
  readonly pad: 'valid' | 'same' | number | tf.backend_util.ExplicitPadding
  readonly dataFormat?: 'NHWC' | 'NCHW'
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/** What tfjs hands to the gradient kernel of a maximum pool. */
interface PoolGradientAttrs {
  readonly filterSize: [number, number] | number
  readonly strides: [number, number] | number
  readonly pad: 'valid' | 'same' | number
  readonly dimRoundingMode?: 'floor' | 'round' | 'ceil'
}

/**
 * Makes the backend `wasm` able to train, in Node and in a page: registers the gradients of convolutions, also
 * depthwise and of volumes, and of a maximum pool, the unsorted segment sum, a clone that copies nothing, reductions, slices,
 * transpositions and matrix products in place of what tfjs has, and guards the module's memory. To be called after
 * `await tf.setBackend('wasm')`; a second call changes nothing.
 *
 * @throws Error when another backend is the current one
 */
export function registerWasmKernels(): void {
  const current = tf.getBackend()
  if (current !== 'wasm') {
    throw new Error(
      `registerWasmKernels: the current backend must be wasm, got ${current} (first await tf.setBackend('wasm'))`,
    )
  }
  keepSpareMemory(tf.backend())
  replaceKernel('Conv2DBackpropFilter', ({ inputs, attrs }) => {
    const { filterShape, ...rest } = attrs as unknown as ConvGradientAttrs & { filterShape: Shape4D }
    const x = inputs.x as tf.Tensor4D
    const dy = inputs.dy as tf.Tensor4D
    return tf.tidy(() =>
      filterGradient(x, dy, convolution('Conv2DBackpropFilter', x.shape, filterShape, rest)),
    )
  })
  replaceKernel('Conv2DBackpropInput', ({ inputs, attrs }) => {
    const { inputShape, ...rest } = attrs as unknown as ConvGradientAttrs & { inputShape: Shape4D }
    const dy = inputs.dy as tf.Tensor4D
    const filter = inputs.filter as tf.Tensor4D
    return tf.tidy(() =>
      inputGradient(dy, filter, convolution('Conv2DBackpropInput', inputShape, filter.shape, rest)),
    )
  })
  replaceKernel('MaxPoolGrad', ({ inputs, attrs }) => {
    const { filterSize, strides, pad, dimRoundingMode } = attrs as unknown as PoolGradientAttrs
    const x = inputs.input as tf.Tensor4D
    const pool = tf.backend_util.computePool2DInfo(x.shape, filterSize, strides, 1, pad, dimRoundingMode)
    return maxPoolGradient(x, inputs.dy as tf.Tensor4D, pool)
  })
  replaceKernel('UnsortedSegmentSum', ({ inputs, attrs }) => {
    const { numSegments } = attrs as unknown as { numSegments: number }
    return tf.tidy(() => segmentSum(inputs.x as tf.Tensor, inputs.segmentIds as tf.Tensor, numSegments))
  })
  // The original copies; training clones every tensor that it keeps for the backward pass.
  replaceKernel('Identity', ({ inputs, backend }) => {
    const { dataId, shape, dtype } = inputs.x as tf.TensorInfo
    ;(backend as tf.KernelBackend).incRef(dataId)
    return { dataId, shape, dtype }
  })
  if (wrappersRegistered) return
  wrappersRegistered = true
  registerWasmPadding()
  registerWasmReductions()
  registerWasmProducts()
  registerWasmSlices()
  registerWasmDepthwiseGradients()
  registerWasmVolumeGradient()
}

/** Whether the kernels that wrap tfjs's own ones, and those that are registered once, have been. */
let wrappersRegistered = false

type Shape4D = [number, number, number, number]

function replaceKernel(kernelName: string, kernelFunc: tf.KernelConfig['kernelFunc']): void {
  if (tf.getKernel(kernelName, 'wasm')) tf.unregisterKernel(kernelName, 'wasm')
  tf.registerKernel({ kernelName, backendName: 'wasm', kernelFunc })
}

function convolution(kernel: string, input: Shape4D, filter: Shape4D, attrs: ConvGradientAttrs): ConvInfo {
  const { strides, pad, dataFormat = 'NHWC', dimRoundingMode } = attrs
  if (dataFormat !== 'NHWC')
    throw new RangeError(`${kernel}: dataFormat must be NHWC on wasm, got ${dataFormat}`)
  return tf.backend_util.computeConv2DInfo(input, filter, strides, 1, pad, dimRoundingMode)
}

/**
 * Gradient of a convolution with respect to its filter.
 *
 * dW[a, b, c, f] = sum over n, i, j of x[n, s i + a - p, s j + b - p, c] dy[n, i, j, f]: a convolution of x with
 * the filter dy, where images play the input channels, channels the images, and the stride the dilation.
 *
 * @param x (B, H, W, C)
 * @param dy (B, H', W', F)
 * @returns (kh, kw, C, F)
 */
function filterGradient(x: tf.Tensor4D, dy: tf.Tensor4D, conv: ConvInfo): tf.Tensor4D {
  const { filterHeight, filterWidth, inChannels, outChannels, padInfo, strideHeight, strideWidth } = conv
  const filterShape: Shape4D = [filterHeight, filterWidth, inChannels, outChannels]
  if (isPointwise(conv)) {
    const pixels = tf.reshape(subsample(x, conv), [-1, inChannels])
    return tf.reshape(tf.matMul(pixels, tf.reshape(dy, [-1, outChannels]), true), filterShape)
  }
  const images = tf.transpose(x, [3, 1, 2, 0]) // (C, H, W, B)
  const filter = tf.transpose(dy, [1, 2, 0, 3]) // (H', W', B, F)
  const margins = explicitPadding([padInfo.top, padInfo.bottom], [padInfo.left, padInfo.right])
  const taps = tf.conv2d(images, filter, 1, margins, 'NHWC', [strideHeight, strideWidth]) // (C, >= kh, >= kw, F)
  // Where a stride does not divide the map there are more taps than the kernel has.
  const kernelTaps = crop(taps, [0, filterHeight], [0, filterWidth])
  return tf.transpose(kernelTaps, [1, 2, 0, 3])
}

/**
 * Gradient of a convolution with respect to its input.
 *
 * In padded coordinates, position s u + q takes dy[u - m] W[s m + q] over all taps m of phase q: so one
 * convolution of dy with stride 1 gives all s x s phases as channels, which are then interleaved.
 *
 * @param dy (B, H', W', F)
 * @param filter (kh, kw, C, F)
 * @returns (B, H, W, C)
 */
function inputGradient(dy: tf.Tensor4D, filter: tf.Tensor4D, conv: ConvInfo): tf.Tensor4D {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth, outChannels, padInfo } = conv
  if (isPointwise(conv)) {
    const matrix = tf.reshape(filter, [inChannels, outChannels])
    const product = tf.matMul(tf.reshape(dy, [-1, outChannels]), matrix, false, true)
    return spread(tf.reshape(product, [batchSize, outHeight, outWidth, inChannels]), conv)
  }
  const { strideHeight: sh, strideWidth: sw } = conv
  const rows = phases(conv.filterHeight, sh, padInfo.top, inHeight, outHeight)
  const columns = phases(conv.filterWidth, sw, padInfo.left, inWidth, outWidth)
  const kernel = phaseFilter(filter, rows.taps, columns.taps, sh, sw)
  const phased = tf.conv2d(dy, kernel, 1, explicitPadding(rows.margin, columns.margin)) as tf.Tensor4D
  const map = interleave(phased, sh, sw, inChannels)
  return crop(map, [rows.skip, inHeight], [columns.skip, inWidth])
}

/** One axis of the input gradient: how many taps a phase has, and which positions the convolution covers. */
interface Phases {
  readonly taps: number
  /** Zeros around dy. */
  readonly margin: Margin
  /** Positions of the interleaved map before the first pixel of the input. */
  readonly skip: number
}

function phases(kernel: number, stride: number, padding: number, inSize: number, outSize: number): Phases {
  const taps = Math.ceil(kernel / stride)
  const first = Math.min(Math.floor(padding / stride), taps - 1)
  const last = Math.ceil((padding + inSize) / stride) - 1
  const margin: Margin = [taps - 1 - first, Math.max(0, last + 1 - outSize)]
  return { taps, margin, skip: padding - first * stride }
}

/** (kh, kw, C, F) -> (taps, taps, F, sh sw C): flipped, and a stride's phases side by side as channels. */
function phaseFilter(
  filter: tf.Tensor4D,
  tapRows: number,
  tapColumns: number,
  sh: number,
  sw: number,
): tf.Tensor4D {
  const [kh, kw, channels, outputs] = filter.shape
  const flipped = (kernel: tf.Tensor4D): tf.Tensor4D => tf.reverse(kernel, [0, 1])
  if (sh === 1 && sw === 1) return tf.transpose(flipped(filter), [0, 1, 3, 2])
  const whole = tf.pad(filter, [
    [0, tapRows * sh - kh],
    [0, tapColumns * sw - kw],
    [0, 0],
    [0, 0],
  ])
  const split = tf.reshape(whole, [tapRows, sh, tapColumns, sw, channels, outputs])
  const phased = tf.transpose(split, [0, 2, 5, 1, 3, 4]) // (taps, taps, F, sh, sw, C)
  return flipped(tf.reshape(phased, [tapRows, tapColumns, outputs, sh * sw * channels]))
}

/** (B, U, V, sh sw C) -> (B, U sh, V sw, C). */
function interleave(phased: tf.Tensor4D, sh: number, sw: number, channels: number): tf.Tensor4D {
  if (sh === 1 && sw === 1) return phased
  const [batch, rows, columns] = phased.shape
  const split = tf.reshape(phased, [batch * rows, columns, sh, sw * channels])
  return tf.reshape(tf.transpose(split, [0, 2, 1, 3]), [batch, rows * sh, columns * sw, channels])
}

/** Whether the convolution is a matrix product of single pixels: a 1x1 filter, nothing padded. */
function isPointwise({ filterHeight, filterWidth, padInfo }: ConvInfo): boolean {
  const { top, bottom, left, right } = padInfo
  return filterHeight === 1 && filterWidth === 1 && top + bottom + left + right === 0
}

/** The pixels that a pointwise convolution with a stride reads: (B, H, W, C) -> (B, H', W', C). */
function subsample(x: tf.Tensor4D, conv: ConvInfo): tf.Tensor4D {
  const { outHeight, outWidth, strideHeight: sh, strideWidth: sw } = conv
  if (sh === 1 && sw === 1) return x
  // A maximum over single pixels, 200 times faster than tf.stridedSlice, which goes pixel by pixel in JavaScript.
  return tf.maxPool(crop(x, [0, outHeight * sh], [0, outWidth * sw]), 1, [sh, sw], 'valid')
}

/** The gradient of {@link subsample}: zeros between the pixels, (B, H', W', C) -> (B, H, W, C). */
function spread(pixels: tf.Tensor4D, conv: ConvInfo): tf.Tensor4D {
  const { inHeight, inWidth, strideHeight: sh, strideWidth: sw } = conv
  if (sh === 1 && sw === 1) return pixels
  return crop(zerosBetween(pixels, sh, sw), [0, inHeight], [0, inWidth])
}

/** Rows and columns [start, start + size) of a map (B, H, W, C), with zeros where the map ends before. */
function crop(map: tf.Tensor4D, [top, height]: Margin, [left, width]: Margin): tf.Tensor4D {
  const [batch, rows, columns, channels] = map.shape
  const bottom = Math.max(0, top + height - rows)
  const right = Math.max(0, left + width - columns)
  const enough =
    bottom + right > 0
      ? tf.pad(map, [
          [0, 0],
          [0, bottom],
          [0, right],
          [0, 0],
        ])
      : map
  if (top === 0 && left === 0 && enough.shape[1] === height && enough.shape[2] === width) return enough
  return tf.slice(enough, [0, top, left, 0], [batch, height, width, channels])
}

function explicitPadding(rows: Margin, columns: Margin): tf.backend_util.ExplicitPadding {
  return [[0, 0], [...rows], [...columns], [0, 0]]
}

/**
 * Gradient of a maximum pool: each window's gradient goes to its first largest pixel. (The kernel that tfjs
 * brings sends it astray where all pixels of a window are negative.)
 *
 * @param x (B, H, W, C)
 * @param dy (B, H', W', C)
 * @returns (B, H, W, C)
 */
function maxPoolGradient(x: tf.Tensor4D, dy: tf.Tensor4D, pool: ConvInfo): tf.Tensor4D {
  const { batchSize, inHeight, inWidth, inChannels, outHeight, outWidth } = pool
  const pixels = x.dataSync()
  const gradients = dy.dataSync()
  const result = new Float32Array(pixels.length)
  let output = 0
  for (let image = 0; image < batchSize; image++) {
    for (let row = 0; row < outHeight; row++) {
      const rows = poolWindow(row, pool.strideHeight, pool.padInfo.top, pool.effectiveFilterHeight, inHeight)
      for (let column = 0; column < outWidth; column++) {
        const columns = poolWindow(
          column,
          pool.strideWidth,
          pool.padInfo.left,
          pool.effectiveFilterWidth,
          inWidth,
        )
        for (let channel = 0; channel < inChannels; channel++) {
          const start = image * inHeight * inWidth * inChannels + channel
          const at = largest(pixels, start, rows, columns, inWidth, inChannels)
          result[at] = (result[at] ?? 0) + (gradients[output++] ?? 0)
        }
      }
    }
  }
  return tf.tensor4d(result, x.shape)
}

/** The pixels [first, end) of one axis that a window covers. */
function poolWindow(position: number, stride: number, padding: number, filter: number, size: number): Margin {
  const first = position * stride - padding
  return [Math.max(0, first), Math.min(size, first + filter)]
}

function largest(
  pixels: ArrayLike<number>,
  start: number,
  [top, bottom]: Margin,
  [left, right]: Margin,
  width: number,
  channels: number,
): number {
  let best = start + (top * width + left) * channels
  for (let row = top; row < bottom; row++) {
    for (let column = left; column < right; column++) {
      const at = start + (row * width + column) * channels
      if ((pixels[at] as number) > (pixels[best] as number)) best = at
    }
  }
  return best
}

/**
 * Sum of the rows of each segment; rows of segments outside 0..numSegments-1 are ignored.
 *
 * @param x (n, ...)
 * @param segmentIds (n) int32
 * @returns (numSegments, ...)
 */
function segmentSum(x: tf.Tensor, segmentIds: tf.Tensor, numSegments: number): tf.Tensor {
  const rest = x.shape.slice(1)
  const width = shapeSize(rest)
  const inside = tf.logicalAnd(tf.greaterEqual(segmentIds, 0), tf.less(segmentIds, numSegments))
  const extraSegment = tf.fill(segmentIds.shape, numSegments, 'int32')
  const rows = tf.cast(tf.reshape(tf.where(inside, segmentIds, extraSegment), [-1, 1]), 'int32')
  const sums = tf.scatterND(rows, tf.reshape(x, [-1, width]), [numSegments + 1, width])
  return tf.reshape(tf.slice(sums, [0, 0], [numSegments, width]), [numSegments, ...rest])
}

import * as tf from '@tensorflow/tfjs-core'
import { type BiasedKernelGradient, composedOps, type KernelGradientInputs } from '../../layers/ops.js'
import { biasedKernelGradient } from './onednn.js'
import { nativeBackend } from './operations.js'
import { currentPrecision } from './precision.js'

/**
 * Numbers that are laid out for a product at a time: 48 MB in float32. Fewer and larger products are faster, but take
 * memory.
 */
const numbersAtATime = 12 * 2 ** 20

/**
 * Channels times filters from which on the kernel gradient of a strided convolution is faster as products: of 64x64 pixels at stride
 * 2, with 16 by 32 TensorFlow's own takes 0.45 of the time, with 128 by 128 0.88, with 160 by 320 1.28.
 */
const manyProducts = 2 ** 15

/**
 * The derivative of a convolution by its kernel, the fastest way on a CPU. TensorFlow's own operation is below the
 * rate of its other convolutions where strides skip pixels of many channels, for 1x1 kernels in float32, and in bfloat16 where channels
 * outnumber pixels. There it is computed as a matrix product instead: for every output the pixels under the kernel side
 * by side (kh kw C columns), times the derivative by the outputs.
 */
export function kernelGradient(inputs: KernelGradientInputs): tf.Tensor4D {
  return isFasterAsProducts(inputs) ? asProducts(inputs) : composedOps.kernelGradient(inputs)
}

/**
 * The derivatives by kernel and bias: in one operation in bfloat16 and where strides skip pixels, if TensorFlow's own convolution is
 * used at all. (Otherwise in float32 two operations are faster.) To be used where TensorFlow has oneDNN.
 */
export function kernelAndBiasGradient(inputs: KernelGradientInputs): BiasedKernelGradient {
  const isSuited = currentPrecision() === 'bf16' || hasStrides(inputs)
  const joined = isSuited && !isFasterAsProducts(inputs)
  return joined ? biasedKernelGradient(inputs) : composedOps.biasedKernelGradient(inputs)
}

/** The derivative by the kernel as products, at every size and without TensorFlow's own operation. */
export function asProducts(inputs: KernelGradientInputs): tf.Tensor4D {
  const { x, dy, kernelShape, strides } = inputs
  const [, , channels = 1, filters = 1] = kernelShape
  return tf.tidy(() => {
    if (isPointwise(inputs)) {
      const columns: tf.Tensor2D = tf.reshape(pixelsUnderStrides(x, dy.shape, strides), [-1, channels])
      return tf.reshape(product(columns, dy), [1, 1, channels, filters])
    }
    const parts = imageParts(inputs).map(([first, count]) =>
      tf.tidy(() =>
        tapProduct({
          ...inputs,
          x: tf.slice(x, [first, 0, 0, 0], [count, -1, -1, -1]),
          dy: tf.slice(dy, [first, 0, 0, 0], [count, -1, -1, -1]),
        }),
      ),
    )
    return tf.reshape(
      parts.reduce((sum, part) => tf.add(sum, part)),
      kernelShape as [number, number, number, number],
    )
  })
}

/**
 * First image and number of images of each part of a batch that is worked on at a time; intermediate tensors are freed
 * after each.
 */
function imageParts({ x, dy, kernelShape }: KernelGradientInputs): [first: number, count: number][] {
  const [height = 1, width = 1, channels = 1] = kernelShape
  const [batch, rows, columns] = dy.shape
  const numbers = batch * rows * columns * height * width * channels
  const parts = Math.min(x.shape[0], Math.ceil(numbers / numbersAtATime))
  const bounds = Array.from({ length: parts + 1 }, (_, part) => Math.floor((part * batch) / parts))
  return bounds.slice(1).map((end, part) => [bounds[part] as number, end - (bounds[part] as number)])
}

/** (kh kw C, F): the sum over outputs of the numbers under the kernel times the derivatives. */
function tapProduct(inputs: KernelGradientInputs): tf.Tensor2D {
  const [height = 1, width = 1, channels = 1] = inputs.kernelShape
  const { view, rowsPerImage } = pixelsAndZero(inputs)
  const columns = gather(view, rowsUnder(inputs, rowsPerImage))
  return product(tf.reshape(columns, [-1, height * width * channels]), inputs.dy)
}

/** (pixels, n), (B,H',W',F) -> (n,F), with B H' W' pixels. */
function product(columns: tf.Tensor2D, dy: tf.Tensor4D): tf.Tensor2D {
  return tf.matMul(columns, tf.reshape(dy, [-1, dy.shape[3]]) as tf.Tensor2D, true, false)
}

function isFasterAsProducts(inputs: KernelGradientInputs): boolean {
  const { dy, kernelShape } = inputs
  const [height = 1, width = 1, channels = 1, filters = 1] = kernelShape
  const isFloat32 = currentPrecision() === 'float32'
  if (hasIdleTap(inputs)) return true
  if (hasStrides(inputs)) {
    return !isFloat32 || isPointwise(inputs) || channels * filters >= manyProducts
  }
  if (isPointwise(inputs)) return isFloat32
  return !isFloat32 && dy.size / filters < height * width * channels
}

function hasStrides({ strides }: KernelGradientInputs): boolean {
  return strides[0] > 1 || strides[1] > 1
}

function isPointwise({ kernelShape }: KernelGradientInputs): boolean {
  return kernelShape[0] === 1 && kernelShape[1] === 1
}

/**
 * Whether a tap of the kernel meets no pixel of the map, as where the kernel is larger: oneDNN leaves its derivative,
 * which is 0, unwritten in bfloat16.
 */
export function hasIdleTap({ x, dy, kernelShape, strides, pad }: KernelGradientInputs): boolean {
  return ([0, 1] as const).some(axis => {
    const [size = 0, outputs = 0, kernel = 0] = [x.shape[axis + 1], dy.shape[axis + 1], kernelShape[axis]]
    const stride = strides[axis]
    const before = pad === 'same' ? paddingBefore(size, outputs, kernel, stride) : 0
    const meets = (tap: number): boolean => {
      const first = tap - before
      const steps = Math.max(0, Math.ceil(-first / stride))
      return steps < outputs && first + steps * stride < size
    }
    return !Array.from({ length: kernel }, (_, tap) => tap).every(meets)
  })
}

/**
 * The pixels that a kernel of one pixel meets.
 *
 * @param x (B,...,C), any number of axes between
 * @param outputs the shape of what the convolution returns, (B,...,F)
 * @param strides one for each axis between
 * @returns (B,...,C), the axes between as in `outputs`
 */
export function pixelsUnderStrides(
  x: tf.Tensor,
  outputs: readonly number[],
  strides: readonly number[],
): tf.Tensor {
  if (strides.every(stride => stride === 1)) return x
  const [batch = 0, ...sizes] = x.shape.slice(0, -1)
  const channels = x.shape.at(-1) as number
  const counts = outputs.slice(1, -1)
  // Outputs times strides may reach past the map, never end before it.
  const missing = sizes.map((size, axis) => (counts[axis] as number) * (strides[axis] as number) - size)
  const isWhole = missing.every(pixels => pixels === 0)
  const whole = isWhole
    ? x
    : tf.pad(x, [[0, 0], ...missing.map(pixels => [0, pixels] as [number, number]), [0, 0]])
  // A slice of whole blocks; TensorFlow's StridedSlice takes two to six times as long.
  const blocks = counts.flatMap((count, axis) => [count, strides[axis] as number])
  const [first = 0, ...rest] = blocks
  const lastStride = rest.pop() as number
  const split = tf.reshape(whole, [batch * first, ...rest, lastStride * channels])
  const size = split.shape.map((length, axis) => (axis % 2 === 0 ? length : 1))
  size[size.length - 1] = channels
  const pixels = tf.slice(
    split,
    split.shape.map(() => 0),
    size,
  )
  return tf.reshape(pixels, [batch, ...counts, channels])
}

/** The map as rows of C, each image followed by a row of zeros, which stands for every pixel outside. */
function pixelsAndZero({ x }: KernelGradientInputs): { view: tf.Tensor2D; rowsPerImage: number } {
  const [batch, height, width, channels] = x.shape
  const pixels = height * width
  const padded = tf.pad(tf.reshape(x, [batch, pixels, channels]), [
    [0, 0],
    [0, 1],
    [0, 0],
  ])
  return { view: tf.reshape(padded, [-1, channels]), rowsPerImage: pixels + 1 }
}

/** (B, H' W' kh kw) int32: the pixel under each place of the kernel, for every output. */
function rowsUnder(inputs: KernelGradientInputs, rowsPerImage: number): tf.Tensor {
  const { x, dy, kernelShape, strides, pad } = inputs
  const [batch, height, width] = x.shape
  const [, rows, columns] = dy.shape
  const [kernelHeight = 1, kernelWidth = 1] = kernelShape
  const top = pad === 'same' ? paddingBefore(height, rows, kernelHeight, strides[0]) : 0
  const left = pad === 'same' ? paddingBefore(width, columns, kernelWidth, strides[1]) : 0
  const under = new Int32Array(rows * columns * kernelHeight * kernelWidth)
  let at = 0
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < columns; j++) {
      for (let tap = 0; tap < kernelHeight * kernelWidth; tap++) {
        const y = i * strides[0] + Math.floor(tap / kernelWidth) - top
        const column = j * strides[1] + (tap % kernelWidth) - left
        const outside = y < 0 || y >= height || column < 0 || column >= width
        under[at++] = outside ? rowsPerImage - 1 : y * width + column
      }
    }
  }
  const firstRows = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(rowsPerImage, 'int32'))
  return tf.add(tf.reshape(firstRows, [batch, 1]), tf.tensor2d(under, [1, under.length], 'int32'))
}

/** TensorFlow's 'same': what the kernel reaches past the map, the smaller half before it. */
function paddingBefore(size: number, outputs: number, kernel: number, stride: number): number {
  return Math.max(0, (outputs - 1) * stride + kernel - size) >> 1
}

/** Rows of a matrix, by the operation itself: tf.gather would read the row numbers back to check them. */
function gather(matrix: tf.Tensor2D, rows: tf.Tensor): tf.Tensor {
  const { TF_ATTR_TYPE, TF_ATTR_INT, TF_FLOAT, TF_INT32 } = nativeBackend().binding
  const attributes = [
    { name: 'batch_dims', type: TF_ATTR_INT, value: 0 },
    { name: 'Tparams', type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: 'Tindices', type: TF_ATTR_TYPE, value: TF_INT32 },
    { name: 'Taxis', type: TF_ATTR_TYPE, value: TF_INT32 },
  ]
  return nativeBackend().executeSingleOutput('GatherV2', attributes, [matrix, rows, tf.scalar(0, 'int32')])
}

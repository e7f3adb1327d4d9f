import * as tf from '@tensorflow/tfjs-core'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { oneOf } from '../layers/validation.js'
import { random } from '../random.js'
import { size2D } from '../shapes.js'

type Matrix = readonly (readonly number[])[]

/** A kernel: dense (inputs, outputs) or convolution (kh, kw, C, outputs), as a tensor or nested lists. */
export type Kernel = tf.Tensor2D | tf.Tensor4D | Matrix | readonly (readonly Matrix[])[]

/** On what a convolution's kernel is a matrix. */
export interface PatchConvolution {
  /** Height and width of the patch that it convolves, in pixels. */
  readonly patchSize: number | readonly number[]
  /** 'same' (default): zeros outside of the patch, one output a pixel; 'valid': only whole windows. */
  readonly padding?: 'same' | 'valid'
}

/** A linear map by its products, on rows of numbers. */
interface LinearMap {
  readonly inputs: number
  forward(x: Float64Array): Float64Array
  /** The product with the transposed matrix. */
  transposed(y: Float64Array): Float64Array
  /** Largest relative difference of A^T A v and s^2 v at which v counts as the singular vector. */
  readonly tolerance: number
}

const MOST_ITERATIONS = 100_000

/** float32 leaves about 3e-7 of a product undecided. */
const FLOAT32_TOLERANCE = 2e-6

/**
 * The largest singular value of a kernel, by power iteration to 1e-6.
 *
 * Without `convolution` a kernel of four axes is read as the matrix of one window, (kh kw C, outputs); with it, as the
 * convolution of one patch, through the operation itself and its transpose. Matrices are computed in double precision,
 * convolutions in the backend's float32.
 *
 * @param kernel it is read, and not disposed
 * @returns at least 0
 * @throws RangeError when the kernel has neither two nor four axes or holds a number that is not finite, or the patch is
 *   smaller than a 'valid' kernel
 */
export function spectralNorm(kernel: Kernel, convolution?: PatchConvolution): number {
  const { values, scale, shape } = parsedKernel(kernel, 'spectralNorm')
  if (scale === 0) return 0
  const map = convolution
    ? convolutionMap(values, patchShapes(shape, convolution, 'spectralNorm'))
    : matrixMap(values, shape)
  return scale * largestSingularValue(map)
}

/**
 * The (2,1) norm of a kernel's transpose: the sum over outputs of the l2 norm of their incoming weights.
 *
 * @param convolution as for {@link spectralNorm}: the outputs are those of all pixels of the patch
 * @returns at least 0
 * @throws as {@link spectralNorm}
 */
export function norm21(kernel: Kernel, convolution?: PatchConvolution): number {
  const { values, scale, shape } = parsedKernel(kernel, 'norm21')
  const squares = convolution
    ? convolutionSquares(values, patchShapes(shape, convolution, 'norm21'))
    : columnSquares(values, shape)
  return scale * squares.reduce((sum, square) => sum + Math.sqrt(square), 0)
}

/** Power iteration on A^T A; the estimate never exceeds the norm, but for rounding. */
function largestSingularValue({ inputs, forward, transposed, tolerance }: LinearMap): number {
  const chance = random(1, 'spectral norm')
  let direction = unit(Float64Array.from({ length: inputs }, () => chance.normal()))
  let norm = 0
  for (let iteration = 0; iteration < MOST_ITERATIONS; iteration++) {
    const image = forward(direction)
    norm = lengthOf(image)
    const next = transposed(image)
    const difference = next.map((value, i) => value - norm * norm * (direction[i] as number))
    if (lengthOf(difference) <= tolerance * norm * norm) return norm
    direction = unit(next)
  }
  return norm
}

function lengthOf(vector: Float64Array): number {
  return Math.sqrt(vector.reduce((sum, value) => sum + value * value, 0))
}

function unit(vector: Float64Array): Float64Array {
  const length = lengthOf(vector)
  return vector.map(value => value / length)
}

/** A kernel's numbers divided by `scale`, the largest of their sizes, so that no product overflows. */
interface ParsedKernel {
  readonly values: Float64Array
  readonly scale: number
  /** Two or four sizes, outputs last. */
  readonly shape: readonly number[]
}

function parsedKernel(kernel: Kernel, where: string): ParsedKernel {
  const shape = kernel instanceof tf.Tensor ? kernel.shape : listShape(kernel)
  const numbers = kernel instanceof tf.Tensor ? kernel.dataSync() : (kernel.flat(3) as unknown as number[])
  if ((shape.length !== 2 && shape.length !== 4) || numbers.length === 0) {
    throw new RangeError(
      `${where}: kernel must be (inputs, outputs) or (kh, kw, C, outputs), got shape (${shape.join(', ')})`,
    )
  }
  const values = Float64Array.from(numbers)
  const bad = values.findIndex(value => !Number.isFinite(value))
  if (bad >= 0) {
    throw new RangeError(`${where}: kernel must hold finite numbers, got ${numbers[bad]} (number ${bad})`)
  }
  const scale = values.reduce((largest, value) => Math.max(largest, Math.abs(value)), 0)
  return { values: scale === 0 ? values : values.map(value => value / scale), scale, shape }
}

/** The sizes of nested lists; no further than to where lists of one level differ in length. */
function listShape(list: unknown): number[] {
  if (!Array.isArray(list)) return []
  const [first, ...others] = list.map(listShape)
  if (!first || others.some(other => other.join() !== first.join())) return [list.length]
  return [list.length, ...first]
}

function matrixMap(values: Float64Array, shape: readonly number[]): LinearMap {
  const outputs = shape.at(-1) as number
  const inputs = values.length / outputs
  return {
    inputs,
    tolerance: 1e-6,
    forward: x => {
      const y = new Float64Array(outputs)
      for (let i = 0; i < values.length; i++) {
        const j = i % outputs
        y[j] = (y[j] as number) + (values[i] as number) * (x[(i - j) / outputs] as number)
      }
      return y
    },
    transposed: y => {
      const x = new Float64Array(inputs)
      for (let i = 0; i < values.length; i++) {
        const j = i % outputs
        const row = (i - j) / outputs
        x[row] = (x[row] as number) + (values[i] as number) * (y[j] as number)
      }
      return x
    },
  }
}

/** (outputs) the squared l2 norms of a matrix's columns. */
function columnSquares(values: Float64Array, shape: readonly number[]): Float64Array {
  const squares = new Float64Array(shape.at(-1) as number)
  values.forEach((value, i) => {
    const j = i % squares.length
    squares[j] = (squares[j] as number) + value * value
  })
  return squares
}

/** The shapes of a patch's convolution, and how it is padded. */
interface PatchShapes {
  readonly input: [batch: 1, height: number, width: number, channels: number]
  readonly output: [batch: 1, height: number, width: number, outputs: number]
  readonly kernel: [number, number, number, number]
  readonly padding: 'same' | 'valid'
}

const convolutionNames = {
  patchSize: true,
  padding: true,
} as const satisfies OptionNames<PatchConvolution>

function patchShapes(kernel: readonly number[], convolution: PatchConvolution, where: string): PatchShapes {
  checkOptionNames(where, convolution, convolutionNames)
  const [height, width] = size2D(convolution.patchSize, `${where}: patchSize`)
  const padding = oneOf(['same', 'valid'] as const, convolution.padding ?? 'same', `${where}: padding`)
  const [kernelHeight, kernelWidth, channels, outputs] = kernel
  if (
    kernelHeight === undefined ||
    kernelWidth === undefined ||
    channels === undefined ||
    outputs === undefined
  ) {
    throw new RangeError(
      `${where}: kernel of a convolution must be (kh, kw, C, outputs), got shape (${kernel.join(', ')})`,
    )
  }
  const lost = padding === 'same' ? [0, 0] : [kernelHeight - 1, kernelWidth - 1]
  const [outHeight, outWidth] = [height - (lost[0] as number), width - (lost[1] as number)]
  if (outHeight < 1 || outWidth < 1) {
    throw new RangeError(
      `${where}: patchSize must be at least the kernel of a 'valid' convolution, got ${height}x${width} ` +
        `(kernel ${kernelHeight}x${kernelWidth})`,
    )
  }
  return {
    input: [1, height, width, channels],
    output: [1, outHeight, outWidth, outputs],
    kernel: [kernelHeight, kernelWidth, channels, outputs],
    padding,
  }
}

function convolutionMap(values: Float64Array, { input, output, kernel, padding }: PatchShapes): LinearMap {
  const filter = () => tf.tensor4d(Float32Array.from(values), kernel)
  return {
    inputs: tf.util.sizeFromShape(input),
    tolerance: FLOAT32_TOLERANCE,
    forward: x => numbersOf(() => tf.conv2d(tf.tensor4d(Float32Array.from(x), input), filter(), 1, padding)),
    transposed: y =>
      numbersOf(() =>
        tf.conv2dTranspose(tf.tensor4d(Float32Array.from(y), output), filter(), input, 1, padding),
      ),
  }
}

/** The squared l2 norms of the weights into every output; those that the patch's border cuts off do not count. */
function convolutionSquares(values: Float64Array, { input, kernel, padding }: PatchShapes): Float64Array {
  return numbersOf(() => {
    const squared = tf.square(tf.tensor4d(Float32Array.from(values), kernel))
    return tf.conv2d(tf.ones<tf.Rank.R4>(input), squared, 1, padding)
  })
}

/** The numbers of a tensor, which is disposed with all that went into it. */
function numbersOf(compute: () => tf.Tensor): Float64Array {
  return Float64Array.from(tf.tidy(() => compute().dataSync()))
}

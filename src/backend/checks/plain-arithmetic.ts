import { type Size2D, shapeSize } from '../../shapes.js'

/*
 * What tensor operations have to return, in the plainest loops over float64: the reference that backends are compared with.
 * All maps are row by row, as tfjs lays them out: (B,H,W,C), kernels (kh,kw,C,F).
 */

/** The sizes of a convolution or of a pool. */
export interface ConvolutionSizes {
  /** B, H, W, C. */
  readonly map: readonly [number, number, number, number]
  /** kh, kw. */
  readonly kernel: Size2D
  readonly filters: number
  readonly strides: Size2D
  readonly pad: 'same' | 'valid'
}

type Numbers = ArrayLike<number>

/** H' and W'. */
export function outputSize({ map, kernel, strides, pad }: ConvolutionSizes): Size2D {
  const along = (axis: 0 | 1): number =>
    pad === 'same'
      ? Math.ceil(map[axis + 1]! / strides[axis])
      : Math.ceil((map[axis + 1]! - kernel[axis] + 1) / strides[axis])
  return [along(0), along(1)]
}

/** The convolution, (B,H',W',F), of a map with a kernel. */
export function convolution(x: Numbers, kernel: Numbers, sizes: ConvolutionSizes): Float64Array {
  const channels = sizes.map[3]
  const { filters } = sizes
  const y = new Float64Array(numOutputs(sizes) * filters)
  forEachTap(sizes, (pixel, output, tap) => {
    for (let c = 0; c < channels; c++) {
      const value = x[pixel * channels + c]!
      for (let f = 0; f < filters; f++)
        y[output * filters + f]! += value * kernel[(tap * channels + c) * filters + f]!
    }
  })
  return y
}

/** The derivative of a convolution by its input, (B,H,W,C), from that by its output, (B,H',W',F). */
export function inputGradient(dy: Numbers, kernel: Numbers, sizes: ConvolutionSizes): Float64Array {
  const channels = sizes.map[3]
  const { filters } = sizes
  const dx = new Float64Array(shapeSize(sizes.map))
  forEachTap(sizes, (pixel, output, tap) => {
    for (let c = 0; c < channels; c++) {
      let sum = 0
      for (let f = 0; f < filters; f++)
        sum += dy[output * filters + f]! * kernel[(tap * channels + c) * filters + f]!
      dx[pixel * channels + c]! += sum
    }
  })
  return dx
}

/** The derivative of a convolution by its kernel, (kh,kw,C,F). */
export function kernelGradient(x: Numbers, dy: Numbers, sizes: ConvolutionSizes): Float64Array {
  const channels = sizes.map[3]
  const { filters } = sizes
  const dKernel = new Float64Array(shapeSize(sizes.kernel) * channels * filters)
  forEachTap(sizes, (pixel, output, tap) => {
    for (let c = 0; c < channels; c++) {
      const value = x[pixel * channels + c]!
      for (let f = 0; f < filters; f++)
        dKernel[(tap * channels + c) * filters + f]! += value * dy[output * filters + f]!
    }
  })
  return dKernel
}

/** A depthwise kernel (kh,kw,C,M) as the kernel (kh,kw,C,C M) of a convolution that keeps channels apart. */
export function depthwiseAsFull(kernel: Numbers, channels: number, multiplier: number): Float64Array {
  const filters = channels * multiplier
  const taps = kernel.length / filters
  const full = new Float64Array(taps * channels * filters)
  for (let tap = 0; tap < taps; tap++) {
    for (let f = 0; f < filters; f++) {
      const c = Math.floor(f / multiplier)
      full[(tap * channels + c) * filters + f] = kernel[tap * filters + f]!
    }
  }
  return full
}

/** The part of (kh,kw,C,C M) that belongs to a depthwise kernel, (kh,kw,C,M). */
export function fullAsDepthwise(full: Numbers, channels: number, multiplier: number): Float64Array {
  const filters = channels * multiplier
  const taps = full.length / (channels * filters)
  return Float64Array.from({ length: taps * filters }, (_, i) => {
    const [tap, f] = [Math.floor(i / filters), i % filters]
    return full[(tap * channels + Math.floor(f / multiplier)) * filters + f]!
  })
}

/** Largest or mean numbers of windows, (B,H',W',C); pixels outside the map are ignored. */
export function pool(kind: 'max' | 'average', x: Numbers, sizes: ConvolutionSizes): Float64Array {
  const channels = sizes.map[3]
  const counts = new Float64Array(numOutputs(sizes))
  const y = new Float64Array(counts.length * channels).fill(kind === 'max' ? Number.NEGATIVE_INFINITY : 0)
  forEachTap(sizes, (pixel, output) => {
    counts[output]!++
    for (let c = 0; c < channels; c++) {
      const [at, value] = [output * channels + c, x[pixel * channels + c]!]
      y[at] = kind === 'max' ? Math.max(y[at]!, value) : y[at]! + value
    }
  })
  return kind === 'max' ? y : y.map((sum, at) => sum / counts[Math.floor(at / channels)]!)
}

/** The derivative of {@link pool} by its input; the derivative of a maximum goes to the first pixel that has it. */
export function poolGradient(
  kind: 'max' | 'average',
  x: Numbers,
  dy: Numbers,
  sizes: ConvolutionSizes,
): Float64Array {
  const channels = sizes.map[3]
  const y = pool(kind, x, sizes)
  const counts = new Float64Array(numOutputs(sizes))
  forEachTap(sizes, (_, output) => counts[output]!++)
  const dx = new Float64Array(shapeSize(sizes.map))
  const isAssigned = new Uint8Array(y.length)
  forEachTap(sizes, (pixel, output) => {
    for (let c = 0; c < channels; c++) {
      const at = output * channels + c
      if (kind === 'average') dx[pixel * channels + c]! += dy[at]! / counts[output]!
      else if (!isAssigned[at] && x[pixel * channels + c] === y[at]) {
        isAssigned[at] = 1
        dx[pixel * channels + c]! += dy[at]!
      }
    }
  })
  return dx
}

/** Mean and biased variance of each of C channels. */
export function moments(x: Numbers, channels: number): { mean: Float64Array; variance: Float64Array } {
  const rows = x.length / channels
  const mean = channelSums(x, channels).map(sum => sum / rows)
  const squares = Float64Array.from(x, (value, at) => (value - mean[at % channels]!) ** 2)
  return { mean, variance: channelSums(squares, channels).map(sum => sum / rows) }
}

/** BatchNorm with the given moments. */
export function batchNorm(
  x: Numbers,
  { mean, variance }: { mean: Numbers; variance: Numbers },
  gamma: Numbers,
  beta: Numbers,
  epsilon: number,
): Float64Array {
  const channels = gamma.length
  return Float64Array.from(x, (value, at) => {
    const c = at % channels
    return (gamma[c]! * (value - mean[c]!)) / Math.sqrt(variance[c]! + epsilon) + beta[c]!
  })
}

/** The derivatives of BatchNorm with the batch's own moments. */
export function batchNormGradient(
  x: Numbers,
  dy: Numbers,
  gamma: Numbers,
  epsilon: number,
): { dx: Float64Array; dGamma: Float64Array; dBeta: Float64Array } {
  const channels = gamma.length
  const rows = x.length / channels
  const { mean, variance } = moments(x, channels)
  const deviation = variance.map(value => Math.sqrt(value + epsilon))
  const normal = Float64Array.from(
    x,
    (value, at) => (value - mean[at % channels]!) / deviation[at % channels]!,
  )
  const dBeta = channelSums(dy, channels)
  const dGamma = channelSums(
    normal.map((value, at) => value * dy[at]!),
    channels,
  )
  const dx = normal.map((value, at) => {
    const c = at % channels
    return (gamma[c]! / deviation[c]!) * (dy[at]! - (dBeta[c]! + value * dGamma[c]!) / rows)
  })
  return { dx, dGamma, dBeta }
}

/** Sums of each of C channels. */
export function channelSums(x: Numbers, channels: number): Float64Array {
  const sums = new Float64Array(channels)
  for (let at = 0; at < x.length; at++) sums[at % channels]! += x[at]!
  return sums
}

/** (M,N) of (M,L) and (L,N). */
export function matrixProduct(a: Numbers, b: Numbers, inner: number): Float64Array {
  const [rows, columns] = [a.length / inner, b.length / inner]
  const y = new Float64Array(rows * columns)
  for (let i = 0; i < rows; i++) {
    for (let l = 0; l < inner; l++) {
      for (let j = 0; j < columns; j++) y[i * columns + j]! += a[i * inner + l]! * b[l * columns + j]!
    }
  }
  return y
}

/** (N,M) of (M,N). */
export function transposed(x: Numbers, columns: number): Float64Array {
  const rows = x.length / columns
  return Float64Array.from({ length: x.length }, (_, at) => x[(at % rows) * columns + Math.floor(at / rows)]!)
}

/** The k largest of each row, equal ones in the order of their columns; returns columns, k for each row. */
export function largest(x: Numbers, columns: number, k: number): number[] {
  const allColumns = Array.from({ length: columns }, (_, column) => column)
  return Array.from({ length: x.length / columns }, (_, row) => {
    const value = (column: number): number => x[row * columns + column]!
    return [...allColumns].sort((a, b) => value(b) - value(a) || a - b).slice(0, k)
  }).flat()
}

/** For every output, visits each tap of the kernel that meets a pixel of the map; all three are numbered row by row. */
function forEachTap(
  sizes: ConvolutionSizes,
  visit: (pixel: number, output: number, tap: number) => void,
): void {
  const { map, kernel, strides, pad } = sizes
  const [batch, height, width] = map
  const [rows, columns] = outputSize(sizes)
  const paddingBefore = (outputs: number, axis: 0 | 1): number =>
    pad === 'valid' ? 0 : Math.max(0, (outputs - 1) * strides[axis] + kernel[axis] - map[axis + 1]!) >> 1
  const [top, left] = [paddingBefore(rows, 0), paddingBefore(columns, 1)]
  for (let output = 0; output < batch * rows * columns; output++) {
    const image = Math.floor(output / (rows * columns))
    const y = (Math.floor(output / columns) % rows) * strides[0] - top
    const x = (output % columns) * strides[1] - left
    for (let tap = 0; tap < kernel[0] * kernel[1]; tap++) {
      const [i, j] = [y + Math.floor(tap / kernel[1]), x + (tap % kernel[1])]
      if (i >= 0 && j >= 0 && i < height && j < width) visit((image * height + i) * width + j, output, tap)
    }
  }
}

function numOutputs(sizes: ConvolutionSizes): number {
  return sizes.map[0] * shapeSize(outputSize(sizes))
}

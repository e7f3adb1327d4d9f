import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../../../shapes.js'
import { pixelBytes } from '../../pixels.js'
import { type CellGrid, paddedTo, viewCell, wholeView } from '../cells.js'

/** Pixels of the view that the window of a cell has on each side of it. */
export function windowMargin({ margin, viewScale }: CellGrid): number {
  return Math.round(margin / viewScale)
}

/**
 * The standard deviation of the view's pixels in the window of each cell, the mean over channels of their variances. Of a view made
 * of bytes it is computed from these, in whole numbers.
 *
 * @param view (B,h,w,C) float32 in [0, 1]
 * @returns (B, rows, columns)
 */
export function contrast(view: tf.Tensor4D, grid: CellGrid): tf.Tensor3D {
  const bytes = pixelBytes(view)
  if (!bytes) return contrastOfNumbers(view, grid)
  const [batch, height, width, channels] = view.shape
  const perView = height * width * channels
  const values = new Float32Array(batch * grid.count)
  for (let b = 0; b < batch; b++) {
    const own = bytes.subarray(b * perView, (b + 1) * perView)
    values.set(contrastOfBytes(own, [height, width, channels], grid), b * grid.count)
  }
  return tf.tensor3d(values, [batch, ...grid.cells])
}

function contrastOfNumbers(view: tf.Tensor4D, grid: CellGrid): tf.Tensor3D {
  const [height, width] = viewCell(grid)
  const reach = windowMargin(grid)
  const around = tf.pad(paddedTo(view, wholeView(grid)), [
    [0, 0],
    [reach, reach],
    [reach, reach],
    [0, 0],
  ])
  const shares = tf.tensor4d(windowShares([view.shape[1], view.shape[2]], grid), [1, ...grid.cells, 1])
  const meanOf = (x: tf.Tensor4D): tf.Tensor4D =>
    tf.div(tf.avgPool(x, [height + 2 * reach, width + 2 * reach], [height, width], 'valid'), shares)
  const variance = tf.relu(tf.sub(meanOf(tf.square(around)), tf.square(meanOf(around))))
  return tf.sqrt(tf.mean(variance, 3))
}

/** (N) the share of each cell's window that lies inside the view. */
export function windowShares(view: Size2D, grid: CellGrid): Float32Array {
  const sides = viewCell(grid)
  const reach = windowMargin(grid)
  const share = (cell: number, axis: 0 | 1) => {
    const [first, end] = windowOf(cell, sides[axis], reach, view[axis])
    return (end - first) / (sides[axis] + 2 * reach)
  }
  const [, columns] = grid.cells
  return Float32Array.from(
    { length: grid.count },
    (_, n) => share(Math.floor(n / columns), 0) * share(n % columns, 1),
  )
}

/** Where the window of a cell begins and ends along one side of a view, as far as it lies inside. */
function windowOf(cell: number, side: number, reach: number, length: number): Size2D {
  return [Math.max(cell * side - reach, 0), Math.min((cell + 1) * side + reach, length)]
}

type ViewShape = readonly [height: number, width: number, channels: number]

/** (N) of one view, (h,w,C) 0..255: the windows are made of blocks that none of their edges cuts. */
function contrastOfBytes(bytes: Uint8Array, shape: ViewShape, grid: CellGrid): Float64Array {
  const [height, width, channels] = shape
  const reach = windowMargin(grid)
  const sides = viewCell(grid)
  const block: Size2D = [commonDivisor(sides[0], reach), commonDivisor(sides[1], reach)]
  const { sums, squares } = blockSums(bytes, shape, block)
  const rows = Array.from({ length: grid.cells[0] }, (_, cell) => windowOf(cell, sides[0], reach, height))
  const columns = Array.from({ length: grid.cells[1] }, (_, cell) => windowOf(cell, sides[1], reach, width))
  const perRow = Math.ceil(width / block[1]) * channels
  const values = new Float64Array(grid.count)
  let n = 0
  for (const [top, bottom] of rows) {
    const [firstRow, endRow] = [top / block[0], Math.ceil(bottom / block[0])]
    const ofRows = {
      sums: addedRows(sums, perRow, firstRow, endRow),
      squares: addedRows(squares, perRow, firstRow, endRow),
    }
    for (const [left, right] of columns) {
      const count = (bottom - top) * (right - left)
      const [first, end] = [(left / block[1]) * channels, Math.ceil(right / block[1]) * channels]
      values[n++] = Math.sqrt(meanVariance(ofRows, first, end, channels, count)) / 255
    }
  }
  return values
}

/** Sums over blocks or windows: of the pixels of each channel, and of their squares. */
interface PixelSums {
  readonly sums: Float64Array
  readonly squares: Float64Array
}

/** (rows of blocks, blocks a row, C). */
function blockSums(
  bytes: Uint8Array,
  [height, width, channels]: ViewShape,
  [rows, columns]: Size2D,
): PixelSums {
  const perRow = Math.ceil(width / columns) * channels
  const sums = new Float64Array(Math.ceil(height / rows) * perRow)
  const squares = new Float64Array(sums.length)
  const step = columns * channels
  for (let y = 0; y < height; y++) {
    const target = Math.floor(y / rows) * perRow
    const start = y * width * channels
    for (let first = 0, at = target; first < width * channels; first += step, at += channels) {
      const end = Math.min(first + step, width * channels)
      for (let channel = 0; channel < channels; channel++) {
        let [sum, square] = [0, 0]
        for (let i = first + channel; i < end; i += channels) {
          const value = bytes[start + i] as number
          sum += value
          square += value * value
        }
        sums[at + channel] = (sums[at + channel] as number) + sum
        squares[at + channel] = (squares[at + channel] as number) + square
      }
    }
  }
  return { sums, squares }
}

/** The sum of some rows of a matrix. */
function addedRows(matrix: Float64Array, perRow: number, first: number, end: number): Float64Array {
  const total = matrix.slice(first * perRow, (first + 1) * perRow)
  for (let row = first + 1; row < end; row++) {
    for (let i = 0, from = row * perRow; i < perRow; i++)
      total[i] = (total[i] as number) + (matrix[from + i] as number)
  }
  return total
}

/** The mean over channels of the variances of the numbers that blocks add up to. */
function meanVariance(
  { sums, squares }: PixelSums,
  first: number,
  end: number,
  channels: number,
  count: number,
): number {
  let total = 0
  for (let channel = 0; channel < channels; channel++) {
    let [sum, square] = [0, 0]
    for (let i = first + channel; i < end; i += channels) {
      sum += sums[i] as number
      square += squares[i] as number
    }
    // Whole numbers below 2^53 for windows of up to 300,000 pixels: exactly 0 where all pixels are the same.
    total += count * square - sum * sum
  }
  return total / (channels * count * count)
}

function commonDivisor(a: number, b: number): number {
  return b === 0 ? a : commonDivisor(b, a % b)
}

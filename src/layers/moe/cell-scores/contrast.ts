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

/** (N) of one view, (h,w,C) 0..255. Windows are summed up along rows first, in strips of rows that the edges of no window cut. */
function contrastOfBytes(bytes: Uint8Array, shape: ViewShape, grid: CellGrid): Float64Array {
  const [height, width, channels] = shape
  const reach = windowMargin(grid)
  const sides = viewCell(grid)
  const windows = (axis: 0 | 1): readonly Size2D[] =>
    Array.from({ length: grid.cells[axis] }, (_, cell) =>
      windowOf(cell, sides[axis], reach, [height, width][axis] as number),
    )
  const [rows, columns] = [windows(0), windows(1)]
  const edges = [...new Set(rows.flat())].sort((a, b) => a - b)
  const { values, squares } = stripSums(bytes, shape, edges, columns)
  const perStrip = columns.length * channels
  const deviations = new Float64Array(grid.count)
  rows.forEach(([top, bottom], row) => {
    const first = edges.indexOf(top) * perStrip
    const end = edges.indexOf(bottom) * perStrip
    columns.forEach(([left, right], column) => {
      const count = (bottom - top) * (right - left)
      let variance = 0
      for (let c = column * channels; c < (column + 1) * channels; c++) {
        const sum = everyFrom(values, first + c, end, perStrip)
        // Whole numbers below 2^53 for windows of up to 300,000 pixels: exactly 0 where all pixels are the same.
        variance += count * everyFrom(squares, first + c, end, perStrip) - sum * sum
      }
      deviations[row * columns.length + column] = Math.sqrt(variance / channels) / count / 255
    })
  })
  return deviations
}

/** The sum of every so manyth number. */
function everyFrom(numbers: Float64Array, first: number, end: number, step: number): number {
  let sum = 0
  for (let i = first; i < end; i += step) sum += numbers[i] as number
  return sum
}

/**
 * (strips, columns, C) sums over the windows of columns, of the values of pixels and of their squares.
 *
 * @param edges where strips of rows begin and end, ascending
 */
function stripSums(
  bytes: Uint8Array,
  [, width, channels]: ViewShape,
  edges: readonly number[],
  columns: readonly Size2D[],
): { readonly values: Float64Array; readonly squares: Float64Array } {
  const strips = edges.length - 1
  const values = new Float64Array(strips * columns.length * channels)
  const squares = new Float64Array(values.length)
  const rowBytes = width * channels
  const ofPixels = new Int32Array(rowBytes)
  const ofSquares = new Int32Array(rowBytes)
  // Those of squares are the largest.
  const tallest = Math.max(...edges.slice(1).map((edge, i) => edge - (edges[i] as number)))
  const Sums = tallest * width * 255 ** 2 < 2 ** 31 ? Int32Array : Float64Array
  const before = new Sums((width + 1) * channels)
  const bounds = Int32Array.from(columns.flat(), column => column * channels)
  for (let i = 0; i < strips; i++) {
    const at = i * columns.length * channels
    const rows = bytes.subarray((edges[i] as number) * rowBytes, (edges[i + 1] as number) * rowBytes)
    addUp(rows, ofPixels, ofSquares)
    overWindows(ofPixels, { bounds, channels, before }, values, at)
    overWindows(ofSquares, { bounds, channels, before }, squares, at)
  }
  return { values, squares }
}

/** Windows of columns. */
interface ColumnWindows {
  /** Where each window begins and ends, in numbers of a row. */
  readonly bounds: Int32Array
  readonly channels: number
  /** Room for the sums of all columns to the left of each, of which a window's is the difference of two. */
  readonly before: Int32Array | Float64Array
}

/** Writes the sums over windows of columns, from a place on. */
function overWindows(sums: Int32Array, windows: ColumnWindows, totals: Float64Array, first: number): void {
  const { bounds, channels, before } = windows
  for (let c = 0; c < channels; c++) {
    let sum = 0
    for (let i = c; i < sums.length; i += channels) {
      sum += sums[i] as number
      before[i + channels] = sum
    }
  }
  for (let window = 0, at = first; window < bounds.length; window += 2) {
    const left = bounds[window] as number
    const right = bounds[window + 1] as number
    for (let c = 0; c < channels; c++, at++) {
      totals[at] = (before[right + c] as number) - (before[left + c] as number)
    }
  }
}

/** The sums of each column of rows, and those of its squares. */
function addUp(rows: Uint8Array, sums: Int32Array, squares: Int32Array): void {
  const { length } = sums
  for (let i = 0; i < length; i++) {
    const value = rows[i] as number
    sums[i] = value
    squares[i] = value * value
  }
  for (let start = length; start < rows.length; start += length) {
    for (let i = 0; i < length; i++) {
      const value = rows[start + i] as number
      sums[i] = (sums[i] as number) + value
      squares[i] = (squares[i] as number) + value * value
    }
  }
}

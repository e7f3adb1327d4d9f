import * as tf from '@tensorflow/tfjs-core'
import type { WindowTable } from './patches.js'

/** The windows of kept patches, sorted by expert. */
export interface DispatchedWindows {
  /** (K, B L, window height, window width, C), zero outside the map. */
  readonly windows: tf.Tensor5D
  /** (K B L R) int32: the row of the map that each row of a window came from. */
  readonly rows: tf.Tensor1D
  /** (K, B L, window height, window width, 1): 1 inside the map, 0 outside; absent where all lie inside. */
  readonly inside?: tf.Tensor5D
}

/**
 * Numbers of the rows that the windows of kept patches take in a map viewed as rows, expert by expert.
 *
 * @param indices (B,K,L) int32 patch numbers
 * @returns (K,B,L,R) int32 row numbers in the whole batch
 */
export function windowRows(indices: tf.Tensor3D, table: WindowTable): tf.Tensor4D {
  const batch = indices.shape[0]
  const lookup = tf.tensor2d(table.rows, [table.grid.count, table.rowsPerWindow], 'int32')
  const firstRows = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(table.rowsPerImage, 'int32'))
  const rows = gatherRows(lookup, expertsFirst(indices))
  return tf.add(rows, tf.reshape(firstRows, [1, batch, 1, 1])) as tf.Tensor4D
}

/** (B,K,L) int32 as (K,B,L), by a gather: tfjs's WebGPU backend has no shader that transposes whole numbers beyond two axes. */
function expertsFirst(indices: tf.Tensor3D): tf.Tensor3D {
  const [batch, experts, numKept] = indices.shape
  const sorted: [number, number, number] = [experts, batch, numKept]
  if (batch === 1 || experts === 1) return tf.reshape(indices, sorted)
  const order = Int32Array.from(
    { length: batch * experts },
    (_, row) => (row % batch) * experts + Math.floor(row / batch),
  )
  const perExpert: tf.Tensor2D = tf.reshape(indices, [batch * experts, numKept])
  return tf.reshape(gatherRows(perExpert, tf.tensor1d(order, 'int32')), sorted)
}

/**
 * Rows of a matrix, in any order and any number.
 *
 * @param matrix (n, width)
 * @param rows int32 in [0, n), of any shape
 * @returns the shape of `rows`, then width
 */
export function gatherRows(matrix: tf.Tensor2D, rows: tf.Tensor): tf.Tensor {
  // tf.gather would read the row numbers back to check them, which makes a GPU wait, and is ten times slower on wasm.
  return tf.gatherND(matrix, tf.expandDims(rows, -1))
}

/**
 * Gathers the windows of kept patches, so that all later work is proportional to L/N.
 *
 * @param x (B,H,W,C) float32
 * @param indices (B,K,L) int32 patch numbers
 */
export function dispatchPatches(x: tf.Tensor4D, indices: tf.Tensor3D, table: WindowTable): DispatchedWindows {
  const [batch, , , channels] = x.shape
  const [, experts, numKept] = indices.shape
  const rows = tf.reshape(windowRows(indices, table), [-1]) as tf.Tensor1D
  const view: tf.Tensor2D = tf.reshape(x, [batch * table.rowsPerImage, table.unit * channels])
  const shape: [number, number, number, number] = [experts, batch * numKept, ...table.window]
  const windows = tf.reshape(gatherRows(view, rows), [...shape, channels]) as tf.Tensor5D
  if (!table.inside) return { windows, rows }
  const lookup = tf.tensor2d(table.inside, [table.grid.count, table.rowsPerWindow])
  const inside = tf.reshape(gatherRows(lookup, expertsFirst(indices)), [...shape, 1]) as tf.Tensor5D
  return { windows: tf.mul(windows, inside), rows, inside }
}

/**
 * The gradient of {@link dispatchPatches}: adds the derivatives of all windows into the map. A patch that several
 * experts kept, or that lies in several windows, receives the sum.
 *
 * @param dWindows (K, B L, window height, window width, C), already zero outside the map
 * @param rows (K B L R) int32, as {@link dispatchPatches} gave them
 * @param mapShape (B,H,W,C)
 */
export function dispatchGradient(
  dWindows: tf.Tensor5D,
  rows: tf.Tensor1D,
  mapShape: [number, number, number, number],
  table: WindowTable,
): tf.Tensor4D {
  const width = table.unit * mapShape[3]
  const view = tf.scatterND(tf.expandDims(rows, 1), tf.reshape(dWindows, [-1, width]), [
    mapShape[0] * table.rowsPerImage,
    width,
  ])
  return tf.reshape(view, mapShape)
}

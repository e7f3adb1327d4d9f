import * as tf from '@tensorflow/tfjs-core'
import { type DispatchedWindows, gatherRows, windowRows } from './dispatch.js'
import { type WindowTable, windowTable } from './patches.js'
import { type Placement, sideBySide } from './placement.js'

/**
 * Where each row of F channels of an expert's outputs lies in the output map, viewed as rows of F: pixel by pixel, and
 * within a pixel as the experts are placed.
 *
 * @param indices (B,K,L) int32 patch numbers
 * @param pixels table of single pixels (unit 1, no reach)
 * @param placement of the experts' channels; side by side unless given
 * @param dispatchedRows the rows of these pixels in the map (K B L h w), where dispatch has them already
 * @returns (K B L h w) int32
 */
export function outputRows(
  indices: tf.Tensor3D,
  pixels: WindowTable,
  placement: Pick<Placement, 'slots' | 'slotOf'> = sideBySide(indices.shape[1], 1),
  dispatchedRows?: tf.Tensor1D,
): tf.Tensor1D {
  const experts = indices.shape[1]
  const pixelRows = tf.reshape(dispatchedRows ?? windowRows(indices, pixels), [experts, -1])
  const slot = tf.tensor2d(Int32Array.from(placement.slotOf), [experts, 1], 'int32')
  const rows = tf.add(tf.mul(pixelRows, tf.scalar(placement.slots, 'int32')), slot)
  return tf.reshape(rows, [-1]) as tf.Tensor1D
}

/**
 * Puts the experts' outputs where their patches lie; channels of experts that did not keep a patch are 0 there.
 *
 * @param outputs (K, P, F) float32, P = B L h w
 * @param rows as {@link outputRows} gives them
 * @param mapShape (B,H,W,channels)
 */
export function combineOutputs(
  outputs: tf.Tensor3D,
  rows: tf.Tensor1D,
  mapShape: [number, number, number, number],
): tf.Tensor4D {
  const filters = outputs.shape[2]
  const numRows = tf.util.sizeFromShape(mapShape) / filters
  const view = tf.scatterND(tf.expandDims(rows, 1), tf.reshape(outputs, [-1, filters]), [numRows, filters])
  return tf.reshape(view, mapShape)
}

/**
 * The gradient of {@link combineOutputs}: the derivative on the kept patches, sorted by expert.
 *
 * @param dy (B,H,W,channels)
 * @param filters F
 * @returns (K, P, F)
 */
export function combineGradient(
  dy: tf.Tensor4D,
  rows: tf.Tensor1D,
  experts: number,
  filters = dy.shape[3] / experts,
): tf.Tensor3D {
  const dKept = gatherRows(tf.reshape(dy, [-1, filters]), rows)
  return tf.reshape(dKept, [experts, -1, filters])
}

/** How the experts' outputs, multiplied by their gates, become the output of the layer. */
export interface Combination<Output extends tf.Tensor> {
  /** The number that the gates are divided by. */
  readonly divisor: number
  /** Where the experts' outputs go in the layer's output; kept and given to `forward` and `gradient`. */
  places(indices: tf.Tensor3D, dispatched: DispatchedWindows): tf.Tensor1D | undefined
  /**
   * @param outputs (K, P, F)
   * @param indices (B,K,L) patch numbers
   */
  forward(outputs: tf.Tensor3D, indices: tf.Tensor3D, places: tf.Tensor1D | undefined): Output
  /** The derivative by the outputs, before division; (K, P, F). */
  gradient(dy: Output, indices: tf.Tensor3D, places: tf.Tensor1D | undefined): tf.Tensor3D
}

/**
 * Outputs of pixels, put where the pixels lie: a map (B,H,W,channels), zero where an expert kept nothing and in the channels
 * of no expert.
 *
 * @param windows that the experts see
 * @param placement of the experts' channels
 */
export function mapOfExperts(windows: WindowTable, placement: Placement): Combination<tf.Tensor4D> {
  const pixels = windowTable(windows.grid, [0, 0], 1)
  // Where every row of a window is one pixel, the rows of the windows are those of the pixels.
  const seesPixels = windows.unit === 1 && !windows.inside
  return {
    divisor: 1,
    places: (indices, { rows }) => outputRows(indices, pixels, placement, seesPixels ? rows : undefined),
    forward: (outputs, indices, places) =>
      combineOutputs(outputs, places as tf.Tensor1D, [
        indices.shape[0],
        ...windows.grid.map,
        placement.slots * placement.size,
      ]),
    gradient: (dy, indices, places) =>
      combineGradient(dy, places as tf.Tensor1D, indices.shape[1], placement.size),
  }
}

/**
 * Outputs of patches, summed over the patches that an expert kept and divided: (B, K F).
 *
 * @param divisor l or n of eq. (1)
 */
export function sumOfExperts(divisor: number): Combination<tf.Tensor2D> {
  return {
    divisor,
    places: () => undefined,
    forward: (outputs, indices) => {
      const [batch, experts, numKept] = indices.shape
      const size = outputs.shape[2]
      const sums = tf.sum(tf.reshape(outputs, [experts, batch, numKept, size]), 2)
      return tf.reshape(tf.transpose(sums, [1, 0, 2]), [batch, experts * size])
    },
    gradient: (dSums, { shape: [batch, experts, numKept] }) => {
      const perPatch = tf.transpose(tf.reshape(tf.div(dSums, divisor), [batch, experts, 1, -1]), [1, 0, 2, 3])
      return tf.reshape(tf.tile(perPatch, [1, 1, numKept, 1]), [experts, batch * numKept, -1])
    },
  }
}

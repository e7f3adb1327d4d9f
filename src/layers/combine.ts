import * as tf from '@tensorflow/tfjs-core'
import { gatherRows, windowRows } from './dispatch.js'
import type { WindowTable } from './patches.js'

/**
 * Where each row of F channels of an expert's outputs lies in the output map, viewed as rows of F: pixel by pixel, and
 * within a pixel expert by expert, since expert s owns channels [s F, (s+1) F).
 *
 * @param indices (B,K,L) int32 patch numbers
 * @param pixels table of single pixels (unit 1, no reach)
 * @param known the rows of these pixels in the map (K B L h w), where dispatch has them already
 * @returns (K B L h w) int32
 */
export function outputRows(indices: tf.Tensor3D, pixels: WindowTable, known?: tf.Tensor1D): tf.Tensor1D {
  const experts = indices.shape[1]
  const pixelRows = tf.reshape(known ?? windowRows(indices, pixels), [experts, -1])
  const expert = tf.tensor2d(
    Int32Array.from({ length: experts }, (_, s) => s),
    [experts, 1],
    'int32',
  )
  const rows = tf.add(tf.mul(pixelRows, tf.scalar(experts, 'int32')), expert)
  return tf.reshape(rows, [-1]) as tf.Tensor1D
}

/**
 * Puts the experts' outputs where their patches lie; channels of experts that did not keep a patch are 0 there.
 *
 * @param outputs (K, P, F) float32, P = B L h w
 * @param rows as {@link outputRows} gives them
 * @param mapShape (B,H,W,K F)
 */
export function combineOutputs(
  outputs: tf.Tensor3D,
  rows: tf.Tensor1D,
  mapShape: [number, number, number, number],
): tf.Tensor4D {
  const [experts, , filters] = outputs.shape
  const [batch, height, width] = mapShape
  const view = tf.scatterND(tf.expandDims(rows, 1), tf.reshape(outputs, [-1, filters]), [
    batch * height * width * experts,
    filters,
  ])
  return tf.reshape(view, mapShape)
}

/**
 * The way back of {@link combineOutputs}: the derivative on the kept patches, sorted by expert.
 *
 * @param dy (B,H,W,K F)
 * @returns (K, P, F)
 */
export function combineGradient(dy: tf.Tensor4D, rows: tf.Tensor1D, experts: number): tf.Tensor3D {
  const filters = dy.shape[3] / experts
  const kept = gatherRows(tf.reshape(dy, [-1, filters]), rows)
  return tf.reshape(kept, [experts, -1, filters])
}

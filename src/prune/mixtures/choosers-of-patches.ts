import * as tf from '@tensorflow/tfjs-core'

/**
 * Which patches experts got.
 *
 * @param indices (B,K,L) int32 patch numbers
 * @param patches N
 * @returns (B,K,N) 1 for a patch that the expert got, else 0
 */
export function receivedPatches(indices: tf.Tensor3D, patches: number): tf.Tensor3D {
  return tf.sum(tf.cast(tf.oneHot(indices, patches), 'float32'), 2)
}

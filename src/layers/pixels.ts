import * as tf from '@tensorflow/tfjs-core'

/**
 * Bytes as pixels in [0, 1]: uploaded as they are, and divided by 255 on the backend.
 *
 * @param bytes 0..255, as many as the shape has numbers
 * @returns float32 of the shape
 */
export function pixelTensor<Shape extends number[]>(bytes: Uint8Array, shape: Shape): tf.Tensor {
  return tf.tidy(() => tf.div(tf.cast(tf.tensor(bytes, shape, 'int32'), 'float32'), 255))
}

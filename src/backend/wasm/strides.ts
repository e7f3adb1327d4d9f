import * as tf from '@tensorflow/tfjs-core'

/**
 * A map with zeros after each of its pixels, as a stride sees the derivative of its output.
 *
 * @param map (B, H, W, C)
 * @param sh stride along the rows, from 1
 * @param sw stride along the columns, from 1
 * @returns (B, H sh, W sw, C), the pixels at multiples of the stride
 */
export function zerosBetween(map: tf.Tensor4D, sh: number, sw: number): tf.Tensor4D {
  if (sh === 1 && sw === 1) return map
  const [batch, height, width, channels] = map.shape
  const sparse = tf.pad(tf.reshape(map, [batch * height, width, channels]), [
    [0, 0],
    [0, (sh - 1) * width],
    [0, (sw - 1) * channels],
  ])
  // The zeros at a line's end stand for the rows that follow it, once every pixel has sw * C numbers.
  return tf.reshape(sparse, [batch, height * sh, width * sw, channels])
}

import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../shapes.js'
import { layerOps } from './ops.js'

type Padding = 'same' | 'valid'

/**
 * The derivative of a convolution by its input.
 *
 * @param dy (B,H',W',F) derivative by the convolution's output
 * @param kernel (kh,kw,C,F)
 * @param inputShape (B,H,W,C)
 */
export function inputGradient(
  dy: tf.Tensor4D,
  kernel: tf.Tensor4D,
  inputShape: [number, number, number, number],
  strides: Size2D,
  pad: Padding,
): tf.Tensor4D {
  return tf.conv2dTranspose(dy, kernel, inputShape, [...strides], pad)
}

/**
 * The derivative of a convolution by its kernel.
 *
 * @param x (B,H,W,C) input of the convolution
 * @param dy (B,H',W',F) derivative by its output
 * @param kernelShape (kh,kw,C,F)
 */
export function kernelGradient(
  x: tf.Tensor4D,
  dy: tf.Tensor4D,
  kernelShape: readonly number[],
  strides: Size2D,
  pad: Padding,
): tf.Tensor4D {
  return layerOps().kernelGradient({ x, dy, kernelShape, strides, pad })
}

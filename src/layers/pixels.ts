import type * as tf from '@tensorflow/tfjs-core'
import { layerOps } from './ops.js'

const finite = new WeakSet<tf.Tensor>()

/**
 * Bytes as pixels in [0, 1], x / 255.
 *
 * @param bytes 0..255, as many as the shape has numbers
 * @returns float32 of the shape
 */
export function pixelTensor<Shape extends number[]>(bytes: Uint8Array, shape: Shape): tf.Tensor {
  const pixels = layerOps().pixels(bytes, shape)
  finite.add(pixels)
  return pixels
}

/** Whether a tensor is one that `pixelTensor` made, so that no number of it can be NaN or infinite. */
export function isPixelTensor(x: tf.Tensor): boolean {
  return finite.has(x)
}

const bytesOf = new WeakMap<tf.Tensor, Uint8Array>()

/**
 * Notes which bytes a tensor of pixels was made of, for what is computed faster, and exactly, from whole numbers.
 *
 * @param bytes must stay as they are
 * @returns the tensor itself
 */
export function rememberBytes<T extends tf.Tensor>(pixels: T, bytes: Uint8Array): T {
  bytesOf.set(pixels, bytes)
  return pixels
}

/** The bytes of a tensor that {@link rememberBytes} was called with. */
export function pixelBytes(pixels: tf.Tensor): Uint8Array | undefined {
  return bytesOf.get(pixels)
}

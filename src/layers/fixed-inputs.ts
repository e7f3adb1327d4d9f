import type * as tf from '@tensorflow/tfjs-core'

const fixed = new WeakSet<tf.Tensor>()

/**
 * Notes that nothing will be differentiated by a tensor, such as the images of a training step: layers that get it then
 * leave out the derivative by it. Values and the other gradients stay the same.
 *
 * @returns the tensor itself
 */
export function fixInput<T extends tf.Tensor>(x: T): T {
  fixed.add(x)
  return x
}

/** Whether {@link fixInput} was called with this tensor. */
export function isFixed(x: tf.Tensor): boolean {
  return fixed.has(x)
}

/**
 * Notes the same of what was computed from a tensor, and from nothing that is trained.
 *
 * @returns `computed` itself
 */
export function fixedAs<T extends tf.Tensor>(source: tf.Tensor, computed: T): T {
  return isFixed(source) ? fixInput(computed) : computed
}

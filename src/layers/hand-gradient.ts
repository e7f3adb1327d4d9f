import * as tf from '@tensorflow/tfjs-core'

/** A value, and how to differentiate it. */
export interface HandGradient<T extends tf.Tensor> {
  readonly value: T
  /** What the backward pass needs; kept until it has run, and not at all when nothing is differentiated. */
  readonly saved: readonly tf.Tensor[]
  /**
   * @param dy derivative by the value
   * @param saved the tensors of `saved`, in their order
   * @returns derivatives by the inputs, in their order
   */
  gradient(dy: T, saved: tf.Tensor[]): tf.Tensor[]
}

/**
 * Computes an operation whose gradient is written by hand.
 *
 * Intermediate tensors of `gradient` are released when it returns; `tf.customGrad` alone would hold it until the whole
 * backward pass ends.
 *
 * @param inputs all tensors that the value is differentiated by
 */
export function handGradient<T extends tf.Tensor>(
  inputs: readonly tf.Tensor[],
  forward: () => HandGradient<T>,
): T {
  const operation = tf.customGrad((...args) => {
    const save = args.at(-1) as unknown as tf.GradSaveFunc
    const { value, saved, gradient } = forward()
    save([...saved])
    return { value, gradFunc: (dy: T, tensors: tf.Tensor[]) => tf.tidy(() => gradient(dy, tensors)) }
  })
  return operation(...inputs) as T
}

/**
 * Computes something that is held fixed when a loss is differentiated, such as the choice of an expert: nothing in it is
 * recorded, so that it may use operations that have no gradient.
 */
export function withoutGradient<T>(compute: () => T): T {
  const { state } = tf.engine()
  // The engine records operations only outside of others.
  state.kernelDepth++
  try {
    return compute()
  } finally {
    state.kernelDepth--
  }
}

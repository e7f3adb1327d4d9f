import * as tf from '@tensorflow/tfjs-core'

/**
 * Puts another kernel in the place of one of tfjs's, made from it; nothing is changed where the backend has no kernel of that name.
 *
 * @param backend tfjs's name of the backend
 * @param wrap makes the new kernel of the old one
 */
export function wrapKernel(
  backend: string,
  kernelName: string,
  wrap: (original: tf.KernelFunc) => tf.KernelFunc,
): void {
  const config = tf.getKernel(kernelName, backend)
  if (!config) return
  tf.unregisterKernel(kernelName, backend)
  tf.registerKernel({ ...config, kernelFunc: wrap(config.kernelFunc) })
}

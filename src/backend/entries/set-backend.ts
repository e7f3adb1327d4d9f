import * as tf from '@tensorflow/tfjs-core'

/**
 * Makes a backend that is registered the current one.
 *
 * @param name tfjs's name of the backend
 * @throws Error when it does not initialise
 */
export async function setBackend(name: string): Promise<void> {
  if (!(await tf.setBackend(name)))
    throw new Error(`useBackend: backend ${name} must initialise, got a failure`)
}

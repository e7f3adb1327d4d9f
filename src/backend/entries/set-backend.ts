import * as tf from '@tensorflow/tfjs-core'

/**
 * Makes a backend that tfjs's package for it has registered the current one.
 *
 * @param name tfjs's name of the backend
 * @throws Error when the package registered it with another copy of tfjs-core, or it does not initialise
 */
export async function setBackend(name: string): Promise<void> {
  if (!tf.findBackendFactory(name)) {
    throw new Error(
      `useBackend: @tensorflow/tfjs-backend-${name} must use the same @tensorflow/tfjs-core as patch-moe, got a second copy (run \`npm dedupe\`)`,
    )
  }
  if (!(await tf.setBackend(name)))
    throw new Error(`useBackend: backend ${name} must initialise, got a failure`)
}

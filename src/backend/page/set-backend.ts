import * as tf from '@tensorflow/tfjs-core'
import { DeviceError, failureOf } from '../device-error.js'

/**
 * Makes a backend that tfjs's package for it has registered the current one. One whose device failed is opened anew, without
 * the tensors that were on it. The variables of models go over to the new one, other tensors where their numbers can be had.
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
  await readVariables(name)
  forgetFailed(name)
  if (!(await tf.setBackend(name)))
    throw new Error(`useBackend: backend ${name} must initialise, got a failure`)
}

interface Registries {
  readonly registry: Readonly<Record<string, tf.KernelBackend>>
  readonly registryFactory: Readonly<Record<string, { readonly priority: number }>>
}

/** A backend that is open already; undefined where none of this name is. */
export function openBackend(name: string): tf.KernelBackend | undefined {
  return (tf.engine() as unknown as Registries).registry[name]
}

/** Has the host know the numbers of all variables: another backend than WebGPU asks for them at once. */
async function readVariables(next: string): Promise<void> {
  if (tf.getBackend() !== 'webgpu' || next === 'webgpu') return
  const [backend, { registeredVariables }] = [tf.backend(), tf.engine().state]
  const read = await Promise.allSettled(Object.values(registeredVariables).map(variable => variable.data()))
  for (const result of read) {
    // Nothing can be had from a device that failed, this one or one before.
    if (result.status === 'fulfilled' || failureOf(backend) || result.reason instanceof DeviceError) continue
    throw result.reason
  }
}

function forgetFailed(name: string): void {
  const { registryFactory } = tf.engine() as unknown as Registries
  const open = openBackend(name)
  if (!open || !failureOf(open)) return
  const factory = tf.findBackendFactory(name)
  const priority = registryFactory[name]?.priority
  tf.removeBackend(name)
  tf.registerBackend(name, factory, priority)
}

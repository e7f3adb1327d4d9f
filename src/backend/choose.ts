import type { UseBackendOptions, UsedBackend } from './backend.js'
import { type BackendName, backends } from './backends.js'
import { type Choice, chooseBackend } from './page/selection.js'

export type { UseBackendOptions } from './backend.js'
export type { BackendName } from './backends.js'
export type { SkippedBackend } from './page/selection.js'

/** The backend that now computes, and why this one. */
export type BackendChoice<Name extends string = BackendName> = Choice<Name, UsedBackend<Name>>

/**
 * Makes a backend the current one of tfjs: the one that is asked for, or for `auto` the first that loads of
 * tfjs-node-gpu (where TensorFlow sees a GPU), tfjs-node and wasm. The kernels that training needs, or is faster with,
 * are registered. Only what is used is loaded. The first use of a native TensorFlow on a processor checks it in another
 * process, which takes some seconds; what it gets wrong is avoided, and the reason says so. In a page the function of the same
 * name of `patch-moe` does this.
 *
 * @throws RangeError for an unknown name; Error when the backend that is asked for cannot be used, saying why
 */
export async function useBackend(
  name: BackendName | 'auto' = 'auto',
  options: UseBackendOptions = {},
): Promise<BackendChoice> {
  return chooseBackend<BackendName, UseBackendOptions, UsedBackend<BackendName>>(name, options, backends)
}

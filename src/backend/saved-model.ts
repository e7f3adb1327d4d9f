import { createRequire } from 'node:module'
import type * as tf from '@tensorflow/tfjs-core'
import type { NativeTensorFlow } from './native.js'

/** A SavedModel in native TensorFlow. */
export interface LoadedSavedModel {
  /** By the names of the signature's inputs and outputs; the caller disposes the outputs. */
  predict(inputs: tf.NamedTensorMap): tf.NamedTensorMap
  dispose(): void
}

/**
 * Loads the signature `serving_default` of a SavedModel into native TensorFlow, which must be the current backend.
 *
 * @param folder of the SavedModel
 * @throws Error as TensorFlow gives it when the folder holds none or its graph is wrong
 */
export async function loadSavedModel(
  { folder: packageFolder }: Pick<NativeTensorFlow, 'folder'>,
  folder: string,
): Promise<LoadedSavedModel> {
  // The package is in the process already: it made the backend.
  const { node } = createRequire(import.meta.url)(packageFolder) as {
    readonly node: {
      loadSavedModel(path: string, tags: string[], signature: string): Promise<LoadedSavedModel>
    }
  }
  return node.loadSavedModel(folder, ['serve'], 'serving_default')
}

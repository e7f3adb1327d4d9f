import { createRequire } from 'node:module'
import type * as tf from '@tensorflow/tfjs-core'
import type { NativeTensorFlow } from '../native/native.js'

/** A SavedModel in native TensorFlow. */
export interface LoadedSavedModel {
  /** By the names of the signature's inputs and outputs; the caller disposes the outputs. */
  predict(inputs: tf.NamedTensorMap): tf.NamedTensorMap
  dispose(): void
}

/** One input of a SavedModel's signature. */
export interface SavedModelInput {
  readonly name: string
  /** Null for an axis of any length. */
  readonly shape: readonly (number | null)[]
  /** TensorFlow's name of the element type: `DT_FLOAT`. */
  readonly type: string
}

/**
 * Reads the inputs of the signature `serving_default` of a SavedModel; the graph is not loaded.
 *
 * @param folder of the SavedModel
 * @throws Error when the folder holds none, or none with this signature
 */
export async function savedModelInputs(
  { folder: packageFolder }: Pick<NativeTensorFlow, 'folder'>,
  folder: string,
): Promise<SavedModelInput[]> {
  const { node } = createRequire(import.meta.url)(packageFolder) as {
    readonly node: { getMetaGraphsFromSavedModel(path: string): Promise<readonly MetaGraph[]> }
  }
  const graphs = await node.getMetaGraphsFromSavedModel(folder)
  const signature = graphs.find(({ tags }) => tags.includes('serve'))?.signatureDefs.serving_default
  if (!signature) {
    throw new Error(`savedModelInputs: ${folder} must have a signature serving_default, got none`)
  }
  return Object.entries(signature.inputs).map(([name, { shape, tfDtype }]) => ({
    name,
    shape: shape.map(axis => {
      const length = axis.getSize()
      return length < 0 ? null : length
    }),
    type: tfDtype,
  }))
}

interface MetaGraph {
  readonly tags: readonly string[]
  readonly signatureDefs: {
    readonly serving_default?: {
      readonly inputs: Readonly<
        Record<string, { readonly shape: readonly { getSize(): number }[]; readonly tfDtype: string }>
      >
    }
  }
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

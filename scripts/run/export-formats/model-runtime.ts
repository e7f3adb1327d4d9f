import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'

/** Numbers with their shape. */
export interface Numbers {
  readonly shape: readonly number[]
  readonly data: Float32Array | Uint8Array
}

/** Something that computes what a model computes. */
export interface Runtime {
  readonly name: string
  /** From inputs to outputs, in the model's order. */
  run(inputs: readonly Numbers[]): Promise<readonly Float32Array[]>
  dispose(): Promise<void>
}

/** The model itself, on the current backend; it is left alone when the runtime is disposed. */
export function modelRuntime(model: tfl.LayersModel, { name }: Pick<BackendChoice, 'name'>): Runtime {
  return {
    name: `tfjs on ${name}`,
    run: inputs => {
      const outputs = tf.tidy(() => {
        const tensors = inputs.map(tensorOf)
        return [model.predict(tensors, { batchSize: tensors[0]?.shape[0] ?? 1 })].flat()
      })
      return numbersOf(outputs)
    },
    dispose: async () => {},
  }
}

/** A model that is disposed with its runtime. */
export function ownedRuntime(model: tfl.LayersModel, backend: Pick<BackendChoice, 'name'>): Runtime {
  return { ...modelRuntime(model, backend), dispose: async () => void model.dispose() }
}

/** A float32 tensor of float32 numbers, an int32 tensor of bytes. */
export function tensorOf({ data, shape }: Numbers): tf.Tensor {
  return tf.tensor(data, [...shape], data instanceof Uint8Array ? 'int32' : 'float32')
}

/** The numbers of tensors, which are disposed. */
export async function numbersOf(tensors: readonly tf.Tensor[]): Promise<Float32Array[]> {
  try {
    return await Promise.all(tensors.map(async tensor => Float32Array.from(await tensor.data())))
  } finally {
    tf.dispose([...tensors])
  }
}

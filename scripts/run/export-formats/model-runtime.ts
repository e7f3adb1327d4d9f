import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { BackendChoice } from '../../../src/backend/choose.js'
import { forInference } from '../../../src/inference/for-inference.js'

/** Numbers with their shape. */
export interface Numbers {
  readonly shape: readonly number[]
  readonly data: Float32Array | Uint8Array
}

/** What something that computes is given: images or numbers, or integers that are no pixels. */
export type RuntimeInput = Numbers | { readonly shape: readonly number[]; readonly data: Int32Array }

/** Something that computes what a model computes. */
export interface Runtime {
  readonly name: string
  /** From inputs to outputs, in the model's order. */
  run(inputs: readonly RuntimeInput[]): Promise<readonly Float32Array[]>
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

/** A frozen copy of a model, on the current backend; the model is left alone. */
export async function frozenRuntime(model: tfl.LayersModel): Promise<Runtime> {
  const frozen = await forInference(model)
  return {
    name: 'forInference',
    run: inputs => {
      const tensors = inputs.map(tensorOf)
      const outputs = frozen.predict(tensors)
      tf.dispose(tensors)
      return numbersOf(outputs)
    },
    dispose: async () => frozen.dispose(),
  }
}

/** A float32 tensor of float32 numbers, an int32 tensor of bytes and integers. */
export function tensorOf({ data, shape }: RuntimeInput): tf.Tensor {
  return tf.tensor(data, [...shape], data instanceof Float32Array ? 'float32' : 'int32')
}

/** The numbers of tensors, which are disposed. */
export async function numbersOf(tensors: readonly tf.Tensor[]): Promise<Float32Array[]> {
  try {
    return await Promise.all(tensors.map(async tensor => Float32Array.from(await tensor.data())))
  } finally {
    tf.dispose([...tensors])
  }
}

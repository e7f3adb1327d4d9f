import * as tf from '@tensorflow/tfjs-core'

/** An attribute of a TensorFlow operation. */
export interface Attribute {
  readonly name: string
  /** The binding's number of the kind of value. */
  readonly type: number
  readonly value: unknown
}

/** A tensor that an operation returned, before tfjs knows it. */
export interface OutputMetadata {
  readonly id: number
  readonly shape: number[]
  readonly dtype: number
}

/** What tfjs-node knows of the data of a tensor. */
export interface TensorData {
  /** The id of TensorFlow's handle; it changes when the data are stored in another type. */
  id: number
  readonly refCount: number
}

/** What is used of tfjs-node's backend: its table of tensors, and its methods that run any TensorFlow operation. */
export interface NativeBackend {
  readonly binding: {
    readonly TF_ATTR_TYPE: number
    readonly TF_ATTR_FLOAT: number
    readonly TF_ATTR_BOOL: number
    readonly TF_ATTR_STRING: number
    readonly TF_ATTR_INT: number
    readonly TF_FLOAT: number
    readonly TF_INT32: number
    readonly TF_UINT8: number
    createTensor(shape: number[], dtype: number, values: Uint8Array): number
    executeOp(name: string, attributes: Attribute[], ids: number[], outputs: number): OutputMetadata[]
    deleteTensor(id: number): void
  }
  readonly isUsingGpuDevice: boolean
  readonly tensorMap: { has(dataId: object): boolean; get(dataId: object): TensorData }
  executeSingleOutput(name: string, attributes: Attribute[], inputs: tf.Tensor[]): tf.Tensor
  executeMultipleOutputs(
    name: string,
    attributes: Attribute[],
    inputs: tf.Tensor[],
    outputs: number,
  ): tf.Tensor[]
  readSync(dataId: object): unknown
  disposeData(dataId: object, force?: boolean): boolean
  getInputTensorIds(inputs: tf.Tensor[]): number[]
  createOutputTensor(metadata: OutputMetadata): tf.Tensor
}

/** The current backend, which must be native TensorFlow. */
export function nativeBackend(): NativeBackend {
  return tf.backend() as unknown as NativeBackend
}

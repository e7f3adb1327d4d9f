import { littleEndian } from '../onnx/messages.js'
import type { MessageRules } from '../protobuf-messages.js'

/**
 * The messages of TensorFlow's SavedModel format that are written, with their field numbers.
 *
 * Reference: https://www.tensorflow.org/guide/saved_model and the format's public schema
 */
export const tensorflowMessages: MessageRules = {
  SavedModel: { savedModelSchemaVersion: [1, 'int64'], metaGraphs: [2, 'MetaGraphDef', 'repeated'] },
  MetaGraphDef: {
    metaInfoDef: [1, 'MetaInfoDef'],
    graphDef: [2, 'GraphDef'],
    signatureDef: [5, 'SignatureDef', 'map'],
  },
  MetaInfoDef: { tags: [4, 'string', 'repeated'], tensorflowVersion: [5, 'string'] },
  SignatureDef: {
    inputs: [1, 'TensorInfo', 'map'],
    outputs: [2, 'TensorInfo', 'map'],
    methodName: [3, 'string'],
  },
  TensorInfo: { name: [1, 'string'], dtype: [2, 'int32'], tensorShape: [3, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [2, 'Dim', 'repeated'] },
  Dim: { size: [1, 'int64'] },
  GraphDef: { node: [1, 'NodeDef', 'repeated'], versions: [4, 'VersionDef'] },
  VersionDef: { producer: [1, 'int32'] },
  NodeDef: {
    name: [1, 'string'],
    op: [2, 'string'],
    input: [3, 'string', 'repeated'],
    attr: [5, 'AttrValue', 'map'],
  },
  AttrValue: {
    list: [1, 'ListValue'],
    s: [2, 'bytes'],
    i: [3, 'int64'],
    f: [4, 'float'],
    b: [5, 'bool'],
    type: [6, 'int32'],
    shape: [7, 'TensorShapeProto'],
    tensor: [8, 'TensorProto'],
  },
  ListValue: { i: [3, 'int64', 'repeated'] },
  TensorProto: {
    dtype: [1, 'int32'],
    tensorShape: [2, 'TensorShapeProto'],
    tensorContent: [4, 'bytes'],
  },
}

/** Numbers of element types. */
export const tensorflowType = { float: 1, int: 3, uint8: 4, long: 9, bool: 10, half: 19 } as const

/** A value of an attribute, as its message holds it. */
export type TensorFlowAttribute =
  | { readonly list: { readonly i: readonly number[] } }
  | { readonly s: Uint8Array }
  | { readonly i: number }
  | { readonly f: number }
  | { readonly b: boolean }
  | { readonly type: number }
  | { readonly shape: object }
  | { readonly tensor: object }

/** One operation as its message holds it. */
export interface TensorFlowNode {
  readonly name: string
  readonly op: string
  readonly input: readonly string[]
  readonly attr: Readonly<Record<string, TensorFlowAttribute>>
}

/** An attribute that is a text. */
export function text(value: string): TensorFlowAttribute {
  return { s: new TextEncoder().encode(value) }
}

/** An attribute that is a list of integers. */
export function list(values: readonly number[]): TensorFlowAttribute {
  return { list: { i: values } }
}

/** A shape; -1 for sides that may be of any length. */
export function shapeMessage(shape: readonly (number | null)[]): object {
  return { dim: shape.map(side => ({ size: side ?? -1 })) }
}

/** An attribute that is a tensor of floats, of 32-bit integers, or of float16 numbers, of which the 16 bits are given. */
export function tensor(
  data: Float32Array | Int32Array | Uint16Array,
  shape: readonly number[],
): TensorFlowAttribute {
  return {
    tensor: { dtype: typeOf(data), tensorShape: shapeMessage(shape), tensorContent: littleEndian(data) },
  }
}

/** TensorFlow's number of the type of such numbers. */
export function typeOf(data: Float32Array | Int32Array | Uint16Array): number {
  if (data instanceof Float32Array) return tensorflowType.float
  return data instanceof Int32Array ? tensorflowType.int : tensorflowType.half
}

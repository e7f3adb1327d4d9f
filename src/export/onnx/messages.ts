import type { MessageRules } from '../protobuf-messages.js'

/**
 * The messages of the ONNX format that are written, with their field numbers.
 *
 * Reference: https://onnx.ai/onnx/repo-docs/IR.html and the format's public schema
 */
export const onnxMessages: MessageRules = {
  ModelProto: {
    irVersion: [1, 'int64'],
    producerName: [2, 'string'],
    producerVersion: [3, 'string'],
    docString: [6, 'string'],
    graph: [7, 'GraphProto'],
    opsetImport: [8, 'OperatorSetIdProto', 'repeated'],
    metadataProps: [14, 'StringStringEntryProto', 'repeated'],
  },
  OperatorSetIdProto: { domain: [1, 'string'], version: [2, 'int64'] },
  StringStringEntryProto: { key: [1, 'string'], value: [2, 'string'] },
  GraphProto: {
    node: [1, 'NodeProto', 'repeated'],
    name: [2, 'string'],
    initializer: [5, 'TensorProto', 'repeated'],
    input: [11, 'ValueInfoProto', 'repeated'],
    output: [12, 'ValueInfoProto', 'repeated'],
  },
  NodeProto: {
    input: [1, 'string', 'repeated'],
    output: [2, 'string', 'repeated'],
    name: [3, 'string'],
    opType: [4, 'string'],
    attribute: [5, 'AttributeProto', 'repeated'],
  },
  AttributeProto: {
    name: [1, 'string'],
    f: [2, 'float'],
    i: [3, 'int64'],
    s: [4, 'bytes'],
    t: [5, 'TensorProto'],
    ints: [8, 'int64', 'repeated'],
    type: [20, 'int32'],
  },
  TensorProto: {
    dims: [1, 'int64', 'repeated'],
    dataType: [2, 'int32'],
    name: [8, 'string'],
    rawData: [9, 'bytes'],
  },
  ValueInfoProto: { name: [1, 'string'], type: [2, 'TypeProto'] },
  TypeProto: { tensorType: [1, 'TensorTypeProto'] },
  TensorTypeProto: { elemType: [1, 'int32'], shape: [2, 'TensorShapeProto'] },
  TensorShapeProto: { dim: [1, 'DimensionProto', 'repeated'] },
  DimensionProto: { dimValue: [1, 'int64'], dimParam: [2, 'string'] },
}

/** Numbers of element types. */
export const onnxType = { float: 1, uint8: 2, int: 7, int8: 3, int32: 6, float16: 10 } as const

/** Numbers of kinds of attributes. */
const attributeType = { float: 1, int: 2, text: 3, tensor: 4, ints: 7 } as const

/** A value of an attribute: an integer, integers, a text, a float (as `{ float }`), or a tensor. */
export type OnnxAttribute = number | readonly number[] | string | { readonly float: number } | OnnxTensor

/** One tensor as its message holds it. */
export interface OnnxTensor {
  readonly name?: string
  readonly dims: readonly number[]
  readonly dataType: number
  readonly rawData: Uint8Array
}

/** One operation as its message holds it. */
export interface OnnxNode {
  readonly name: string
  readonly opType: string
  readonly input: readonly string[]
  readonly output: readonly string[]
  readonly attribute: readonly object[]
}

/** The message of an attribute. */
export function attributeMessage(name: string, value: OnnxAttribute): object {
  if (typeof value === 'number') return { name, type: attributeType.int, i: value }
  if (typeof value === 'string') return { name, type: attributeType.text, s: new TextEncoder().encode(value) }
  if ('float' in value) return { name, type: attributeType.float, f: value.float }
  if ('dims' in value) return { name, type: attributeType.tensor, t: value }
  return { name, type: attributeType.ints, ints: [...value] }
}

/**
 * The message of a tensor of floats or of integers, which have 64 bits.
 */
export function tensorMessage(
  data: Float32Array | Int32Array,
  dims: readonly number[],
  name?: string,
): OnnxTensor {
  const named = name === undefined ? {} : { name }
  if (data instanceof Float32Array)
    return { ...named, dims, dataType: onnxType.float, rawData: littleEndian(data) }
  const wide = BigInt64Array.from(data, BigInt)
  return { ...named, dims, dataType: onnxType.int, rawData: littleEndian(wide) }
}

/** The message of a tensor of 8 bits, of integers of 32 bits, or of float16 numbers, of which the 16 bits are given. */
export function narrowTensorMessage(
  data: Int8Array | Uint8Array | Int32Array | Uint16Array,
  dims: readonly number[],
  name: string,
): OnnxTensor {
  return {
    name,
    dims,
    dataType: narrowType(data),
    rawData: new Uint8Array(data.buffer, data.byteOffset, data.byteLength),
  }
}

function narrowType(data: Int8Array | Uint8Array | Int32Array | Uint16Array): number {
  if (data instanceof Int8Array) return onnxType.int8
  if (data instanceof Uint8Array) return onnxType.uint8
  return data instanceof Uint16Array ? onnxType.float16 : onnxType.int32
}

/** The little-endian bytes of numbers, as the formats store them; every platform of tfjs is little-endian. */
export function littleEndian(data: Float32Array | Int32Array | Uint16Array | BigInt64Array): Uint8Array {
  return new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
}

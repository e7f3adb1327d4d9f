import * as tf from '@tensorflow/tfjs'
import { InferenceSession, Tensor } from 'onnxruntime-node'
import { onnxMessages } from '../../src/export/onnx/messages.js'
import { messageType } from '../../src/export/protobuf-messages.js'

/** Runs an ONNX file in ONNX Runtime; inputs and outputs by name. */
export async function runOnnx(
  bytes: Uint8Array,
  inputs: Readonly<Record<string, tf.Tensor>>,
): Promise<Record<string, { readonly shape: readonly number[]; readonly data: Float32Array }>> {
  const session = await InferenceSession.create(bytes, { logSeverityLevel: 3, intraOpNumThreads: 1 })
  try {
    const feeds = Object.entries(inputs).map(([name, tensor]) => {
      const values = tensor.dataSync()
      if (tensor.rank === 0) {
        return [name, new Tensor('int64', BigInt64Array.from([...values], BigInt), [])] as const
      }
      const fed = values instanceof Int32Array ? Uint8Array.from(values) : (values as Float32Array)
      return [name, new Tensor(fed instanceof Uint8Array ? 'uint8' : 'float32', fed, tensor.shape)] as const
    })
    const outputs = await session.run(Object.fromEntries(feeds))
    return Object.fromEntries(
      Object.entries(outputs).map(([name, output]) => [
        name,
        { shape: output.dims, data: output.data as Float32Array },
      ]),
    )
  } finally {
    await session.release()
  }
}

interface Info {
  readonly name: string
  readonly type: {
    readonly tensorType: {
      readonly elemType: number
      readonly shape: { readonly dim: readonly { dimValue?: string; dimParam?: string }[] }
    }
  }
}

/** An ONNX file as plain objects; 64-bit integers are texts. */
export interface DecodedOnnx {
  readonly irVersion: string
  readonly producerName: string
  readonly opsetImport: readonly { readonly domain: string; readonly version: string }[]
  readonly metadataProps: readonly { readonly key: string; readonly value: string }[]
  readonly graph: {
    readonly name: string
    readonly node: readonly { readonly opType: string; readonly input: string[]; readonly output: string[] }[]
    readonly initializer: readonly {
      readonly name: string
      readonly dims: string[]
      readonly rawData: Uint8Array
    }[]
    readonly input: readonly Info[]
    readonly output: readonly Info[]
  }
}

/** Reads an ONNX file back. */
export async function decodeOnnx(bytes: Uint8Array): Promise<DecodedOnnx> {
  const type = await messageType(onnxMessages, 'ModelProto')
  return type.toObject(type.decode(bytes), { longs: String }) as DecodedOnnx
}

/** The largest difference between a tensor and numbers. */
export function difference(expected: tf.Tensor, actual: Float32Array): number {
  const values = Float32Array.from(expected.dataSync())
  if (values.length !== actual.length) return Number.POSITIVE_INFINITY
  return values.reduce((most, value, i) => Math.max(most, Math.abs(value - (actual[i] as number))), 0)
}

/** (B,C,H,W) of (B,H,W,C). */
export function channelsFirst(x: tf.Tensor): tf.Tensor {
  return tf.transpose(x, [0, 3, 1, 2])
}

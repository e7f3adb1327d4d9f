import { readFile } from 'node:fs/promises'
import { useBackend } from '../../../src/backend/choose.js'
import { savedModelInputs } from '../../../src/backend/tensorflow/saved-model.js'
import { onnxMessages, onnxType } from '../../../src/export/onnx/messages.js'
import { messageType } from '../../../src/export/protobuf-messages.js'
import type { FedInput } from './latency-jobs.js'

interface OnnxModel {
  readonly metadataProps?: readonly { readonly key: string; readonly value: string }[]
  readonly graph?: {
    readonly initializer?: readonly { readonly name: string }[]
    readonly input?: readonly {
      readonly name: string
      readonly type?: {
        readonly tensorType?: {
          readonly elemType?: number
          readonly shape?: { readonly dim?: readonly { readonly dimValue?: number }[] }
        }
      }
    }[]
  }
}

/**
 * The inputs of an ONNX file: their shapes, and the order of their axes as far as it says, or shows, it.
 *
 * @throws Error when it is no ONNX file, or an input has a side of any length besides the batch, or another type than
 *   float32 and uint8
 */
export async function onnxInputs(path: string): Promise<FedInput[]> {
  const { metadataProps = [], graph = {} } = await decodedOnnx(path)
  const described = metadataProps.find(({ key }) => key === 'inputs')?.value
  const constants = new Set(graph.initializer?.map(({ name }) => name))
  const inputs = (graph.input ?? []).filter(({ name }) => !constants.has(name))
  if (inputs.length === 0)
    throw new Error(`${path}: must be an ONNX file of a network, got one without inputs`)
  return inputs.map(({ name, type }) => {
    const { elemType = 0, shape } = type?.tensorType ?? {}
    const [, ...sides] = (shape?.dim ?? []).map(({ dimValue }) => dimValue || null)
    const types: Readonly<Record<number, 'float32' | 'uint8'>> = {
      [onnxType.float]: 'float32',
      [onnxType.uint8]: 'uint8',
    }
    const axes = axesOf(described, name)
    return fedInput(`${path}: input ${name}`, sides, types[elemType] ?? `type ${elemType} of ONNX`, axes)
  })
}

/**
 * The inputs of a SavedModel's signature; native TensorFlow becomes the current backend.
 *
 * @throws Error where native TensorFlow is missing, or the folder holds no such signature, or as {@link onnxInputs}
 */
export async function signatureInputs(path: string): Promise<FedInput[]> {
  const { tensorflow, name } = await useBackend('auto')
  if (!tensorflow) {
    throw new Error(
      `${path}: a SavedModel must be run by native TensorFlow, got backend ${name} (npx pmoe native provides it)`,
    )
  }
  const types: Readonly<Record<string, 'float32' | 'uint8'>> = { DT_FLOAT: 'float32', DT_UINT8: 'uint8' }
  return (await savedModelInputs(tensorflow, path)).map(({ name, shape: [, ...sides], type }) =>
    fedInput(`${path}: input ${name}`, sides, types[type] ?? type),
  )
}

async function decodedOnnx(path: string): Promise<OnnxModel> {
  const bytes = await readFile(path)
  try {
    const type = await messageType(onnxMessages, 'ModelProto')
    return type.toObject(type.decode(bytes), { longs: Number }) as OnnxModel
  } catch (cause) {
    throw new Error(
      `${path}: must be an ONNX file, got ${bytes.length} bytes that are not: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
}

/** The axes that our own files tell. */
function axesOf(described: string | undefined, name: string): string | undefined {
  try {
    return (JSON.parse(described ?? '{}') as Record<string, { readonly axes?: string } | undefined>)[name]
      ?.axes
  } catch {
    return undefined
  }
}

/**
 * @param where the input, for errors
 * @param type a text that names another one than those that can be fed
 */
function fedInput(where: string, sides: readonly (number | null)[], type: string, axes?: string): FedInput {
  if (type !== 'float32' && type !== 'uint8') {
    throw new Error(`${where} must be of float32 or uint8, got ${type}`)
  }
  if (!sides.every(side => side !== null)) {
    const shown = ['batch', ...sides.map(side => side ?? 'any')].join(', ')
    throw new Error(`${where} must be of fixed size but for the batch, got [${shown}]`)
  }
  const [first = 0, second = 0, third = 0] = sides
  const looksChannelsFirst = sides.length === 3 && first <= 4 && third > 4
  const isChannelsFirst = axes ? axes.startsWith('batch,channels') : looksChannelsFirst
  return isChannelsFirst
    ? { shape: [second, third, first], layout: 'nchw', pixels: type }
    : { shape: sides, pixels: type }
}

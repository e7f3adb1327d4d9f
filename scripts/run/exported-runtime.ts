import { readFile } from 'node:fs/promises'
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { InferenceSession } from 'onnxruntime-node'
import type { BackendChoice } from '../../src/backend/choose.js'
import { loadSavedModel } from '../../src/backend/saved-model.js'
import { readSafetensors } from '../../src/data/safetensors.js'
import { loadWeights } from '../../src/export/weights.js'
import { loadModelFolder } from '../../src/files/run-folder.js'
import type { ExportFormat } from './export-formats.js'

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

/** What an exported model is run with. */
export interface RuntimeRequest {
  readonly format: ExportFormat
  /** The exported file or folder. */
  readonly path: string
  /** The model that was exported. */
  readonly model: tfl.LayersModel
  readonly backend: BackendChoice
}

/**
 * Loads an exported model into what runs its format.
 *
 * @returns a sentence where that is not installed
 * @throws Error when the export does not load
 */
export async function exportedRuntime(request: RuntimeRequest): Promise<Runtime | string> {
  const { format, path, model, backend } = request
  if (format === 'onnx') return onnxRuntime(path)
  if (format === 'savedmodel') return savedModelRuntime(path, model, backend)
  const loaded = format === 'tfjs' ? await loadModelFolder(path) : await withWeightsOf(path, model)
  return { ...modelRuntime(loaded, backend), dispose: async () => void loaded.dispose() }
}

/** The model itself, on the current backend. */
export function modelRuntime(model: tfl.LayersModel, { name }: Pick<BackendChoice, 'name'>): Runtime {
  return {
    name: `tfjs on ${name}`,
    run: inputs => {
      const outputs = tf.tidy(() => {
        const tensors = inputs.map(tensorOf)
        return [model.predict(tensors, { batchSize: tensors[0]?.shape[0] ?? 1 })].flat()
      })
      return readAll(outputs)
    },
    dispose: async () => {},
  }
}

function tensorOf({ data, shape }: Numbers): tf.Tensor {
  return tf.tensor(data, [...shape], data instanceof Uint8Array ? 'int32' : 'float32')
}

async function readAll(tensors: readonly tf.Tensor[]): Promise<Float32Array[]> {
  try {
    return await Promise.all(tensors.map(async tensor => Float32Array.from(await tensor.data())))
  } finally {
    tf.dispose([...tensors])
  }
}

async function onnxRuntime(path: string): Promise<Runtime | string> {
  const ort = await import('onnxruntime-node')
    .then(({ InferenceSession, Tensor }) => ({ InferenceSession, Tensor }))
    .catch((error: NodeJS.ErrnoException) => error)
  if (ort instanceof Error) {
    if (ort.code === 'ERR_MODULE_NOT_FOUND')
      return 'ONNX Runtime is not installed (npm install onnxruntime-node)'
    return `ONNX Runtime does not load: ${ort.message.split('\n')[0]}`
  }
  const session: InferenceSession = await ort.InferenceSession.create(path, { logSeverityLevel: 3 })
  return {
    name: 'ONNX Runtime',
    run: async inputs => {
      const feeds = session.inputNames.map((name, i) => {
        const { data, shape } = inputs[i] as Numbers
        return [name, new ort.Tensor(data instanceof Uint8Array ? 'uint8' : 'float32', data, [...shape])]
      })
      const outputs = await session.run(Object.fromEntries(feeds))
      return session.outputNames.map(name => outputs[name]?.data as Float32Array)
    },
    dispose: () => session.release(),
  }
}

async function savedModelRuntime(
  path: string,
  model: tfl.LayersModel,
  { tensorflow, name }: BackendChoice,
): Promise<Runtime | string> {
  if (!tensorflow) {
    return `native TensorFlow must be the backend, got ${name} (npx pmoe native provides it)`
  }
  const loaded = await loadSavedModel(tensorflow, path)
  return {
    name: `TensorFlow ${tensorflow.version}`,
    run: inputs => {
      const feeds = Object.fromEntries(
        model.inputNames.map((name, i) => {
          const { data, shape } = inputs[i] as Numbers
          return [name, data instanceof Uint8Array ? bytesTensor(data, shape) : tf.tensor(data, [...shape])]
        }),
      )
      const outputs = loaded.predict(feeds)
      tf.dispose(feeds)
      return readAll(model.outputNames.map(name => outputs[name] as tf.Tensor))
    },
    dispose: async () => loaded.dispose(),
  }
}

/** The binding hands int32 tensors over as what the signature asks for. */
function bytesTensor(data: Uint8Array, shape: readonly number[]): tf.Tensor {
  return tf.tensor(data, [...shape], 'int32')
}

/** A model of the same layers, with weights of its own before those of the file are put in. */
async function withWeightsOf(path: string, model: tfl.LayersModel): Promise<tfl.LayersModel> {
  const twin = await tfl.models.modelFromJSON({
    modelTopology: model.toJSON(null, false) as unknown as tf.io.ModelJSON['modelTopology'],
  } as Parameters<typeof tfl.models.modelFromJSON>[0])
  const { tensors } = readSafetensors(await readFile(path), path)
  loadWeights(twin, tensors, path)
  return twin
}

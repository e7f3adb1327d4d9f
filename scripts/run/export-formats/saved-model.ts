import { stat } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { PATCHES_INPUT } from '../../../src/export/feeding.js'
import type { ExportFolder } from '../../../src/files/export-output.js'
import type { ExportedModel, ExportFormatEntry, ExportSettings, Written } from './export-format.js'
import type { Runtime } from './model-runtime.js'

/** TensorFlow's SavedModel, run by native TensorFlow. */
export const savedModel: ExportFormatEntry = {
  title: 'TensorFlow SavedModel',
  unit: 'operations',
  takesFeeding: true,
  quantizations: ['float16'],
  takesVariablePatches: true,
  reading: 'tf.saved_model.load(path) in Python',
  folder: async () => savedModelFolder,
  write,
  load,
}

/** Path of the metadata, in the folder that TensorFlow reserves for the files of other programs. */
const description = join('assets.extra', 'patch-moe.json')
const marker = 'saved_model.pb'

/** Recognised by the description that is written beside the model. */
const savedModelFolder: ExportFolder = {
  marker,
  async list(directory) {
    const described = await stat(join(directory, description)).catch(() => undefined)
    return described?.isFile() ? [description, marker] : undefined
  },
}

async function write(
  model: tfl.LayersModel,
  path: string,
  { facts, quantize, ...feeding }: ExportSettings,
): Promise<Written> {
  const [{ exportSavedModel }, { writeFileAtomic }, { makeFolder }] = await Promise.all([
    import('../../../src/export/saved-model/saved-model.js'),
    import('../../../src/files/atomic.js'),
    import('../../../src/files/folders.js'),
  ])
  const options = { ...feeding, ...facts }
  const { bytes, operations, metadata, inFloat } = await exportSavedModel(model, {
    ...options,
    ...(quantize && { quantize: 'float16' }),
  })
  const described = `${JSON.stringify(metadata, null, 2)}\n`
  await makeFolder(dirname(join(path, description)))
  await writeFileAtomic(join(path, description), described)
  await writeFileAtomic(join(path, marker), bytes)
  const plain = quantize && (await exportSavedModel(model, options)).bytes.length + described.length
  return {
    bytes: bytes.length + described.length,
    parts: operations,
    ...(plain && { unquantizedBytes: plain }),
    ...(inFloat && { inFloat }),
  }
}

async function load({ path, model, backend }: ExportedModel): Promise<Runtime | string> {
  const { tensorflow, name } = backend
  if (!tensorflow) {
    return `native TensorFlow must be the backend, got ${name} (npx pmoe native provides it)`
  }
  const [{ loadSavedModel }, { numbersOf, tensorOf }] = await Promise.all([
    import('../../../src/backend/tensorflow/saved-model.js'),
    import('./model-runtime.js'),
  ])
  const loaded = await loadSavedModel(tensorflow, path)
  return {
    name: `TensorFlow ${tensorflow.version}`,
    run: inputs => {
      // The binding passes int32 tensors on as the type that the signature asks for.
      const names = [...model.inputNames, PATCHES_INPUT].slice(0, inputs.length)
      const feeds = names.map((name, i) => [name, tensorOf(inputs[i]!)] as const)
      const outputs = loaded.predict(Object.fromEntries(feeds))
      for (const [, tensor] of feeds) tensor.dispose()
      return numbersOf(model.outputNames.map(name => outputs[name] as tf.Tensor))
    },
    dispose: async () => loaded.dispose(),
  }
}

import { readFile, writeFile } from 'node:fs/promises'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ExportedModel, ExportFormatEntry, ExportSettings, Written } from './export-format.js'
import type { Runtime } from './model-runtime.js'

/** The weights alone, run in a model of the same layers. */
export const weights: ExportFormatEntry = {
  title: 'safetensors',
  unit: 'tensors',
  takesFeeding: false,
  reading: 'safetensors.numpy.load_file(path) in Python',
  write,
  load,
}

async function write(model: tfl.LayersModel, path: string, { facts }: ExportSettings): Promise<Written> {
  const [{ modelWeights }, { writeSafetensors }, { countKinds }] = await Promise.all([
    import('../../../src/export/weights/weights.js'),
    import('../../../src/data/formats/safetensors.js'),
    import('../../../src/export/exported-bytes.js'),
  ])
  const tensors = await modelWeights(model)
  const { classNames, version } = facts
  const bytes = writeSafetensors(tensors, {
    producer: version === undefined ? 'patch-moe' : `patch-moe ${version}`,
    model: model.name,
    ...(classNames && { classes: JSON.stringify(classNames) }),
  })
  await writeFile(path, bytes)
  return { bytes: bytes.length, parts: countKinds([...tensors.values()].map(({ dtype }) => dtype)) }
}

async function load({ path, model, backend }: ExportedModel): Promise<Runtime> {
  const { ownedRuntime } = await import('./model-runtime.js')
  return ownedRuntime(await withWeightsOf(path, model), backend)
}

/** A new model of the same layers, with the weights of the file. */
async function withWeightsOf(path: string, model: tfl.LayersModel): Promise<tfl.LayersModel> {
  const [{ loadWeights }, { readSafetensors }, tfl] = await Promise.all([
    import('../../../src/export/weights/weights.js'),
    import('../../../src/data/formats/safetensors.js'),
    import('@tensorflow/tfjs-layers'),
  ])
  const twin = await tfl.models.modelFromJSON({
    modelTopology: model.toJSON(null, false) as unknown as tf.io.ModelJSON['modelTopology'],
  } as Parameters<typeof tfl.models.modelFromJSON>[0])
  const { tensors } = readSafetensors(await readFile(path), path)
  loadWeights(twin, tensors, path)
  return twin
}

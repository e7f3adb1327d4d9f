import { readdir, stat, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { writeSafetensors } from '../../src/data/safetensors.js'
import { countKinds } from '../../src/export/exported-bytes.js'
import type { FeedingOptions } from '../../src/export/feeding.js'
import type { ModelFacts } from '../../src/export/metadata.js'
import { exportOnnx } from '../../src/export/onnx.js'
import { exportSavedModel } from '../../src/export/saved-model.js'
import { modelWeights } from '../../src/export/weights.js'
import { makeFolder } from '../../src/files/folders.js'
import { fileSystem } from '../../src/files/model-files.js'

/** The formats that a model can be exported to, by their names on the command line. */
export const exportFormats = ['tfjs', 'onnx', 'savedmodel', 'weights'] as const
export type ExportFormat = (typeof exportFormats)[number]

/** How a model is exported. */
export interface ExportSettings extends FeedingOptions {
  readonly facts: ModelFacts
}

/** What was written. */
export interface Written {
  /** Bytes of all files. */
  readonly bytes: number
  /** How many operations, layers or tensors of each kind there are. */
  readonly parts: Readonly<Record<string, number>>
}

/** One format: its name for people, what its parts are called, and how a model is written. */
export interface FormatEntry {
  readonly title: string
  readonly unit: 'operations' | 'layers' | 'tensors'
  /** The file by which a folder of this format is known; undefined where it is one file. */
  readonly marker?: string
  /** Writes the model to a path where nothing is. */
  write(model: tfl.LayersModel, path: string, settings: ExportSettings): Promise<Written>
}

/** Every format. */
export const formatEntries: Readonly<Record<ExportFormat, FormatEntry>> = {
  tfjs: { title: 'tfjs LayersModel', unit: 'layers', marker: 'model.json', write: writeTfjs },
  onnx: { title: 'ONNX, opset 17', unit: 'operations', write: writeOnnx },
  savedmodel: {
    title: 'TensorFlow SavedModel',
    unit: 'operations',
    marker: 'saved_model.pb',
    write: writeSavedModel,
  },
  weights: { title: 'safetensors', unit: 'tensors', write: writeWeights },
}

async function writeTfjs(model: tfl.LayersModel, path: string, { facts }: ExportSettings): Promise<Written> {
  const folder = fileSystem(path)
  const describing: tf.io.IOHandler = {
    save: artifacts => {
      const userDefinedMetadata = { ...artifacts.userDefinedMetadata, ...facts }
      return (folder.save as tf.io.SaveHandler)({ ...artifacts, userDefinedMetadata })
    },
  }
  await model.save(describing)
  const sizes = await Promise.all(
    (await readdir(path)).map(async name => (await stat(join(path, name))).size),
  )
  const parts = countKinds(model.layers.map(layer => layer.getClassName()))
  return { bytes: sizes.reduce((sum, size) => sum + size, 0), parts }
}

async function writeOnnx(model: tfl.LayersModel, path: string, settings: ExportSettings): Promise<Written> {
  const { facts, ...feeding } = settings
  const { bytes, operations } = await exportOnnx(model, { ...feeding, ...facts })
  await writeFile(path, bytes)
  return { bytes: bytes.length, parts: operations }
}

/** The metadata go where TensorFlow leaves room for what is not its own. */
async function writeSavedModel(
  model: tfl.LayersModel,
  path: string,
  settings: ExportSettings,
): Promise<Written> {
  const { facts, ...feeding } = settings
  const { bytes, operations, metadata } = await exportSavedModel(model, { ...feeding, ...facts })
  const described = `${JSON.stringify(metadata, null, 2)}\n`
  await makeFolder(join(path, 'assets.extra'))
  await writeFile(join(path, 'assets.extra', 'patch-moe.json'), described)
  await writeFile(join(path, 'saved_model.pb'), bytes)
  return { bytes: bytes.length + described.length, parts: operations }
}

async function writeWeights(
  model: tfl.LayersModel,
  path: string,
  { facts }: ExportSettings,
): Promise<Written> {
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

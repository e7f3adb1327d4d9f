import { readdir, stat, writeFile } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { writeSafetensors } from '../../src/data/formats/safetensors.js'
import { countKinds } from '../../src/export/exported-bytes.js'
import type { FeedingOptions } from '../../src/export/feeding.js'
import type { ModelFacts } from '../../src/export/metadata.js'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import { exportSavedModel } from '../../src/export/saved-model/saved-model.js'
import { modelWeights } from '../../src/export/weights/weights.js'
import { writeFileAtomic } from '../../src/files/atomic.js'
import type { ExportFolder } from '../../src/files/export-output.js'
import { makeFolder } from '../../src/files/folders.js'
import { fileSystem, modelFolder } from '../../src/files/model-files.js'

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
  /** How a folder of this format is known; undefined where it is one file. */
  readonly folder?: ExportFolder
  /** Writes the model to a path where nothing is, or into an empty folder. */
  write(model: tfl.LayersModel, path: string, settings: ExportSettings): Promise<Written>
}

/** Where the metadata of a SavedModel are: a folder that TensorFlow leaves to others. */
const description = join('assets.extra', 'patch-moe.json')

/** Known by the description that {@link writeSavedModel} puts beside it. */
const savedModelFolder: ExportFolder = {
  marker: 'saved_model.pb',
  async list(directory) {
    const described = await stat(join(directory, description)).catch(() => undefined)
    return described?.isFile() ? [description, 'saved_model.pb'] : undefined
  },
}

/** Every format. */
export const formatEntries: Readonly<Record<ExportFormat, FormatEntry>> = {
  tfjs: { title: 'tfjs LayersModel', unit: 'layers', folder: modelFolder, write: writeTfjs },
  onnx: { title: 'ONNX, opset 17', unit: 'operations', write: writeOnnx },
  savedmodel: {
    title: 'TensorFlow SavedModel',
    unit: 'operations',
    folder: savedModelFolder,
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
  await makeFolder(dirname(join(path, description)))
  await writeFileAtomic(join(path, description), described)
  await writeFileAtomic(join(path, 'saved_model.pb'), bytes)
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

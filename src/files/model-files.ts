import { createHash } from 'node:crypto'
import { stat } from 'node:fs/promises'
import { isAbsolute, join, normalize, relative } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { checkedArtifacts } from '../topology/checked-model.js'
import { type ModelJson, parseModelJson, weightBytes } from '../topology/model-json.js'
import { writeFilesAtomic } from './atomic.js'
import type { ExportFolder } from './export-output.js'
import { makeFolder } from './folders.js'
import { lockFolder } from './lock.js'
import { readRegularFile, readTextFile } from './regular-file.js'
import { finishReplacement, type OwnFolder, recoverFolder, replaceFolder } from './replacement.js'

const MODEL = 'model.json'
const WEIGHTS = 'weights.bin'
/** The files of a saved model, in the folder of the model. */
export const modelFolderFiles: readonly string[] = [WEIGHTS, MODEL]
/** Other files in the folder stay. */
const modelKind: OwnFolder = { marker: MODEL, ownFiles: async () => modelFolderFiles }
/** Folders of saved models: the weights files that `model.json` names are theirs. */
export const modelFolder: ExportFolder = {
  marker: MODEL,
  async list(dir) {
    try {
      const { weightsManifest = [] } = parseModelJson(await readModel(dir), `fileSystem: ${join(dir, MODEL)}`)
      const files = weightsManifest.flatMap(({ paths }) => paths.map(path => inside(dir, path)))
      return [...files.map(file => relative(dir, file)), MODEL]
    } catch {
      return undefined
    }
  },
}

/** How long a save waits for one of another process into the same folder, in milliseconds. */
const othersSaveMs = 30_000

/**
 * A folder that tfjs saves a model to and loads it from, on every backend: `model.save(fileSystem(dir))`,
 * `tfl.loadLayersModel(fileSystem(dir))`. It holds `model.json` and `weights.bin`, the layout that every tfjs
 * loader reads; a save that fails, or whose process is killed, leaves the model that was there or the new one. The
 * SHA-256 of the weights is in `model.json`, and checked when they are loaded. Models that the tfjs converter wrote from
 * Keras 2 or 3 are loaded as well.
 *
 * @param dir is created, with its parents, when a model is saved; its other files are left alone
 * @throws Error from `save` when it cannot write, from `load` when a file is missing, is not what it should be or has
 *   another length or checksum than `model.json` says; naming the layer, where the model cannot be built from its
 *   layers
 */
export function fileSystem(dir: string): tf.io.IOHandler {
  return { save: artifacts => save(dir, artifacts), load: () => load(dir) }
}

/**
 * Loads a saved model on the current backend.
 *
 * @param folder of the model, as `fileSystem` takes it
 * @throws Error as `fileSystem`; where TensorFlow.js cannot build the model, one line that names the folder
 */
export async function loadModelFolder(folder: string): Promise<tfl.LayersModel> {
  try {
    return await tfl.loadLayersModel(fileSystem(folder))
  } catch (cause) {
    const [reason = ''] = (cause as Error).message.split(/ This may be due to one of|\n/)
    // Errors of `fileSystem` name the file already.
    if (reason.startsWith('fileSystem:')) throw cause
    const shortReason = reason.length > 300 ? `${reason.slice(0, 300)}...` : reason
    throw new Error(
      `${folder}: model must be one that can be built, got: ${shortReason} (compare model.json with the model that was saved)`,
      { cause },
    )
  }
}

/** Whether a folder holds a saved model; first finishes a save that was killed while its files were put in place. */
export async function holdsModel(dir: string): Promise<boolean> {
  await finishReplacement(dir, modelKind).catch(() => undefined)
  return stat(join(dir, MODEL)).then(
    () => true,
    () => false,
  )
}

async function save(dir: string, artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
  const { modelTopology, weightSpecs = [], weightData, format, generatedBy, convertedBy, ...rest } = artifacts
  if (modelTopology instanceof ArrayBuffer) {
    throw new TypeError(`fileSystem: modelTopology must be JSON, got an ArrayBuffer (${dir})`)
  }
  const { trainingConfig, signature, userDefinedMetadata } = rest
  const optional = { trainingConfig, signature, userDefinedMetadata }
  const weights = new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData))
  const model = {
    ...{ modelTopology, format, generatedBy, convertedBy },
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value != null)),
    weightsManifest: [{ paths: [WEIGHTS], weights: weightSpecs, sha256: sha256(weights) }],
  }
  await makeModelFolder(dir)
  const lock = await lockFolder(dir, 'fileSystem', { waitMs: othersSaveMs }).catch((cause: Error) => {
    throw new Error(`fileSystem: ${dir} must be writable, got: ${cause.message}`, { cause })
  })
  try {
    await recoverFolder(dir, modelKind)
    await replaceFolder(dir, modelKind, staging =>
      writeFilesAtomic([
        [join(staging, WEIGHTS), weights],
        [join(staging, MODEL), JSON.stringify(model)],
      ]),
    )
  } finally {
    await lock.release()
  }
  return { modelArtifactsInfo: tf.io.getModelArtifactsInfoForJSON(artifacts) }
}

async function makeModelFolder(dir: string): Promise<void> {
  try {
    await makeFolder(dir)
  } catch (cause) {
    throw new Error(
      `fileSystem: ${dir} must be a folder that can be made, got: ${(cause as Error).message}`,
      { cause },
    )
  }
}

async function load(dir: string): Promise<tf.io.ModelArtifacts> {
  await finishReplacement(dir, modelKind).catch(() => undefined)
  const where = `fileSystem: ${join(dir, MODEL)}`
  const model: ModelJson = parseModelJson(await readModel(dir), where)
  const artifacts = await tf.io.getModelArtifactsForJSON(model as tf.io.ModelJSON, async groups => {
    const parts: Uint8Array[] = []
    for (const group of groups) parts.push(...(await readGroup(dir, group)))
    return [groups.flatMap(group => group.weights), joined(parts)]
  })
  return checkedArtifacts(artifacts, where)
}

async function readModel(dir: string): Promise<string> {
  try {
    return await readTextFile(join(dir, MODEL))
  } catch (cause) {
    const stats = await stat(dir).catch(() => undefined)
    const got = stats?.isDirectory() ? `no readable ${MODEL}` : stats ? 'a file' : 'no such folder'
    throw new Error(`fileSystem: ${dir} must be the folder of a saved model, got ${got}`, { cause })
  }
}

/** Reads the files of one group of weights, once their lengths are known to fit. */
async function readGroup(dir: string, group: tf.io.WeightsManifestConfig[number]): Promise<Uint8Array[]> {
  const paths = group.paths.map(path => inside(dir, path))
  const sizes = await Promise.all(paths.map(async path => (await reading(path, () => stat(path))).size))
  const numBytes = sizes.reduce((sum, size) => sum + size, 0)
  const expected = weightBytes(group.weights)
  if (expected !== undefined && numBytes !== expected) {
    throw new Error(
      `fileSystem: ${paths.join(', ')} must hold ${expected} bytes, got ${numBytes} (${group.weights.length} weights in ${MODEL})`,
    )
  }
  const files = await Promise.all(paths.map(path => reading(path, () => readRegularFile(path))))
  const { sha256: sum } = group as { readonly sha256?: string }
  if (sum === undefined) return files
  const digest = sha256(...files)
  if (digest === sum) return files
  throw new Error(
    `fileSystem: ${paths.join(', ')} must have the sha256 ${sum} of ${MODEL}, got ${digest} (damaged, or not of this model)`,
  )
}

function sha256(...pieces: readonly Uint8Array[]): string {
  const hash = createHash('sha256')
  for (const piece of pieces) hash.update(piece)
  return hash.digest('hex')
}

function inside(dir: string, path: string): string {
  if (isAbsolute(path) || normalize(path).startsWith('..')) {
    throw new Error(
      `fileSystem: a weights file must lie in the model's folder, got ${path} (${join(dir, MODEL)})`,
    )
  }
  return join(dir, path)
}

async function reading<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new Error(`fileSystem: ${path} must be readable, got: ${(cause as Error).message}`, { cause })
  }
}

function joined(parts: Uint8Array[]): ArrayBuffer {
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0))
  let offset = 0
  for (const part of parts) {
    bytes.set(part, offset)
    offset += part.length
  }
  return bytes.buffer
}

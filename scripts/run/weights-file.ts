import { existsSync } from 'node:fs'
import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import * as z from 'zod'
import { readSafetensors, type StoredTensor } from '../../src/data/formats/safetensors.js'
import { loadTorchWeights } from '../../src/export/weights/torch-weights.js'
import { loadWeights } from '../../src/export/weights/weights.js'
import { zipSource } from '../../src/files/zip/zip-source.js'
import { kerasModel, loadKerasWeights } from '../../src/run/keras-networks.js'
import { UsageError } from '../terminal/usage-error.js'
import { foreignWeights } from './foreign-weights.js'
import { indexOfShard, isShardIndex, readShards } from './safetensors-shards.js'

/** Names of the layers or weights of a checkpoint -> those of the model. */
export type NameMap = Readonly<Record<string, string>>

const nameMap = z.record(z.string(), z.string())

/**
 * Reads a map of names: a JSON object of texts.
 *
 * @throws UsageError naming the file when it is not one
 */
export async function readNameMap(path: string): Promise<NameMap> {
  const text = (await readBytes(path)).toString('utf8')
  try {
    return nameMap.parse(JSON.parse(text))
  } catch (cause) {
    throw new UsageError(`import: --names must be a JSON object of names, got ${path}: ${reasonOf(cause)}`, {
      cause,
    })
  }
}

function reasonOf(cause: unknown): string {
  if (!(cause instanceof z.ZodError)) return (cause as Error).message
  const [issue] = cause.issues
  return `${issue?.path.join('.') || 'the whole'}: ${issue?.message}`
}

/**
 * Puts the weights of a file into a model: of Keras (`.h5`, `.weights.h5`, `.keras`), or safetensors, of this library or,
 * with names, of PyTorch; one file or the list of several. The kind of file is recognised by its bytes.
 *
 * @returns where they came from, in words
 * @throws Error when the file is damaged, is of another kind, or its weights do not fit the model
 */
export async function loadWeightsFile(
  model: tfl.LayersModel,
  path: string,
  names?: NameMap,
): Promise<string> {
  const bytes = await readWeights(path)
  const keras = await kerasFile(bytes, path)
  if (keras) return loadKeras(model, keras, path, names)
  const tensors = await readTensors(bytes, path)
  if (names) loadTorchWeights(model, tensors, names, path)
  else loadOwnWeights(model, tensors, path)
  return `${tensors.size} tensors of ${basename(path)}`
}

/** A network that a file holds whole, and where its weights came from, in words. */
export interface WholeModel {
  readonly model: tfl.LayersModel
  readonly source: string
}

/**
 * Makes the network that a file holds, with its weights: a whole Keras model in `.keras` or `.h5`.
 *
 * @returns undefined where the file holds weights only
 * @throws Error when the file is damaged, is of another kind, or has layers that tfjs does not
 */
export async function loadWholeModel(path: string): Promise<WholeModel | undefined> {
  const keras = await kerasFile(await readWeights(path), path)
  const whole = keras && (await kerasModel(keras.bytes, path, keras.config))
  return whole && { model: whole.model, source: sourceOf(whole.layers, path) }
}

function sourceOf(layers: number, path: string): string {
  return `${layers} layers of ${basename(path)}`
}

function loadOwnWeights(
  model: tfl.LayersModel,
  tensors: ReadonlyMap<string, StoredTensor>,
  path: string,
): void {
  try {
    loadWeights(model, tensors, path)
  } catch (error) {
    const isTorch = [...tensors.keys()].some(name => /\.(weight|running_mean)$/.test(name))
    if (!isTorch || !(error instanceof RangeError)) throw error
    throw new RangeError(
      `${error.message}; these are names of PyTorch: give --names, JSON of its layers -> layers of the network`,
      { cause: error },
    )
  }
}

async function readTensors(bytes: Uint8Array, path: string): Promise<ReadonlyMap<string, StoredTensor>> {
  if (isShardIndex(bytes)) return readShards(bytes, path, readWeights)
  const index = indexOfShard(path)
  if (index !== undefined && existsSync(index)) return readTensors(await readWeights(index), index)
  return readSafetensors(bytes, path).tensors
}

/** The bytes of a file of weights. */
async function readWeights(path: string): Promise<Buffer> {
  const foreign = await foreignWeights(path)
  if (!foreign) return readBytes(path)
  const { what, advice } = foreign
  throw new Error(
    `${path}: file must hold weights of Keras (.h5, .keras) or be safetensors, got ${what}${advice ? `: ${advice}` : ''}`,
  )
}

/** The weights of a Keras file, and its network's configuration where that is another file. */
interface KerasFile {
  readonly bytes: Uint8Array
  readonly config?: unknown
}

/** Undefined for a file that is not one of Keras. */
async function kerasFile(bytes: Uint8Array, path: string): Promise<KerasFile | undefined> {
  if (startsWith(bytes, [0x89, 0x48, 0x44, 0x46])) return { bytes }
  return startsWith(bytes, [0x50, 0x4b]) ? unpackedKeras(path) : undefined
}

async function unpackedKeras(path: string): Promise<KerasFile> {
  const archive = zipSource(path)
  const bytes = await archive.read('model.weights.h5')
  if (!(await archive.exists('config.json'))) return { bytes }
  const text = Buffer.from(await archive.read('config.json')).toString('utf8')
  try {
    return { bytes, config: JSON.parse(text) }
  } catch (cause) {
    throw new Error(`${path}/config.json: file must be JSON, got: ${(cause as Error).message}`, { cause })
  }
}

async function loadKeras(
  model: tfl.LayersModel,
  { bytes, config }: KerasFile,
  source: string,
  names: NameMap | undefined,
): Promise<string> {
  if (names) {
    throw new UsageError(
      `import: --names must be used with safetensors, got ${source}, whose layers are matched by shape`,
    )
  }
  return sourceOf(await loadKerasWeights(model, bytes, source, config), source)
}

async function readBytes(path: string): Promise<Buffer> {
  try {
    return await readFile(path)
  } catch (cause) {
    throw new Error(`${path}: file must be readable, got: ${(cause as Error).message}`, { cause })
  }
}

function startsWith(bytes: Uint8Array, signature: readonly number[]): boolean {
  return signature.every((byte, i) => bytes[i] === byte)
}

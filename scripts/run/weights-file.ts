import { readFile } from 'node:fs/promises'
import { basename } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { z } from 'zod'
import { readSafetensors } from '../../src/data/safetensors.js'
import { loadKerasWeights } from '../../src/export/keras-weights.js'
import { loadTorchWeights } from '../../src/export/torch-weights.js'
import { loadWeights } from '../../src/export/weights.js'
import { zipSource } from '../../src/files/zip-source.js'
import { UsageError } from '../terminal/usage-error.js'

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
 * with names, of PyTorch. What the file is shows in its bytes.
 *
 * @returns where they came from, in words
 * @throws Error when the file is damaged or its weights do not fit the model
 */
export async function loadWeightsFile(
  model: tfl.LayersModel,
  path: string,
  names?: NameMap,
): Promise<string> {
  const bytes = await readBytes(path)
  if (startsWith(bytes, [0x89, 0x48, 0x44, 0x46])) return keras(model, bytes, path, names)
  if (startsWith(bytes, [0x50, 0x4b])) {
    const inner = 'model.weights.h5'
    return keras(model, await zipSource(path).read(inner), path, names)
  }
  const { tensors } = readSafetensors(bytes, path)
  if (names) loadTorchWeights(model, tensors, names, path)
  else loadWeights(model, tensors, path)
  return `${tensors.size} tensors of ${basename(path)}`
}

async function keras(
  model: tfl.LayersModel,
  bytes: Uint8Array,
  source: string,
  names: NameMap | undefined,
): Promise<string> {
  if (names) {
    throw new UsageError(
      `import: --names must be used with safetensors, got ${source}, whose layers are matched by shape`,
    )
  }
  const layers = await loadKerasWeights(model, bytes, source)
  return `${layers} layers of ${basename(source)}`
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

import { readFile, stat } from 'node:fs/promises'
import { isAbsolute, join, normalize } from 'node:path'
import * as tf from '@tensorflow/tfjs-core'
import { z } from 'zod'
import { writeFilesAtomic } from './atomic.js'
import { makeFolder } from './folders.js'

const MODEL = 'model.json'
const WEIGHTS = 'weights.bin'

/**
 * A folder that tfjs saves a model to and loads it from, on every backend: `model.save(fileSystem(dir))`,
 * `tfl.loadLayersModel(fileSystem(dir))`. It holds `model.json` and `weights.bin`, the layout that every tfjs
 * loader reads; a save that fails leaves the model that was there.
 *
 * @param dir is created, with its parents, when a model is saved; its other files are left alone
 * @throws Error from `save` when it cannot write, from `load` when a file is missing, is not what it should be or has
 *   another length than the weights in `model.json` take
 */
export function fileSystem(dir: string): tf.io.IOHandler {
  return { save: artifacts => save(dir, artifacts), load: () => load(dir) }
}

async function save(dir: string, artifacts: tf.io.ModelArtifacts): Promise<tf.io.SaveResult> {
  const { modelTopology, weightSpecs = [], weightData, format, generatedBy, convertedBy, ...rest } = artifacts
  if (modelTopology instanceof ArrayBuffer) {
    throw new TypeError(`fileSystem: modelTopology must be JSON, got an ArrayBuffer (${dir})`)
  }
  const { trainingConfig, signature, userDefinedMetadata } = rest
  const optional = { trainingConfig, signature, userDefinedMetadata }
  const model = {
    ...{ modelTopology, format, generatedBy, convertedBy },
    ...Object.fromEntries(Object.entries(optional).filter(([, value]) => value != null)),
    weightsManifest: [{ paths: [WEIGHTS], weights: weightSpecs }],
  }
  await makeModelFolder(dir)
  await writeFilesAtomic([
    [join(dir, WEIGHTS), new Uint8Array(tf.io.CompositeArrayBuffer.join(weightData))],
    [join(dir, MODEL), JSON.stringify(model)],
  ])
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
  const model = parseModel(join(dir, MODEL), await readModel(dir))
  return tf.io.getModelArtifactsForJSON(model, async groups => {
    const parts: Uint8Array[] = []
    for (const group of groups) parts.push(...(await readGroup(dir, group)))
    return [groups.flatMap(group => group.weights), joined(parts)]
  })
}

async function readModel(dir: string): Promise<string> {
  try {
    return await readFile(join(dir, MODEL), 'utf8')
  } catch (cause) {
    const found = await stat(dir).catch(() => undefined)
    const got = found?.isDirectory() ? `no readable ${MODEL}` : found ? 'a file' : 'no such folder'
    throw new Error(`fileSystem: ${dir} must be the folder of a saved model, got ${got}`, { cause })
  }
}

const BYTES = { float32: 4, int32: 4, bool: 1, complex64: 8, uint8: 1, uint16: 2, float16: 2 }

const weight = z.looseObject({
  name: z.string(),
  shape: z.array(z.int().min(0)),
  dtype: z.enum(['float32', 'int32', 'bool', 'complex64', 'string']),
  quantization: z.looseObject({ dtype: z.enum(['uint8', 'uint16', 'float16']) }).optional(),
})

const modelJson = z.looseObject({
  modelTopology: z.looseObject({}),
  weightsManifest: z
    .array(z.object({ paths: z.array(z.string()).min(1), weights: z.array(weight) }))
    .optional(),
})

function parseModel(path: string, text: string): tf.io.ModelJSON {
  let value: unknown
  try {
    value = JSON.parse(text)
  } catch (cause) {
    throw new Error(
      `fileSystem: ${path} must be JSON, got ${text.length} characters: ${(cause as Error).message}`,
      {
        cause,
      },
    )
  }
  const checked = modelJson.safeParse(value)
  if (checked.success) return value as tf.io.ModelJSON
  const [issue] = checked.error.issues
  throw new Error(
    `fileSystem: ${path} must describe a model, got: ${issue?.path.join('.') || 'the whole'}: ${issue?.message}`,
    {
      cause: checked.error,
    },
  )
}

/** Reads the files of one group of weights, once their lengths are known to fit. */
async function readGroup(dir: string, group: tf.io.WeightsManifestConfig[number]): Promise<Uint8Array[]> {
  const paths = group.paths.map(path => inside(dir, path))
  const sizes = await Promise.all(paths.map(async path => (await reading(path, () => stat(path))).size))
  const found = sizes.reduce((sum, size) => sum + size, 0)
  const expected = expectedBytes(group.weights)
  if (expected !== undefined && found !== expected) {
    throw new Error(
      `fileSystem: ${paths.join(', ')} must hold ${expected} bytes, got ${found} (${group.weights.length} weights in ${MODEL})`,
    )
  }
  return Promise.all(paths.map(path => reading(path, () => readFile(path))))
}

function inside(dir: string, path: string): string {
  if (isAbsolute(path) || normalize(path).startsWith('..')) {
    throw new Error(
      `fileSystem: a weights file must lie in the model's folder, got ${path} (${join(dir, MODEL)})`,
    )
  }
  return join(dir, path)
}

/** Undefined where strings are among the weights: their length is not in the manifest. */
function expectedBytes(weights: tf.io.WeightsManifestEntry[]): number | undefined {
  let bytes = 0
  for (const { shape, dtype, quantization } of weights) {
    if (dtype === 'string') return undefined
    const each = BYTES[quantization ? quantization.dtype : dtype]
    bytes += shape.reduce((product, side) => product * side, each)
  }
  return bytes
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

import type { Dataset, Group, File as HdfFile } from 'h5wasm'
import { widenBfloat16, widenFloat16 } from '../../data/formats/narrow-floats.js'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { shapeSize } from '../../shapes.js'
import { inNetworkOrder, isContainer } from './keras-order.js'
import type { StoredLayer } from './stored-layers.js'

/** What a Keras file holds. */
export interface KerasContent {
  readonly layers: readonly StoredLayer[]
  /** Configuration of the network; undefined where the file holds weights only. */
  readonly config?: unknown
}

/**
 * How a Keras file is read. HDF5 reads synchronously, and a damaged file may keep it busy for minutes; where threads are
 * available, the file is read in one that can be terminated.
 */
export type KerasReading = (bytes: Uint8Array, source: string, config?: unknown) => Promise<KerasContent>

/**
 * Reads a Keras file: its layers, as {@link readKerasLayers}, and the configuration of its network where it holds one.
 *
 * @throws as `readKerasLayers` and `readKerasConfig`
 */
export const readKerasFile: KerasReading = (bytes, source, config) =>
  readHdf5(bytes, source, file => {
    const storedConfig = configOf(file, source)
    const layers = inNetworkOrder(layersOf(file, source), config ?? storedConfig)
    return { layers, ...(storedConfig !== undefined && { config: storedConfig }) }
  })

/**
 * Reads the layers with weights of a Keras file: a whole model or its weights in `.h5` (Keras 2 and 3), or `.weights.h5`
 * of Keras 3. State that is no weight, such as an optimizer's or a random seed, is left out; float16 and bfloat16 are widened.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @param config of the network, for its order and names, where another file has it, such as `config.json` of `.keras`
 * @returns layers with their tensors in Keras's order; in the order of the network where its configuration is known, else
 *   at least those of one class and one model are
 * @throws Error naming the file where it is no HDF5 file, is damaged, or holds no layers; naming the tensor where its
 *   numbers are not floats
 */
export async function readKerasLayers(
  bytes: Uint8Array,
  source: string,
  config?: unknown,
): Promise<StoredLayer[]> {
  return readHdf5(bytes, source, file => {
    const layers = layersOf(file, source)
    return inNetworkOrder(layers, config ?? configOf(file, source))
  })
}

/**
 * The configuration of the network that a Keras file (`.h5`) holds besides its weights.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @returns JSON of the model; undefined where the file holds weights only
 * @throws Error naming the file where it is no HDF5 file, is damaged, or the configuration is not JSON
 */
export async function readKerasConfig(bytes: Uint8Array, source: string): Promise<unknown> {
  return readHdf5(bytes, source, file => configOf(file, source))
}

function configOf(file: HdfFile, source: string): unknown {
  const text = file.attrs.model_config?.value
  if (text === undefined) return undefined
  try {
    return JSON.parse(String(text))
  } catch (cause) {
    throw unmetRequirement('model_config must be JSON', `${(cause as Error).message}`, source)
  }
}

async function readHdf5<T>(bytes: Uint8Array, source: string, use: (file: HdfFile) => T): Promise<T> {
  checkSignature(bytes, source)
  const hdf = await import('h5wasm')
  const module = await hdf.ready
  // Otherwise HDF5 only reports damage on the error stream and continues to read.
  module.activate_throwing_error_handler()
  const path = `keras-${count++}.h5`
  module.FS.writeFile(path, bytes)
  try {
    const file = new hdf.File(path, 'r')
    fileLengths.set(file.file_id, bytes.length)
    try {
      return use(file)
    } finally {
      fileLengths.delete(file.file_id)
      file.close()
    }
  } catch (error) {
    if (error instanceof KerasFileError) throw new Error(error.message)
    throw new Error(`${source}: file must be an HDF5 file in good order, got: ${reasonOf(error as Error)}`, {
      cause: error,
    })
  } finally {
    module.FS.unlink(path)
  }
}

let count = 0

/** Reports a fault of a file that HDF5 itself reads without an error. */
class KerasFileError extends Error {}

const SIGNATURE = [0x89, 0x48, 0x44, 0x46]

function checkSignature(bytes: Uint8Array, source: string): void {
  if (SIGNATURE.every((byte, i) => bytes[i] === byte)) return
  const zip = bytes[0] === 0x50 && bytes[1] === 0x4b
  throw new Error(
    `${source}: file must start with the signature of HDF5, got ` +
      (zip ? 'a zip archive (of a .keras file, unpack model.weights.h5)' : firstBytes(bytes)),
  )
}

function firstBytes(bytes: Uint8Array): string {
  if (bytes.length === 0) return 'an empty file'
  return [...bytes.subarray(0, 4)].map(byte => byte.toString(16).padStart(2, '0')).join(' ')
}

/** The innermost of the messages that HDF5 stacks up. */
function reasonOf({ message }: Error): string {
  const reasons = [...message.matchAll(/#\d+:.* in \w+\(\): (.*)/g)]
  return reasons.at(-1)?.[1] ?? message
}

function layersOf(file: HdfFile, source: string): StoredLayer[] {
  const root = file.keys().includes('model_weights') ? (file.get('model_weights') as Group) : file
  const layers = isListed(root) ? listedLayers(root, source) : numberedLayers(file, source)
  const withWeights = layers.filter(({ tensors }) => tensors.length > 0)
  if (withWeights.length > 0) return withWeights
  throw new KerasFileError(
    `${source}: file must hold the weights of a Keras model, got groups ${file.keys().join(', ') || 'none'}`,
  )
}

function isListed(group: Group): boolean {
  return 'layer_names' in group.attrs || 'layer_names0' in group.attrs
}

/** Reads the layout that lists its layers, and the weights of each layer, in attributes. */
function listedLayers(group: Group, source: string): StoredLayer[] {
  return namesIn(group, 'layer_names').map(name => {
    const layer = group.get(name)
    if (!layer || !('keys' in layer)) {
      throw unmetRequirement(`layer ${JSON.stringify(name)} must be a group of the file`, 'none', source)
    }
    const weights = namesIn(layer as Group, 'weight_names')
    const tensors = weights.map(weight =>
      tensorOf((layer as Group).get(weight) as Dataset | null, `${name}/${weight}`, source),
    )
    const parts = partsOf(name, weights, tensors)
    const isNested = parts.some(part => part.ownName !== name)
    return { name, ownName: name, tensors, ...(isNested && { parts }) }
  })
}

function unmetRequirement(requirement: string, got: string, source: string): KerasFileError {
  return new KerasFileError(`${source}: ${requirement}, got ${got}`)
}

/**
 * The layers of a nested model. Its group lists their weights together, `conv/kernel:0`: those that can be trained first,
 * then the others, such as moving averages and those of frozen layers.
 */
function partsOf(model: string, weights: readonly string[], tensors: readonly StoredTensor[]): StoredLayer[] {
  const parts = new Map<string, StoredTensor[]>()
  weights.forEach((weight, i) => {
    const path = weight.split('/').slice(0, -1).join('/')
    parts.set(path, [...(parts.get(path) ?? []), tensors[i] as StoredTensor])
  })
  return [...parts].map(([path, partTensors]) => ({
    name: `${model}/${path}`,
    ownName: path.split('/').at(-1) as string,
    models: [model],
    tensors: partTensors,
  }))
}

/** Reads an attribute that is a list of texts; a long list is split into several attributes, numbered from 0. */
function namesIn(group: Group, attribute: string): string[] {
  const { attrs } = group
  // For the list of a layer without weights, h5wasm returns no value.
  const texts = (name: string) => [attrs[name]?.value ?? []].flat().map(String).filter(Boolean)
  if (attribute in attrs) return texts(attribute)
  const names: string[] = []
  for (let part = 0; `${attribute}${part}` in attrs; part++) names.push(...texts(`${attribute}${part}`))
  return names
}

const DEEPEST = 32

/** Reads the layout in which layers hold numbered weights in a group `vars`, and nested models are groups of layers. */
function numberedLayers(file: HdfFile, source: string): StoredLayer[] {
  const layers: StoredLayer[] = []
  const search = (group: Group, path: readonly string[], models: readonly string[]): void => {
    // A group of a damaged file may contain itself.
    if (path.length > DEEPEST) {
      const at = path.join('/').slice(0, 80)
      throw unmetRequirement(`groups must be nested at most ${DEEPEST} deep`, `more at ${at}`, source)
    }
    const storedName = ownName(group)
    // Groups such as `layers` hold the layers of a model and are not models themselves.
    const innerModels =
      path.length === 0 || isContainer(path.at(-1) as string)
        ? models
        : [...models, storedName ?? (path.at(-1) as string)]
    for (const key of [...group.keys()].sort(byNumber)) {
      if (path.length === 0 && key === 'optimizer') continue
      if (key === 'seed_generator') continue
      const child = group.get(key)
      if (!child || !('keys' in child)) continue
      const inner = child as Group
      if (key !== 'vars') search(inner, [...path, key], innerModels)
      else {
        const name = path.join('/')
        layers.push({
          name,
          tensors: numberedTensors(inner, name, source),
          models,
          ...(storedName && { ownName: storedName }),
        })
      }
    }
  }
  search(file, [], [])
  return layers
}

/** The name that a layer or a nested model has in its network, which newer files store. */
function ownName(group: Group): string | undefined {
  const vars = group.keys().includes('vars') ? group.get('vars') : undefined
  const name = vars && 'attrs' in vars ? vars.attrs.name?.value : undefined
  return typeof name === 'string' && name !== '' ? name : undefined
}

function numberedTensors(vars: Group, path: string, source: string): StoredTensor[] {
  const keys = [...vars.keys()].sort(byNumber)
  return keys.map(key => tensorOf(vars.get(key) as Dataset, `${path}/vars/${key}`, source))
}

/** `conv2d` before `conv2d_2` before `conv2d_10`. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function tensorOf(dataset: Dataset | null, name: string, source: string): StoredTensor {
  if (!dataset || !('shape' in dataset))
    throw unmetRequirement(`tensor "${name}" must be in the file`, 'none', source)
  const { metadata, dtype } = dataset
  const shape = metadata.shape ?? []
  checkClaimedSize(dataset, shape, name, source)
  if (dtype === '<e' || dtype === '>e') return { dtype: 'F32', shape, data: widenFloat16(halvesOf(dataset)) }
  const { value } = dataset
  if (metadata.type === opaque && metadata.size === 2) {
    return { dtype: 'F32', shape, data: widenBfloat16(new Uint16Array((value as Uint8Array).slice().buffer)) }
  }
  if (value instanceof Float32Array) return { dtype: 'F32', shape, data: value }
  if (value instanceof Float64Array) return { dtype: 'F64', shape, data: value }
  throw new KerasFileError(`${source}: tensor "${name}" must hold floats, got ${JSON.stringify(dtype)}`)
}

/** Deflate makes data at most 1,032 times as small. */
const MOST_COMPRESSED = 1032

/** A damaged file may claim more numbers than it can hold, and reading them would exhaust the memory. */
function checkClaimedSize(dataset: Dataset, shape: readonly number[], name: string, source: string): void {
  const { metadata, file_id } = dataset
  const fileBytes = fileLengths.get(file_id)
  if (fileBytes === undefined) return
  const claimedBytes = metadata.size * shapeSize(shape)
  const maxBytes = metadata.chunks ? MOST_COMPRESSED * fileBytes : fileBytes
  if (claimedBytes <= maxBytes) return
  throw new KerasFileError(
    `${source}: tensor "${name}" must be at most ${maxBytes} bytes, as the file is ${fileBytes}, got ${claimedBytes} of [${shape.join(', ')}]`,
  )
}

/** Lengths of the open files in bytes, by HDF5's file ids. */
const fileLengths = new Map<bigint, number>()

/** HDF5's type of uninterpreted bytes, as which Keras stores bfloat16 numbers. */
const opaque = 5

/** The bits of float16 numbers. h5wasm cannot read these, so they are declared unsigned integers first. */
function halvesOf(dataset: Dataset): Uint16Array {
  Object.assign(dataset.metadata, { type: 0, signed: false })
  return dataset.value as Uint16Array
}

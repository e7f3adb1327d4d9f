import type * as tfl from '@tensorflow/tfjs-layers'
import type { Dataset, Group, File as HdfFile } from 'h5wasm'
import type { StoredTensor } from '../data/safetensors.js'
import { matchLayers, type StoredLayer } from './stored-layers.js'
import { loadWeights } from './weights.js'

/**
 * Gives a model the weights of a Keras file (`.h5`, `.weights.h5`), all of them or none. Layers are matched in order by
 * the shapes of their weights, whatever their names: a network of the published code goes into `wideResNet`, dense or
 * of the variant 'authors'.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @returns how many layers were read
 * @throws Error when the file is damaged or not Keras's; RangeError naming the layer and both shapes where one is left
 *   over on either side; the model is then as before
 */
export async function loadKerasWeights(
  model: tfl.LayersModel,
  bytes: Uint8Array,
  source: string,
): Promise<number> {
  const layers = await readKerasLayers(bytes, source)
  loadWeights(model, matchLayers(model, layers, source), source)
  return layers.length
}

/**
 * Reads the layers with weights of a Keras file: a whole model or its weights in `.h5` (Keras 2 and 3), or `.weights.h5`
 * of Keras 3. State that is no weight, such as an optimizer's or a random seed, is left out.
 *
 * @param bytes the whole file
 * @param source its name, for errors
 * @returns layers with their tensors in Keras's order; layers of one class in the order of the model
 * @throws Error naming the file where it is no HDF5 file, is damaged, or holds no layers; naming the tensor where its
 *   numbers are not floats
 */
export async function readKerasLayers(bytes: Uint8Array, source: string): Promise<StoredLayer[]> {
  refuseOthers(bytes, source)
  const hdf = await import('h5wasm')
  const module = await hdf.ready
  // Otherwise damage is told on the error stream, and reading goes on.
  module.activate_throwing_error_handler()
  const path = `keras-${count++}.h5`
  module.FS.writeFile(path, bytes)
  try {
    const file = new hdf.File(path, 'r')
    try {
      return layersOf(file, source)
    } finally {
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

/** Says what is wrong with a file that HDF5 itself finds in order. */
class KerasFileError extends Error {}

const SIGNATURE = [0x89, 0x48, 0x44, 0x46]

function refuseOthers(bytes: Uint8Array, source: string): void {
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
  const whole = file.keys().includes('model_weights') ? (file.get('model_weights') as Group) : file
  const layers = isListed(whole) ? listedLayers(whole, source) : numberedLayers(file, source)
  const withWeights = layers.filter(({ tensors }) => tensors.length > 0)
  if (withWeights.length > 0) return withWeights
  throw new KerasFileError(
    `${source}: file must hold the weights of a Keras model, got groups ${file.keys().join(', ') || 'none'}`,
  )
}

function isListed(group: Group): boolean {
  return 'layer_names' in group.attrs || 'layer_names0' in group.attrs
}

/** The form that lists its layers, and in each its weights, in attributes. */
function listedLayers(group: Group, source: string): StoredLayer[] {
  return namesIn(group, 'layer_names').map(name => {
    const layer = group.get(name) as Group
    const tensors = namesIn(layer, 'weight_names').map(weight =>
      tensorOf(layer.get(weight) as Dataset, `${name}/${weight}`, source),
    )
    return { name, tensors }
  })
}

/** A list of texts; long ones are cut into attributes with numbers. */
function namesIn(group: Group, attribute: string): string[] {
  const { attrs } = group
  // A layer without weights has a list that reads as nothing.
  const texts = (name: string) => [attrs[name]?.value ?? []].flat().map(String).filter(Boolean)
  if (attribute in attrs) return texts(attribute)
  const names: string[] = []
  for (let part = 0; `${attribute}${part}` in attrs; part++) names.push(...texts(`${attribute}${part}`))
  return names
}

/** The form whose layers hold their weights by number, in a group `vars`. */
function numberedLayers(file: HdfFile, source: string): StoredLayer[] {
  const layers: StoredLayer[] = []
  const search = (group: Group, path: string): void => {
    for (const key of [...group.keys()].sort(byNumber)) {
      if (path === '' && key === 'optimizer') continue
      if (key === 'seed_generator') continue
      const child = group.get(key)
      if (!child || !('keys' in child)) continue
      const inner = child as Group
      if (key !== 'vars') search(inner, path === '' ? key : `${path}/${key}`)
      else layers.push({ name: path, tensors: numberedTensors(inner, path, source) })
    }
  }
  search(file, '')
  return layers
}

function numberedTensors(vars: Group, path: string, source: string): StoredTensor[] {
  const keys = [...vars.keys()].sort(byNumber)
  return keys.map(key => tensorOf(vars.get(key) as Dataset, `${path}/vars/${key}`, source))
}

/** `conv2d` before `conv2d_2` before `conv2d_10`. */
function byNumber(a: string, b: string): number {
  return a.localeCompare(b, 'en', { numeric: true })
}

function tensorOf(dataset: Dataset, name: string, source: string): StoredTensor {
  const { value, shape, dtype } = dataset
  const sides = shape ?? []
  if (value instanceof Float32Array) return { dtype: 'F32', shape: sides, data: value }
  if (value instanceof Float64Array) return { dtype: 'F64', shape: sides, data: value }
  throw new KerasFileError(`${source}: tensor "${name}" must hold floats, got ${JSON.stringify(dtype)}`)
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { foreignPrefix, withoutPrefix } from './name-prefix.js'

/** A weight of a model, its name, and the layers that it is in. */
export interface NamedWeight {
  /** Names of the models that its layer is nested in, of the layer, and of the weight: `backbone/conv1/kernel`. */
  readonly name: string
  readonly variable: tfl.LayerVariable
  /** The layer that has it. */
  readonly layer: tfl.layers.Layer
  /** Names of the models that the layer is nested in, from the outermost; not the model itself. */
  readonly models: readonly string[]
}

/**
 * Every weight of a model with a name that is the same whenever a model of this configuration is built, in the order of
 * its layers; shared layers come once.
 */
export function namedWeights(model: tfl.LayersModel): NamedWeight[] {
  const weights: NamedWeight[] = []
  const seen = new Set<tfl.layers.Layer>()
  const collect = (inner: tfl.LayersModel, models: readonly string[]): void => {
    for (const layer of inner.layers) {
      if (layer instanceof tfl.LayersModel) collect(layer, [...models, layer.name])
      else if (!seen.has(layer)) weights.push(...weightsOf(layer, models))
      seen.add(layer)
    }
  }
  collect(model, [])
  return weights
}

/** The end of a weight's name, without its layer: `kernel`. */
export function nameInLayer(weight: tfl.LayerVariable): string {
  return weight.originalName.split('/').at(-1) as string
}

function weightsOf(layer: tfl.layers.Layer, models: readonly string[]): NamedWeight[] {
  const names = layer.weights.map(nameInLayer)
  return layer.weights.map((variable, i) => {
    // Layers made of layers, such as wrappers, have several weights of one short name.
    const isUnique = names.indexOf(names[i] as string) === names.lastIndexOf(names[i] as string)
    const weightName = isUnique ? names[i] : variable.originalName
    return { name: [...models, layer.name, weightName].join('/'), variable, layer, models }
  })
}

/**
 * Reads the weights of a model, for `writeSafetensors`.
 *
 * @returns float32 or int32 tensors by name, in the order of the layers
 */
export function modelWeights(model: tfl.LayersModel): Promise<Map<string, StoredTensor>> {
  return storedWeights(namedWeights(model))
}

/** Copies some weights of a model into tensors, as {@link modelWeights} does with all. */
export async function storedWeights(weights: readonly NamedWeight[]): Promise<Map<string, StoredTensor>> {
  const entries = weights.map(async ({ name, variable }): Promise<[string, StoredTensor]> => {
    const tensor = variable.read()
    const { shape } = tensor
    const values = await tensor.data()
    return values instanceof Int32Array
      ? [name, { dtype: 'I32', shape, data: values.slice() }]
      : [name, { dtype: 'F32', shape, data: Float32Array.from(values) }]
  })
  return new Map(await Promise.all(entries))
}

/**
 * Gives a model the weights that `modelWeights` read from a model of the same configuration; all of them or none.
 *
 * @param tensors by layer and weight name, all of which may begin with a prefix such as `module.`; float64 is rounded to
 *   float32
 * @param source name of the file, for errors
 * @throws RangeError naming the tensor and both shapes where one does not fit, and the names where tensors are missing or
 *   belong to no weight; the model is then unchanged
 */
export function loadWeights(
  model: tfl.LayersModel,
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): void {
  const weights = namedWeights(model)
  const unprefixed = withoutWrapperPrefix(weights, tensors)
  checkNames(weights, unprefixed, source)
  for (const { name, variable } of weights)
    checkShape(name, variable, unprefixed.get(name) as StoredTensor, source)
  for (const { name, variable } of weights) write(variable, unprefixed.get(name) as StoredTensor)
}

/** Removes the prefix that a wrapper put before the names: `module.` of `module.conv/kernel`. */
function withoutWrapperPrefix(
  weights: readonly NamedWeight[],
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  const modelNames = new Set(weights.map(({ name }) => name))
  const prefix = foreignPrefix([...tensors.keys()], name => modelNames.has(name))
  return new Map([...tensors].map(([name, tensor]) => [withoutPrefix(name, prefix), tensor]))
}

function checkNames(
  weights: readonly NamedWeight[],
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): void {
  const modelNames = new Set(weights.map(({ name }) => name))
  const missing = [...modelNames].filter(name => !tensors.has(name))
  const surplus = [...tensors.keys()].filter(name => !modelNames.has(name))
  if (missing.length === 0 && surplus.length === 0) return
  throw new RangeError(
    `${source}: tensors must be the model's ${modelNames.size} weights, got ${tensors.size}` +
      `${listed(' without', missing)}${listed(' with unknown', surplus)}`,
  )
}

function listed(word: string, names: readonly string[]): string {
  if (names.length === 0) return ''
  const shown = names.slice(0, 5).map(name => `"${name}"`)
  return `${word} ${shown.join(', ')}${names.length > 5 ? ` and ${names.length - 5} more` : ''}`
}

function checkShape(
  name: string,
  variable: tfl.LayerVariable,
  { shape }: StoredTensor,
  source: string,
): void {
  const expected = variable.shape
  if (expected.length === shape.length && expected.every((side, axis) => side === shape[axis])) return
  throw new RangeError(
    `${source}: tensor "${name}" must have the shape [${expected.join(', ')}], got [${shape.join(', ')}]`,
  )
}

function write(variable: tfl.LayerVariable, { shape, data }: StoredTensor): void {
  tf.tidy(() => {
    const values = data instanceof Float32Array ? data.slice() : Float32Array.from(data, Number)
    variable.write(tf.tensor(values, [...shape], variable.dtype))
  })
}

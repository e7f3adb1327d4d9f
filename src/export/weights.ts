import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../data/safetensors.js'

/** A weight of a model with its place in it. */
export interface NamedWeight {
  /** Layer, after those of the models it is nested in, and weight: `backbone/conv1/kernel`. */
  readonly name: string
  readonly variable: tfl.LayerVariable
  /** The layer that has it. */
  readonly layer: tfl.layers.Layer
}

/**
 * Every weight of a model with a name that is the same whenever a model of this configuration is built, in the order of
 * its layers; shared layers come once.
 */
export function namedWeights(model: tfl.LayersModel): NamedWeight[] {
  const found: NamedWeight[] = []
  const seen = new Set<tfl.layers.Layer>()
  const collect = (inner: tfl.LayersModel, prefix: string): void => {
    for (const layer of inner.layers) {
      if (layer instanceof tfl.LayersModel) collect(layer, `${prefix}${layer.name}/`)
      else if (!seen.has(layer)) found.push(...weightsOf(layer, prefix))
      seen.add(layer)
    }
  }
  collect(model, '')
  return found
}

/** The end of a weight's name, without its layer: `kernel`. */
export function nameInLayer(weight: tfl.LayerVariable): string {
  return weight.originalName.split('/').at(-1) as string
}

function weightsOf(layer: tfl.layers.Layer, prefix: string): NamedWeight[] {
  const names = layer.weights.map(nameInLayer)
  return layer.weights.map((variable, i) => {
    // Layers made of layers, such as wrappers, have several weights of one short name.
    const isUnique = names.indexOf(names[i] as string) === names.lastIndexOf(names[i] as string)
    const own = isUnique ? names[i] : variable.originalName
    return { name: `${prefix}${layer.name}/${own}`, variable, layer }
  })
}

/**
 * Reads the weights of a model, for `writeSafetensors`.
 *
 * @returns float32 or int32 tensors by name, in the order of the layers
 */
export async function modelWeights(model: tfl.LayersModel): Promise<Map<string, StoredTensor>> {
  const entries = namedWeights(model).map(async ({ name, variable }): Promise<[string, StoredTensor]> => {
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
 * Gives a model the weights that `modelWeights` read of one of the same configuration; all of them or none.
 *
 * @param tensors by layer and weight name; float64 is rounded to float32
 * @param source name of the file, for errors
 * @throws RangeError naming the tensor and both shapes where one does not fit, and the names where tensors are missing or
 *   nobody's; the model is then as before
 */
export function loadWeights(
  model: tfl.LayersModel,
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): void {
  const weights = namedWeights(model)
  checkNames(weights, tensors, source)
  for (const { name, variable } of weights)
    checkShape(name, variable, tensors.get(name) as StoredTensor, source)
  for (const { name, variable } of weights) write(variable, tensors.get(name) as StoredTensor)
}

function checkNames(
  weights: readonly NamedWeight[],
  tensors: ReadonlyMap<string, StoredTensor>,
  source: string,
): void {
  const wanted = new Set(weights.map(({ name }) => name))
  const missing = [...wanted].filter(name => !tensors.has(name))
  const surplus = [...tensors.keys()].filter(name => !wanted.has(name))
  if (missing.length === 0 && surplus.length === 0) return
  throw new RangeError(
    `${source}: tensors must be the model's ${wanted.size} weights, got ${tensors.size}` +
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
  const wanted = variable.shape
  if (wanted.length === shape.length && wanted.every((side, axis) => side === shape[axis])) return
  throw new RangeError(
    `${source}: tensor "${name}" must have the shape [${wanted.join(', ')}], got [${shape.join(', ')}]`,
  )
}

function write(variable: tfl.LayerVariable, { shape, data }: StoredTensor): void {
  tf.tidy(() => {
    const values = data instanceof Float32Array ? data.slice() : Float32Array.from(data, Number)
    variable.write(tf.tensor(values, [...shape], variable.dtype))
  })
}

import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../data/safetensors.js'
import { type NamedWeight, namedWeights } from './weights.js'

/** A layer as a file of another framework holds it: its tensors, in that framework's order. */
export interface StoredLayer {
  /** Its name or path in the file. */
  readonly name: string
  readonly tensors: readonly StoredTensor[]
}

/**
 * Finds for each weight of a model its tensor in a file whose layers have other names: layers are taken in order, each
 * layer of the model the next one in the file whose tensors have exactly the shapes of its weights.
 *
 * A convolution, a BatchNorm, a dense layer, and a router differ in their shapes, and so do a shortcut and the
 * convolutions beside it; those that are alike come in the order of computation in both.
 *
 * @param layers of the file, those of one shape in the order of computation
 * @param source name of the file, for errors
 * @returns tensors by layer and weight name, for `loadWeights`
 * @throws RangeError naming the layer, its shapes and what the file has instead where one is left over on either side
 */
export function matchLayers(
  model: tfl.LayersModel,
  layers: readonly StoredLayer[],
  source: string,
): Map<string, StoredTensor> {
  const left = new Set(layers)
  const matched = new Map<string, StoredTensor>()
  for (const weights of weightsByLayer(model)) {
    const key = shapesOf(weights.map(({ variable }) => variable.shape))
    const found = [...left].find(({ tensors }) => shapesOf(tensors.map(({ shape }) => shape)) === key)
    if (!found) throw missing(weights, key, left, source)
    left.delete(found)
    weights.forEach(({ name }, i) => {
      matched.set(name, found.tensors[i] as StoredTensor)
    })
  }
  const [surplus] = left
  if (surplus) {
    throw new RangeError(
      `${source}: layers must be those of ${model.name}, got ${left.size} more, the first "${surplus.name}" of ` +
        shapesOf(surplus.tensors.map(({ shape }) => shape)),
    )
  }
  return matched
}

function weightsByLayer(model: tfl.LayersModel): NamedWeight[][] {
  const layers = new Map<tfl.layers.Layer, NamedWeight[]>()
  for (const weight of namedWeights(model)) {
    const own = layers.get(weight.layer)
    if (own) own.push(weight)
    else layers.set(weight.layer, [weight])
  }
  return [...layers.values()]
}

function shapesOf(shapes: readonly (readonly (number | null)[])[]): string {
  return shapes.map(shape => `[${shape.join(', ')}]`).join(' ')
}

/** What was wanted, and the layer of the file that is most like it. */
function missing(
  weights: readonly NamedWeight[],
  key: string,
  left: ReadonlySet<StoredLayer>,
  source: string,
): RangeError {
  const rank = weights[0]?.variable.shape.length
  const like = [...left].find(
    ({ tensors }) => tensors.length === weights.length && tensors[0]?.shape.length === rank,
  )
  const got = like
    ? `"${like.name}" of ${shapesOf(like.tensors.map(({ shape }) => shape))}`
    : `no layer like it among the ${left.size} left`
  const name = weights[0]?.name.split('/').slice(0, -1).join('/')
  return new RangeError(`${source}: layer "${name}" must find weights of ${key}, got ${got}`)
}

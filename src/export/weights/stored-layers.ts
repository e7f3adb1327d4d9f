import type * as tfl from '@tensorflow/tfjs-layers'
import type { StoredTensor } from '../../data/formats/safetensors.js'
import { type NamedWeight, namedWeights } from './weights.js'

/** A layer as a file of another framework holds it: its tensors, in that framework's order. */
export interface StoredLayer {
  /** Its name or path in the file. */
  readonly name: string
  readonly tensors: readonly StoredTensor[]
  /** Its name in its network, where the file stores it. */
  readonly ownName?: string
  /** The models that it is nested in, from the outermost, as the file calls them. */
  readonly models?: readonly string[]
  /** For a group that may be a nested model: the layers to which its tensors belong by their names. */
  readonly parts?: readonly StoredLayer[]
}

/** The weights of one layer of the model that receives those of a file. */
interface LayerWeights {
  /** Its name, after those of the models that it is nested in: `backbone/conv1`. */
  readonly path: string
  readonly ownName: string
  readonly models: readonly string[]
  readonly weights: readonly NamedWeight[]
  readonly shapes: string
}

type Match = ReadonlyMap<LayerWeights, StoredLayer>

/**
 * Finds for each weight of a model its tensor in a file. Layers are matched by name where names and shapes are the same
 * on both sides; else by nesting, where each nested model of the model has a counterpart in the file; else in order: each
 * layer of the model gets the next one in the file whose tensors have exactly the shapes of its weights.
 *
 * A convolution, a BatchNorm, a dense layer, and a router differ in their shapes, and so do a shortcut and the
 * convolutions beside it; layers of the same shapes come in the order of computation on both sides.
 *
 * @param layers of the file, those of one shape in the order of computation
 * @param source name of the file, for errors
 * @returns tensors by layer and weight name, for `loadWeights`
 * @throws RangeError naming the layer, its shapes and what the file has instead where a layer of one side has no
 *   counterpart on the other
 */
export function matchLayers(
  model: tfl.LayersModel,
  layers: readonly StoredLayer[],
  source: string,
): Map<string, StoredTensor> {
  const modelLayers = layersOf(model)
  const stored = withNestedLayers(layers, modelLayers)
  const match =
    byName(modelLayers, stored) ??
    byNesting(treeOf(modelLayers), treeOf(stored)) ??
    inOrder(modelLayers, stored, model.name, source)
  const tensors = new Map<string, StoredTensor>()
  for (const [{ weights }, layer] of match) {
    weights.forEach(({ name }, i) => {
      tensors.set(name, layer.tensors[i] as StoredTensor)
    })
  }
  return tensors
}

function layersOf(model: tfl.LayersModel): LayerWeights[] {
  const layers = new Map<tfl.layers.Layer, NamedWeight[]>()
  for (const weight of namedWeights(model)) {
    const layerWeights = layers.get(weight.layer)
    if (layerWeights) layerWeights.push(weight)
    else layers.set(weight.layer, [weight])
  }
  return [...layers].map(([layer, weights]) => {
    const models = weights[0]?.models ?? []
    const shapes = shapesOf(weights.map(({ variable }) => variable.shape))
    return { path: [...models, layer.name].join('/'), ownName: layer.name, models, weights, shapes }
  })
}

/**
 * Replaces each group that holds a nested model by the layers in it. A group with parts is one where the model has a
 * nested model of its name, or no layer of its shapes.
 */
function withNestedLayers(
  layers: readonly StoredLayer[],
  modelLayers: readonly LayerWeights[],
): StoredLayer[] {
  const models = new Set(modelLayers.map(layer => layer.models[0]))
  const shapes = new Set(modelLayers.map(layer => layer.shapes))
  return layers.flatMap(layer => {
    const isNested = models.has(layer.name) || !shapes.has(storedShapes(layer))
    return isNested && layer.parts ? layer.parts : [layer]
  })
}

function byName(modelLayers: readonly LayerWeights[], stored: readonly StoredLayer[]): Match | undefined {
  const outermost = ({ ownName, models }: { ownName?: string; models?: readonly string[] }) =>
    ownName && [...(models ?? []).slice(0, 1), ownName].join('/')
  return byKey(modelLayers, stored, layer => layer.ownName) ?? byKey(modelLayers, stored, outermost)
}

/** Undefined unless each layer has a key of its own, the keys of both sides are the same, and so are their shapes. */
function byKey(
  modelLayers: readonly LayerWeights[],
  stored: readonly StoredLayer[],
  keyOf: (layer: LayerWeights | StoredLayer) => string | undefined,
): Match | undefined {
  const byStoredKey = new Map(stored.map(layer => [keyOf(layer), layer]))
  if (byStoredKey.size !== stored.length || stored.length !== modelLayers.length) return undefined
  const match = new Map<LayerWeights, StoredLayer>()
  for (const layer of modelLayers) {
    const key = keyOf(layer)
    const twin = byStoredKey.get(key)
    if (key === undefined || !twin || storedShapes(twin) !== layer.shapes) return undefined
    match.set(layer, twin)
    byStoredKey.delete(key)
  }
  return match
}

/** The layers of a model, and the models nested in it, both in order. */
interface Tree<Layer> {
  readonly layers: Layer[]
  readonly models: Map<string, Tree<Layer>>
}

function treeOf<Layer extends { readonly models?: readonly string[] }>(
  layers: readonly Layer[],
): Tree<Layer> {
  const root: Tree<Layer> = { layers: [], models: new Map() }
  for (const layer of layers) {
    let tree = root
    for (const name of layer.models ?? []) {
      const inner: Tree<Layer> = tree.models.get(name) ?? { layers: [], models: new Map() }
      tree.models.set(name, inner)
      tree = inner
    }
    tree.layers.push(layer)
  }
  return root
}

/** Undefined where the networks are not nested alike: then only the order of layers is known. */
function byNesting(modelTree: Tree<LayerWeights>, fileTree: Tree<StoredLayer>): Match | undefined {
  if (modelTree.layers.length !== fileTree.layers.length || modelTree.models.size !== fileTree.models.size)
    return
  const match = new Map<LayerWeights, StoredLayer>()
  const unmatched = new Set(fileTree.layers)
  for (const layer of modelTree.layers) {
    const twin = firstOfShapes(unmatched, layer.shapes)
    if (!twin) return undefined
    unmatched.delete(twin)
    match.set(layer, twin)
  }
  const models = new Set(fileTree.models.values())
  for (const model of modelTree.models.values()) {
    const twin = [...models]
      .map(other => ({ other, inner: byNesting(model, other) }))
      .find(({ inner }) => inner)
    if (!twin?.inner) return undefined
    models.delete(twin.other)
    for (const [layer, storedLayer] of twin.inner) match.set(layer, storedLayer)
  }
  return match
}

function inOrder(
  modelLayers: readonly LayerWeights[],
  stored: readonly StoredLayer[],
  model: string,
  source: string,
): Match {
  const unmatched = new Set(stored)
  const match = new Map<LayerWeights, StoredLayer>()
  for (const layer of modelLayers) {
    const twin = firstOfShapes(unmatched, layer.shapes)
    if (!twin) throw missing(layer, unmatched, source)
    unmatched.delete(twin)
    match.set(layer, twin)
  }
  const [surplus] = unmatched
  if (surplus) {
    throw new RangeError(
      `${source}: layers must be those of ${model}, got ${unmatched.size} more, the first "${surplus.name}" of ` +
        storedShapes(surplus),
    )
  }
  return match
}

function firstOfShapes(layers: ReadonlySet<StoredLayer>, shapes: string): StoredLayer | undefined {
  for (const layer of layers) if (storedShapes(layer) === shapes) return layer
  return undefined
}

function storedShapes({ tensors }: StoredLayer): string {
  return shapesOf(tensors.map(({ shape }) => shape))
}

function shapesOf(shapes: readonly (readonly (number | null)[])[]): string {
  return shapes.map(shape => `[${shape.join(', ')}]`).join(' ')
}

/** The error for a layer without a counterpart; it names a layer of the file with as many tensors and of its rank. */
function missing(
  { path, weights, shapes }: LayerWeights,
  unmatched: ReadonlySet<StoredLayer>,
  source: string,
): RangeError {
  const rank = weights[0]?.variable.shape.length
  const similar = [...unmatched].find(
    ({ tensors }) => tensors.length === weights.length && tensors[0]?.shape.length === rank,
  )
  const got = similar
    ? `"${similar.name}" of ${storedShapes(similar)}`
    : `no layer like it among the ${unmatched.size} left`
  return new RangeError(`${source}: layer "${path}" must find weights of ${shapes}, got ${got}`)
}

import type * as tfl from '@tensorflow/tfjs-layers'

/** A layer and its place in a model. */
export interface PlacedLayer {
  /** The layer's name, after those of the models it is nested in: `backbone/conv1`. */
  readonly path: string
  readonly layer: tfl.layers.Layer
  /** The model that holds it directly. */
  readonly parent: tfl.LayersModel
  /** The layers that hold the networks it stands in, the outermost first; empty for a layer of the model's own graph. */
  readonly holders: readonly NetworkHolder[]
}

/** A layer that applies whole networks, such as experts, which the graph of its model does not show. */
export interface NetworkHolder extends tfl.layers.Layer {
  /** Its networks by their names, `expert_0`; none before the layer is built. */
  readonly networks: ReadonlyMap<string, tfl.LayersModel>
}

/**
 * Every layer of a model's graph with its place; a nested model is not listed itself, only the layers in it.
 *
 * A layer that two models share is listed at both places. Of a layer that holds networks, the layer alone is listed.
 *
 * @returns in the order of the models' layers
 */
export function placedLayers(model: tfl.LayersModel): readonly PlacedLayer[] {
  return placedWithin(model, '', [])
}

/**
 * As {@link placedLayers}, and after each layer that holds networks the layers in these: `sample_experts/expert_0/conv1`.
 * They see some of the samples only, and none of their tensors belongs to the model's graph.
 */
export function allPlacedLayers(model: tfl.LayersModel): readonly PlacedLayer[] {
  return placedLayers(model).flatMap(withHeldLayers)
}

function withHeldLayers(placed: PlacedLayer): PlacedLayer[] {
  const { layer, path, holders } = placed
  if (!isNetworkHolder(layer)) return [placed]
  const held = [...layer.networks].flatMap(([name, network]) =>
    placedWithin(network, `${path}/${name}/`, [...holders, layer]),
  )
  return [placed, ...held.flatMap(withHeldLayers)]
}

function placedWithin(
  model: tfl.LayersModel,
  prefix: string,
  holders: readonly NetworkHolder[],
): PlacedLayer[] {
  return model.layers.flatMap(layer =>
    isNestedModel(layer)
      ? placedWithin(layer, `${prefix}${layer.name}/`, holders)
      : [{ path: prefix + layer.name, layer, parent: model, holders }],
  )
}

/** Whether a layer is a model with layers of its own. */
export function isNestedModel(layer: tfl.layers.Layer): layer is tfl.LayersModel {
  return 'layers' in layer && Array.isArray(layer.layers)
}

/** Whether a layer applies networks that it holds. */
export function isNetworkHolder(layer: tfl.layers.Layer): layer is NetworkHolder {
  return 'networks' in layer && layer.networks instanceof Map
}

/**
 * Every layer of a model's graph, with the layers of the models inside it, each once, in the order of the model.
 *
 * @param model a model, or a layer that may be one
 */
export function layersWithin(model: tfl.layers.Layer): readonly tfl.layers.Layer[] {
  if (!isNestedModel(model)) return [model]
  return [...new Set(placedLayers(model).map(({ layer }) => layer))]
}

/** As {@link layersWithin}, with the layers of the networks that layers hold. */
export function allLayersWithin(model: tfl.LayersModel): readonly tfl.layers.Layer[] {
  return [...new Set(allPlacedLayers(model).map(({ layer }) => layer))]
}

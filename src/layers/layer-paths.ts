import type * as tfl from '@tensorflow/tfjs-layers'

/** A layer and its place in a model. */
export interface PlacedLayer {
  /** The layer's name, after those of the models it is nested in: `backbone/conv1`. */
  readonly path: string
  readonly layer: tfl.layers.Layer
  /** The model that holds it directly. */
  readonly parent: tfl.LayersModel
}

/**
 * Every layer of a model with its place; a nested model is not listed itself, only the layers in it.
 *
 * A layer that two models share is listed at both places.
 *
 * @returns in the order of the models' layers
 */
export function placedLayers(model: tfl.LayersModel): readonly PlacedLayer[] {
  return placedWithin(model, '')
}

function placedWithin(model: tfl.LayersModel, prefix: string): PlacedLayer[] {
  return model.layers.flatMap(layer =>
    isNestedModel(layer)
      ? placedWithin(layer, `${prefix}${layer.name}/`)
      : [{ path: prefix + layer.name, layer, parent: model }],
  )
}

/** Whether a layer is a model with layers of its own. */
export function isNestedModel(layer: tfl.layers.Layer): layer is tfl.LayersModel {
  return 'layers' in layer && Array.isArray(layer.layers)
}

/**
 * Every layer of a model, with the layers of the models inside it, each once, in the order of the model.
 *
 * @param model a model, or a layer that may be one
 */
export function layersWithin(model: tfl.layers.Layer): readonly tfl.layers.Layer[] {
  if (!isNestedModel(model)) return [model]
  return [...new Set(placedLayers(model).map(({ layer }) => layer))]
}

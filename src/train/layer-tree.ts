import type * as tf from '@tensorflow/tfjs'

/**
 * Every layer of a model, with the layers of the models inside it, each once, in the order of the model.
 *
 * @param model a model, or a layer that may be one
 */
export function layersWithin(model: tf.layers.Layer): readonly tf.layers.Layer[] {
  const found = new Set<tf.layers.Layer>()
  collect(model, found)
  return [...found]
}

function collect(layer: tf.layers.Layer, found: Set<tf.layers.Layer>): void {
  if (!isModel(layer)) {
    found.add(layer)
    return
  }
  for (const inner of layer.layers) collect(inner, found)
}

function isModel(layer: tf.layers.Layer): layer is tf.LayersModel {
  return 'layers' in layer && Array.isArray(layer.layers)
}

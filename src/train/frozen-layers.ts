import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { matchingLayers } from './layer-patterns.js'

/** Layers that are not trained until they are restored. */
export interface FrozenLayers {
  /** Gives the layers back the flags that they had. */
  restore(): void
}

/**
 * Freezes layers: their weights are not trained, and those that normalise keep their statistics and use them in
 * training as well, as in an evaluation. Layers whose `trainable` is false beforehand count as frozen, too.
 *
 * @param patterns names or paths of layers, with `*` and `?`
 * @throws RangeError when a pattern matches no layer with weights; nothing is frozen then
 */
export function freezeLayers(model: tfl.LayersModel, patterns: readonly string[]): FrozenLayers {
  const layers = new Set(
    patterns.flatMap(pattern => matchingLayers(model, pattern, 'train: freeze').map(({ layer }) => layer)),
  )
  for (const { layer, parent, holders } of allPlacedLayers(model)) {
    const isFrozen = !layer.trainable || (holders.length > 0 && !parent.trainable)
    if (isFrozen && followsStatistics(layer)) layers.add(layer)
  }
  const restores = [...layers].map(freeze)
  return {
    restore: () => {
      // A layer and one inside it may both be frozen: the flags that were noted last come back first.
      for (const restore of restores.reverse()) restore()
    },
  }
}

/** Whether a layer normalises by moving statistics, which training updates. */
export function followsStatistics(layer: tfl.layers.Layer): boolean {
  return (
    layer.weights.filter(({ originalName }) => /(^|\/)moving_(mean|variance)$/.test(originalName)).length >= 2
  )
}

function freeze(layer: tfl.layers.Layer): () => void {
  const { trainable } = layer
  const flags = layer.weights.map(weight => [weight, weight.trainable] as const)
  const normalises = followsStatistics(layer)
  layer.trainable = false
  // A method of this one layer overrides that of its class.
  if (normalises) {
    const { call } = layer
    layer.call = (inputs, kwargs) => call.call(layer, inputs, { ...kwargs, training: false })
  }
  return () => {
    layer.trainable = trainable
    for (const [weight, flag] of flags) weight.trainable = flag
    if (normalises) delete (layer as { call?: unknown }).call
  }
}

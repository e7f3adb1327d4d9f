import type * as tfl from '@tensorflow/tfjs-layers'
import { allPlacedLayers } from '../../layers/layer-paths.js'
import { followsStatistics } from '../moving-statistics.js'
import { type FreezeOptions, type FrozenPart, frozenPart } from './frozen-part.js'

/** Layers and weights that are not trained until they are restored. */
export interface FrozenLayers {
  readonly part: FrozenPart
  /** Layers that compute in training what they compute in an evaluation: they add no terms to the loss. */
  readonly evaluated: ReadonlySet<tfl.layers.Layer>
  /** Gives the layers and weights back the flags that they had. */
  restore(): void
}

/**
 * Freezes a part of a model: its weights are not trained, and layers that normalise keep their statistics and use them in training as
 * well, as in an evaluation, unless `frozenStatistics` lets them follow the batches. Layers whose `trainable` is false beforehand
 * count as frozen, too.
 *
 * @throws RangeError as `frozenPart`; nothing is frozen then
 */
export function freezeLayers(model: tfl.LayersModel, options: FreezeOptions): FrozenLayers {
  const part = frozenPart(model, options)
  const layers = new Set(part.layers)
  for (const { layer, parent } of allPlacedLayers(model)) {
    if (!(layer.trainable && parent.trainable) && followsStatistics(layer)) layers.add(layer)
  }
  const followed = options.frozenStatistics === 'followed'
  const evaluated = new Set(
    [...layers].filter(layer => (followsStatistics(layer) ? !followed : part.evaluated.has(layer))),
  )
  const restores = [
    ...[...part.weights].map(freezeWeight),
    ...[...layers].map(layer =>
      followed && followsStatistics(layer) ? freezeWeights(layer) : freezeLayer(layer, evaluated.has(layer)),
    ),
  ]
  return {
    part,
    evaluated,
    restore: () => {
      // A layer and one inside it may both be frozen: the flags that were noted last come back first.
      for (const restore of restores.reverse()) restore()
    },
  }
}

/** @param isEvaluated whether the layer computes in training what it computes in an evaluation */
function freezeLayer(layer: tfl.layers.Layer, isEvaluated: boolean): () => void {
  const { trainable } = layer
  const restoreWeights = freezeWeights(layer)
  layer.trainable = false
  // A method of this one layer overrides that of its class.
  if (isEvaluated) {
    const { call } = layer
    layer.call = (inputs, kwargs) => call.call(layer, inputs, { ...kwargs, training: false })
  }
  return () => {
    layer.trainable = trainable
    restoreWeights()
    if (isEvaluated) delete (layer as { call?: unknown }).call
  }
}

function freezeWeights({ weights }: tfl.layers.Layer): () => void {
  const restores = weights.map(freezeWeight)
  return () => {
    for (const restore of restores) restore()
  }
}

function freezeWeight(weight: tfl.LayerVariable): () => void {
  const { trainable } = weight
  weight.trainable = false
  return () => {
    weight.trainable = trainable
  }
}

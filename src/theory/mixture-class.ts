import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { PlacedLayer } from '../layers/layer-paths.js'
import type { Size2D } from '../shapes.js'
import type { ExpertNorms } from './expert-norms.js'
import type { LinearRouter } from './moe-bound.js'
import type { PmoeTheoryOptions } from './pmoe-theory.js'
import type { LayerNorms } from './spectral-complexity.js'

/** What the inputs of a mixture tell, besides its weights: a batch's, or those of many batches joined. */
export interface InputStatistics {
  /** Inputs. */
  readonly items: number
  /** The sum of the squares of all their numbers. */
  readonly squares: number
  /** The largest slope of the experts' activation met on them; 1 for activations that are 1-Lipschitz. */
  readonly slope: number
  /** The largest weight that gates give one input's experts together, as the mixture's kind defines it. */
  readonly gates: number
}

/** The network of one expert, by norms that hold for every expert of its mixture. */
export interface ExpertNetwork {
  /** ||X||_F over the inputs, with a 1 for every bias. */
  readonly dataNorm: number
  readonly layers: readonly LayerNorms[]
  /** What gates multiply outputs by at most, at least 1. */
  readonly gateFactor: number
}

/** A mixture as the generalisation bound reads it. */
export interface MixtureClass {
  /** The layer's name, after those of the models it is nested in. */
  readonly path: string
  readonly className: string
  /** The layer; several where every expert has a gate of its own. */
  readonly layers: readonly tfl.layers.Layer[]
  /** Whether items choose experts, of which the theorem is, or experts choose patches, of which it is not. */
  readonly chooses: 'items' | 'patches'
  /** T. */
  readonly experts: number
  /** k; for mixtures outside of the theorem all T. */
  readonly active: number
  /** The router; undefined where there is nothing to choose, with one expert. */
  readonly router?: LinearRouter
  /** The norms of each expert; empty where an expert is no single kernel. */
  readonly norms: readonly ExpertNorms[]
  /** What experts are called, where that is not their number. */
  readonly expertNames?: readonly string[]
  /** Whether it reads what other layers make of the model's input. */
  readonly readsFeatures: boolean
  /** Whether other layers make the model's logits of its own outputs. */
  readonly hasTail: boolean
  /** Whether slopes of the activation are unbounded, and the largest one met on the data is taken. */
  readonly slopeOfData?: boolean
  /** What one expert is as a network; without it, why its complexity is not stated. */
  readonly network: ((statistics: InputStatistics) => ExpertNetwork) | string
  /** For experts that choose patches. */
  readonly patches?: PmoeTheoryOptions
  /**
   * What a batch of the mixture's inputs tells.
   *
   * @param x (B,H,W,C)
   * @returns [squares, slope, gates]; the caller disposes it
   */
  statistics(x: tf.Tensor4D): tf.Tensor1D
}

/** The statistics of several batches as one. */
export function joinStatistics(a: InputStatistics, b: InputStatistics): InputStatistics {
  return {
    items: a.items + b.items,
    squares: a.squares + b.squares,
    slope: Math.max(a.slope, b.slope),
    gates: Math.max(a.gates, b.gates),
  }
}

/** The statistics of no inputs. */
export const noStatistics: InputStatistics = { items: 0, squares: 0, slope: 0, gates: 0 }

/**
 * [squares, slope, gates] of a batch.
 *
 * @param slope and gates: scalars, or numbers
 */
export function statisticsTensor(
  x: tf.Tensor4D,
  slope: tf.Tensor | number,
  gates: tf.Tensor | number,
): tf.Tensor1D {
  return tf.tidy(() => {
    const numbers = [tf.sum(tf.square(x)), slope, gates].map(value =>
      tf.reshape(typeof value === 'number' ? tf.scalar(value) : value, [1]),
    )
    return tf.concat1d(numbers as tf.Tensor1D[])
  })
}

/** The square root of 2: a margin is the difference of two of several outputs. One output is the margin itself. */
export function marginNorm(outputs: number): number {
  return outputs > 1 ? Math.SQRT2 : 1
}

/** What all mixtures say of their place in a model. */
export function placeOf({ path, layer, parent }: PlacedLayer, model: tfl.LayersModel) {
  const names = (layer as { readonly expertNames?: readonly string[] }).expertNames
  const reads = layer.inboundNodes[0]?.inboundLayers ?? []
  return {
    path,
    className: layer.getClassName(),
    ...(names && { expertNames: names }),
    readsFeatures: parent !== model || reads.some(source => source.getClassName() !== 'InputLayer'),
    hasTail: !model.outputs.some(
      ({ sourceLayer }) => sourceLayer === layer || turnsIntoShares(sourceLayer, layer),
    ),
  }
}

/** Whether a layer makes probabilities of the outputs of another one, which are the logits then. */
function turnsIntoShares(last: tfl.layers.Layer, layer: tfl.layers.Layer): boolean {
  const { activation } = last as { readonly activation?: tf.serialization.Serializable }
  const name = last.getClassName() === 'Activation' ? activation?.getClassName() : last.getClassName()
  const readsLogits = last.inboundNodes.some(({ inboundLayers }) => inboundLayers.includes(layer))
  return readsLogits && ['softmax', 'sigmoid', 'Softmax'].includes(name ?? '')
}

/** The patches of an input of a built layer. */
export function patchCount({
  inboundNodes,
  patchSize: [patchHeight, patchWidth],
}: tfl.layers.Layer & { readonly patchSize: Size2D }): number {
  const [, height = 0, width = 0] = (inboundNodes[0]?.inputShapes[0] ?? []) as number[]
  return (height / patchHeight) * (width / patchWidth)
}

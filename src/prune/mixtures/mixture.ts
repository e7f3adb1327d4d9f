import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { LayerUse, Treatment } from '../channel-rules.js'
import type { PruningOperator } from '../operators.js'

/** What went into a layer in a pass over data, and what came out. */
export interface RecordedCall {
  readonly input: tf.Tensor4D
  readonly output: tf.Tensor
  /** The derivative of the images' losses, summed, by the output; where it was asked for. */
  readonly slope?: tf.Tensor
}

/**
 * What the experts did with a batch. Experts that choose patches choose among N, those that are chosen by samples get the
 * sample or not: N = 1 and L = 1.
 */
export interface Observation {
  /** (B,K,N) the routers' scores. */
  scores(): tf.Tensor3D
  /** (B,K,N) 1 where an expert got the patch or sample, else 0. */
  received(): tf.Tensor3D
  /** (B,K,L) before gate scale; 0 where the expert did not get the sample. */
  gates(): tf.Tensor3D
  /** (B,K,n) the gated outputs of each expert, in one row. */
  outputs(): tf.Tensor3D
  /** (B,K,n) the derivative of an image's own loss by them. */
  slopes(): tf.Tensor3D
}

/** Experts that stay, and what becomes of the others. */
export interface Cut {
  /** Numbers in the layer, ascending. */
  readonly kept: readonly number[]
  readonly operator: PruningOperator
}

/** Computes what a layer gives in another way: from its input and its own output. */
export type Replacement = (input: tf.Tensor4D, output: tf.Tensor) => tf.Tensor

/** Layers with replaced outputs. */
export type Replacements = readonly (readonly [tfl.layers.Layer, Replacement])[]

/** A layer, or layers, whose experts can be pruned. */
export interface Mixture {
  readonly path: string
  /** The layer at that path, whose outputs are those of all experts. */
  readonly layer: tfl.layers.Layer
  readonly numExperts: number
  readonly expertNames: readonly string[]
  /** Who chooses: experts their patches ('expert choice'), or samples their expert ('token choice'). */
  readonly choice: 'of patches' | 'of experts'
  readonly gate: string
  /** L and N, of experts that choose patches. */
  readonly patches?: { readonly kept: number; readonly all: number }
  /** Whether experts own channels of the output, which are removed with them; else the outputs of all are summed. */
  readonly ownsChannels: boolean
  /** What can be done with experts that go; the first unless told otherwise. */
  readonly operators: readonly PruningOperator[]
  /** The numbers of the experts among the routers' columns, where some columns have no expert any more. */
  readonly columns?: readonly number[]
  /** The layers that hold the routers, with their paths: one of K columns, or K of one. */
  readonly routers: readonly { readonly path: string; readonly layer: tfl.layers.Layer }[]
  /** Layers that a pass over data must record. */
  readonly recorded: readonly tfl.layers.Layer[]
  /** (K) norms of the experts' kernels, biases and normalization not counted. */
  kernelNorms(): tf.Tensor1D
  observe(call: (layer: tfl.layers.Layer) => RecordedCall): Observation
  /**
   * What becomes of the layer at the mixture's path.
   *
   * @returns why it cannot be done, as a text
   */
  treat(use: LayerUse, cut: Cut): Treatment | string
  /** Settings of other layers that change with the cut, by path, and layers that go. */
  besides?(cut: Cut): {
    readonly leftOut: readonly string[]
    readonly bypassed: readonly string[]
    readonly configs: readonly (readonly [string, tf.serialization.ConfigDict])[]
  }
  /** The unpruned layers with experts that answer 0, where they do not stay. */
  silenced(kept: readonly number[]): Replacements
  /** The unpruned layers with samples sent to the experts that stay; for operator 'reroute'. */
  rerouted?(kept: readonly number[]): Replacements
}

/** (n, columns of the routers) -> (n, K): those that have an expert. */
export function columnsOfExperts({ columns }: Mixture, matrix: tf.Tensor2D): tf.Tensor2D {
  return columns ? tf.gather(matrix, tf.tensor1d([...columns], 'int32'), 1) : matrix
}

import type * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../../../shapes.js'
import type { WeightOptions } from '../../standard-options.js'
import type { WindowTable } from '../patches.js'

/** A weight of all experts together. */
export interface ExpertWeight {
  readonly name: string
  readonly shape: readonly number[]
  /** Its initializer, regularizer and constraint. */
  readonly options: WeightOptions
  /** Whether it is a moving average, which training updates without a gradient. */
  readonly average?: boolean
  /**
   * The axes that shrink when experts are pruned: `experts` has K equal blocks, one an expert in their order, and
   * `channels` the C channels of the map, where it has them: zeros in all weights of a channel must make it count for
   * nothing. Experts with a weight that does not say so cannot be pruned.
   */
  readonly axes?: { readonly experts: number; readonly channels?: number }
}

/** Tensors by the names of the weights. */
export type ExpertTensors = Readonly<Record<string, tf.Tensor>>

/** The windows of the patches that each expert got, sorted by expert. */
export interface ExpertWindows {
  /** (K, M, window height, window width, C), zero outside the map; M = B L. */
  readonly windows: tf.Tensor5D
  /** (K, M, window height, window width, 1): 1 inside the map, 0 outside; absent where all lie inside. */
  readonly inside?: tf.Tensor5D
}

/** What a forward pass is for. */
export interface ExpertMode {
  readonly training: boolean
  /** Moves the averages among the weights towards the values of this batch, given by weight name; only in training. */
  follow(values: ExpertTensors): void
}

/** The result of a forward pass of the experts. */
export interface ExpertPass {
  /**
   * (K, P, F): one row of F numbers for each pixel of each patch, P = M h w, or, where the expert's outputs are of whole
   * patches, for each patch, P = M.
   */
  readonly outputs: tf.Tensor3D
  /** What the gradient needs besides windows and outputs; undefined entries are left out. */
  readonly state: Readonly<Record<string, tf.Tensor | undefined>>
}

/** The derivatives by the windows and weights of a forward pass. */
export interface ExpertGradients {
  /** Computes the derivative by the windows; not called where nothing before the layer is trained. */
  dWindows(): tf.Tensor5D
  /** By each weight that is no average, in its shape. */
  readonly dWeights: ExpertTensors
}

/** One matrix product or convolution inside a layer, in multiply-adds of one sample. */
export interface Product {
  readonly forward: number
  /** Of each of its two gradients: by its kernel, by its input. */
  readonly gradient: number
  /** Whether its kernel is trained. */
  readonly trained: boolean
  /** Whether trained weights of the same layer come before it. */
  readonly learnedInside?: boolean
}

/** A product whose two gradients each take as many multiply-adds as itself. */
export function product(multiplyAdds: number, trained: boolean): Product {
  return { forward: multiplyAdds, gradient: multiplyAdds, trained }
}

/**
 * What experts do with their patches. One object stands for all K experts of a layer, which compute alike with weights of
 * their own. It does not depend on how patches are chosen, weighted and put back.
 */
export interface Expert {
  /** Names this kind of expert, so that other modules can handle it, such as its lowering for export. */
  readonly kind: string
  /** F, numbers in a row of an expert's outputs. */
  readonly size: number
  /** Whether an expert has one row of outputs for each pixel of a patch, or one for the patch. */
  readonly outputsOf: 'pixels' | 'patches'
  /** Pixels past its patch that an expert sees, above and below, left and right. */
  readonly reach: Size2D
  /** Whether an expert normalises with moving averages that training updates. */
  readonly normalises: boolean
  /**
   * The weights of all experts, in the order in which the layer lists them.
   *
   * @param channels C of the map
   */
  weights(channels: number): readonly ExpertWeight[]
  forward(input: ExpertWindows, weights: ExpertTensors, table: WindowTable, mode: ExpertMode): ExpertPass
  /**
   * The backward pass of `forward`.
   *
   * @param dOutputs in the shape of the outputs
   */
  gradient(
    dOutputs: tf.Tensor3D,
    input: ExpertWindows,
    pass: ExpertPass,
    weights: ExpertTensors,
    table: WindowTable,
    mode: ExpertMode,
  ): ExpertGradients
  /**
   * The matrix products and convolutions of one sample.
   *
   * @param patches that each expert gets
   * @param channels C of the map
   * @param trained whether a weight is trained, by its name
   */
  products(patches: number, channels: number, trained: (weight: string) => boolean): readonly Product[]
}

import * as tf from '@tensorflow/tfjs-core'
import type { PatchMoE } from '../../layers/moe/patch-moe.js'
import { routerScores } from '../../layers/moe/routing.js'
import type { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import { kernelNorms } from './expert-cuts.js'
import type { Mixture } from './mixture.js'

type Chooser = PatchMoE | TwoLayerExperts

/** What mixtures have in common whose experts choose patches, all of them in one layer. */
export function choosersOfPatches(path: string, layer: Chooser) {
  const { numExperts, expertNames, gate, grid, experts } = layer
  return {
    path,
    layer,
    numExperts,
    expertNames,
    choice: 'of patches',
    gate,
    patches: { kept: layer.patchesPerExpert, all: grid.count },
    operators: ['remove', 'zero'],
    routers: [{ path, layer }],
    recorded: [layer],
    kernelNorms: () => kernelNorms(layer, experts.weights(channelsIn(layer)), numExperts),
  } as const satisfies Partial<Mixture>
}

/** C, the channels that a layer reads. */
export function channelsIn(layer: Chooser): number {
  return layer.weights[0]?.shape[2] as number
}

/** (B,K,N) the scores of the layer's routers. */
export function scoresOf(layer: Chooser, input: tf.Tensor4D): tf.Tensor3D {
  return routerScores(input, layer.weights[0]?.read() as tf.Tensor4D, layer.grid)
}

/**
 * Which patches experts got.
 *
 * @param indices (B,K,L) int32 patch numbers
 * @param patches N
 * @returns (B,K,N) 1 for a patch that the expert got, else 0
 */
export function receivedPatches(indices: tf.Tensor3D, patches: number): tf.Tensor3D {
  return tf.sum(tf.cast(tf.oneHot(indices, patches), 'float32'), 2)
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { deriveSeed } from '../../random.js'
import { gateKind } from './gates.js'
import type { PatchExpertsSettings } from './patch-experts-options.js'
import { keptScores } from './routing.js'

/** The network by which experts say how much a patch counts, for gate 'product': D -> 16 (tanh) -> 1. */
export function attentionHead(outputs: number, seed: number | undefined): tfl.LayersModel {
  const initializer = (name: string) =>
    tfl.initializers.glorotUniform(seed === undefined ? {} : { seed: deriveSeed(seed, `attention ${name}`) })
  const input = tfl.input({ shape: [outputs], name: 'features' })
  const hidden = tfl.layers.dense({
    name: 'hidden',
    units: 16,
    activation: 'tanh',
    kernelInitializer: initializer('hidden'),
  })
  const logit = tfl.layers.dense({ name: 'logit', units: 1, kernelInitializer: initializer('logit') })
  const output = logit.apply(hidden.apply(input)) as tfl.SymbolicTensor
  return tfl.model({ inputs: input, outputs: output, name: 'attention' })
}

/**
 * What weighs the outputs of experts on their kept patches.
 *
 * @param scores (B,K,N) of all cells
 * @param indices (B,K,L) int32, the kept cells
 * @param attention (B,K,L) the experts' own logits; without them gates are those of the scores alone
 * @returns (B,K,L)
 */
export function gatesOf(
  { gate, patchesPerExpert }: Pick<PatchExpertsSettings, 'gate' | 'patchesPerExpert'>,
  scores: tf.Tensor3D,
  indices: tf.Tensor3D,
  attention: tf.Tensor3D | undefined,
): tf.Tensor3D {
  const kind = gateKind(gate === 'product' ? 'softmax-selected' : gate)
  const kept = keptScores(scores, indices)
  const { gates } = kind.forward<tf.Tensor>(
    {
      kept: attention ? tf.add(kept, attention) : kept,
      all: scores,
      ones: () => tf.add(tf.mul(kept, 0), 1),
    },
    {
      softmax: tf.softmax,
      // The largest shares are those of the cells that are kept.
      largest: shares => keptScores(shares as tf.Tensor3D, indices),
      times: (tensor, by) => tf.mul(tensor, by),
    },
  )
  return (kind.dependsOn === 'nothing' ? tf.div(gates, patchesPerExpert) : gates) as tf.Tensor3D
}

/**
 * The outputs of each expert on its kept patches, times their gates and added up; with aggregate 'sum' those of all experts.
 *
 * @param gates (B,K,L)
 * @param features (B,K,L,D)
 * @returns (B, K D), or (B, D)
 */
export function weighedSum(
  { numExperts, patchesPerExpert, aggregate }: PatchExpertsSettings,
  gates: tf.Tensor3D,
  features: tf.Tensor4D,
): tf.Tensor {
  const outputs = features.shape[3]
  const weighed = tf.matMul(
    tf.reshape(gates, [-1, 1, patchesPerExpert]),
    tf.reshape(features, [-1, patchesPerExpert, outputs]),
  )
  return aggregate === 'sum' && numExperts > 1
    ? tf.sum(tf.reshape(weighed, [-1, numExperts, outputs]), 1)
    : tf.reshape(weighed, [-1, numExperts * outputs])
}

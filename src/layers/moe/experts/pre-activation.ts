import * as tf from '@tensorflow/tfjs-core'
import { dividedBatch, momentsOfBatch, normSumsOfBatch } from '../../divided-batch.js'
import { layerOps } from '../../ops.js'

/**
 * What an expert does to its kept patches before its convolution: nothing, ReLU, or BatchNorm with statistics of its
 * own (over its kept patches only) and ReLU.
 */
export const PRE_ACTIVATIONS = ['none', 'relu', 'batch-norm-relu'] as const
export type PreActivation = (typeof PRE_ACTIVATIONS)[number]

/** Mean and biased variance of each channel, one set an expert: (K,C) each. */
export interface ExpertMoments {
  readonly mean: tf.Tensor2D
  readonly variance: tf.Tensor2D
}

/** BatchNorm of every expert: y = gamma (x - mean) / sqrt(variance + epsilon) + beta. */
export interface ExpertNorm {
  /** (K,C). */
  readonly gamma: tf.Tensor2D
  /** (K,C). */
  readonly beta: tf.Tensor2D
  readonly epsilon: number
  readonly moments: ExpertMoments
}

/**
 * Mean and biased variance of the kept patches of each expert, without the neighbours in their halo.
 *
 * @param patches (K, M, h, w, C)
 */
export function expertMoments(patches: tf.Tensor5D): ExpertMoments {
  const { groupNormalization } = layerOps()
  if (groupNormalization) {
    const [experts, channels] = [patches.shape[0], patches.shape[4]]
    return groupNormalization.moments(tf.reshape(patches, [experts, -1, channels])) as ExpertMoments
  }
  const { mean, variance } = tf.moments(patches, [1, 2, 3])
  const moments = { mean: mean as tf.Tensor2D, variance: variance as tf.Tensor2D }
  const batch = dividedBatch()
  return batch?.normalizesWhole ? momentsOfBatch(batch, moments) : moments
}

/** What {@link normRelu} gives. */
export interface NormalizedWindows {
  readonly active: tf.Tensor5D
  /** For the gradient, where the backend computed both in its own way. */
  readonly state?: tf.Tensor
}

/**
 * BatchNorm and ReLU of every expert's windows.
 *
 * @param windows (K, M, window height, window width, C)
 * @param inside as given by dispatch: pixels outside the map stay 0, as a convolution's padding does
 */
export function normRelu(
  windows: tf.Tensor5D,
  norm: ExpertNorm,
  inside: tf.Tensor5D | undefined,
): NormalizedWindows {
  const { groupNormalization } = layerOps()
  if (groupNormalization && !inside) {
    const { gamma, beta, epsilon, moments } = norm
    const { y, state } = groupNormalization.normalize(windows, { gamma, beta, epsilon, ...moments }, true)
    return { active: y, state }
  }
  const { scale } = scaleOf(norm)
  const shift = tf.sub(perExpert(norm.beta), tf.mul(perExpert(norm.moments.mean), scale))
  const active: tf.Tensor5D = tf.relu(tf.add(tf.mul(windows, scale), shift))
  return { active: inside ? tf.mul(active, inside) : active }
}

/**
 * The gradient of {@link normRelu}.
 *
 * @param dActive derivative by its output, in the windows' shape
 * @param active its output
 * @param coreMask (window height, window width) 1 on the patch, 0 on the halo: the pixels that the statistics were
 *   taken over and so depend on; undefined where the statistics are constants (inference)
 * @param coreCount pixels that each statistic was taken over
 * @param state as {@link normRelu} gave it
 */
export function normReluGradient(
  dActive: tf.Tensor5D,
  active: tf.Tensor5D,
  windows: tf.Tensor5D,
  norm: ExpertNorm,
  statistics: { readonly coreMask: tf.Tensor5D | undefined; readonly coreCount: number } | undefined,
  state?: tf.Tensor,
): { dWindows: tf.Tensor5D; dGamma: tf.Tensor2D; dBeta: tf.Tensor2D } {
  const { groupNormalization } = layerOps()
  if (state && groupNormalization && statistics && !statistics.coreMask) {
    const { dx, dGamma, dBeta } = groupNormalization.gradient(dActive, windows, state, active)
    return { dWindows: dx, dGamma: dGamma as tf.Tensor2D, dBeta: dBeta as tf.Tensor2D }
  }
  const { scale, inverseDeviation } = scaleOf(norm)
  const dNorm = layerOps().reluGradient(dActive, active)
  const centred = tf.sub(windows, perExpert(norm.moments.mean))
  const dBeta = tf.sum(dNorm, [1, 2, 3]) as tf.Tensor2D
  const dGamma = tf.mul(tf.sum(tf.mul(dNorm, centred), [1, 2, 3]), inverseDeviation) as tf.Tensor2D
  if (!statistics) return { dWindows: tf.mul(dNorm, scale), dGamma, dBeta }
  const sums = normSumsOfBatch(dBeta, dGamma, statistics.coreCount)
  // The small factors are multiplied first: each saves a pass over all windows.
  const slope = perExpert(tf.div(tf.mul(sums.dGamma, inverseDeviation), sums.count))
  const throughMoments = tf.add(tf.mul(centred, slope), perExpert(tf.div(sums.dBeta, sums.count)))
  const ofPatches = statistics.coreMask ? tf.mul(throughMoments, statistics.coreMask) : throughMoments
  const factor = sums.counts === 1 ? scale : tf.zerosLike(scale)
  const dWindows: tf.Tensor5D = tf.mul(tf.sub(dNorm, ofPatches), factor)
  return { dWindows, dGamma, dBeta }
}

/** The factor of each expert's channels, (K,1,1,1,C), and 1 / sqrt(variance + epsilon), (K,C). */
function scaleOf(norm: ExpertNorm): { scale: tf.Tensor5D; inverseDeviation: tf.Tensor2D } {
  const inverseDeviation = tf.rsqrt(tf.add(norm.moments.variance, norm.epsilon)) as tf.Tensor2D
  return { scale: perExpert(tf.mul(norm.gamma, inverseDeviation)), inverseDeviation }
}

function perExpert(values: tf.Tensor2D): tf.Tensor5D {
  const [experts, channels] = values.shape
  return tf.reshape(values, [experts, 1, 1, 1, channels])
}

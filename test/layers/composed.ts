import * as tf from '@tensorflow/tfjs'
import type { BruteForceRule } from './brute-force.js'

/** Weights of a layer as tensors. */
export interface ComposedWeights {
  readonly router: tf.Tensor4D
  readonly kernel: tf.Tensor4D
  readonly bias?: tf.Tensor1D
  readonly gamma?: tf.Tensor2D
  readonly beta?: tf.Tensor2D
}

/**
 * PatchMoE in its masked, dense form out of operations that tfjs differentiates by itself (as the published code
 * computes it): every expert convolves every patch, then the gates, 0 where nothing was kept, multiply the result.
 *
 * @param selected (B,K,N) 1 on kept patches: the choice itself has no gradient
 */
export function composedPatchMoE(
  x: tf.Tensor4D,
  weights: ComposedWeights,
  rule: BruteForceRule,
  selected: tf.Tensor3D,
): tf.Tensor4D {
  const [batch, height, width, channels] = x.shape
  const [h, w] = rule.patch
  const [rows, columns] = [height / h, width / w]
  const own = rule.filters / rule.numExperts
  const patches = cut(x) // (B N, h, w, C)
  const scores = tf.transpose(
    tf
      .matMul(patches.reshape([-1, h * w * channels]), weights.router.reshape([-1, rule.numExperts]))
      .reshape([batch, rows * columns, rule.numExperts]),
    [0, 2, 1],
  )
  const gates = gatesOf(scores as tf.Tensor3D)
  const outputs: tf.Tensor4D[] = []
  for (let s = 0; s < rule.numExperts; s++) {
    const kept = pick(selected, s)
    const kernel = weights.kernel.slice([0, 0, 0, s * own], [-1, -1, -1, own])
    const active = preActivate(rule.border === 'zero' ? patches : x, s, kept)
    let out = tf.conv2d(active, kernel, 1, 'same')
    if (weights.bias) out = out.add(weights.bias.slice(s * own, own))
    if (rule.border === 'halo') out = cut(out)
    outputs.push(paste(out.mul(pick(gates, s).reshape([-1, 1, 1, 1])), own))
  }
  return tf.concat(outputs, 3)

  function pick(values: tf.Tensor3D, s: number): tf.Tensor2D {
    return values.slice([0, s, 0], [-1, 1, -1]).reshape([batch, rows * columns])
  }

  function cut(map: tf.Tensor4D): tf.Tensor4D {
    const depth = map.shape[3]
    return map
      .reshape([batch * rows, h, columns, w * depth])
      .transpose([0, 2, 1, 3])
      .reshape([-1, h, w, depth])
  }

  function paste(cells: tf.Tensor4D, depth: number): tf.Tensor4D {
    return cells
      .reshape([batch * rows, columns, h, w * depth])
      .transpose([0, 2, 1, 3])
      .reshape([batch, height, width, depth])
  }

  function gatesOf(values: tf.Tensor3D): tf.Tensor3D {
    if (rule.gate === 'uniform') return selected
    const exponents = tf.exp(values)
    const counted = rule.gate === 'softmax-all' ? exponents : exponents.mul(selected)
    const count = rule.gate === 'softmax-all' ? rows * columns : rule.patchesPerExpert
    const scale = rule.gateScale === 'none' ? 1 : count
    return counted.mul(selected).div(counted.sum(2, true)).mul(scale)
  }

  /** `map` is all patches or the whole map; statistics are over the kept pixels of either. */
  function preActivate(map: tf.Tensor4D, s: number, kept: tf.Tensor2D): tf.Tensor4D {
    if (rule.preActivation === 'none') return map
    if (rule.preActivation === 'relu') return tf.relu(map)
    const weight = kept.reshape([-1, 1, 1, 1])
    const pixels = batch * rule.patchesPerExpert * h * w
    const mean = patches.mul(weight).sum([0, 1, 2]).div(pixels)
    const variance = patches.sub(mean).square().mul(weight).sum([0, 1, 2]).div(pixels)
    const normal = map.sub(mean).div(variance.add(rule.epsilon).sqrt())
    const gamma = (weights.gamma as tf.Tensor2D).slice([s, 0], [1, -1]).reshape([channels])
    const beta = (weights.beta as tf.Tensor2D).slice([s, 0], [1, -1]).reshape([channels])
    return tf.relu(normal.mul(gamma).add(beta))
  }
}

import * as tf from '@tensorflow/tfjs-core'
import { isNormalized } from './normalized-gradient-descent.js'
import type { OptimizerOptions } from './optimizer-options.js'

/**
 * The learning rate of a step. `cosine`: rate (1 + cos(pi share)) / 2, from the whole rate in the first step to almost 0 in the last
 * (Loshchilov and Hutter 2017, without restarts); without a schedule it stays the same.
 *
 * @param share of the steps of the whole training that are done, in [0, 1)
 */
export function scheduledRate({ learningRate, schedule }: OptimizerOptions, share: number): number {
  return schedule === 'cosine' ? (learningRate * (1 + Math.cos(Math.PI * share))) / 2 : learningRate
}

/** Gives an optimizer another learning rate, with what it has gathered so far. */
export function setLearningRate(optimizer: tf.Optimizer, rate: number): void {
  const settable = optimizer as unknown as { learningRate: number; setLearningRate?(rate: number): void }
  if (settable.learningRate === rate) return
  // Those of plain and momentum descent keep the rate as a tensor as well.
  if (settable.setLearningRate && !isNormalized(optimizer)) settable.setLearningRate(rate)
  else settable.learningRate = rate
}

/**
 * Gradients scaled down together so that their norm, that of all of them as one vector, is at most `most`.
 *
 * @returns the same tensors where there is no limit; else new ones
 */
export function clippedByNorm(
  gradients: Readonly<Record<string, tf.Tensor>>,
  most: number | undefined,
): Readonly<Record<string, tf.Tensor>> {
  if (most === undefined) return gradients
  const named = Object.entries(gradients).filter(([, gradient]) => gradient)
  const squares = named.map(([, gradient]) => tf.sum(tf.square(gradient)))
  const norm = tf.sqrt(tf.addN(squares))
  const factor = tf.div(most, tf.maximum(norm, most))
  return Object.fromEntries(named.map(([name, gradient]) => [name, tf.mul(gradient, factor)]))
}

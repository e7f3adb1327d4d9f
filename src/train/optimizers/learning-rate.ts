import * as tf from '@tensorflow/tfjs-core'
import { isNormalized } from './normalized-gradient-descent.js'

/** The learning rate that an optimizer steps with. */
export function learningRateOf(optimizer: tf.Optimizer): number {
  return (optimizer as unknown as { readonly learningRate: number }).learningRate
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

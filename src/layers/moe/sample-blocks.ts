import * as tf from '@tensorflow/tfjs-core'
import { gatherRows } from './dispatch.js'
import { oneHot } from './sample-routing.js'

/*
 * Choices of samples, sorted by expert. The number of choices that an expert got is known to the device alone, and
 * reading it back would make a GPU wait; so choices lie in blocks of S places, each of one expert: every expert has as
 * many blocks as it needs, the last of them with empty places, and the number of blocks is the largest that can be
 * needed. Letters: B samples, k choices of each, E experts, G blocks, S places of a block.
 */

/** Which choice lies where, when choices are sorted by expert. */
export interface ChoiceBlocks {
  /** G. */
  readonly count: number
  /** S. */
  readonly size: number
  /** (B k) int32: the place of each choice, in [0, G S). */
  readonly places: tf.Tensor1D
  /** (G S) int32: 1 + the number of the choice that lies at each place, 0 where none does. */
  readonly choices: tf.Tensor1D
  /** (G) int32: the expert of each block; any for a block without choices. */
  readonly experts: tf.Tensor1D
}

/** The most blocks of `size` places that `choices` choices among `experts` experts can take. */
export function blockCount(choices: number, experts: number, size: number): number {
  return Math.floor((choices + experts * (size - 1)) / size)
}

/**
 * Sorts choices by expert; those of one expert keep their order.
 *
 * @param chosen (B,k) int32, experts in [0, E)
 * @param experts E
 * @param size S >= 1
 */
export function sortChoices(chosen: tf.Tensor2D, experts: number, size: number): ChoiceBlocks {
  const choices = chosen.size
  const count = blockCount(choices, experts, size)
  // Floats count exactly up to 2^24 choices.
  const ofExpert = tf.reshape(oneHot(chosen, experts), [choices, experts]) as tf.Tensor2D
  const upToNow = tf.cumsum(ofExpert, 0)
  const before = tf.sub(upToNow, ofExpert) // earlier choices of each expert
  // Not a sum: on wasm that is a mean times a number, and 4.9999 choices take other blocks than 5.
  const counts = tf.reshape(tf.slice(upToNow, [choices - 1, 0]), [experts])
  const blocks = tf.ceil(tf.div(counts, size)) // (E)
  const firstBlocks = tf.cumsum(blocks, 0, true)
  const places = tf.cast(tf.sum(tf.mul(ofExpert, tf.add(before, tf.mul(firstBlocks, size))), 1), 'int32')
  const numbers = tf.range(1, choices + 1, 1, 'int32')
  const ended = tf.greaterEqual(tf.expandDims(tf.range(0, count, 1), 1), tf.add(firstBlocks, blocks))
  return {
    count,
    size,
    places: places as tf.Tensor1D,
    choices: tf.scatterND(tf.expandDims(places, 1), numbers, [count * size]) as tf.Tensor1D,
    experts: tf.cast(tf.minimum(tf.sum(tf.cast(ended, 'float32'), 1), experts - 1), 'int32') as tf.Tensor1D,
  }
}

/**
 * Puts a row for each sample at the places of its choices; empty places get the row of the first sample.
 *
 * @param rows (B,width)
 * @param perSample k
 * @returns (G S, width)
 */
export function samplesInBlocks(
  rows: tf.Tensor2D,
  { choices }: ChoiceBlocks,
  perSample: number,
): tf.Tensor2D {
  const numbers = tf.maximum(tf.sub(choices, tf.scalar(1, 'int32')), tf.scalar(0, 'int32'))
  const samples = perSample === 1 ? numbers : tf.floorDiv(numbers, tf.scalar(perSample, 'int32'))
  return gatherRows(rows, samples) as tf.Tensor2D
}

/**
 * Puts a row for each choice at its place; empty places get zeros.
 *
 * @param rows (B k, width)
 * @returns (G S, width)
 */
export function choicesInBlocks(rows: tf.Tensor2D, { choices }: ChoiceBlocks): tf.Tensor2D {
  return gatherRows(tf.concat([tf.zeros([1, rows.shape[1]]), rows]), choices) as tf.Tensor2D
}

/**
 * The rows of the choices, in their order: the inverse of {@link choicesInBlocks}.
 *
 * @param rows (G S, width)
 * @returns (B k, width)
 */
export function choicesOfBlocks(rows: tf.Tensor2D, { places }: ChoiceBlocks): tf.Tensor2D {
  return gatherRows(rows, places) as tf.Tensor2D
}

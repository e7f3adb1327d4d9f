import * as tf from '@tensorflow/tfjs-core'
import { fixInput, isFixed } from '../fixed-inputs.js'
import { handGradient } from '../hand-gradient.js'

/*
 * Samples go through the experts that they chose, and their outputs come back in the order of the samples.
 * Letters of this file: B samples, M experts, k experts chosen by each sample, D numbers in an expert's output.
 */

/**
 * Which samples an expert computes.
 * - `chosen`: those that chose it; the backend is asked for the choices, and waits for them
 * - `all`: every sample, of which those that chose it are selected
 */
export const SAMPLE_DISPATCHES = ['chosen', 'all'] as const
export type SampleDispatch = (typeof SAMPLE_DISPATCHES)[number]

/** Applies one expert to samples, (n, ...) -> (n, ...). */
export type ApplyExpert = (expert: number, samples: tf.Tensor) => tf.Tensor

/**
 * Whether the current backend hands out values at once. WebGPU does not: there every expert must compute every sample.
 */
export function readsAtOnce(): boolean {
  return tf.getBackend() !== 'webgpu'
}

/**
 * Outputs of the chosen experts, each applied to the samples that chose it and not at all where none did.
 *
 * @param x (B, ...)
 * @param chosen (B,k) int32 in [0, M)
 * @returns (B, k, ...), differentiable by x and what the experts depend on
 */
export function outputsOfChosen(
  x: tf.Tensor,
  chosen: tf.Tensor2D,
  numExperts: number,
  apply: ApplyExpert,
): tf.Tensor {
  const [, perSample] = chosen.shape
  const choices = chosen.dataSync()
  const order = sortedByExpert(choices, numExperts)
  const outputs = order.map((places, expert) =>
    places.length === 0 ? undefined : apply(expert, samplesAt(x, places, perSample)),
  )
  const inOrder = tf.concat(outputs.filter(output => output !== undefined))
  const output = placedBack(inOrder, order.flat())
  return tf.reshape(output, [...chosen.shape, ...output.shape.slice(1)])
}

/** For each expert the places in the list of choices where it was chosen, ascending. */
function sortedByExpert(choices: ArrayLike<number>, numExperts: number): readonly (readonly number[])[] {
  const places = Array.from({ length: numExperts }, (): number[] => [])
  for (let place = 0; place < choices.length; place++) places[choices[place] as number]?.push(place)
  return places
}

function samplesAt(x: tf.Tensor, places: readonly number[], perSample: number): tf.Tensor {
  // Places ascend, so that as many as there are samples, each with one choice, are all samples in their order.
  if (perSample === 1 && places.length === x.shape[0]) return x
  const rows = tf.tensor1d(
    places.map(place => Math.floor(place / perSample)),
    'int32',
  )
  const samples = tf.gather(x, rows)
  return isFixed(x) ? fixInput(samples) : samples
}

/** Puts row i of `x` at place `order[i]`; the derivative takes the way back. */
function placedBack(x: tf.Tensor, order: readonly number[]): tf.Tensor {
  const sources = new Int32Array(order.length)
  for (const [row, place] of order.entries()) sources[place] = row
  if (sources.every((row, place) => row === place)) return x
  return handGradient([x], () => ({
    value: tf.gather(x, tf.tensor1d(sources, 'int32')),
    saved: [],
    gradient: dy => [tf.gather(dy, tf.tensor1d([...order], 'int32'))],
  }))
}

/**
 * The same outputs as {@link outputsOfChosen}, where every expert is applied to every sample: M/k times the work, and
 * nothing is read from the backend. What depends on the other samples of a batch differs: batch normalization in
 * training sees all samples.
 */
export function outputsOfAll(
  x: tf.Tensor,
  chosen: tf.Tensor2D,
  numExperts: number,
  apply: ApplyExpert,
): tf.Tensor {
  const [batch] = chosen.shape
  const outputs = tf.concat(Array.from({ length: numExperts }, (_, expert) => apply(expert, x)))
  const places = tf.add(tf.mul(chosen, batch), tf.expandDims(tf.range(0, batch, 1, 'int32'), 1))
  const picked = tf.gather(outputs, tf.reshape(tf.cast(places, 'int32'), [-1]))
  return tf.reshape(picked, [...chosen.shape, ...outputs.shape.slice(1)])
}

/**
 * A tensor whose gradient by each of the given variables is 0 where it does not depend on it, instead of missing. tfjs's
 * optimizers number their moments by the gradients that a step has, and would mix them up where some are missing.
 */
export function dependingOn(x: tf.Tensor, variables: readonly tf.Tensor[]): tf.Tensor {
  if (variables.length === 0) return x
  return handGradient([x, ...variables], () => ({
    value: tf.clone(x),
    saved: [],
    gradient: dy => [dy, ...variables.map(({ shape }) => tf.zeros(shape))],
  }))
}

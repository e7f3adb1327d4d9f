import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import {
  oneHot,
  perChoice,
  routeSamples,
  type SampleRouting,
  type SampleRoutingRule,
} from '../../layers/moe/sample-routing.js'
import { range } from '../channels.js'
import type { Observation, RecordedCall } from './mixture.js'

/** A layer whose experts are chosen by samples. */
export interface ChosenBySamples extends tfl.layers.Layer, SampleRoutingRule {
  readonly numExperts: number
  route(x: tf.Tensor4D): SampleRouting
  outputFor(x: tf.Tensor4D, routing: Pick<SampleRouting, 'indices' | 'gates'>): tf.Tensor2D
}

/** What experts that samples choose did with a batch. */
export function observedChoices(layer: ChosenBySamples, { input, slope }: RecordedCall): Observation {
  const { numExperts } = layer
  const routing = layer.route(input)
  const chosen = oneHot(perChoice(routing.indices), numExperts) // (B,k,M)
  const gates = tf.expandDims(perChoice(routing.gates), 2)
  const outputs = () => range(numExperts).map(expert => outputOfOnly(layer, input, [expert], routing))
  return {
    scores: () => tf.expandDims(routing.scores, 2),
    received: () => tf.expandDims(tf.sum(chosen, 1), 2),
    gates: () => tf.expandDims(tf.sum(tf.mul(chosen, gates), 1), 2),
    outputs: () => tf.stack(outputs(), 1) as tf.Tensor3D,
    // The layer's output is the sum of the experts', so that each has the sum's derivative.
    slopes: () => tf.tile(tf.expandDims(slope as tf.Tensor, 1), [1, numExperts, 1]),
  }
}

/** The output of a layer whose samples choose as before, the gates of all but some experts being 0. */
export function outputOfOnly(
  layer: ChosenBySamples,
  input: tf.Tensor4D,
  experts: readonly number[],
  { indices, gates }: SampleRouting = layer.route(input),
): tf.Tensor2D {
  const isKept = tf.tensor1d(range(layer.numExperts).map(expert => (experts.includes(expert) ? 1 : 0)))
  const choices = perChoice(indices)
  const factors = tf.sum(tf.mul(oneHot(choices, layer.numExperts), isKept), 2)
  return layer.outputFor(input, {
    indices: choices,
    gates: tf.mul(perChoice(gates), factors) as tf.Tensor2D,
  })
}

/** A score that no expert with a router of its own has, and that a softmax takes for 0. */
const NEVER = -1e30

/** The output of a layer whose samples choose among some of its experts. */
export function outputAmong(
  layer: ChosenBySamples,
  input: tf.Tensor4D,
  experts: readonly number[],
): tf.Tensor2D {
  const stays = new Set(experts)
  const mask = tf.tensor1d(range(layer.numExperts).map(expert => (stays.has(expert) ? 0 : NEVER)))
  const { expertsPerSample, gate, gateNoise } = layer
  const scores = tf.add(layer.route(input).scores, mask) as tf.Tensor2D
  return layer.outputFor(input, routeSamples(scores, { expertsPerSample, gate, gateNoise }))
}

/** @throws RangeError when fewer experts would stay than each sample chooses */
export function checkEnoughChoices(
  { expertsPerSample, name }: Pick<ChosenBySamples, 'expertsPerSample' | 'name'>,
  left: number,
): void {
  if (left >= expertsPerSample) return
  throw new RangeError(
    `pruneExperts: at least ${expertsPerSample} experts must stay for operator 'reroute', as many as each sample ` +
      `chooses, got ${left} (layer ${name})`,
  )
}

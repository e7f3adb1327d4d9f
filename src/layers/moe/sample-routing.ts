import * as tf from '@tensorflow/tfjs-core'
import { isPositiveInteger } from '../../shapes.js'
import { meanOfBatch } from '../divided-batch.js'
import { fixedAs } from '../fixed-inputs.js'
import { handGradient, withoutGradient } from '../hand-gradient.js'
import { layerOps } from '../ops.js'
import { oneOf } from '../validation.js'
import { gatherRows } from './dispatch.js'
import type { PatchGrid } from './patches.js'

/*
 * Routing of whole samples: every sample chooses its expert, where patch-level routing lets experts choose patches.
 * Letters of this file: B samples, M experts, k experts chosen by each sample.
 */

/**
 * What multiplies the output of a chosen expert.
 * - `softmax`: its share in the softmax over the scores of all M experts
 * - `raw`: its score
 * - `uniform`: 1, which gives the router no gradient
 */
export const SAMPLE_GATES = ['softmax', 'raw', 'uniform'] as const
export type SampleGate = (typeof SAMPLE_GATES)[number]

/** Whether the noise of training is in the gates, or in the choice of the expert alone. */
export const GATE_NOISES = ['included', 'selection-only'] as const
export type GateNoise = (typeof GATE_NOISES)[number]

/** Where the noise can be for a gate, the default first: a raw gate is the score that chose, a uniform one is no score. */
export const GATE_NOISES_OF = {
  softmax: ['selection-only', 'included'],
  raw: ['included'],
  uniform: ['selection-only'],
} as const satisfies Readonly<Record<SampleGate, readonly GateNoise[]>>

/** How samples choose: settled once, in a layer's constructor. */
export interface SampleRoutingRule {
  /** k in [1, M]. */
  readonly expertsPerSample: number
  readonly gate: SampleGate
  /** One of {@link GATE_NOISES_OF} the gate. */
  readonly gateNoise: GateNoise
}

/** What each sample chose. With k = 1 indices and gates are (B); with k > 1 they are (B,k), best expert first. */
export interface SampleRouting {
  /** int32, numbers of the chosen experts in [0, M); of equal scores the lower number. */
  readonly indices: tf.Tensor1D | tf.Tensor2D
  /** float32, what multiplies the chosen experts' outputs; NaN where a score of the sample is not finite. */
  readonly gates: tf.Tensor1D | tf.Tensor2D
  /** (B,M) float32, h: the scores without noise. */
  readonly scores: tf.Tensor2D
  /** (B,M) float32, h + r: the scores that chose, noise included. */
  readonly chosenBy: tf.Tensor2D
}

/**
 * Sums the patches of each sample, which is all that linear functions of the patches summed over them depend on.
 *
 * @param x (B,H,W,C) float32
 * @returns (B, h w C), marked as fixed where x is
 */
export function patchSums(x: tf.Tensor4D, { cells, patch }: PatchGrid): tf.Tensor2D {
  const [batch, , , channels] = x.shape
  const bandWidth = patch[1] * channels
  const inRows = tf.reshape(x, [batch, cells[0], patch[0], cells[1], bandWidth])
  // One axis after the other, and none where there is nothing to sum: summed at once they would be transposed first.
  const bands = cells[1] === 1 ? inRows : tf.sum(inRows, 3)
  const wholeBands = tf.reshape(bands, [batch, cells[0], patch[0] * bandWidth])
  const sums: tf.Tensor2D = tf.reshape(tf.sum(wholeBands, 1), [batch, -1])
  return fixedAs(x, sums)
}

/**
 * Scores h_m = sum over patches p of <theta_m, x^(p)>, computed as <theta_m, sum over patches of x^(p)>; differentiable
 * by both.
 *
 * @param x (B,H,W,C) float32
 * @param router (h,w,C,M) float32, theta_m for each expert
 * @returns (B,M) float32
 */
export function sampleScores(x: tf.Tensor4D, router: tf.Tensor4D, grid: PatchGrid): tf.Tensor2D {
  return scoresOfSums(patchSums(x, grid), router)
}

/** {@link sampleScores} from {@link patchSums}. */
export function scoresOfSums(sums: tf.Tensor2D, router: tf.Tensor4D): tf.Tensor2D {
  const vectors: tf.Tensor2D = tf.reshape(router, [-1, router.shape[3]])
  return layerOps().exactly(() => tf.matMul(sums, vectors))
}

/**
 * Every sample chooses the k experts of the largest scores h + r, and weighs them.
 *
 * The gates are differentiable by the scores, the choice being held: with g_m the gate of a chosen expert m,
 *
 *     raw      dL/dh_m = dL/dg_m
 *     softmax  dL/dh_j = sum over chosen m of dL/dg_m pi_m (1[j = m] - pi_j)
 *
 * @param scores (B,M) float32, h
 * @param noise (B,M) float32, r; left out for the routing of inference
 */
export function routeSamples(
  scores: tf.Tensor2D,
  rule: SampleRoutingRule,
  noise?: tf.Tensor2D,
): SampleRouting {
  const chosenBy: tf.Tensor2D = noise ? tf.add(scores, noise) : tf.clone(scores)
  const chosen = withoutGradient(() => chooseExperts(chosenBy, rule.expertsPerSample))
  const weighedBy = rule.gateNoise === 'included' ? chosenBy : scores
  const damage = withoutGradient(() => notFinite(chosenBy))
  const gates = gatesOfChosen(weighedBy, chosen, damage, rule.gate)
  return { indices: perSample(chosen), gates: perSample(gates), scores, chosenBy }
}

/** (B,k) as (B) where k is 1. */
function perSample(values: tf.Tensor2D): tf.Tensor1D | tf.Tensor2D {
  return values.shape[1] === 1 ? (tf.reshape(values, [-1]) as tf.Tensor1D) : values
}

/** (B,k) of indices or gates, from (B) or (B,k). */
export function perChoice(values: tf.Tensor1D | tf.Tensor2D): tf.Tensor2D {
  return values.rank === 1 ? tf.reshape(values, [-1, 1]) : (values as tf.Tensor2D)
}

/** (B,k) int32. A sample whose scores are not all finite chooses as if all were 0: the first experts. */
function chooseExperts(chosenBy: tf.Tensor2D, count: number): tf.Tensor2D {
  // Orders that NaN takes part in depend on the backend.
  const comparable = tf.where(tf.isNaN(notFinite(chosenBy)), tf.zerosLike(chosenBy), chosenBy)
  return tf.topk(comparable, count, true).indices as tf.Tensor2D
}

/** (B,1): NaN where one of a sample's scores is NaN or infinite, else 0. */
function notFinite(scores: tf.Tensor2D): tf.Tensor2D {
  return tf.sum(tf.mul(scores, 0), 1, true)
}

/**
 * @param scores (B,M) the scores that gates depend on
 * @param chosen (B,k) int32
 * @param damage (B,1), added to the gates: NaN where they must be NaN, else 0
 * @returns (B,k)
 */
function gatesOfChosen(
  scores: tf.Tensor2D,
  chosen: tf.Tensor2D,
  damage: tf.Tensor2D,
  gate: SampleGate,
): tf.Tensor2D {
  return handGradient([scores], () => {
    const values = gate === 'softmax' ? tf.softmax(scores) : scores
    const [batch, count] = chosen.shape
    const ofChosen: tf.Tensor2D =
      gate === 'uniform'
        ? tf.ones([batch, count])
        : tf.sum(tf.mul(oneHot(chosen, scores.shape[1]), tf.expandDims(values, 1)), 2)
    return {
      value: tf.add(ofChosen, damage) as tf.Tensor2D,
      saved: [values, chosen],
      gradient: (dGates, [shares, indices]) => [
        scoreGradient(dGates, shares as tf.Tensor2D, indices as tf.Tensor2D, gate),
      ],
    }
  })
}

/** The derivative by the scores (B,M), from the derivative by the gates (B,k). */
function scoreGradient(
  dGates: tf.Tensor2D,
  shares: tf.Tensor2D,
  chosen: tf.Tensor2D,
  gate: SampleGate,
): tf.Tensor2D {
  if (gate === 'uniform') return tf.zerosLike(shares)
  const byShare: tf.Tensor2D = tf.sum(tf.mul(oneHot(chosen, shares.shape[1]), tf.expandDims(dGates, 2)), 1)
  if (gate === 'raw') return byShare
  const weighted: tf.Tensor2D = tf.mul(byShare, shares)
  return tf.sub(weighted, tf.mul(shares, tf.sum(weighted, 1, true)))
}

/** (B,k) int32 -> (B,k,M) float32: tf.oneHot has no depth of 1, and on wasm writes integers into a float tensor. */
export function oneHot(chosen: tf.Tensor2D, experts: number): tf.Tensor3D {
  return gatherRows(tf.eye(experts), chosen) as tf.Tensor3D
}

/**
 * What the load-balance loss takes as the share of an expert in a sample: the softmax of the scores that chose, or, for
 * gate 'raw', these scores themselves.
 *
 * @param chosenBy (B,M)
 */
export function balanceProxies(chosenBy: tf.Tensor2D, gate: SampleGate): tf.Tensor2D {
  return gate === 'raw' ? chosenBy : tf.softmax(chosenBy)
}

/**
 * The load-balance loss M^2 mean over m of density_m proxy_m: density_m is the share of the choices that went to expert
 * m, through which no gradient passes, and proxy_m the batch mean of `proxies`. 1 at its least for probabilities when
 * both are equal for all experts.
 *
 * @param proxies (B,M) float32, see {@link balanceProxies}
 * @param indices (B) or (B,k) int32
 * @returns a number, differentiable by `proxies`
 */
export function loadBalance(proxies: tf.Tensor2D, indices: tf.Tensor1D | tf.Tensor2D): tf.Scalar {
  const experts = proxies.shape[1]
  const density = withoutGradient(() => meanOfBatch(tf.mean(oneHot(perChoice(indices), experts), [0, 1])))
  return tf.mul(tf.sum(tf.mul(density, tf.mean(proxies, 0))), experts)
}

/**
 * Checks k against the number of experts.
 *
 * @throws RangeError when k is not an integer in [1, M]
 */
export function checkExpertsPerSample(expertsPerSample: number, numExperts: number, where: string): number {
  if (isPositiveInteger(expertsPerSample) && expertsPerSample <= numExperts) return expertsPerSample
  throw new RangeError(
    `${where}: expertsPerSample must be an integer in [1, ${numExperts}], got ${expertsPerSample} (${numExperts} experts)`,
  )
}

/** What a layer that routes samples is told of it. */
export interface SampleRoutingOptions {
  readonly expertsPerSample?: number
  readonly gate?: SampleGate
  readonly gateNoise?: GateNoise
  readonly routingNoise?: number
}

/** {@link SampleRoutingOptions} with defaults, checked. */
export interface SampleRoutingSettings extends SampleRoutingRule {
  /** a >= 0: in training, numbers of U[0, a) are added to the scores. */
  readonly routingNoise: number
}

/**
 * Reads the options of a layer that routes samples; null counts as left out.
 *
 * @param where the layer's class name
 * @throws RangeError for values out of their range
 */
export function sampleRoutingSettings(
  options: SampleRoutingOptions,
  numExperts: number,
  where: string,
): SampleRoutingSettings {
  const gate = oneOf(SAMPLE_GATES, options.gate ?? 'softmax', `${where}: gate`)
  const noises: readonly GateNoise[] = GATE_NOISES_OF[gate]
  return {
    expertsPerSample: checkExpertsPerSample(options.expertsPerSample ?? 1, numExperts, where),
    gate,
    gateNoise: oneOf(noises, options.gateNoise ?? noises[0], `${where}: gateNoise with gate '${gate}'`),
    routingNoise: amplitude(options.routingNoise ?? 1, where),
  }
}

function amplitude(value: number, where: string): number {
  if (Number.isFinite(value) && value >= 0) return value
  throw new RangeError(`${where}: routingNoise must be a number of at least 0, got ${value}`)
}

/**
 * Checks noise that is given in the place of drawn one.
 *
 * @param expected (B,M)
 * @throws RangeError when it has another shape
 */
export function checkNoise(noise: tf.Tensor2D | undefined, expected: readonly number[], where: string): void {
  if (!noise || (noise.rank === 2 && noise.shape.every((side, axis) => side === expected[axis]))) return
  throw new RangeError(
    `${where}: noise must be a number for each sample and expert, of shape [${expected.join(', ')}], got [${noise.shape.join(', ')}]`,
  )
}

import * as tf from '@tensorflow/tfjs-core'
import { isPositiveInteger } from '../../shapes.js'
import { inputGradient, kernelGradient } from '../convolution-gradients.js'
import { handGradient } from '../hand-gradient.js'
import { layerOps } from '../ops.js'
import { gatherRows } from './dispatch.js'
import { type Gate, type GateScale, gateFactor, gateKind, type ScoreGradient } from './gates.js'
import type { PatchGrid } from './patches.js'

/** How patches are chosen: settled once, in a layer's constructor. */
export interface RoutingRule {
  /** L in [1, N]. */
  readonly patchesPerExpert: number
  readonly gate: Gate
  readonly gateScale: GateScale
}

/** The choice of every expert on every image, best patch first. Equal scores: the lower patch number first. */
export interface Routing {
  /** (B,K,L) int32, numbers of the kept patches in [0, N). */
  readonly indices: tf.Tensor3D
  /** (B,K,L) float32, what multiplies the expert's output on each kept patch, gate scale included. */
  readonly gates: tf.Tensor3D
}

/** A routing, and what its gradient needs. */
export interface RoutingWithState extends Routing {
  /** (B,K,N) softmax over all patches; only where the gate is `softmax-all`. */
  readonly probabilities?: tf.Tensor3D
}

/**
 * Routing values g_{j,s} = <w_s, x^(j)> of every patch j and expert s: one strided convolution, so that no copy of the
 * map in patch form is made.
 *
 * @param x (B,H,W,C) float32
 * @param router (h,w,C,K) float32, w_s for each expert
 * @returns (B,K,N) float32
 */
export function routerScores(x: tf.Tensor4D, router: tf.Tensor4D, grid: PatchGrid): tf.Tensor3D {
  const experts = router.shape[3]
  const map = layerOps().exactly(() => tf.conv2d(x, router, [...grid.patch], 'valid')) // (B,H/h,W/w,K)
  return tf.transpose(tf.reshape(map, [-1, grid.count, experts]), [0, 2, 1])
}

/**
 * Each expert keeps the L patches of the largest scores and weighs them: J_s and G_{j,s} of section 3.
 *
 * Where one of its scores on an image is NaN or infinite, all its gates on that image are NaN: a patch that holds such a
 * number is never silently left out.
 *
 * @param scores (B,K,N) float32
 */
export function routePatches(scores: tf.Tensor3D, config: RoutingRule): RoutingWithState {
  const { patchesPerExpert, gate, gateScale } = config
  const { all, values, indices } = topPatches(scores, patchesPerExpert)
  const factor = gateFactor(gate, gateScale, patchesPerExpert, scores.shape[2])
  const { gates, probabilities } = gateKind(gate).forward<tf.Tensor>(
    // The ones are NaN where the scores are.
    { kept: values, all, ones: () => tf.add(tf.mul(values, 0), 1) },
    {
      softmax: tf.softmax,
      largest: shares => tf.topk(shares, patchesPerExpert, true).values,
      times: (tensor, by) => tf.mul(tensor, by),
    },
  )
  return {
    indices: indices as tf.Tensor3D,
    gates: (factor === 1 ? gates : tf.mul(gates, factor)) as tf.Tensor3D,
    ...(probabilities && { probabilities: probabilities as tf.Tensor3D }),
  }
}

/** The patches of the largest scores, best first; equal scores: the lower patch number first. Not differentiable. */
export function topPatches(scores: tf.Tensor3D, patchesPerExpert: number) {
  const all = spreadNotFinite(scores)
  const { values, indices } = tf.topk(all, patchesPerExpert, true)
  return { all, values: values as tf.Tensor3D, indices: indices as tf.Tensor3D }
}

/**
 * The scores of kept patches, differentiable by all scores: 0 by those of the others.
 *
 * @param scores (B,K,N) float32
 * @param indices (B,K,L) int32, different ones for each image and expert
 * @returns (B,K,L)
 */
export function keptScores(scores: tf.Tensor3D, indices: tf.Tensor3D): tf.Tensor3D {
  return handGradient([scores], () => {
    const [batch, experts, patches] = scores.shape
    const firsts = tf.mul(tf.range(0, batch * experts, 1, 'int32'), tf.scalar(patches, 'int32'))
    const rows = tf.add(indices, tf.reshape(firsts, [batch, experts, 1]))
    return {
      value: tf.reshape(gatherRows(tf.reshape(scores, [-1, 1]), rows), indices.shape) as tf.Tensor3D,
      saved: [rows],
      gradient: (dKept, [keptRows]) => {
        const places = tf.reshape(keptRows as tf.Tensor, [-1, 1])
        const all = tf.scatterND(places, tf.reshape(dKept, [-1]), [batch * experts * patches])
        return [tf.reshape(all, [batch, experts, patches])]
      },
    }
  })
}

/**
 * Makes all of an expert's scores on an image NaN where one of them is NaN or infinite; finite scores stay as they are.
 * It also keeps top-k from comparing NaN with numbers, where its order would depend on the backend.
 */
function spreadNotFinite(scores: tf.Tensor3D): tf.Tensor3D {
  return tf.add(scores, notFinite(scores))
}

/** (B,K,1): NaN where one of an expert's scores on an image is NaN or infinite, else 0. */
export function notFinite(scores: tf.Tensor3D): tf.Tensor3D {
  return tf.sum(tf.mul(scores, 0), 2, true)
}

/**
 * The derivative by the scores, from the derivative by the gates.
 *
 * @param dGates (B,K,L) derivative by the gates
 * @param patches N
 * @returns undefined where gates depend on no score: no gradient reaches the router
 */
export function scoreGradient(
  dGates: tf.Tensor3D,
  { gates, probabilities }: RoutingWithState,
  { gate, gateScale, patchesPerExpert }: RoutingRule,
  patches: number,
): ScoreGradient | undefined {
  const factor = gateFactor(gate, gateScale, patchesPerExpert, patches)
  return gateKind(gate).gradient(dGates, { gates, factor, ...(probabilities && { probabilities }) })
}

/**
 * Carries a gradient by the scores of all N patches back through {@link routerScores}.
 *
 * @param dScores (B,K,N)
 * @returns derivatives by the map (B,H,W,C) and the router (h,w,C,K)
 */
export function routerScoresGradient(
  dScores: tf.Tensor3D,
  x: tf.Tensor4D,
  router: tf.Tensor4D,
  grid: PatchGrid,
): { dx: tf.Tensor4D; dRouter: tf.Tensor4D } {
  const [batch, experts] = dScores.shape
  const map = tf.reshape(tf.transpose(dScores, [0, 2, 1]), [batch, ...grid.cells, experts]) as tf.Tensor4D
  return {
    dx: inputGradient(map, router, x.shape, grid.patch, 'valid'),
    dRouter: kernelGradient(x, map, router.shape, grid.patch, 'valid'),
  }
}

/**
 * Carries a gradient by the scores of kept patches back to the router, touching those patches only.
 *
 * @param dScores (B,K,L)
 * @param patches (K, B L, h w C) the kept patches
 * @returns the derivative by the router, (h,w,C,K)
 */
export function keptRouterGradient(
  dScores: tf.Tensor3D,
  patches: tf.Tensor3D,
  routerShape: tf.Tensor4D['shape'],
): tf.Tensor4D {
  const [experts, , size] = patches.shape
  const perExpert = tf.matMul(rowPerPatch(dScores), patches, true, false) // (K, 1, h w C)
  return tf.reshape(tf.transpose(tf.reshape(perExpert, [experts, size])), routerShape)
}

/**
 * Carries a gradient by the scores of kept patches back to these patches.
 *
 * @param dScores (B,K,L)
 * @param router (h,w,C,K)
 * @returns the derivative by the patches, (K, B L, h w C)
 */
export function keptPatchesGradient(dScores: tf.Tensor3D, router: tf.Tensor4D): tf.Tensor3D {
  const experts = router.shape[3]
  const vectors = tf.reshape(tf.transpose(tf.reshape(router, [-1, experts])), [experts, 1, -1])
  return tf.mul(rowPerPatch(dScores), vectors)
}

/** (B,K,L) -> (K, B L, 1). */
function rowPerPatch(values: tf.Tensor3D): tf.Tensor3D {
  const [batch, experts, numKept] = values.shape
  return tf.reshape(tf.transpose(values, [1, 0, 2]), [experts, batch * numKept, 1])
}

/**
 * Checks L against the number of patches.
 *
 * @throws RangeError when L is not an integer in [1, N]
 */
export function checkPatchesPerExpert(patchesPerExpert: number, grid: PatchGrid, where: string): void {
  if (isPositiveInteger(patchesPerExpert) && patchesPerExpert <= grid.count) return
  const [height, width] = grid.map
  throw new RangeError(
    `${where}: patchesPerExpert must be an integer in [1, ${grid.count}], got ${patchesPerExpert} ` +
      `(${grid.count} patches: ${height}x${width} map in ${grid.patch[0]}x${grid.patch[1]} patches)`,
  )
}

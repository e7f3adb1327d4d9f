import * as tf from '@tensorflow/tfjs-core'
import { type AuxiliaryTerm, addAuxiliaryTerm, asksForTerm } from '../auxiliary-terms.js'
import { meanOfBatch } from '../divided-batch.js'
import { isFixed } from '../fixed-inputs.js'
import { handGradient, withoutGradient } from '../hand-gradient.js'
import type { PatchGrid } from './patches.js'
import { routerScores, routerScoresGradient, topPatches } from './routing.js'

/** The terms that a layer whose K experts choose patches can add to the loss: one expert differs from no other. */
export function routingTerms(numExperts: number): readonly AuxiliaryTerm[] {
  return numExperts > 1 ? ['load-balance', 'diversity'] : ['load-balance']
}

/**
 * Adds the terms of {@link routingTerms} to the loss of the running step; nothing is computed that the step does not ask for.
 * It must be called within the scope of the layer's call, to which the scores then belong.
 *
 * @param layer its K and L
 * @param scores computes the scores (B,K,N) float32 of all patches, differentiable by what is trained; called once at most
 * @param indices (B,K,L) int32, the kept patches; the L of the largest scores unless given
 * @returns the scores, where they were computed
 */
export function addRoutingTerms(
  { numExperts, patchesPerExpert }: { readonly numExperts: number; readonly patchesPerExpert: number },
  scores: () => tf.Tensor3D,
  indices?: tf.Tensor3D,
): tf.Tensor3D | undefined {
  if (!asksForTerm(routingTerms(numExperts))) return undefined
  const all = scores()
  addAuxiliaryTerm('load-balance', () =>
    patchBalance(all, indices ?? withoutGradient(() => topPatches(all, patchesPerExpert).indices)),
  )
  if (numExperts > 1) addAuxiliaryTerm('diversity', () => routingOverlap(all))
  return all
}

/**
 * The load-balance loss of experts that choose patches. Each expert keeps L of them whatever the scores are, so that no expert
 * can be overloaded; what can be is a position of the map, which many experts keep in many images, while others are kept by none:
 *
 *     N sum over positions j of f_j p_j
 *
 * f_j is the share of the B K L choices of a batch that fell on position j, through which no gradient passes, and p_j the mean over
 * images and experts of softmax over positions of the scores (Fedus et al., Switch Transformers, 2021, eq. 4, with positions
 * for experts). 1 where positions are chosen evenly, N/L where all experts keep the same L in all images and have all of their softmax there.
 *
 * @param scores (B,K,N) float32
 * @param indices (B,K,L) int32, the kept patches
 * @returns a number, differentiable by `scores`
 */
export function patchBalance(scores: tf.Tensor3D, indices: tf.Tensor3D): tf.Scalar {
  return tf.tidy(() => {
    const patches = scores.shape[2]
    const load = withoutGradient(() => {
      const choices = tf.scatterND(tf.reshape(indices, [-1, 1]), tf.ones([indices.size]), [patches])
      return meanOfBatch(tf.div(choices, indices.size))
    })
    const shares = tf.mean(tf.softmax(scores), [0, 1])
    return tf.mul<tf.Scalar>(tf.sum(tf.mul(load, shares)), patches)
  })
}

/**
 * How alike the routers of a layer are: the mean over images and pairs of experts s < t of the cosine of their softmax over all N
 * patches,
 *
 *     <P_s, P_t> / (|P_s| |P_t|),   P_s = softmax over patches of the scores of expert s
 *
 * 1 where all experts weigh the patches alike, 0 where no two give weight to the same patch. A cosine, since the plain product
 * would also fall where routers only stop telling patches apart: two uniform softmaxes have the product 1/N.
 *
 * @param scores (B,K,N) float32, K > 1
 * @returns a number, differentiable by `scores`
 */
export function routingOverlap(scores: tf.Tensor3D): tf.Scalar {
  return tf.tidy(() => {
    const experts = scores.shape[1]
    const shares = tf.softmax(scores)
    const lengths = tf.sqrt(tf.sum(tf.square(shares), 2, true))
    // |sum over s of u_s|^2 = K + 2 (sum over pairs of <u_s, u_t>) for vectors u_s of length 1.
    const squares = tf.sum(tf.square(tf.sum(tf.div(shares, lengths), 1)), 1)
    return tf.div<tf.Scalar>(tf.sub(tf.mean(squares), experts), experts * (experts - 1))
  })
}

/**
 * The routing values of {@link routerScores}, differentiable by map and router on every backend. Mixtures have no need of it: theirs
 * is a gradient by hand that touches kept patches only.
 *
 * @param x (B,H,W,C) float32
 * @param router (h,w,C,K) float32
 * @returns (B,K,N) float32
 */
export function differentiableScores(x: tf.Tensor4D, router: tf.Tensor4D, grid: PatchGrid): tf.Tensor3D {
  const isInputFixed = isFixed(x)
  return handGradient([...(isInputFixed ? [] : [x]), router], () => ({
    value: routerScores(x, router, grid),
    saved: [x],
    gradient: (dScores, [map]) => {
      const { dx, dRouter } = routerScoresGradient(dScores, map as tf.Tensor4D, router, grid)
      return isInputFixed ? [dRouter] : [dx, dRouter]
    },
  }))
}

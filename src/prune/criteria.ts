import * as tf from '@tensorflow/tfjs-core'
import type { Mixture, Observation } from './mixtures/mixture.js'

/** What a criterion is computed from besides the model. */
export type CriterionNeed = 'reference' | 'data' | 'labels'

/** The weights of a mixture that criteria read. */
export interface MixtureWeights {
  /** (h w C, K) the experts' routers. */
  readonly router: tf.Tensor2D
  /** (h w C, K), for criteria that need a reference. */
  readonly reference?: tf.Tensor2D
  /** (K) */
  kernelNorms(): tf.Tensor1D
}

/** One way of scoring experts; an expert with a small score is pruned first. */
export interface CriterionKind {
  /** What the score of an expert is, in one line. */
  readonly score: string
  readonly needs: readonly CriterionNeed[]
  /** Why a mixture cannot be scored so; undefined where it can. */
  refusal?(mixture: Mixture): string | undefined
  /** What to know before trusting the scores. */
  warning?(mixture: Mixture): string | undefined
  /** (K) from the weights. */
  ofWeights?(weights: MixtureWeights): tf.Tensor1D
  /** (B,K) of each image; the score is the mean over images. */
  ofImages?(observation: Observation): tf.Tensor2D
}

const table = {
  'router-norm': {
    score: "norm of the expert's router minus its norm in the reference, with its sign",
    needs: ['reference'],
    ofWeights: weights => normChange(weights),
  },
  'router-norm-abs': {
    score: "magnitude of the change of the norm of the expert's router",
    needs: ['reference'],
    ofWeights: weights => tf.abs(normChange(weights)),
  },
  'router-distance': {
    score: "norm of the change of the expert's router since the reference",
    needs: ['reference'],
    ofWeights: ({ router, reference }) => columnNorms(tf.sub(router, reference as tf.Tensor2D)),
  },
  'router-magnitude': {
    score: "norm of the expert's router",
    needs: [],
    ofWeights: ({ router }) => columnNorms(router),
  },
  'expert-magnitude': {
    score: "norm of the expert's kernel, without bias",
    needs: [],
    ofWeights: ({ kernelNorms }) => kernelNorms(),
  },
  importance: {
    score: 'mean share of the expert in a softmax over experts of the scores of each patch or sample',
    needs: ['data'],
    warning: ({ choice }) =>
      choice === 'of patches'
        ? 'the routers of experts that choose patches are never compared with each other by the network, as this criterion does'
        : undefined,
    ofImages: ({ scores }) => tf.mean(tf.softmax(tf.transpose(scores(), [0, 2, 1])), 1),
  },
  coverage: {
    score: 'mean share of the patches that this expert alone keeps',
    needs: ['data'],
    refusal: ({ choice }) =>
      choice === 'of experts'
        ? 'its experts do not choose among patches: each sample chooses its expert'
        : undefined,
    ofImages: ({ received }) => {
      const kept = received()
      const isOnly = tf.cast(tf.equal(tf.sum(kept, 1, true), 1), 'float32')
      return tf.mean(tf.mul(kept, isOnly), 2)
    },
  },
  usage: {
    score: 'share of the samples sent to the expert',
    needs: ['data'],
    refusal: ({ choice, patches }) =>
      choice === 'of patches'
        ? `it is L/N = ${patches?.kept}/${patches?.all} for every expert, as each chooses its patches`
        : undefined,
    ofImages: ({ received }) => tf.mean(received(), 2),
  },
  'gate-mass': {
    score: "mean over images of the sum of the expert's gates before gate scale",
    needs: ['data'],
    refusal: ({ choice, gate, patches }) => {
      if (choice !== 'of patches') return undefined
      if (gate === 'softmax-selected') return "it is 1 for every expert under gate 'softmax-selected'"
      return gate === 'uniform'
        ? `it is L = ${patches?.kept} for every expert under gate 'uniform'`
        : undefined
    },
    ofImages: ({ gates }) => tf.sum(gates(), 2),
  },
  'activation-norm': {
    score: "mean over images of the norm of the expert's gated output",
    needs: ['data'],
    ofImages: ({ outputs }) => tf.sqrt(tf.sum(tf.square(outputs()), 2)),
  },
  taylor: {
    score: 'mean over images of the first-order change of the loss if the expert answered 0, as a magnitude',
    needs: ['data', 'labels'],
    ofImages: ({ outputs, slopes }) => tf.abs(tf.sum(tf.mul(outputs(), slopes()), 2)),
  },
  random: { score: 'a number drawn from the seed', needs: [] },
} as const satisfies Readonly<Record<string, CriterionKind>>

/** The name of a criterion by which experts are pruned. */
export type Criterion = keyof typeof table

/** All criteria, by name. */
export const CRITERION_KINDS: Readonly<Record<Criterion, CriterionKind>> = table

/** The names of all criteria. */
export const CRITERIA = Object.keys(table) as readonly Criterion[]

/** The scores that one criterion gives the experts of a mixture. */
export interface CriterionScores {
  /** (K) one for each expert, in the order of the layer. */
  readonly scores: readonly number[]
  /** (K) numbers of the experts in the order of pruning; of equal scores the higher number goes first. */
  readonly order: readonly number[]
  /** What to know before trusting the scores; empty where there is nothing. */
  readonly warnings: readonly string[]
}

/** Norms of the columns. */
export function columnNorms(matrix: tf.Tensor2D): tf.Tensor1D {
  return tf.sqrt(tf.sum(tf.square(matrix), 0))
}

function normChange({ router, reference }: MixtureWeights): tf.Tensor1D {
  return tf.sub(columnNorms(router), columnNorms(reference as tf.Tensor2D))
}

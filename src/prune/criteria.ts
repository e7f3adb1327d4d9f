/** What a criterion is computed from besides the model. */
export type CriterionNeed = 'reference' | 'data' | 'labels'

/** One way of scoring experts; an expert with a small score is pruned first. */
export interface CriterionKind {
  /** What the score of an expert is, in one line. */
  readonly score: string
  readonly needs: readonly CriterionNeed[]
}

const table = {
  'router-norm': {
    score: "norm of the expert's router minus its norm in the reference, with its sign",
    needs: ['reference'],
  },
  'router-norm-abs': {
    score: "magnitude of the change of the norm of the expert's router",
    needs: ['reference'],
  },
  'router-distance': {
    score: "norm of the change of the expert's router since the reference",
    needs: ['reference'],
  },
  'router-magnitude': { score: "norm of the expert's router", needs: [] },
  'expert-magnitude': { score: "norm of the expert's kernel, without bias", needs: [] },
  importance: {
    score: 'mean share of the expert in a softmax over experts of the scores of each patch or sample',
    needs: ['data'],
  },
  coverage: { score: 'mean share of the patches that this expert alone keeps', needs: ['data'] },
  usage: { score: 'share of the samples sent to the expert', needs: ['data'] },
  'gate-mass': {
    score: "mean over images of the sum of the expert's gates before gate scale",
    needs: ['data'],
  },
  'activation-norm': { score: "mean over images of the norm of the expert's gated output", needs: ['data'] },
  taylor: {
    score: 'mean over images of the first-order change of the loss if the expert answered 0, as a magnitude',
    needs: ['data', 'labels'],
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

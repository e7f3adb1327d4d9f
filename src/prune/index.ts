/** Expert pruning: which experts of a mixture can go, and the smaller network without them. */
export {
  CRITERIA,
  CRITERION_KINDS,
  type Criterion,
  type CriterionKind,
  type CriterionNeed,
  type CriterionScores,
} from './criteria.js'
export {
  criterionRefusals,
  type ExpertScoresOptions,
  expertScores,
  type ScoringOptions,
} from './expert-scores.js'
export { mixturesOf } from './mixtures/find-mixtures.js'
export type { Mixture } from './mixtures/mixture.js'
export { COMPENSATIONS, type Compensation, PRUNING_OPERATORS, type PruningOperator } from './operators.js'
export {
  type PerMixture,
  type PrunedExperts,
  type PruneExpertsOptions,
  pruneExperts,
} from './prune-experts.js'
export type { BeforeAndAfter, ChangedWeight, PruningReceipt } from './receipt.js'
export { type Reference, type ReferenceRouters, type RouterValues, routersOf } from './reference.js'

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
  type BeforeAndAfter,
  type ChangedWeight,
  COMPENSATIONS,
  type Compensation,
  PRUNING_OPERATORS,
  type PruningOperator,
  type PruningReceipt,
} from './receipt.js'
export type { Reference, ReferenceRouters, RouterValues } from './reference.js'

import type { Criterion } from './criteria.js'
import type { Compensation, PruningOperator } from './operators.js'

/** A number of the whole network before and after. */
export interface BeforeAndAfter {
  readonly before: number
  readonly after: number
}

/** A weight whose shape has changed. */
export interface ChangedWeight {
  /** Path of its layer, `backbone/bn1`. */
  readonly path: string
  readonly weight: string
  /** Shapes; empty where the weight was not there, or is no longer. */
  readonly before: readonly number[]
  readonly after: readonly number[]
}

/** What was pruned from one mixture, why, and what it saves; plain data. */
export interface PruningReceipt {
  /** Path of the mixture. */
  readonly layer: string
  readonly criterion: Criterion
  /** (K) small goes first. */
  readonly scores: readonly number[]
  /** Numbers of the experts in the unpruned layer, ascending. */
  readonly kept: readonly number[]
  readonly removed: readonly number[]
  /** Names of the kept experts, as the pruned layer has them. */
  readonly expertNames: readonly string[]
  /** Experts whose score equals that of an expert on the other side of the cut: which of them stay was decided by their numbers. */
  readonly tied: readonly number[]
  readonly operator: PruningOperator
  readonly compensate: Compensation
  /** Share of the experts removed. */
  readonly ratio: number
  /** Of the whole network, all mixtures pruned. */
  readonly parameters: BeforeAndAfter
  /** Of the whole network for one image, forward, all mixtures pruned. */
  readonly multiplyAdds: BeforeAndAfter
  /** Of all mixtures pruned and of the layers that read them. */
  readonly changedLayers: readonly ChangedWeight[]
  /** Largest difference to the unpruned network with the same channels masked, on the sample: only rounding. */
  readonly difference: number
  /** What `router-...` criteria compared with: where it is from, and the norms of its routers (K). */
  readonly reference?: { readonly path: string; readonly norms: readonly number[] }
  readonly warnings: readonly string[]
}

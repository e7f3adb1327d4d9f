import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { layersThatChange } from '../../../src/prune/channel-walk.js'
import {
  CRITERIA,
  type Criterion,
  type CriterionScores,
  criterionRefusals,
  expertScores,
  type PruningOperator,
  type Reference,
} from '../../../src/prune/index.js'
import { chosenMixtures } from '../../../src/prune/mixtures/find-mixtures.js'
import type { Mixture } from '../../../src/prune/mixtures/mixture.js'
import { withoutExperts } from '../../../src/prune/surgery.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { asUsage } from '../../terminal/usage-error.js'

/** What every criterion says of the experts of one mixture. */
export interface MixturePanel {
  readonly layer: string
  readonly expertNames: readonly string[]
  readonly criteria: Readonly<Partial<Record<Criterion, PanelRow>>>
  /** The criteria that cannot be computed, each with the reason. */
  readonly refused: Readonly<Partial<Record<Criterion, string>>>
  /** What was done with the experts that went, where accuracies were measured. */
  readonly operator?: PruningOperator
}

/** The scores of one criterion, and the accuracy by the number of experts that stay. */
export interface PanelRow extends CriterionScores {
  readonly accuracy?: Readonly<Record<number, number>>
}

/** What criteria are compared by. */
export interface PanelRequest {
  /** The mixture; all of the network unless given. */
  readonly layer?: string | undefined
  readonly reference?: Reference | undefined
  /** Images that scores are taken from. */
  readonly scored?: ImageSet | undefined
  /** Images that accuracies are measured on. */
  readonly test?: ImageSet | undefined
  /** The only number of experts left for which accuracies are measured; all below K unless given. */
  readonly keep?: number | undefined
  readonly batchSize: number
  readonly seed: number
  readonly signal: AbortSignal
}

/**
 * Scores the experts of each mixture by every criterion that can be computed, and measures what the network is worth with
 * fewer experts of this mixture, without fine-tuning.
 *
 * @throws UsageError where there is no such mixture
 */
export async function pruningPanels(model: tfl.LayersModel, request: PanelRequest): Promise<MixturePanel[]> {
  const mixtures = asUsage(() => chosenMixtures(model, request.layer, 'prune'))
  const panels: MixturePanel[] = []
  for (const mixture of mixtures) panels.push(await panelOf(model, mixture, request))
  return panels
}

async function panelOf(
  model: tfl.LayersModel,
  mixture: Mixture,
  request: PanelRequest,
): Promise<MixturePanel> {
  const { path: layer, expertNames } = mixture
  const { reference, scored, test, seed, batchSize, signal } = request
  const given = { layer, ...(reference && { reference }), ...(scored && { data: scored }) }
  const refused = criterionRefusals(model, given)
  const criteria = CRITERIA.filter(criterion => refused[criterion] === undefined)
  const scores = await expertScores(model, { ...given, criteria, seed, batchSize, signal })
  const operator = test && possibleOperator(model, mixture)
  const accuracyOf =
    test && operator && accuracies(model, mixture, operator, set => accuracy(set, test, request))
  const rows: Partial<Record<Criterion, PanelRow>> = {}
  for (const criterion of criteria) {
    const own = scores[criterion]
    rows[criterion] = accuracyOf ? { ...own, accuracy: await accuracyOf(own.order, request.keep) } : own
  }
  return { layer, expertNames, criteria: rows, refused, ...(operator && { operator }) }
}

async function accuracy(
  model: tfl.LayersModel,
  test: ImageSet,
  { batchSize, signal }: PanelRequest,
): Promise<number> {
  return (await evaluate(model, test, { batchSize, signal })).accuracy
}

/** The first operator that the layers behind the mixture allow; undefined where none does. */
function possibleOperator(model: tfl.LayersModel, mixture: Mixture): PruningOperator | undefined {
  return mixture.operators.find(operator => {
    try {
      layersThatChange(model, [{ mixture, cut: { kept: [0], operator } }], 'prune')
      return true
    } catch (error) {
      if (error instanceof RangeError) return false
      throw error
    }
  })
}

/** Measures networks with fewer experts, each set of experts once, whichever criteria choose it. */
function accuracies(
  model: tfl.LayersModel,
  mixture: Mixture,
  operator: PruningOperator,
  measure: (pruned: tfl.LayersModel) => Promise<number>,
) {
  const known = new Map<string, number>()
  return async (order: readonly number[], only: number | undefined): Promise<Record<number, number>> => {
    const byCount: Record<number, number> = {}
    for (let count = order.length - 1; count >= 1; count--) {
      if (only !== undefined && count !== only) continue
      const kept = order.slice(order.length - count).toSorted((a, b) => a - b)
      const key = kept.join()
      const accuracy = known.get(key) ?? (await accuracyWith(model, mixture, { kept, operator }, measure))
      known.set(key, accuracy)
      byCount[count] = accuracy
    }
    return byCount
  }
}

async function accuracyWith(
  model: tfl.LayersModel,
  mixture: Mixture,
  cut: { readonly kept: readonly number[]; readonly operator: PruningOperator },
  measure: (pruned: tfl.LayersModel) => Promise<number>,
): Promise<number> {
  const cuts = [{ mixture, cut }]
  const pruned = withoutExperts(model, cuts, layersThatChange(model, cuts, 'prune'), 'prune')
  try {
    return await measure(pruned)
  } finally {
    disposeModel(pruned)
  }
}

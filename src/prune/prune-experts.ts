import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { oneOf } from '../layers/validation.js'
import { type SampleInputs, sampleInputs } from '../models/compare-models.js'
import { modelCost } from '../models/cost.js'
import { disposeModel } from '../models/dispose-model.js'
import { layersThatChange, type MixtureCut } from './channel-walk.js'
import { range } from './channels.js'
import {
  addToBiases,
  clearNewBiases,
  compensatedReaders,
  meanValues,
  silentValues,
  withBiases,
} from './compensation.js'
import { CRITERION_KINDS, type Criterion, type CriterionScores } from './criteria.js'
import { checkCriteria, checkCriterion, type ScoringOptions, scoresOfMixtures } from './expert-scores.js'
import { type Comparison, maskedDifference, silencedDifference } from './masked-network.js'
import { chosenMixtures } from './mixtures/find-mixtures.js'
import type { Mixture } from './mixtures/mixture.js'
import { COMPENSATIONS, type Compensation, type PruningOperator } from './operators.js'
import type { ChangedWeight, PruningReceipt } from './receipt.js'
import { referenceName, referenceNorms } from './reference.js'
import { checkSelection, numKept, type SelectedExperts, type Selection, selectExperts } from './selection.js'
import { changedWeights, withoutExperts } from './surgery.js'

/** One number for all mixtures, or one for each by its path. */
export type PerMixture = number | Readonly<Record<string, number>>

/** Options of {@link pruneExperts}; one of `keep`, `ratio` and `threshold` must be given. */
export interface PruneExpertsOptions extends ScoringOptions {
  /** Paths of the mixtures; default all of the model, or those that the numbers are given for. */
  readonly layer?: string | readonly string[]
  /** Default 'router-norm'. */
  readonly criterion?: Criterion
  /** Experts that stay, integers in [1, K]. */
  readonly keep?: PerMixture
  /** Share of the experts that go, in [0, 1): floor(ratio K) of them. */
  readonly ratio?: PerMixture
  /** Experts with a smaller score go. */
  readonly threshold?: PerMixture
  /** Default 'remove', and 'zero' for experts that samples choose. */
  readonly operator?: PruningOperator
  /** Default 'none'. 'mean' needs data. */
  readonly compensate?: Compensation
  /** Inputs for comparing the networks, one tensor an input. Default two samples of uniform numbers in [0, 1). */
  readonly sample?: tf.Tensor | tf.Tensor[]
}

/** A pruned network, and what was done. */
export interface PrunedExperts {
  /** The new model; it shares nothing with the old one, and the caller disposes it. */
  readonly model: tfl.LayersModel
  /** Of the first mixture, which is the only one of most networks. */
  readonly receipt: PruningReceipt
  /** Of each mixture. */
  readonly receipts: readonly PruningReceipt[]
}

const WHERE = 'pruneExperts'

const optionNames = {
  layer: true,
  criterion: true,
  reference: true,
  data: true,
  keep: true,
  ratio: true,
  threshold: true,
  operator: true,
  compensate: true,
  seed: true,
  sample: true,
  batchSize: true,
  signal: true,
} as const satisfies OptionNames<PruneExpertsOptions>

/**
 * Removes the experts of the smallest scores from the mixtures of a model (Chowdhury et al., ICML 2024), and gives a smaller
 * network of ordinary layers.
 *
 * Under expert choice an expert's patches, gates and outputs do not depend on the others: the channels of those that stay
 * keep their values, to rounding: in which order a product adds depends on its number of columns, on wasm (two or fewer
 * columns) and on native TensorFlow. With operator 'remove' the channels of the others go from every layer behind the mixture,
 * up to those that sum over channels. That equals the unpruned network with these channels set to 0 where they are read,
 * which is not what it computes if the experts answered 0: BatchNorm and ReLU make a constant of that. `compensate: 'zero'`
 * adds the constant's effect to the next bias and is exact; 'mean' adds that of the channels' means over images instead,
 * mostly the better start of a fine-tuning.
 *
 * Both networks run on a sample, and the difference is reported.
 *
 * @throws RangeError when the model has no such mixture, an option is out of range or does not suit it, the criterion cannot
 * be computed, or channels cannot be taken from a layer behind the mixture (the error names it, and the operator that is
 * possible)
 * @throws Error when the model cannot be rebuilt, or the pruned one computes something else
 */
export async function pruneExperts(
  model: tfl.LayersModel,
  options: PruneExpertsOptions,
): Promise<PrunedExperts> {
  const plan = planOf(model, options)
  const scores = await scoresOfMixtures(model, plan.mixtures, [plan.criterion], plan.scoring, WHERE)
  const choices = plan.mixtures.map(mixture => {
    const scored = scores.get(mixture.path)?.[plan.criterion] as CriterionScores
    const selection = plan.selectionOf(mixture)
    const selected = selectExperts(selection, scored.scores, scored.order, mixture.path, WHERE)
    return { mixture, scored, selected }
  })
  const cuts = choices.map(({ mixture, selected }) => cutOf(plan, mixture, selected.kept))
  const surgery = await operate(model, cuts, plan, options)
  const [before, after] = [modelCost(model), modelCost(surgery.model)]
  const receipts = await Promise.all(
    choices.map(async ({ mixture, scored, selected }) => ({
      ...ofMixture(mixture, scored, selected),
      criterion: plan.criterion,
      operator: plan.operatorOf(mixture),
      compensate: plan.compensate,
      parameters: { before: before.parameters.total, after: after.parameters.total },
      multiplyAdds: { before: before.multiplyAdds.forward, after: after.multiplyAdds.forward },
      changedLayers: surgery.changedLayers,
      difference: surgery.difference,
      ...(await referenceOf(mixture, plan)),
    })),
  )
  return { model: surgery.model, receipt: receipts[0] as PruningReceipt, receipts }
}

/** Everything that can be settled before any work. */
interface Plan {
  readonly mixtures: readonly Mixture[]
  readonly criterion: Criterion
  readonly compensate: Compensation
  readonly scoring: ScoringOptions
  selectionOf(mixture: Mixture): Selection
  operatorOf(mixture: Mixture): PruningOperator
}

function planOf(model: tfl.LayersModel, options: PruneExpertsOptions): Plan {
  checkOptionNames(WHERE, options, optionNames)
  const { criterion = 'router-norm', compensate = 'none', operator, reference, data, seed } = options
  checkCriteria([criterion], WHERE)
  oneOf(COMPENSATIONS, compensate, `${WHERE}: compensate`)
  const mixtures = chosenMixtures(model, options.layer ?? pathsOf(options), WHERE)
  const selections = new Map(mixtures.map(mixture => [mixture, selectionFor(mixture, options)]))
  const { batchSize, signal } = options
  const plan: Plan = {
    mixtures,
    criterion,
    compensate,
    scoring: {
      ...(reference && { reference }),
      ...(data && { data }),
      ...(seed !== undefined && { seed }),
      ...(batchSize !== undefined && { batchSize }),
      ...(signal && { signal }),
    },
    selectionOf: mixture => selections.get(mixture) as Selection,
    operatorOf: mixture => operator ?? (mixture.operators[0] as PruningOperator),
  }
  for (const mixture of mixtures) checkMixture(plan, mixture)
  checkCompensation(plan)
  checkSurgery(model, plan)
  return plan
}

/** The paths that numbers are given for. */
function pathsOf({ keep, ratio, threshold }: PruneExpertsOptions): readonly string[] | undefined {
  const record = [keep, ratio, threshold].find(value => typeof value === 'object' && value !== null)
  return record && Object.keys(record)
}

function selectionFor({ path }: Mixture, options: PruneExpertsOptions): Selection {
  const selection: Record<string, number> = {}
  for (const name of ['keep', 'ratio', 'threshold'] as const) {
    const value = options[name]
    if (value === undefined) continue
    const own = typeof value === 'object' && value !== null ? value[path] : value
    if (own === undefined) {
      throw new RangeError(`${WHERE}: ${name} must be given for every layer, got none for ${path}`)
    }
    selection[name] = own
  }
  return selection
}

function checkMixture(plan: Plan, mixture: Mixture): void {
  checkSelection(plan.selectionOf(mixture), mixture.numExperts, mixture.path, WHERE)
  checkCriterion(plan.criterion, mixture, plan.scoring, WHERE)
  const operator = plan.operatorOf(mixture)
  if (mixture.operators.includes(operator)) return
  const known = mixture.operators.map(name => `'${name}'`).join(' or ')
  throw new RangeError(
    `${WHERE}: operator must be ${known} for the experts of ${mixture.path} (${mixture.layer.getClassName()}), ` +
      `got ${JSON.stringify(operator)}`,
  )
}

/** Only removed channels can be compensated for; elsewhere experts already answer 0. */
function checkCompensation({ compensate, mixtures, operatorOf, scoring }: Plan): void {
  if (compensate === 'none') return
  for (const mixture of mixtures) {
    if (mixture.ownsChannels && operatorOf(mixture) === 'remove') continue
    throw new RangeError(
      `${WHERE}: compensate must be 'none' where no channels are removed, got '${compensate}' (layer ${mixture.path}, ` +
        `operator '${operatorOf(mixture)}')`,
    )
  }
  if (compensate === 'mean' && !scoring.data) {
    throw new RangeError(`${WHERE}: compensate 'mean' must have data, a set of images, got none`)
  }
}

/** Finds layers that channels cannot be taken from before any expert is scored: which experts go does not matter for that. */
function checkSurgery(model: tfl.LayersModel, plan: Plan): void {
  const cuts = plan.mixtures.flatMap(mixture => {
    const count = numKept(plan.selectionOf(mixture), mixture.numExperts)
    return count === undefined ? [] : [cutOf(plan, mixture, range(count))]
  })
  compensatedReaders(layersThatChange(model, cuts, WHERE), plan.compensate, WHERE)
}

function cutOf(plan: Plan, mixture: Mixture, kept: readonly number[]): MixtureCut {
  return { mixture, cut: { kept, operator: plan.operatorOf(mixture) } }
}

interface Surgery {
  readonly model: tfl.LayersModel
  readonly difference: number
  readonly changedLayers: readonly ChangedWeight[]
}

/** Builds the pruned network, compares it with the masked one, and compensates. */
async function operate(
  model: tfl.LayersModel,
  cuts: readonly MixtureCut[],
  plan: Plan,
  options: PruneExpertsOptions,
): Promise<Surgery> {
  const found = layersThatChange(model, cuts, WHERE)
  const readers = compensatedReaders(found, plan.compensate, WHERE)
  const changed = withBiases(found, readers)
  const sample = sampleInputs(model, options, WHERE)
  let pruned: tfl.LayersModel | undefined
  try {
    pruned = withoutExperts(model, cuts, changed, WHERE)
    clearNewBiases(pruned, readers)
    const comparison = { model, pruned, inputs: sample.inputs, cuts, changed, where: WHERE }
    const difference = await maskedDifference(comparison)
    const differences = [difference, await compensate(comparison, readers, plan, sample)]
    return {
      model: pruned,
      difference: Math.max(...differences),
      changedLayers: [
        ...changedWeights(model, pruned),
        ...readers.flatMap(reader => changedBias(reader.path, reader.layer)),
      ],
    }
  } catch (error) {
    if (pruned) disposeModel(pruned)
    throw error
  } finally {
    sample.dispose()
  }
}

/** @returns the difference to the network whose experts answer 0, where the pruned one must equal it */
async function compensate(
  comparison: Comparison,
  readers: ReturnType<typeof compensatedReaders>,
  { compensate: how, scoring }: Plan,
  { inputs }: SampleInputs,
): Promise<number> {
  if (how === 'none' || readers.length === 0) return 0
  const { model, pruned, cuts } = comparison
  const { data, batchSize, signal } = scoring
  const pass = { ...(batchSize !== undefined && { batchSize }), ...(signal && { signal }) }
  const values =
    how === 'mean' && data
      ? await meanValues(model, readers, data, pass, WHERE)
      : await silentValues(model, cuts, readers, inputs, WHERE)
  addToBiases(pruned, readers, values)
  return how === 'zero' ? silencedDifference(comparison) : 0
}

/** A bias whose values changed, not its shape. */
function changedBias(path: string, layer: tfl.layers.Layer): readonly ChangedWeight[] {
  return layer.weights
    .filter(({ originalName }) => originalName.endsWith('/bias'))
    .map(({ shape }) => ({ path, weight: 'bias', before: shape.map(Number), after: shape.map(Number) }))
}

function ofMixture(
  { path, numExperts, expertNames }: Mixture,
  { scores, warnings }: CriterionScores,
  { kept, removed, tied }: SelectedExperts,
) {
  return {
    layer: path,
    scores,
    kept,
    removed,
    expertNames: kept.map(expert => expertNames[expert] as string),
    tied,
    ratio: removed.length / numExperts,
    warnings,
  }
}

async function referenceOf(
  mixture: Mixture,
  { criterion, scoring }: Plan,
): Promise<Pick<PruningReceipt, 'reference'>> {
  const { reference } = scoring
  const needs: readonly string[] = CRITERION_KINDS[criterion].needs
  if (!reference || !needs.includes('reference')) return {}
  const norms = await referenceNorms(mixture, reference, WHERE)
  return { reference: { path: referenceName(reference), norms } }
}

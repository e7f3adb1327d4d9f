import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../data/image-set.js'
import type { ImageStream } from '../data/image-stream.js'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { random } from '../random.js'
import {
  CRITERIA,
  CRITERION_KINDS,
  type Criterion,
  type CriterionKind,
  type CriterionScores,
  columnNorms,
} from './criteria.js'
import { chosenMixtures } from './mixtures/find-mixtures.js'
import { columnsOfExperts, type Mixture } from './mixtures/mixture.js'
import { type ImagePassOptions, meansOverImages } from './observed-images.js'
import { type Reference, referenceColumns, routerColumns, untrainedReference } from './reference.js'
import { pruningOrder } from './selection.js'

/** What experts are scored with. */
export interface ScoringOptions extends ImagePassOptions {
  /** The model before fine-tuning, or its routers; for criteria that compare with it. */
  readonly reference?: Reference
  /** Labelled images; for criteria of what the experts do. */
  readonly data?: ImageSet | ImageStream
  /** Of criterion 'random'; default 0. */
  readonly seed?: number
}

/** Options of {@link expertScores}. */
export interface ExpertScoresOptions<Asked extends Criterion = Criterion> extends ScoringOptions {
  /** Path of the mixture; may be left out where the model has one. */
  readonly layer?: string
  readonly criteria: readonly Asked[]
}

const scoringNames = {
  reference: true,
  data: true,
  seed: true,
  batchSize: true,
  signal: true,
} as const satisfies OptionNames<ScoringOptions>

const optionNames = {
  ...scoringNames,
  layer: true,
  criteria: true,
} as const satisfies OptionNames<ExpertScoresOptions>

const WHERE = 'expertScores'

/**
 * Scores the experts of a mixture by several criteria side by side, without changing the model; criteria that need data
 * share one pass over them, in their stored order and in inference mode.
 *
 * Criteria: see `CRITERION_KINDS`. Small scores go first. `router-norm` is that of Chowdhury et al. (ICML 2024):
 * Delta_s = |w_s(fine-tuned)| - |w_s(pretrained)|, w_s the router of expert s.
 *
 * @returns by criterion
 * @throws RangeError when the model has no mixture, has several and `layer` is not given, or a criterion cannot be computed:
 * its reference or data are missing or do not fit, or it is the same for every expert of such a mixture
 */
export async function expertScores<Asked extends Criterion>(
  model: tfl.LayersModel,
  options: ExpertScoresOptions<Asked>,
): Promise<Record<Asked, CriterionScores>> {
  checkOptionNames(WHERE, options, optionNames)
  const { criteria, layer, ...scoring } = options
  checkCriteria(criteria, WHERE)
  const mixture = oneMixture(model, layer)
  const scores = await scoresOfMixtures(model, [mixture], criteria, scoring, WHERE)
  return scores.get(mixture.path) as Record<Asked, CriterionScores>
}

/**
 * The criteria that a mixture cannot be scored by with what is given, each with the reason.
 *
 * @throws RangeError as `expertScores` where no mixture is meant
 */
export function criterionRefusals(
  model: tfl.LayersModel,
  options: Pick<ExpertScoresOptions, 'layer' | 'reference' | 'data'> = {},
): Partial<Record<Criterion, string>> {
  const { layer: _, ...given } = options
  checkOptionNames('criterionRefusals', options, { layer: true, reference: true, data: true })
  const mixture = oneMixture(model, options.layer)
  return Object.fromEntries(
    CRITERIA.flatMap(criterion => {
      const reason = refusalOf(criterion, mixture, given)
      return reason === undefined ? [] : [[criterion, reason]]
    }),
  )
}

/**
 * Scores the experts of several mixtures in one pass over the data.
 *
 * @returns by the path of the mixture, then by criterion
 */
export async function scoresOfMixtures(
  model: tfl.LayersModel,
  mixtures: readonly Mixture[],
  criteria: readonly Criterion[],
  options: ScoringOptions,
  where: string,
): Promise<ReadonlyMap<string, Record<Criterion, CriterionScores>>> {
  for (const mixture of mixtures) {
    for (const criterion of criteria) checkCriterion(criterion, mixture, options, where)
  }
  const byWeights = await Promise.all(
    mixtures.map(mixture => weightScores(mixture, criteria, options, where)),
  )
  const byImages = await imageScores(model, mixtures, criteria, options, where)
  return new Map(
    mixtures.map((mixture, i) => {
      const scores = { ...byWeights[i]?.scores, ...byImages[i] }
      const warnings = byWeights[i]?.warnings ?? {}
      const entries = criteria.map(criterion => {
        const own = (scores as Record<string, readonly number[]>)[criterion] as readonly number[]
        return [criterion, scored(criterion, mixture, own, warnings[criterion] ?? [], where)] as const
      })
      return [mixture.path, Object.fromEntries(entries) as Record<Criterion, CriterionScores>]
    }),
  )
}

/** @throws RangeError when a criterion is not known, or there is none */
export function checkCriteria(criteria: readonly Criterion[], where: string): void {
  if (!Array.isArray(criteria) || criteria.length === 0) {
    throw new RangeError(
      `${where}: criteria must be at least one of ${CRITERIA.join(', ')}, got ${JSON.stringify(criteria)}`,
    )
  }
  for (const criterion of criteria) {
    if (CRITERIA.includes(criterion)) continue
    throw new RangeError(
      `${where}: criterion must be one of ${CRITERIA.join(', ')}, got ${JSON.stringify(criterion)}`,
    )
  }
}

function oneMixture(model: tfl.LayersModel, layer: string | undefined): Mixture {
  const [mixture, ...others] = chosenMixtures(model, layer, WHERE) as [Mixture, ...Mixture[]]
  if (others.length === 0) return mixture
  const paths = [mixture, ...others].map(({ path }) => path).join(', ')
  throw new RangeError(`${WHERE}: layer must be given for a model of several mixtures, got none of ${paths}`)
}

/** @throws RangeError when a mixture cannot be scored by a criterion with what is given */
export function checkCriterion(
  criterion: Criterion,
  mixture: Mixture,
  given: Pick<ScoringOptions, 'reference' | 'data'>,
  where: string,
): void {
  const reason = refusalOf(criterion, mixture, given)
  if (reason === undefined) return
  throw new RangeError(
    `${where}: criterion must be one that can be computed, got ${criterion}: ${reason} (layer ${mixture.path})`,
  )
}

function refusalOf(
  criterion: Criterion,
  mixture: Mixture,
  { reference, data }: Pick<ScoringOptions, 'reference' | 'data'>,
): string | undefined {
  const kind: CriterionKind = CRITERION_KINDS[criterion]
  const refusal = kind.refusal?.(mixture)
  if (refusal !== undefined) return refusal
  if (kind.needs.includes('reference') && !reference) {
    return 'it needs a reference, the model or routers before fine-tuning'
  }
  if (kind.needs.includes('data') && !data) return 'it needs data, a set of images'
  const hasLabels = data && (!('images' in data) || data.labels !== undefined)
  if (kind.needs.includes('labels') && !hasLabels) return 'it needs the labels of the images'
  return undefined
}

interface WeightScores {
  readonly scores: Readonly<Partial<Record<Criterion, readonly number[]>>>
  readonly warnings: Readonly<Partial<Record<Criterion, readonly string[]>>>
}

async function weightScores(
  mixture: Mixture,
  criteria: readonly Criterion[],
  { reference, seed = 0 }: ScoringOptions,
  where: string,
): Promise<WeightScores> {
  const kinds = criteria.map(criterion => [criterion, CRITERION_KINDS[criterion]] as const)
  const isNeeded = reference && kinds.some(([, { needs }]) => needs.includes('reference'))
  const before = isNeeded ? await referenceColumns(mixture, reference, where) : undefined
  try {
    const scores: Partial<Record<Criterion, readonly number[]>> = {}
    const warnings: Partial<Record<Criterion, readonly string[]>> = {}
    const norms = before && (await numbersOf(() => columnNorms(before)))
    for (const [criterion, kind] of kinds) {
      const { ofWeights, needs }: CriterionKind = kind
      if (ofWeights) {
        scores[criterion] = await numbersOf(() =>
          ofWeights({
            router: routerColumns(mixture),
            ...(before && { reference: before }),
            kernelNorms: mixture.kernelNorms,
          }),
        )
      }
      if (criterion === 'random') scores[criterion] = draws(mixture, seed)
      const warning = norms && needs.includes('reference') && untrainedReference(norms, before.shape[0])
      if (warning) warnings[criterion] = [warning]
    }
    return { scores, warnings }
  } finally {
    before?.dispose()
  }
}

function draws({ path, numExperts }: Mixture, seed: number): readonly number[] {
  const source = random(seed, `pruning of ${path}`)
  return Array.from({ length: numExperts }, () => source.next())
}

async function numbersOf(compute: () => tf.Tensor): Promise<number[]> {
  const tensor = tf.tidy(compute)
  try {
    return [...(await tensor.data<'float32'>())]
  } finally {
    tensor.dispose()
  }
}

/** The scores of every mixture by the criteria that need data, in one pass. */
async function imageScores(
  model: tfl.LayersModel,
  mixtures: readonly Mixture[],
  criteria: readonly Criterion[],
  { data, batchSize, signal }: ScoringOptions,
  where: string,
): Promise<readonly Readonly<Record<string, readonly number[]>>[]> {
  const kinds = criteria.flatMap(criterion => {
    const { ofImages, needs }: CriterionKind = CRITERION_KINDS[criterion]
    return ofImages ? [{ criterion, ofImages, needs }] : []
  })
  if (kinds.length === 0 || !data) return mixtures.map(() => ({}))
  const means = await meansOverImages(
    model,
    mixtures.flatMap(mixture => mixture.recorded),
    data,
    recorded => {
      const columns = mixtures.flatMap(mixture => {
        const observation = mixture.observe(recorded)
        return kinds.map(({ ofImages }) => columnsOfExperts(mixture, ofImages(observation)))
      })
      return tf.concat2d(columns, 1)
    },
    {
      withSlopes: kinds.some(({ needs }) => needs.includes('labels')),
      ...(batchSize !== undefined && { batchSize }),
      ...(signal && { signal }),
    },
    where,
  )
  let offset = 0
  return mixtures.map(({ numExperts }) =>
    Object.fromEntries(
      kinds.map(({ criterion }) => {
        offset += numExperts
        return [criterion, means.slice(offset - numExperts, offset)]
      }),
    ),
  )
}

function scored(
  criterion: Criterion,
  mixture: Mixture,
  scores: readonly number[],
  warnings: readonly string[],
  where: string,
): CriterionScores {
  const wrong = scores.findIndex(score => !Number.isFinite(score))
  if (wrong >= 0) {
    throw new RangeError(
      `${where}: scores must be finite numbers, got ${scores[wrong]} for expert ${mixture.expertNames[wrong]} ` +
        `by ${criterion} (layer ${mixture.path})`,
    )
  }
  const { warning }: CriterionKind = CRITERION_KINDS[criterion]
  const ofMixture = warning?.(mixture)
  const areEqual = scores.length > 1 && scores.every(score => score === scores[0])
  return {
    scores,
    order: pruningOrder(scores),
    warnings: [
      ...(ofMixture === undefined ? [] : [ofMixture]),
      ...warnings,
      ...(areEqual ? [`all scores are ${scores[0]}: ${criterion} does not tell these experts apart`] : []),
    ],
  }
}

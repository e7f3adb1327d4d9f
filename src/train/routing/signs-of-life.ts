import * as z from 'zod'
import { gateKind } from '../../layers/moe/gates.js'
import type { MixtureMeasures } from './mixture-measures.js'

/** What can be wrong with a mixture. */
export const SIGNS = [
  'dead-experts',
  'blank-experts',
  'identical-experts',
  'still-routers',
  'few-patches',
  'many-patches',
] as const

/** The stored form of a {@link SignOfLife}. */
export const signOfLifeSchema = z.strictObject({
  sign: z.enum(SIGNS),
  layer: z.string(),
  experts: z.array(z.int().nonnegative()),
  remark: z.string(),
})

/** Something that is wrong with a layer of experts, and what can be done. */
export interface SignOfLife {
  readonly sign: (typeof SIGNS)[number]
  /** Path of the layer. */
  readonly layer: string
  /** Numbers of the experts that it is about; empty where it is about all. */
  readonly experts: readonly number[]
  /** A few sentences for people: what was measured, why it matters, what to do. */
  readonly remark: string
}

/**
 * The numbers from which something counts as wrong. They are far from what healthy trainings show, so that these are never
 * remarked on: there experts add more than a hundredth of what the largest adds, keep patches that vary by more than half as much as
 * all do, differ by more than a tenth of what they add, and their routers move by several times their first length.
 */
const LIMITS = {
  /** A dead expert adds at most this share of what the largest of its layer adds: normalizations after it see nothing, either. */
  answer: 1e-3,
  /** A blank expert's patches vary by at most this share of the variance of all patches: by 1 % of their spread. */
  view: 1e-4,
  /** Identical experts have at least this share of their patches in common ... */
  samePatches: 0.95,
  /** ... and what they add differs by at most this share. */
  difference: 0.01,
  /** A router that does not move is within this share of its first length. */
  routerChange: 1e-3,
  /** Patches are too few where those that are left out have more than half of the softmax of all scores ... */
  keptShare: 0.5,
  /** ... and the router tells patches apart: the softmax lies on at most this share of them. */
  scoredPatches: 0.5,
  /** Patches are too many where the gates of all experts lie on at most this share of those that are kept ... */
  gatedPatches: 1 / 8,
  /** ... and at least so many are kept: it matters little else. */
  manyPatches: 8,
} as const

/** No epoch before this one is looked at: what is at rest then may yet begin to move. */
const FIRST_EPOCH = 3

/**
 * Whether a mixture is looked at after an epoch: after 3, 6, 12, 24, ... epochs, or the next that is evaluated, and after the last one
 * if it is not before the third. The cost is then that of a few small evaluations in a whole training.
 *
 * @param options.evaluateEvery epochs between evaluations
 */
export function showsSigns(
  epoch: number,
  { evaluateEvery, isLast }: { readonly evaluateEvery: number; readonly isLast: boolean },
): boolean {
  if (epoch < FIRST_EPOCH) return false
  const newest = FIRST_EPOCH * 2 ** Math.floor(Math.log2(epoch / FIRST_EPOCH))
  const evaluatedBefore = Math.floor((epoch - 1) / evaluateEvery) * evaluateEvery
  return isLast || newest > evaluatedBefore
}

/**
 * What is wrong with a layer of experts: nothing, where each expert adds something of its own and its router learns.
 *
 * - dead: an expert adds less than 1/1000 of what the largest of the layer adds
 * - blank: the patches that an expert keeps vary by less than 1/10,000 of the variance of all patches
 * - identical: two experts have 95 % of their patches in common, and what they add differs by less than 1 %
 * - still: since the training began an expert's router has moved by less than 1/1000 of its length, though it is trained
 * - too few patches: the router tells patches apart (its softmax over all N lies on at most N/2 of them, by exp(entropy)), and
 *   those that are left out have more of that softmax than those that are kept, on the mean over images of most experts. It is what
 *   gates would be if all patches were kept. The next best score is nearly that of the last kept patch in healthy mixtures as
 *   well, and so says nothing
 * - too many patches: 8 or more are kept, and the gates of each expert lie on at most 1/8 of them, by exp(entropy)
 *
 * The last two need gates that depend on scores.
 *
 * @param options.epoch epochs that are done; unknown of a model that is evaluated later
 * @param options.isAnnealed whether the number of kept patches changes anyway, so that nothing is said of it
 */
export function signsOfLife(
  measures: MixtureMeasures,
  { epoch, isAnnealed = false }: { readonly epoch?: number; readonly isAnnealed?: boolean },
): readonly SignOfLife[] {
  const { layer } = measures
  const dead = deadExperts(measures)
  const on = `on ${measures.images} images${epoch === undefined ? '' : ` after ${epoch} epochs`}`
  return [
    deadSign(measures, dead, on),
    blankSign(measures, dead, on),
    identicalSign(measures, dead, on),
    stillSign(measures, epoch),
    ...(isAnnealed ? [] : [fewSign(measures, on), manySign(measures, on)]),
  ].flatMap(sign => (sign ? [{ ...sign, layer }] : []))
}

type LayerSign = Omit<SignOfLife, 'layer'> | undefined

function deadExperts({ experts }: MixtureMeasures): readonly number[] {
  const largest = Math.max(...experts.map(({ answer }) => answer))
  return expertsWhere(experts, ({ answer }) => answer <= LIMITS.answer * largest)
}

function deadSign({ layer, experts }: MixtureMeasures, dead: readonly number[], on: string): LayerSign {
  if (dead.length === 0) return undefined
  const areAll = dead.length === experts.length
  const remark =
    `${named(dead)} of ${layer} ${dead.length > 1 ? 'add' : 'adds'} nothing to its output (${
      areAll ? 'exactly 0' : 'less than a thousandth of what the largest adds'
    }, ${on}): the network does without. ` +
    `Train again with a smaller learning rate or another seed${areAll ? '' : ', or prune what is dead'}.`
  return { sign: 'dead-experts', experts: dead, remark }
}

function blankSign({ layer, experts }: MixtureMeasures, dead: readonly number[], on: string): LayerSign {
  const blank = expertsWhere(experts, ({ view }) => view <= LIMITS.view).filter(i => !dead.includes(i))
  if (blank.length === 0) return undefined
  const remark =
    `${named(blank)} of ${layer} ${blank.length > 1 ? 'keep' : 'keeps'} patches that are all alike (${on}): ` +
    'nothing but background, from which nothing is learned. Keep more patches (patchesPerExpert) or larger ones ' +
    '(patchSize), so that some hold what matters, or train with another seed.'
  return { sign: 'blank-experts', experts: blank, remark }
}

function identicalSign({ layer, pairs }: MixtureMeasures, dead: readonly number[], on: string): LayerSign {
  const alike = pairs.filter(
    ({ experts, samePatches, difference }) =>
      samePatches >= LIMITS.samePatches &&
      difference <= LIMITS.difference &&
      !experts.some(expert => dead.includes(expert)),
  )
  const experts = [...new Set(alike.flatMap(pair => pair.experts))].sort((a, b) => a - b)
  if (experts.length === 0) return undefined
  const remark =
    `${named(experts)} of ${layer} keep the same patches and answer alike (${on}): one would do the same. ` +
    'Begin with weights that differ from expert to expert (another seed, no initializer of constants), or prune all but one.'
  return { sign: 'identical-experts', experts, remark }
}

function stillSign(
  { layer, gate, patchesPerExpert, routerChanges = [] }: MixtureMeasures,
  epoch: number | undefined,
): LayerSign {
  const still = expertsWhere(routerChanges, change => change <= LIMITS.routerChange)
  if (still.length === 0) return undefined
  const areAll = still.length === routerChanges.length
  const remark =
    `The ${still.length > 1 ? 'routers' : 'router'} of ${areAll ? 'all experts' : named(still).toLowerCase()} of ${layer} ` +
    `moved by less than 0.1 % ${epoch === undefined ? 'since the training began' : `in ${epoch} epochs`}, so that the choice of patches is not learned. ${movingAdvice(gate, patchesPerExpert)}`
  return { sign: 'still-routers', experts: areAll ? [] : still, remark }
}

function movingAdvice(gate: MixtureMeasures['gate'], patchesPerExpert: number): string {
  if (gateKind(gate).dependsOn === 'nothing')
    return `Gate '${gate}' gives routers no gradient: take a softmax gate, or train the routers separately.`
  if (gate === 'softmax-selected' && patchesPerExpert === 1)
    return "The gate of one kept patch is always 1 and gives its router no gradient: keep 2 patches or more, or take gate 'softmax-all'."
  return 'Give the routers a larger learning rate of their own (layerRates), or freeze them if this is meant.'
}

function fewSign(
  { layer, patches, patchesPerExpert, gate, experts }: MixtureMeasures,
  on: string,
): LayerSign {
  if (gateKind(gate).dependsOn === 'nothing') return undefined
  const short = expertsWhere(
    experts,
    ({ keptShare, scoredPatches }) =>
      keptShare < LIMITS.keptShare && scoredPatches <= LIMITS.scoredPatches * patches,
  )
  if (2 * short.length <= experts.length) return undefined
  const wanted = Math.ceil(Math.max(...short.map(i => experts[i]!.scoredPatches)))
  const share = meanOf(short.map(i => experts[i]!.keptShare))
  const remark =
    `${named(short)} of ${layer} keep ${patchesPerExpert} of ${patches} patches, which have ${percent(share)} of the weight that ` +
    `their routers give to all (${on}): more is left out than kept. Keep about ${wanted} (patchesPerExpert).`
  return { sign: 'few-patches', experts: short.length === experts.length ? [] : short, remark }
}

function manySign({ layer, patchesPerExpert, gate, experts }: MixtureMeasures, on: string): LayerSign {
  if (gateKind(gate).dependsOn === 'nothing' || patchesPerExpert < LIMITS.manyPatches) return undefined
  const most = Math.max(...experts.map(({ gatedPatches }) => gatedPatches))
  if (most > LIMITS.gatedPatches * patchesPerExpert) return undefined
  const remark =
    `Each expert of ${layer} keeps ${patchesPerExpert} patches, but its gates lie on ${most.toFixed(1)} of them at most (${on}): ` +
    `the others cost time and add nothing. Keep about ${Math.ceil(2 * most)} (patchesPerExpert), or anneal their number.`
  return { sign: 'many-patches', experts: [], remark }
}

/** The signs that are new, compared with those of earlier epochs: each kind is said once of a layer. */
export function newSigns(
  signs: readonly SignOfLife[],
  earlier: readonly SignOfLife[],
): readonly SignOfLife[] {
  return signs.filter(({ sign, layer }) => !earlier.some(said => said.sign === sign && said.layer === layer))
}

function expertsWhere<Value>(values: readonly Value[], holds: (value: Value) => boolean): number[] {
  return values.flatMap((value, expert) => (holds(value) ? [expert] : []))
}

/** `Expert 3`, `Experts 0 and 3`, `Experts 0, 1 and 3`. */
function named(experts: readonly number[]): string {
  const last = experts.at(-1)
  if (experts.length === 1) return `Expert ${last}`
  return `Experts ${experts.slice(0, -1).join(', ')} and ${last}`
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

function percent(share: number): string {
  return `${Math.round(100 * share)} %`
}

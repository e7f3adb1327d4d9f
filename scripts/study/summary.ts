import type { PairedDifference } from '../../src/statistics/paired-difference.js'
import { pairedDifferences } from '../../src/statistics/paired-difference.js'
import { fitPowerLaw, type PowerLaw } from '../../src/statistics/power-law.js'
import {
  type SamplesNeeded,
  type SamplesRatio,
  samplesNeeded,
  samplesRatio,
} from '../../src/statistics/samples-needed.js'
import { type SuccessGrid, successGrid } from '../../src/statistics/success-grid.js'
import { type SeedSummary, summarizeSeeds } from '../../src/statistics/summary.js'
import type { Trial } from '../../src/statistics/trial.js'
import type { Figure } from '../experiments/experiment.js'
import type { CellResult, CellSigns, DoneCell } from './cell-result.js'
import { type Observation, observationsOf } from './observations.js'

/** One setting of a figure: what its seeds gave. */
export interface PointSummary extends SeedSummary {
  readonly series: string
  readonly samples: number
  readonly patchesPerExpert?: number
  readonly experts?: number
}

/** What runs of one variant with one number of images took. */
export interface EffortSummary {
  readonly variant: string
  readonly samples: number
  /** How many seeds had 99 % of the training images right in some epoch. */
  readonly converged: number
  readonly count: number
  /** Epochs and seconds until then, over the seeds that reached it. */
  readonly epochs?: SeedSummary
  readonly seconds?: SeedSummary
  /** Of the whole training. */
  readonly training: SeedSummary
  readonly parameters: number
  readonly multiplyAdds: number
}

/** What the experts of one variant with one number of images do with the test images; means over the seeds. */
export interface ExpertsSummary {
  readonly variant: string
  readonly samples: number
  /** Seeds. */
  readonly count: number
  /** Mean share of kept patches that two experts have in common, and of how much what they add differs. */
  readonly samePatches: SeedSummary
  readonly difference: SeedSummary
  /** Share of all patches that no expert keeps. */
  readonly uncovered: SeedSummary
  /** Share of test images of which an expert keeps a true patch, where these are known. */
  readonly trueKept?: SeedSummary
  /** Of all seeds together. */
  readonly deadExperts: number
  readonly blankExperts: number
  readonly identicalExperts: number
}

/** How a series compares with the first one. */
export interface Comparison {
  readonly series: string
  readonly baseline: string
  readonly differences: readonly PairedDifference[]
  /**
   * Ratios of the images needed: at the target of the figure and, where the baseline stays below it, at the baseline's
   * best mean.
   */
  readonly ratios: readonly SamplesRatio[]
}

/** Everything that a study found, as numbers. */
export interface StudySummary {
  readonly done: number
  readonly failed: number
  readonly points: readonly PointSummary[]
  readonly effort: readonly EffortSummary[]
  /** Of mixtures whose experts choose patches. */
  readonly experts?: readonly ExpertsSummary[]
  /** The lowest accuracy of the test set's groups, where it has groups. */
  readonly worstGroups?: readonly PointSummary[]
  /** For curves: the images that each series needs for the target. */
  readonly needed?: readonly (SamplesNeeded & { readonly series: string })[]
  readonly comparisons?: readonly Comparison[]
  /** For sweeps: the error as a power of what is swept over; absent where it cannot be fitted. */
  readonly errorLaw?: PowerLaw
  /** For phase maps. */
  readonly phases?: SuccessGrid
}

/**
 * Computes what a study of training found so far.
 *
 * @param variants names; others are compared with the first
 */
export function summarize(
  results: ReadonlyMap<number, CellResult>,
  figure: Figure,
  [baseline = '']: readonly string[],
): StudySummary {
  const all = [...results.values()]
  const done = all.filter((result): result is DoneCell => result.status === 'done')
  const measure = figure.kind === 'curve' ? figure.measure : ({ of: 'accuracy' } as const)
  const observations = observationsOf(all, measure)
  const points = pointsOf(observations)
  const worst = measure.of === 'accuracy' ? pointsOf(observationsOf(all, { of: 'worst-group' })) : []
  const experts = expertsOf(done)
  return {
    done: done.length,
    failed: all.length - done.length,
    points,
    effort: effortOf(done),
    ...(experts.length > 0 && { experts }),
    ...(worst.length > 0 && { worstGroups: worst }),
    ...(figure.kind === 'curve' && curveOf(observations, figure, baseline)),
    ...(figure.kind === 'bars' && { comparisons: comparisonsOf(observations, baseline) }),
    ...(figure.kind === 'sweep' && lawOf(observations, figure)),
    ...(figure.kind === 'phase' && phasesOf(observations, figure.target)),
  }
}

function pointsOf(observations: readonly Observation[]): PointSummary[] {
  const groups = grouped(observations, ({ series, samples, patchesPerExpert, experts }) =>
    [series, samples, patchesPerExpert, experts].join('|'),
  )
  return groups.map(group => {
    const [{ seed: _, value: __, ...setting }] = group as [Observation]
    return { ...setting, ...summarizeSeeds(group.map(({ value }) => value)) }
  })
}

function curveOf(observations: readonly Observation[], figure: Figure & { kind: 'curve' }, baseline: string) {
  if (observations.length === 0) return {}
  const needed = bySeries(observations).map(([series, ofSeries]) => ({
    series,
    ...samplesNeeded(trialsOf(ofSeries), figure.target),
  }))
  const compares = figure.measure.of === 'accuracy' || figure.measure.of === 'worst-group'
  return { needed, ...(compares && { comparisons: comparisonsOf(observations, baseline, figure.target) }) }
}

/** Every series against the baseline, seed by seed; nothing while no run of the baseline has ended. */
function comparisonsOf(
  observations: readonly Observation[],
  baseline: string,
  target?: number,
): Comparison[] {
  const baselineObservations = observations.filter(({ series }) => series === baseline)
  if (baselineObservations.length === 0) return []
  const others = bySeries(observations).filter(([series]) => series !== baseline)
  const baselineTrials = trialsOf(baselineObservations)
  const best = Math.max(...pointsOf(baselineObservations).map(({ mean }) => mean))
  // Where the baseline stays below the target, its best mean is a second one, unless the fitted curve stays below that
  // too.
  const isReached = () => samplesNeeded(baselineTrials, best, { resamples: 1 }).reached !== 'never'
  const targets = target === undefined ? [] : best < target && isReached() ? [target, best] : [target]
  return others.map(([series, observed]) => {
    const trials = trialsOf(observed)
    return {
      series,
      baseline,
      differences: pairedDifferences(trials, baselineTrials),
      ratios: targets.map(accuracy => samplesRatio(trials, baselineTrials, accuracy)),
    }
  })
}

function lawOf(observations: readonly Observation[], { over, from }: Figure & { kind: 'sweep' }) {
  const points = grouped(observations, observation => String(observation[over]))
    .map(group => ({ x: group[0]![over]!, values: group.map(({ value }) => 1 - value) }))
    .filter(({ x, values }) => x >= from && values.some(error => error > 0))
  return points.length < 2 ? {} : { errorLaw: fitPowerLaw(points) }
}

function phasesOf(observations: readonly Observation[], target: number) {
  if (observations.length === 0) return {}
  const trials = observations.map(({ patchesPerExpert = 0, samples, value }) => ({
    x: patchesPerExpert,
    y: samples,
    success: value >= target,
  }))
  return { phases: successGrid(trials) }
}

function effortOf(done: readonly DoneCell[]): EffortSummary[] {
  const trained = done.flatMap(({ cell, trained: run }) => (run ? [{ cell, run }] : []))
  return grouped(trained, ({ cell }) => `${cell.variant}|${cell.samples}`).map(group => {
    const [{ cell, run }] = group as [(typeof group)[number]]
    const ends = group.flatMap(({ run: { converged } }) => (converged ? [converged] : []))
    return {
      variant: cell.variant,
      samples: cell.samples ?? 0,
      converged: ends.length,
      count: group.length,
      ...(ends.length > 0 && {
        epochs: summarizeSeeds(ends.map(({ epoch }) => epoch)),
        seconds: summarizeSeeds(ends.map(({ seconds }) => seconds)),
      }),
      training: summarizeSeeds(group.map(({ run: { seconds } }) => seconds)),
      parameters: run.parameters,
      multiplyAdds: run.multiplyAdds,
    }
  })
}

function expertsOf(done: readonly DoneCell[]): ExpertsSummary[] {
  const measured = done.flatMap(({ cell, trained: run }) =>
    run?.signs && run.routing ? [{ cell, signs: run.signs, routing: run.routing }] : [],
  )
  return grouped(measured, ({ cell }) => `${cell.variant}|${cell.samples}`).map(group => {
    const [{ cell }] = group as [(typeof group)[number]]
    const total = (value: (signs: CellSigns) => number) =>
      group.reduce((sum, { signs }) => sum + value(signs), 0)
    const kept = group.flatMap(({ routing }) => routing.recall?.at(-1) ?? [])
    return {
      variant: cell.variant,
      samples: cell.samples ?? 0,
      count: group.length,
      samePatches: summarizeSeeds(group.map(({ signs }) => signs.samePatches)),
      difference: summarizeSeeds(group.map(({ signs }) => signs.difference)),
      uncovered: summarizeSeeds(group.map(({ routing }) => routing.uncovered)),
      ...(kept.length > 0 && { trueKept: summarizeSeeds(kept) }),
      deadExperts: total(({ deadExperts }) => deadExperts),
      blankExperts: total(({ blankExperts }) => blankExperts),
      identicalExperts: total(({ identicalExperts }) => identicalExperts),
    }
  })
}

/** The measured cost along one axis. */
export interface CostSummary {
  readonly letter: 'l' | 'k' | 'n'
  readonly points: readonly {
    readonly value: number
    /** Seconds of a pass over those of the base, and the same of the CNN of the same size. */
    readonly ratio: SeedSummary
    readonly cnnRatio: SeedSummary
    /** Multiply-adds over those of the base. */
    readonly multiplyAddsRatio: number
  }[]
  /** Exponents of the axis, fitted; absent for fewer than two values. */
  readonly timeLaw?: PowerLaw
  readonly cnnLaw?: PowerLaw
  readonly multiplyAddsLaw?: PowerLaw
}

/** Computes what a study of cost found so far, axis by axis. */
export function summarizeCost(results: ReadonlyMap<number, CellResult>): CostSummary[] {
  const measured = [...results.values()].flatMap(result =>
    result.status === 'done' && result.measured && result.cell.cost
      ? [{ ...result.cell.cost, ...result.measured }]
      : [],
  )
  return grouped(measured, ({ letter }) => letter).map(axis => {
    const values = grouped(axis, ({ value }) => String(value))
    const lawOfRatio = (ratio: 'ratio' | 'cnnRatio' | 'multiplyAddsRatio') =>
      fitPowerLaw(values.map(group => ({ x: group[0]!.value, values: group.map(entry => entry[ratio]) })))
    return {
      letter: axis[0]!.letter,
      points: values.map(group => ({
        value: group[0]!.value,
        ratio: summarizeSeeds(group.map(({ ratio }) => ratio)),
        cnnRatio: summarizeSeeds(group.map(({ cnnRatio }) => cnnRatio)),
        multiplyAddsRatio: group[0]!.multiplyAddsRatio,
      })),
      ...(values.length > 1 && {
        timeLaw: lawOfRatio('ratio'),
        cnnLaw: lawOfRatio('cnnRatio'),
        multiplyAddsLaw: lawOfRatio('multiplyAddsRatio'),
      }),
    }
  })
}

function trialsOf(observations: readonly Observation[]): Trial[] {
  return observations.map(({ samples, seed, value }) => ({ samples, seed, accuracy: value }))
}

function bySeries(observations: readonly Observation[]): [series: string, observations: Observation[]][] {
  return grouped(observations, ({ series }) => series).map(group => [group[0]!.series, group])
}

/** Groups items by their key, in the order in which the keys first appear. */
export function grouped<Item>(items: readonly Item[], key: (item: Item) => string): Item[][] {
  const groups = new Map<string, Item[]>()
  for (const item of items) {
    const group = groups.get(key(item))
    if (group) group.push(item)
    else groups.set(key(item), [item])
  }
  return [...groups.values()]
}

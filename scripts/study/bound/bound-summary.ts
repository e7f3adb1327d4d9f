import { mean } from '../../../src/statistics/descriptive.js'
import { rankCorrelation } from '../../../src/statistics/rank-correlation.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { SparseSetting } from '../../experiments/experiment.js'
import type { Bounded, CellResult } from '../cell-result.js'
import { type BoundGrid, boundAxes, settingsAlong } from '../grids/bound-grid.js'

/** What the seeds of one setting gave; losses are in [0, 1]. */
export interface BoundPoint extends SparseSetting {
  /** Test minus training loss. */
  readonly rampGap: SeedSummary
  readonly zeroOneGap: SeedSummary
  readonly trainError: SeedSummary
  readonly testError: SeedSummary
  /** Means over the seeds; the router's terms do not depend on them. */
  readonly expertTerm: number
  readonly routerTerm: number
  readonly exactRouterTerm: number
  readonly bound: number
  readonly sparsity: number
}

/** The settings along one axis. */
export interface BoundAxis {
  readonly axis: keyof SparseSetting
  readonly letter: 'k' | 'T' | 'm'
  readonly points: readonly BoundPoint[]
  readonly correlations: BoundCorrelations
}

/** Rank correlations with the gap of the ramp loss, in [-1, 1]; null where one of the two is constant. */
export interface BoundCorrelations {
  readonly bound: number | null
  readonly expertTerm: number | null
  readonly routerTerm: number | null
  readonly exactRouterTerm: number | null
}

/** Everything that a study of the bound found, as numbers. */
export interface BoundSummary {
  readonly done: number
  readonly failed: number
  readonly axes: readonly BoundAxis[]
  /** Over all settings, each counted once. */
  readonly correlations: BoundCorrelations
}

/** Computes what a study of the bound found so far. */
export function summarizeBound(grid: BoundGrid, results: ReadonlyMap<number, CellResult>): BoundSummary {
  const runs = new Map<string, { setting: SparseSetting; bounded: Bounded[] }>()
  const all = [...results.values()]
  for (const result of all) {
    const { samples, sparse } = result.cell
    if (result.status !== 'done' || !result.bounded || !sparse || samples === undefined) continue
    const setting = { ...sparse, samples }
    const group = runs.get(keyOf(setting)) ?? { setting, bounded: [] }
    group.bounded.push(result.bounded)
    runs.set(keyOf(setting), group)
  }
  const points = new Map([...runs].map(([key, { setting, bounded }]) => [key, pointOf(setting, bounded)]))
  const axes = (Object.keys(boundAxes) as (keyof SparseSetting)[]).map((axis): BoundAxis => {
    const along = settingsAlong(axis, grid).flatMap(setting => points.get(keyOf(setting)) ?? [])
    return { axis, letter: boundAxes[axis], points: along, correlations: correlationsOf(along) }
  })
  return {
    done: [...runs.values()].reduce((sum, { bounded }) => sum + bounded.length, 0),
    failed: all.filter(({ status }) => status === 'failed').length,
    axes: axes.filter(axis => axis.points.length > 0),
    correlations: correlationsOf([...points.values()]),
  }
}

function keyOf({ active, experts, samples }: SparseSetting): string {
  return [active, experts, samples].join()
}

function pointOf(setting: SparseSetting, runs: readonly Bounded[]): BoundPoint {
  const meanOf = (of: (run: Bounded) => number) => mean(runs.map(of))
  const expertTerm = meanOf(run => run.expertTerm)
  const routerTerm = meanOf(run => run.routerTerm)
  return {
    ...setting,
    rampGap: summarizeSeeds(runs.map(({ train, test }) => test.ramp - train.ramp)),
    zeroOneGap: summarizeSeeds(runs.map(({ train, test }) => test.zeroOne - train.zeroOne)),
    trainError: summarizeSeeds(runs.map(({ train }) => train.zeroOne)),
    testError: summarizeSeeds(runs.map(({ test }) => test.zeroOne)),
    expertTerm,
    routerTerm,
    exactRouterTerm: meanOf(run => run.exactRouterTerm),
    bound: expertTerm + routerTerm,
    sparsity: meanOf(run => run.sparsity),
  }
}

function correlationsOf(points: readonly BoundPoint[]): BoundCorrelations {
  const gaps = points.map(({ rampGap }) => rampGap.mean)
  const withGap = (of: (point: BoundPoint) => number) => {
    const correlation = points.length < 2 ? Number.NaN : rankCorrelation(points.map(of), gaps)
    return Number.isNaN(correlation) ? null : correlation
  }
  return {
    bound: withGap(({ bound }) => bound),
    expertTerm: withGap(({ expertTerm }) => expertTerm),
    routerTerm: withGap(({ routerTerm }) => routerTerm),
    exactRouterTerm: withGap(({ exactRouterTerm }) => exactRouterTerm),
  }
}

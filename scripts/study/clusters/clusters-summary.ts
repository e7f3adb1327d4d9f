import { type PairedDifference, pairedDifferences } from '../../../src/statistics/paired-difference.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { Trial } from '../../../src/statistics/trial.js'
import type { Band, ClustersExperiment } from '../../experiments/experiment.js'
import type { Cell } from '../cell.js'
import type { CellResult, Clustered } from '../cell-result.js'
import { grouped } from '../summary.js'

/** What the seeds of one variant in one setting gave. */
export interface ClustersPoint {
  readonly variant: string
  readonly setting: string
  /** Shares of the test samples, without noise in the routing and with it. */
  readonly accuracy: SeedSummary
  readonly noisyAccuracy?: SeedSummary
  readonly routing?: RoutingOfSeeds
  readonly steps: SeedSummary
  readonly seconds: SeedSummary
  /** Whether the means lie where those of a correct run do; where bands are known. */
  readonly bands?: { readonly accuracy?: BandVerdict; readonly entropy?: BandVerdict }
}

/** How the mixtures of several seeds routed; entropies in nats. */
export interface RoutingOfSeeds {
  /** Of the test samples without noise and with it, and of the training samples with it. */
  readonly entropy: SeedSummary
  readonly noisyEntropy: SeedSummary
  readonly trainEntropy: SeedSummary
  readonly deadExperts: SeedSummary
  /** Share of the samples whose gate is below 0. */
  readonly negativeGates: SeedSummary
  /** Mean over the seeds of the entropy of the test samples, after so many steps. */
  readonly entropies: readonly { readonly step: number; readonly entropy: number }[]
}

/** A band, and whether a mean lies in it. */
export interface BandVerdict {
  readonly band: Band
  readonly holds: boolean
}

/** The difference of a variant to another one in a setting, seed by seed. */
export interface ClustersPair {
  readonly variant: string
  readonly baseline: string
  readonly setting: string
  readonly difference: PairedDifference
}

/** Everything that a study of clusters found, as numbers. */
export interface ClustersSummary {
  readonly done: number
  readonly failed: number
  readonly points: readonly ClustersPoint[]
  readonly pairs: readonly ClustersPair[]
}

interface Run {
  readonly cell: Cell
  readonly run: Clustered
}

/** Computes what a study of clusters found so far. */
export function summarizeClusters(
  experiment: Pick<ClustersExperiment, 'variants' | 'pairs'>,
  results: ReadonlyMap<number, CellResult>,
): ClustersSummary {
  const all = [...results.values()]
  const runs = all.flatMap((result): Run[] =>
    result.status === 'done' && result.clustered ? [{ cell: result.cell, run: result.clustered }] : [],
  )
  const { variants } = experiment
  const places = new Map(variants.map(({ name }, i) => [name, i]))
  const points = grouped(runs, ({ cell }) => `${cell.setting}|${cell.variant}`)
    .map(group => pointOf(group, variants))
    .sort(
      (a, b) =>
        a.setting.localeCompare(b.setting) || (places.get(a.variant) ?? 0) - (places.get(b.variant) ?? 0),
    )
  return {
    done: runs.length,
    failed: all.filter(({ status }) => status === 'failed').length,
    points,
    pairs: pairsOf(runs, experiment.pairs),
  }
}

function pointOf(group: readonly Run[], variants: ClustersExperiment['variants']): ClustersPoint {
  const [{ cell }] = group as [Run]
  const { variant, setting = '' } = cell
  const seedsOf = (of: (run: Clustered) => number | undefined) => {
    const values = group.flatMap(({ run }) => of(run) ?? [])
    return values.length === group.length ? summarizeSeeds(values) : undefined
  }
  const accuracy = seedsOf(({ testAccuracy }) => testAccuracy) as SeedSummary
  const noisyAccuracy = seedsOf(run => run.noisyAccuracy)
  const routing = routingOf(group)
  const bands = variants.find(({ name }) => name === variant)?.bands?.[setting]
  return {
    variant,
    setting,
    accuracy,
    ...(noisyAccuracy && { noisyAccuracy }),
    ...(routing && { routing }),
    steps: seedsOf(({ steps }) => steps) as SeedSummary,
    seconds: seedsOf(({ seconds }) => seconds) as SeedSummary,
    ...(bands && {
      bands: {
        ...(bands.accuracy && { accuracy: verdict(100 * accuracy.mean, bands.accuracy) }),
        ...(bands.entropy && routing && { entropy: verdict(routing.entropy.mean, bands.entropy) }),
      },
    }),
  }
}

function verdict(mean: number, band: Band): BandVerdict {
  return { band, holds: mean >= band[0] && mean <= band[1] }
}

function routingOf(group: readonly Run[]): RoutingOfSeeds | undefined {
  const routed = group.flatMap(({ run: { routing, noisyRouting, trainRouting, entropies } }) =>
    routing && noisyRouting && trainRouting ? [{ routing, noisyRouting, trainRouting, entropies }] : [],
  )
  if (routed.length === 0) return undefined
  const seedsOf = (of: (run: (typeof routed)[number]) => number) => summarizeSeeds(routed.map(of))
  return {
    entropy: seedsOf(({ routing }) => routing.entropy),
    noisyEntropy: seedsOf(({ noisyRouting }) => noisyRouting.entropy),
    trainEntropy: seedsOf(({ trainRouting }) => trainRouting.entropy),
    deadExperts: seedsOf(({ routing }) => routing.deadExperts),
    negativeGates: seedsOf(({ routing }) => routing.negativeGates),
    entropies: meanEntropies(routed.map(({ entropies = [] }) => entropies)),
  }
}

type Entropies = NonNullable<Clustered['entropies']>

/** The mean at every step that a run was measured after; one that ended before keeps its last entropy. */
function meanEntropies(ofRuns: readonly Entropies[]): Entropies {
  const measured = ofRuns.filter(({ length }) => length > 0)
  const steps = [...new Set(measured.flat().map(({ step }) => step))].sort((a, b) => a - b)
  return steps.map(step => {
    const values = measured.map(run => (run.findLast(point => point.step <= step) ?? run[0]!).entropy)
    return { step, entropy: values.reduce((sum, value) => sum + value, 0) / values.length }
  })
}

function pairsOf(runs: readonly Run[], pairs: ClustersExperiment['pairs']): ClustersPair[] {
  const settings = [...new Set(runs.map(({ cell }) => cell.setting ?? ''))].sort()
  return settings.flatMap(setting =>
    pairs.flatMap(([variant, baseline]) => {
      const trials = (name: string): Trial[] =>
        runs
          .filter(({ cell }) => cell.setting === setting && cell.variant === name)
          .map(({ cell, run }) => ({ samples: 1, seed: cell.seed, accuracy: run.testAccuracy }))
      const [own, others] = [trials(variant), trials(baseline)]
      if (own.length === 0 || others.length === 0) return []
      const [difference] = pairedDifferences(own, others)
      return difference ? [{ variant, baseline, setting, difference }] : []
    }),
  )
}

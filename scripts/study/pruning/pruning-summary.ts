import { type PairedDifference, pairedDifferences } from '../../../src/statistics/paired-difference.js'
import { type SeedSummary, summarizeSeeds } from '../../../src/statistics/summary.js'
import type { CellResult, PatternPruned, PhotographPruned } from '../cell-result.js'
import { grouped } from '../summary.js'

/** What a criterion did where the truth is known. */
export interface PatternSummary {
  readonly criterion: string
  /** How well its scores tell relevant experts from others; absent where no seed had both. */
  readonly areaUnderCurve?: SeedSummary
  /** Share of the relevant experts that it keeps when as many are kept. */
  readonly overlap?: SeedSummary
  /** Accuracy with only as many experts as are relevant, less that of the unpruned network; a share. */
  readonly changeAtTruth: SeedSummary
  /** (K) mean accuracies with K, K - 1 .. 1 experts. */
  readonly accuracies: readonly number[]
}

/** What a criterion did to the wide network, with one number of experts left. */
export interface CutSummary {
  readonly criterion: string
  readonly keep: number
  /** Test accuracies; of random choices the mean of each seed's draws. */
  readonly before: SeedSummary
  readonly after: SeedSummary
}

/** A criterion against another one, over all numbers of experts below K: the mean accuracy, paired by seed. */
export interface CriterionPair {
  readonly criterion: string
  readonly baseline: string
  readonly stage: 'before' | 'after'
  readonly difference: PairedDifference
}

/** Everything that a study of pruning found, as numbers. */
export interface PruningSummary {
  readonly done: number
  readonly failed: number
  readonly patterns?: {
    readonly pretrainedAccuracy: SeedSummary
    readonly accuracy: SeedSummary
    readonly relevant: SeedSummary
    readonly criteria: readonly PatternSummary[]
  }
  readonly photographs?: {
    readonly pretrainedAccuracy: SeedSummary
    readonly accuracy: SeedSummary
    readonly cuts: readonly CutSummary[]
    readonly pairs: readonly CriterionPair[]
    /** Means over the numbers of experts below K. */
    readonly overall: readonly {
      readonly criterion: string
      readonly before: SeedSummary
      readonly after: SeedSummary
    }[]
    /** Share of the pairs of criteria, random ones left out, that keep different experts; by number of experts. */
    readonly disagreement: readonly { readonly keep: number; readonly share: number }[]
    /** Largest difference of a pruned network to the masked one. */
    readonly difference: number
    readonly sizes: readonly {
      readonly keep: number
      readonly parameters: number
      readonly multiplyAdds: number
    }[]
  }
  readonly fromStart: readonly { readonly keep: number; readonly accuracy: SeedSummary }[]
  readonly latencies: readonly {
    readonly keep: number
    readonly batch: number
    readonly milliseconds: SeedSummary
  }[]
}

interface OfSeed<Result> {
  readonly seed: number
  readonly result: Result
}

/** Computes what a study of pruning found so far. */
export function summarizePruning(results: ReadonlyMap<number, CellResult>): PruningSummary {
  const all = [...results.values()]
  const runs = all.flatMap(result =>
    result.status === 'done' && result.pruned ? [{ cell: result.cell, pruned: result.pruned }] : [],
  )
  const patterns = runs.flatMap(({ cell: { seed }, pruned: { patterns: result } }) =>
    result ? [{ seed, result }] : [],
  )
  const photographs = runs.flatMap(({ cell: { seed }, pruned: { photographs: result } }) =>
    result ? [{ seed, result }] : [],
  )
  const started = runs.flatMap(({ cell, pruned: { fromStart } }) =>
    fromStart ? [{ keep: cell.experts ?? 0, accuracy: fromStart.accuracy }] : [],
  )
  const timed = runs.flatMap(({ pruned: { latencies = [] } }) => latencies)
  return {
    done: runs.length,
    failed: all.filter(({ status }) => status === 'failed').length,
    ...(patterns.length > 0 && { patterns: patternSummary(patterns) }),
    ...(photographs.length > 0 && { photographs: photographSummary(photographs) }),
    fromStart: grouped(started, ({ keep }) => String(keep)).map(group => ({
      keep: group[0]!.keep,
      accuracy: summarizeSeeds(group.map(({ accuracy }) => accuracy)),
    })),
    latencies: grouped(timed, ({ keep, batch }) => `${batch}|${keep}`).map(group => ({
      keep: group[0]!.keep,
      batch: group[0]!.batch,
      milliseconds: summarizeSeeds(group.map(({ milliseconds }) => milliseconds)),
    })),
  }
}

function patternSummary(runs: readonly OfSeed<PatternPruned>[]) {
  const entries = runs.flatMap(({ result }) => result.criteria.map(entry => ({ ...entry, run: result })))
  return {
    pretrainedAccuracy: summarizeSeeds(runs.map(({ result }) => result.pretrainedAccuracy)),
    accuracy: summarizeSeeds(runs.map(({ result }) => result.accuracy)),
    relevant: summarizeSeeds(runs.map(({ result }) => result.relevant.length)),
    criteria: grouped(entries, ({ criterion }) => criterion).map((group): PatternSummary => {
      const areas = group.flatMap(({ areaUnderCurve }) => areaUnderCurve ?? [])
      const overlaps = group.flatMap(({ overlap }) => overlap ?? [])
      const experts = group[0]!.accuracies.length
      return {
        criterion: group[0]!.criterion,
        ...(areas.length > 0 && { areaUnderCurve: summarizeSeeds(areas) }),
        ...(overlaps.length > 0 && { overlap: summarizeSeeds(overlaps) }),
        changeAtTruth: summarizeSeeds(
          group.map(
            ({ accuracies, run }) => accuracies[experts - Math.max(1, run.relevant.length)]! - accuracies[0]!,
          ),
        ),
        accuracies: Array.from({ length: experts }, (_, i) =>
          meanOf(group.map(entry => entry.accuracies[i]!)),
        ),
      }
    }),
  }
}

interface SeedCut {
  readonly criterion: string
  readonly keep: number
  readonly seed: number
  readonly before: number
  readonly after: number
}

function photographSummary(runs: readonly OfSeed<PhotographPruned>[]) {
  const cuts = runs.flatMap(({ seed, result }) => seedCuts(seed, result))
  const most = Math.max(...cuts.map(({ keep }) => keep))
  const overall = grouped(
    cuts.filter(({ keep }) => keep < most),
    ({ criterion, seed }) => `${criterion}|${seed}`,
  ).map(group => ({
    criterion: group[0]!.criterion,
    seed: group[0]!.seed,
    before: meanOf(group.map(({ before }) => before)),
    after: meanOf(group.map(({ after }) => after)),
  }))
  const first = runs[0]!.result
  return {
    pretrainedAccuracy: summarizeSeeds(runs.map(({ result }) => result.pretrainedAccuracy)),
    accuracy: summarizeSeeds(runs.map(({ result }) => result.accuracy)),
    cuts: grouped(cuts, ({ criterion, keep }) => `${criterion}|${keep}`).map(
      (group): CutSummary => ({ ...stages(group), criterion: group[0]!.criterion, keep: group[0]!.keep }),
    ),
    pairs: pairsOf(overall),
    overall: grouped(overall, ({ criterion }) => criterion).map(group => ({
      criterion: group[0]!.criterion,
      ...stages(group),
    })),
    disagreement: disagreementOf(runs),
    difference: Math.max(...runs.flatMap(({ result }) => result.cuts.map(({ difference }) => difference))),
    sizes: grouped(first.cuts, ({ keep }) => String(keep)).map(([cut]) => ({
      keep: cut!.keep,
      parameters: cut!.parameters,
      multiplyAdds: cut!.multiplyAdds,
    })),
  }
}

/** The cuts of a seed; of random choices the mean of its draws. */
function seedCuts(seed: number, { cuts }: PhotographPruned): SeedCut[] {
  return grouped(cuts, ({ criterion, keep }) => `${criterion}|${keep}`).map(group => ({
    criterion: group[0]!.criterion,
    keep: group[0]!.keep,
    seed,
    before: meanOf(group.map(({ before }) => before)),
    after: meanOf(group.map(({ after }) => after)),
  }))
}

function stages(group: readonly { readonly before: number; readonly after: number }[]) {
  return {
    before: summarizeSeeds(group.map(({ before }) => before)),
    after: summarizeSeeds(group.map(({ after }) => after)),
  }
}

/** What criteria are compared with. */
export const pruningBaselines = ['random', 'router-norm'] as const

function pairsOf(overall: readonly Omit<SeedCut, 'keep'>[]): CriterionPair[] {
  const criteria = [...new Set(overall.map(({ criterion }) => criterion))]
  return (['before', 'after'] as const).flatMap(stage => {
    const trials = (name: string) =>
      overall
        .filter(({ criterion }) => criterion === name)
        .map(entry => ({ samples: 1, seed: entry.seed, accuracy: entry[stage] }))
    return pruningBaselines.flatMap(baseline =>
      criteria
        .filter(criterion => criterion !== baseline)
        .flatMap(criterion => {
          if (!criteria.includes(baseline)) return []
          const [difference] = pairedDifferences(trials(criterion), trials(baseline))
          return difference ? [{ criterion, baseline, stage, difference }] : []
        }),
    )
  })
}

function disagreementOf(runs: readonly OfSeed<PhotographPruned>[]) {
  const sets = runs.flatMap(({ seed, result }) =>
    result.cuts
      .filter(({ draw }) => draw === undefined)
      .map(({ keep, kept }) => ({ seed, keep, kept: kept.join(' ') })),
  )
  return grouped(sets, ({ keep }) => String(keep)).map(ofKeep => {
    const pairs = grouped(ofKeep, ({ seed }) => String(seed)).flatMap(ofSeed =>
      ofSeed.flatMap((a, i) => ofSeed.slice(i + 1).map(b => (a.kept === b.kept ? 0 : 1))),
    )
    return { keep: ofKeep[0]!.keep, share: pairs.length > 0 ? meanOf(pairs) : 0 }
  })
}

function meanOf(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

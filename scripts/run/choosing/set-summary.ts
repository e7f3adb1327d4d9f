import { mean, standardDeviation } from '../../../src/statistics/descriptive.js'
import type { EpochMetrics } from '../../../src/train/events.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'

const measures = ['validationLoss', 'validationAccuracy', 'testLoss', 'testAccuracy'] as const

/** Loss in nats and accuracy in [0, 1] of the weights that a run kept, as far as they were measured. */
export type RunScores = Partial<Readonly<Record<(typeof measures)[number], number>>>

/** A run that has ended. */
export interface SummarizedRun extends RunScores {
  readonly name: string
  /** Epochs that it took, and the one whose weights were kept where it was chosen. */
  readonly epochs: number
  readonly keptEpoch?: number
}

/** The runs of a set that have ended, and what they are together. */
export interface SetSummary {
  readonly runs: readonly SummarizedRun[]
  /** Over the runs. */
  readonly mean: RunScores
  /** Sample standard deviation over the runs, with n - 1; nothing for one run. */
  readonly standardDeviation: RunScores
}

/** What the history of a run says of the weights that it kept. */
export function summarizedRun(name: string, history: readonly EpochMetrics[]): SummarizedRun {
  const last = history.at(-1)
  const kept = history.find(({ epoch }) => epoch === last?.bestEpoch) ?? last
  const values = {
    validationLoss: kept?.validationLoss,
    validationAccuracy: kept?.validationAccuracy,
    testLoss: last?.testLoss,
    testAccuracy: last?.testAccuracy,
  }
  return {
    name,
    epochs: history.length,
    ...(last?.bestEpoch !== undefined && { keptEpoch: last.bestEpoch }),
    ...Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)),
  }
}

/** Mean and spread of the measures that all of some runs have. */
export function summarizeSet(runs: readonly SummarizedRun[]): SetSummary {
  const over = (statistic: (values: readonly number[]) => number): RunScores =>
    Object.fromEntries(
      measures.flatMap(measure => {
        const values = runs.flatMap(run => run[measure] ?? [])
        return values.length === runs.length && values.length > 0 ? [[measure, statistic(values)]] : []
      }),
    )
  return { runs, mean: over(mean), standardDeviation: runs.length > 1 ? over(standardDeviation) : {} }
}

/** The runs as a table with their mean and spread below. */
export function setTable({ runs, mean: means, standardDeviation: spreads }: SetSummary): string {
  const shown = measures.filter(measure => means[measure] !== undefined)
  const cells = (scores: RunScores): string[] =>
    shown.map(measure => {
      const value = scores[measure]
      if (value === undefined) return ''
      return measure.endsWith('Loss') ? value.toFixed(4) : percent(value)
    })
  const heads = shown.map(measure =>
    measure.replace(/([A-Z])/, (_, letter: string) => ` ${letter.toLowerCase()}`),
  )
  return textTable(
    ['run', 'epochs', 'kept epoch', ...heads],
    [
      ...runs.map(run => [run.name, `${run.epochs}`, `${run.keptEpoch ?? run.epochs}`, ...cells(run)]),
      ['mean', '', '', ...cells(means)],
      ...(runs.length > 1 ? [['spread', '', '', ...cells(spreads)]] : []),
    ],
  )
}

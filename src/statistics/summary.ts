import { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.js'
import { mean, standardDeviation } from './descriptive.js'

/** What independent runs of one setting gave. */
export interface SeedSummary {
  /** Runs, at least 1. */
  readonly count: number
  readonly mean: number
  /** Standard deviation between the runs, with n - 1; absent for a single one. */
  readonly standardDeviation?: number
  /** Interval of the mean, by the percentile bootstrap over the runs; absent for a single one. */
  readonly interval?: Interval
}

/**
 * Mean, standard deviation and bootstrap interval of the mean over the seeds of one setting.
 *
 * @param values one number a seed, all finite
 * @throws RangeError for no numbers or one that is not finite
 */
export function summarizeSeeds(values: readonly number[], options: BootstrapOptions = {}): SeedSummary {
  if (values.length === 0) throw new RangeError('summarizeSeeds: values must hold at least 1 number, got 0')
  const wrong = values.findIndex(value => !Number.isFinite(value))
  if (wrong >= 0) {
    throw new RangeError(`summarizeSeeds: values must be finite, got ${values[wrong]} (number ${wrong})`)
  }
  const summary = { count: values.length, mean: mean(values) }
  if (values.length === 1) return summary
  const interval = meanInterval(values, options)
  return { ...summary, standardDeviation: standardDeviation(values), interval }
}

/** The percentile bootstrap interval of the mean of finite numbers, at least one. */
export function meanInterval(values: readonly number[], options: BootstrapOptions = {}): Interval {
  const meanOf = (drawn: Int32Array) => drawn.reduce((sum, index) => sum + values[index]!, 0) / drawn.length
  return bootstrapInterval(values.length, meanOf, options) as Interval
}

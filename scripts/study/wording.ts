import type { Interval } from '../../src/statistics/bootstrap.js'
import type { SamplesNeeded } from '../../src/statistics/samples-needed.js'
import type { SeedSummary } from '../../src/statistics/summary.js'

/** A share as points of percent: `93.2`. */
export function points(share: number): string {
  return (100 * share).toFixed(1).replace('-', '−')
}

/** A difference of shares with its sign: `+2.1`. */
export function signed(share: number): string {
  return share >= 0 ? `+${points(share)}` : points(share)
}

/** A share over seeds as points of percent: `93.2 ± 0.4`. */
export function sharesText({ mean, standardDeviation }: SeedSummary): string {
  return points(mean) + (standardDeviation === undefined ? '' : ` ± ${points(standardDeviation)}`)
}

/** `93.2 ± 0.4`, and the interval of the mean behind it: `[92.9, 93.5]`. */
export function accuracyText(summary: SeedSummary): string {
  const { interval } = summary
  return sharesText(summary) + (interval ? ` [${points(interval.lower)}, ${points(interval.upper)}]` : '')
}

/** A number of images, or how it is bounded. */
export function neededText({ samples, reached, interval }: SamplesNeeded): string {
  const most = interval?.upper === Infinity ? '∞' : Math.round(interval?.upper ?? Number.NaN)
  const range = interval ? ` [${Math.round(interval.lower)}, ${most}]` : ''
  if (reached === 'never') return 'not reached'
  if (reached === 'at the fewest') return `≤ ${Math.round(samples)}`
  return Math.round(samples) + range
}

/** An interval of plain numbers: `0.3 to 0.7`. */
export function rangeText({ lower, upper }: Interval, digits = 2): string {
  const text = (value: number) => (Number.isFinite(value) ? value.toFixed(digits) : '∞')
  return `${text(lower)} to ${text(upper)}`
}

/** `12.3 ± 0.4` in a unit. */
export function spreadText({ mean, standardDeviation }: SeedSummary, digits = 1): string {
  const spread = standardDeviation === undefined ? '' : ` ± ${standardDeviation.toFixed(digits)}`
  return mean.toFixed(digits) + spread
}

import { median, quantile } from '../../../src/statistics/descriptive.js'

export { type Line, lineFit, median, quantile } from '../../../src/statistics/descriptive.js'

/** How repeated measurements of one thing are spread. */
export interface Summary {
  readonly count: number
  readonly median: number
  readonly lowerQuartile: number
  readonly upperQuartile: number
  readonly minimum: number
}

/**
 * Median, quartiles and minimum of repeated measurements.
 *
 * @throws RangeError for no numbers
 */
export function summarize(values: readonly number[]): Summary {
  return {
    count: values.length,
    median: median(values),
    lowerQuartile: quantile(values, 0.25),
    upperQuartile: quantile(values, 0.75),
    minimum: quantile(values, 0),
  }
}

/**
 * Divides measurement by measurement: both lists are in the order of their rounds, so that what slowed a round down
 * slowed both sides of its ratio.
 *
 * @throws RangeError when the lists differ in length
 */
export function pairRatios(numerators: readonly number[], denominators: readonly number[]): number[] {
  if (numerators.length !== denominators.length) {
    throw new RangeError(
      `pairRatios: both lists must be of the same rounds, got ${numerators.length} and ${denominators.length} numbers`,
    )
  }
  return numerators.map((numerator, round) => numerator / denominators[round]!)
}

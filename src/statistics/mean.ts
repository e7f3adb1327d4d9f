/** The arithmetic mean; NaN of no numbers. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/**
 * How far numbers lie from their mean: sqrt(sum (x - mean)^2 / (n - 1)), the estimate for the population from which
 * they were drawn; NaN of fewer than two.
 */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN
  const center = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0)
  return Math.sqrt(squares / (values.length - 1))
}

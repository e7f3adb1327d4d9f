import { mean } from './descriptive.js'

/**
 * Spearman's rank correlation: whether two quantities rise together, whatever the form. Equal numbers share the mean of
 * their ranks.
 *
 * @returns in [-1, 1]; NaN where one of them is constant
 * @throws RangeError when x and y differ in length, hold fewer than 2 numbers, or a number is NaN
 */
export function rankCorrelation(x: readonly number[], y: readonly number[]): number {
  if (x.length !== y.length || x.length < 2) {
    throw new RangeError(
      `rankCorrelation: x and y must be equally many numbers, at least 2, got ${x.length} and ${y.length}`,
    )
  }
  const wrong = [...x, ...y].findIndex(Number.isNaN)
  if (wrong >= 0) {
    throw new RangeError(
      `rankCorrelation: ${wrong < x.length ? 'x' : 'y'} must hold numbers, got NaN (number ${wrong % x.length})`,
    )
  }
  const [a, b] = [centredRanks(x), centredRanks(y)]
  const product = (p: readonly number[], q: readonly number[]) =>
    p.reduce((sum, value, i) => sum + value * (q[i] as number), 0)
  return product(a, b) / Math.sqrt(product(a, a) * product(b, b))
}

/** Ranks less their mean. */
function centredRanks(values: readonly number[]): number[] {
  const sorted = values.toSorted((a, b) => a - b)
  const ranks = values.map(value => (sorted.indexOf(value) + sorted.lastIndexOf(value)) / 2)
  const centre = mean(ranks)
  return ranks.map(rank => rank - centre)
}

/** The arithmetic mean; NaN for no numbers. */
export function mean(values: readonly number[]): number {
  return values.reduce((sum, value) => sum + value, 0) / values.length
}

/**
 * How far numbers lie from their mean: sqrt(sum (x - mean)^2 / (n - 1)), the estimate for the population from which
 * they were drawn; NaN for fewer than two numbers.
 */
export function standardDeviation(values: readonly number[]): number {
  if (values.length < 2) return Number.NaN
  const center = mean(values)
  const squares = values.reduce((sum, value) => sum + (value - center) ** 2, 0)
  return Math.sqrt(squares / (values.length - 1))
}

/**
 * The value below which a share of the numbers lies, by linear interpolation between the two nearest.
 *
 * @param share in [0, 1]; 0.5 is the median
 * @throws RangeError for no numbers
 */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError('quantile: values must hold at least 1 number, got 0')
  const sorted = values.toSorted((a, b) => a - b)
  const position = share * (sorted.length - 1)
  const below = sorted[Math.floor(position)]!
  const above = sorted[Math.ceil(position)]!
  return below + (above - below) * (position - Math.floor(position))
}

/** The middle number; for an even count, the mean of the two in the middle. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** A straight line through points (x, y), and how well it fits them. */
export interface Line {
  /** Growth of y as x grows by 1. */
  readonly slope: number
  /** y at x = 0. */
  readonly intercept: number
  /** Share of y's variance that the line explains, at most 1; 1 as well where y is constant. */
  readonly rSquared: number
}

/**
 * The straight line of least squares.
 *
 * @throws RangeError when x and y differ in length or hold fewer than 2 different x
 */
export function lineFit(x: readonly number[], y: readonly number[]): Line {
  if (x.length !== y.length || new Set(x).size < 2) {
    throw new RangeError(
      `lineFit: points must have at least 2 different x, got ${new Set(x).size} (${x.length} x, ${y.length} y)`,
    )
  }
  const [meanX, meanY] = [mean(x), mean(y)]
  const dx = x.map(value => value - meanX)
  const dy = y.map(value => value - meanY)
  const slope = dot(dx, dy) / dot(dx, dx)
  const residuals = dy.map((value, i) => value - slope * dx[i]!)
  const variation = dot(dy, dy)
  return {
    slope,
    intercept: meanY - slope * meanX,
    rSquared: variation === 0 ? 1 : 1 - dot(residuals, residuals) / variation,
  }
}

function dot(a: readonly number[], b: readonly number[]): number {
  return a.reduce((sum, value, i) => sum + value * b[i]!, 0)
}

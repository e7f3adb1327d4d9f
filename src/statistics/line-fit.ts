import { mean } from './mean.js'

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

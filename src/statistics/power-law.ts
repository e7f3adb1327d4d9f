import { type BootstrapOptions, bootstrapInterval, type Interval } from './bootstrap.js'
import { lineFit, mean } from './descriptive.js'

/** What was measured at one x. */
export interface MeasuredPoint {
  /** Above 0. */
  readonly x: number
  /** One number for each seed or repetition, at least one; their mean must be above 0. */
  readonly values: readonly number[]
}

/** y = factor x^exponent, fitted on logarithmic scales. */
export interface PowerLaw {
  readonly exponent: number
  readonly factor: number
  /** Share of the variance of log y that the line explains, at most 1. */
  readonly rSquared: number
  /**
   * Interval of the exponent, by the percentile bootstrap: the values at each x are drawn anew, independently of the
   * other x. Absent where some x has a single value. Draws in which a mean is 0 are ignored.
   */
  readonly interval?: Interval
}

/**
 * Fits a power law: the straight line of least squares through (log x, log mean y).
 *
 * @throws RangeError when there are fewer than two different x, or an x or a mean is not above 0
 */
export function fitPowerLaw(points: readonly MeasuredPoint[], options: BootstrapOptions = {}): PowerLaw {
  for (const { x, values } of points) {
    if (!(x > 0 && x < Infinity)) throw new RangeError(`fitPowerLaw: x must be above 0, got ${x}`)
    const y = mean(values)
    if (!(y > 0 && y < Infinity)) {
      throw new RangeError(
        `fitPowerLaw: values must have a mean above 0, got ${y} (${values.length} at x ${x})`,
      )
    }
  }
  const logX = points.map(({ x }) => Math.log(x))
  const { slope, intercept, rSquared } = lineFit(
    logX,
    points.map(({ values }) => Math.log(mean(values))),
  )
  const law = { exponent: slope, factor: Math.exp(intercept), rSquared }
  if (points.some(({ values }) => values.length < 2)) return law
  const all = points.flatMap(({ values }) => values)
  const sizes = points.map(({ values }) => values.length)
  const exponent = (drawn: Int32Array): number => {
    const logY = stratumMeans(all, sizes, drawn).map(Math.log)
    return logY.every(Number.isFinite) ? lineFit(logX, logY).slope : Number.NaN
  }
  const interval = bootstrapInterval(sizes, exponent, options)
  return interval ? { ...law, interval } : law
}

/** The mean of the values that were drawn from each stratum. */
function stratumMeans(all: readonly number[], sizes: readonly number[], drawn: Int32Array): number[] {
  let first = 0
  return sizes.map(size => {
    let sum = 0
    for (let i = 0; i < size; i++) sum += all[drawn[first + i]!]!
    first += size
    return sum / size
  })
}

import { random } from '../random.js'
import { isPositiveInteger } from '../shapes.js'

/** Where a quantity lies with some confidence. */
export interface Interval {
  readonly lower: number
  readonly upper: number
}

/** How an interval is estimated. */
export interface BootstrapOptions {
  /** Confidence in (0, 1); 0.95 unless given. */
  readonly level?: number
  /** Resamples drawn; 10,000 unless given. */
  readonly resamples?: number
  /** Decides the resamples; 0 unless given. */
  readonly seed?: number
}

/**
 * The percentile bootstrap (Efron 1979): draws as many items with replacement as there are, again and again, computes
 * the statistic of each draw, and cuts the same share off both ends of the results.
 *
 * With few items the interval is too narrow: a 95 % interval of the mean of normal numbers contains the true mean in
 * 84 of 100 cases with 5 items and in 90 with 10.
 *
 * @param count how many items there are, at least 1, such as the seeds of a study; or how many each stratum has: then
 *   items are numbered one stratum after the other, and each draw takes from every stratum as many as it has
 * @param statistic computes the quantity from the numbers of the drawn items; must not keep the array. Draws for which
 *   it is NaN are left out
 * @returns undefined where the statistic was NaN for every draw
 * @throws RangeError when an option is out of range
 */
export function bootstrapInterval(
  count: number | readonly number[],
  statistic: (drawn: Int32Array) => number,
  options: BootstrapOptions = {},
): Interval | undefined {
  const level = checkLevel(options)
  return percentileInterval(bootstrapResults(count, statistic, options), level)
}

/**
 * The statistic of every draw of {@link bootstrapInterval}, in the order of the draws.
 *
 * @throws RangeError when a count or `resamples` is not a positive integer
 */
export function bootstrapResults(
  count: number | readonly number[],
  statistic: (drawn: Int32Array) => number,
  { resamples = 10_000, seed = 0 }: BootstrapOptions = {},
): Float64Array {
  const strata = typeof count === 'number' ? [count] : count
  for (const size of strata) checkPositive('count', size)
  checkPositive('resamples', resamples)
  const source = random(seed, 'bootstrap')
  const drawn = new Int32Array(strata.reduce((sum, size) => sum + size, 0))
  return Float64Array.from({ length: resamples }, () => {
    let first = 0
    for (const size of strata) {
      for (let i = 0; i < size; i++) drawn[first + i] = first + source.below(size)
      first += size
    }
    return statistic(drawn)
  })
}

/**
 * As {@link bootstrapInterval}, for several statistics of the same draws.
 *
 * @param statistics computes the quantities, always as many of them
 * @returns one for each; undefined for a quantity that was NaN for every draw
 */
export function bootstrapIntervals(
  count: number | readonly number[],
  statistics: (drawn: Int32Array) => readonly number[],
  options: BootstrapOptions = {},
): (Interval | undefined)[] {
  const level = checkLevel(options)
  const draws: (readonly number[])[] = []
  bootstrapResults(count, drawn => draws.push(statistics(drawn)), options)
  return (draws[0] ?? []).map((_, i) =>
    percentileInterval(
      Float64Array.from(draws, draw => draw[i]!),
      level,
    ),
  )
}

/**
 * The interval that is left when the same share is cut off both ends of the results of a bootstrap. The bounds are
 * results themselves (nearest rank), so that infinite ones do no harm; NaN is ignored.
 *
 * @param level confidence in (0, 1)
 * @returns undefined where every result is NaN
 */
export function percentileInterval(results: Float64Array, level: number): Interval | undefined {
  const sorted = results.filter(value => !Number.isNaN(value)).sort()
  if (sorted.length === 0) return undefined
  // The product may be rounded up: the rank of 0.975 among 1000 results must be 975 all the same.
  const rank = (share: number) => sorted[Math.max(0, Math.ceil(share * sorted.length - 1e-6) - 1)]!
  return { lower: rank((1 - level) / 2), upper: rank((1 + level) / 2) }
}

/**
 * The confidence that options ask for.
 *
 * @throws RangeError when it is not in (0, 1)
 */
export function checkLevel({ level = 0.95 }: BootstrapOptions): number {
  if (level > 0 && level < 1) return level
  throw new RangeError(`bootstrapInterval: level must be in (0, 1), got ${level}`)
}

function checkPositive(name: string, value: number): void {
  if (isPositiveInteger(value)) return
  throw new RangeError(`bootstrapInterval: ${name} must be a positive integer, got ${value}`)
}

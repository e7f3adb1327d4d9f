import type { Interval } from './bootstrap.js'

/** The normal distribution has 95 % of its mass within so many standard deviations of its mean. */
const Z = 1.959963984540054

/**
 * Wilson's score interval of a share at 95 % confidence (Wilson 1927): with p = successes / count, z = 1.96,
 * (p + z^2/2n +- z sqrt(p (1 - p)/n + z^2/4n^2)) / (1 + z^2/n). It stays in [0, 1], and has a width for p = 0 and 1 too.
 *
 * @returns undefined for no items
 * @throws RangeError when the numbers are not integers with 0 <= successes <= count
 */
export function wilsonInterval(successes: number, count: number): Interval | undefined {
  const isCounts = Number.isInteger(successes) && Number.isInteger(count)
  if (!isCounts || successes < 0 || successes > count) {
    throw new RangeError(
      `wilsonInterval: successes must be an integer in [0, ${count}], got ${successes} (of ${count})`,
    )
  }
  if (count === 0) return undefined
  const share = successes / count
  const square = Z ** 2 / count
  const center = share + square / 2
  const half = Z * Math.sqrt((share * (1 - share)) / count + square / (4 * count))
  // At the ends the two terms cancel, but for rounding.
  const lower = successes === 0 ? 0 : (center - half) / (1 + square)
  const upper = successes === count ? 1 : (center + half) / (1 + square)
  return { lower, upper }
}

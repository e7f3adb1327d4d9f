import { describe, expect, it } from 'vitest'
import { wilsonInterval } from '../../src/statistics/index.js'

describe('wilsonInterval', () => {
  it.each([
    // (p + z^2/2n +- z sqrt(p(1-p)/n + z^2/4n^2)) / (1 + z^2/n), by hand.
    [8, 10, 0.490162, 0.943318],
    [81, 263, 0.255287, 0.366207],
    [0, 10, 0, 0.277533],
    [10, 10, 0.722467, 1],
    [1, 1, 0.206549, 1],
  ])('of %i of %i is [%d, %d]', (successes, count, lower, upper) => {
    const interval = wilsonInterval(successes, count)!
    expect(interval.lower).toBeCloseTo(lower, 5)
    expect(interval.upper).toBeCloseTo(upper, 5)
  })

  it('solves |share - p| = 1.96 sqrt(p (1 - p) / n) at both ends', () => {
    const { lower, upper } = wilsonInterval(13, 40)!
    for (const end of [lower, upper]) {
      expect(Math.abs(13 / 40 - end)).toBeCloseTo(1.959963985 * Math.sqrt((end * (1 - end)) / 40), 9)
    }
  })

  it('is not there for no items', () => {
    expect(wilsonInterval(0, 0)).toBeUndefined()
  })

  it.each([
    [3, 2],
    [-1, 2],
    [0.5, 2],
    [Number.NaN, 2],
  ])('refuses %d of %d', (successes, count) => {
    expect(() => wilsonInterval(successes, count)).toThrow(
      new RangeError(
        `wilsonInterval: successes must be an integer in [0, ${count}], got ${successes} (of ${count})`,
      ),
    )
  })
})

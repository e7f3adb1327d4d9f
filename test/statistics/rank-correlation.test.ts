import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rankCorrelation } from '../../src/statistics/rank-correlation.js'

describe('rankCorrelation', () => {
  it('is 1 for what rises together and -1 for the opposite, whatever the form', () => {
    const different = fc.uniqueArray(fc.integer({ min: -20, max: 20 }), { minLength: 2, maxLength: 12 })
    fc.assert(
      fc.property(different, x => {
        expect(rankCorrelation(x, x.map(Math.exp))).toBeCloseTo(1, 12)
        expect(
          rankCorrelation(
            x,
            x.map(value => -(value ** 3)),
          ),
        ).toBeCloseTo(-1, 12)
      }),
    )
  })

  it('is 1 - 6 sum d^2 / (n (n^2 - 1)) without ties, by hand', () => {
    // Ranks 1 2 3 4 and 2 1 4 3: d^2 sum 4, 1 - 24 / 60.
    expect(rankCorrelation([10, 20, 30, 40], [2, 1, 4, 3])).toBeCloseTo(0.6, 12)
  })

  it('gives equal numbers the mean of their ranks', () => {
    // Ranks 1 2.5 2.5 4, centred -1.5 0 0 1.5, and -1.5 -0.5 0.5 1.5: 4.5 / sqrt(4.5 * 5).
    expect(rankCorrelation([1, 2, 2, 9], [1, 2, 3, 4])).toBeCloseTo(4.5 / Math.sqrt(22.5), 12)
  })

  it('is not known where one of them is constant', () => {
    expect(rankCorrelation([1, 1, 1], [1, 2, 3])).toBeNaN()
  })

  it('refuses what has no ranks', () => {
    expect(() => rankCorrelation([1], [2])).toThrow(
      new RangeError('rankCorrelation: x and y must be equally many numbers, at least 2, got 1 and 1'),
    )
    expect(() => rankCorrelation([1, 2], [2])).toThrow('at least 2, got 2 and 1')
    expect(() => rankCorrelation([1, 2], [2, Number.NaN])).toThrow(
      new RangeError('rankCorrelation: y must hold numbers, got NaN (number 1)'),
    )
  })
})

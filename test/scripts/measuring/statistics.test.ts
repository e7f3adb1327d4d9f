import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import {
  lineFit,
  median,
  pairRatios,
  quantile,
  summarize,
} from '../../../scripts/run/measuring/statistics.js'

const seconds = fc.double({ min: 1e-6, max: 1e3, noNaN: true })

describe('quantile', () => {
  it('interpolates between the two nearest numbers', () => {
    // Sorted 1 2 4 8: the lower quartile lies at place 0.75, 1 + 0.75 (2 - 1).
    expect(quantile([8, 1, 4, 2], 0.25)).toBe(1.75)
    expect(quantile([8, 1, 4, 2], 1)).toBe(8)
  })

  it('refuses no numbers', () => {
    expect(() => quantile([], 0.5)).toThrow(
      new RangeError('quantile: values must hold at least 1 number, got 0'),
    )
  })
})

describe('median', () => {
  it('is the number in the middle, or the mean of the two in the middle', () => {
    expect(median([9, 1, 5])).toBe(5)
    expect(median([8, 1, 4, 2])).toBe(3)
  })
})

describe('summarize', () => {
  it('gives quartiles and minimum of unsorted numbers', () => {
    expect(summarize([5, 3, 1, 2, 4])).toEqual({
      count: 5,
      median: 3,
      lowerQuartile: 2,
      upperQuartile: 4,
      minimum: 1,
    })
  })

  it('leaves its numbers in their order', () => {
    const rounds = [3, 1, 2]
    summarize(rounds)
    expect(rounds).toEqual([3, 1, 2])
  })
})

describe('pairRatios', () => {
  it('divides round by round', () => {
    expect(pairRatios([2, 9, 4], [4, 3, 8])).toEqual([0.5, 3, 0.5])
  })

  it('does not see what slows both sides of a round alike', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(seconds, seconds), { minLength: 1 }), rounds => {
        const ours = rounds.map(([quiet]) => 0.75 * quiet)
        const peer = rounds.map(([quiet]) => quiet)
        const slow = rounds.map(([, slowness]) => 1 + slowness)
        const ratios = pairRatios(
          ours.map((time, round) => time * slow[round]!),
          peer.map((time, round) => time * slow[round]!),
        )
        expect(median(ratios)).toBeCloseTo(0.75, 9)
      }),
    )
  })

  it('refuses lists of different rounds', () => {
    expect(() => pairRatios([1, 2], [1])).toThrow(
      new RangeError('pairRatios: both lists must be of the same rounds, got 2 and 1 numbers'),
    )
  })
})

describe('lineFit', () => {
  it('fits a worked example', () => {
    // x - 2 = -1 0 1, y - 3 = -2 1 1: slope 3/2, intercept 3 - 3, residuals -.5 1 -.5, R^2 = 1 - 1.5/6.
    expect(lineFit([1, 2, 3], [1, 4, 4])).toEqual({ slope: 1.5, intercept: 0, rSquared: 0.75 })
  })

  it('finds the line that points lie on', () => {
    const coefficient = fc.double({ min: -100, max: 100, noNaN: true })
    fc.assert(
      fc.property(coefficient, coefficient, (slope, intercept) => {
        fc.pre(Math.abs(slope) > 1e-3)
        const x = [1, 2, 4, 8, 12, 16]
        const line = lineFit(
          x,
          x.map(value => slope * value + intercept),
        )
        expect(line.slope).toBeCloseTo(slope, 9)
        expect(line.intercept).toBeCloseTo(intercept, 9)
        expect(line.rSquared).toBeCloseTo(1, 6)
      }),
    )
  })

  it('explains a constant whole', () => {
    expect(lineFit([1, 2], [3, 3])).toEqual({ slope: 0, intercept: 3, rSquared: 1 })
  })

  it('refuses points above one x', () => {
    const message = 'lineFit: points must have at least 2 different x, got 1 (2 x, 2 y)'
    expect(() => lineFit([4, 4], [1, 2])).toThrow(new RangeError(message))
  })

  it('refuses lists of different lengths', () => {
    expect(() => lineFit([1, 2, 3], [1, 2])).toThrow('got 3 (3 x, 2 y)')
  })
})

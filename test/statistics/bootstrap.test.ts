import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { random } from '../../src/random.js'
import { bootstrapInterval, bootstrapResults, percentileInterval } from '../../src/statistics/bootstrap.js'
import { meanInterval, summarizeSeeds } from '../../src/statistics/summary.js'

const sum = (drawn: Int32Array) => drawn.reduce((total, item) => total + item, 0)

describe('bootstrapResults', () => {
  it('draws as many items as there are, each as often as the others', () => {
    const counts = [0, 0, 0]
    bootstrapResults(3, drawn => {
      expect(drawn.length).toBe(3)
      for (const item of drawn) counts[item]!++
      return 0
    })
    // 30,000 draws of probability 1/3: the standard deviation of a count is 82.
    for (const count of counts) expect(Math.abs(count - 10_000)).toBeLessThan(410)
  })

  it('draws two items twice in 1/4 of the cases each, one of both in 1/2', () => {
    const results = bootstrapResults(2, sum, { resamples: 4000, seed: 3 })
    const share = (value: number) => results.filter(result => result === value).length / 4000
    expect(share(0)).toBeCloseTo(0.25, 1)
    expect(share(1)).toBeCloseTo(0.5, 1)
    expect(share(2)).toBeCloseTo(0.25, 1)
  })

  it('draws each stratum from its own items', () => {
    bootstrapResults(
      [2, 3],
      drawn => {
        expect(drawn.slice(0, 2).every(item => item === 0 || item === 1)).toBe(true)
        expect(drawn.slice(2).every(item => item >= 2 && item <= 4)).toBe(true)
        return 0
      },
      { resamples: 200 },
    )
  })

  it('gives the same numbers for the same seed, others for another', () => {
    const run = (seed: number) => [...bootstrapResults(10, sum, { resamples: 50, seed })]
    expect(run(1)).toEqual(run(1))
    expect(run(1)).not.toEqual(run(2))
  })

  it.each([
    [{ count: 0 }, 'count must be a positive integer, got 0'],
    [{ count: 5, resamples: 0 }, 'resamples must be a positive integer, got 0'],
    [{ count: 5, level: 1 }, 'level must be in (0, 1), got 1'],
  ])('refuses %j', ({ count, ...options }, message) => {
    expect(() => bootstrapInterval(count, sum, options)).toThrow(
      new RangeError(`bootstrapInterval: ${message}`),
    )
  })
})

describe('percentileInterval', () => {
  it('cuts 2.5 % off both ends of 1, 2, ... 1000, by rank', () => {
    const results = Float64Array.from({ length: 1000 }, (_, i) => ((i * 377) % 1000) + 1)
    expect(percentileInterval(results, 0.95)).toEqual({ lower: 25, upper: 975 })
    expect(percentileInterval(results, 0.5)).toEqual({ lower: 250, upper: 750 })
  })

  it('bears infinite results and leaves NaN out', () => {
    const results = Float64Array.of(3, Infinity, Number.NaN, 1, Infinity)
    expect(percentileInterval(results, 0.9)).toEqual({ lower: 1, upper: Infinity })
    expect(percentileInterval(Float64Array.of(Number.NaN), 0.9)).toBeUndefined()
  })
})

describe('meanInterval', () => {
  it('of 0 and 1 is [0, 1]: a quarter of the draws has either mean', () => {
    expect(meanInterval([0, 1])).toEqual({ lower: 0, upper: 1 })
  })

  it('of 99 zeros and a hundred is that of a Poisson variable of mean 1: 0 to 3', () => {
    // P(X = 0) = 0.37, P(X <= 2) = 0.92, P(X <= 3) = 0.98; a draw with the hundred X times has mean X.
    const values = [100, ...new Array<number>(99).fill(0)]
    expect(meanInterval(values)).toEqual({ lower: 0, upper: 3 })
  })

  it('lies between the smallest and the largest number and around the mean', () => {
    const value = fc.double({ min: -10, max: 10, noNaN: true })
    fc.assert(
      fc.property(fc.array(value, { minLength: 1, maxLength: 8 }), values => {
        const { lower, upper } = meanInterval(values, { resamples: 200 })
        const mean = values.reduce((total, x) => total + x, 0) / values.length
        expect(lower).toBeGreaterThanOrEqual(Math.min(...values) - 1e-9)
        expect(upper).toBeLessThanOrEqual(Math.max(...values) + 1e-9)
        expect(lower).toBeLessThanOrEqual(mean + 1e-9)
        expect(upper).toBeGreaterThanOrEqual(mean - 1e-9)
      }),
    )
  })

  it('holds the true mean of 10 normal numbers in about 90 of 100 cases, as its comment says', () => {
    const source = random(5)
    const cases = 400
    let held = 0
    for (let i = 0; i < cases; i++) {
      const values = Array.from({ length: 10 }, () => source.normal())
      const { lower, upper } = meanInterval(values, { resamples: 400, seed: i })
      if (lower <= 0 && upper >= 0) held++
    }
    expect(held / cases).toBeGreaterThan(0.85)
    expect(held / cases).toBeLessThan(0.94)
  })
})

describe('summarizeSeeds', () => {
  it('gives mean and standard deviation as worked by hand', () => {
    // Mean 5; squares 9 + 1 + 1 + 1 + 0 + 0 + 4 + 16 = 32, over 7.
    const summary = summarizeSeeds([2, 4, 4, 4, 5, 5, 7, 9])
    expect(summary).toMatchObject({ count: 8, mean: 5 })
    expect(summary.standardDeviation).toBeCloseTo(Math.sqrt(32 / 7), 12)
  })

  it('claims neither deviation nor interval for a single seed', () => {
    expect(summarizeSeeds([0.9])).toEqual({ count: 1, mean: 0.9 })
  })

  it('refuses no numbers, and one that is not finite', () => {
    expect(() => summarizeSeeds([])).toThrow('summarizeSeeds: values must hold at least 1 number, got 0')
    expect(() => summarizeSeeds([1, Number.NaN])).toThrow(
      'summarizeSeeds: values must be finite, got NaN (number 1)',
    )
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { lineFit, standardDeviation } from '../../src/statistics/descriptive.js'
import { fitPowerLaw } from '../../src/statistics/power-law.js'

describe('fitPowerLaw', () => {
  it('finds the power law that made the numbers', () => {
    const exponent = fc.double({ min: -3, max: 3, noNaN: true })
    const factor = fc.double({ min: 0.01, max: 100, noNaN: true })
    fc.assert(
      fc.property(exponent, factor, (power, times) => {
        const law = fitPowerLaw([1, 2, 5, 8].map(x => ({ x, values: [times * x ** power] })))
        expect(law.exponent).toBeCloseTo(power, 6)
        expect(law.factor / times).toBeCloseTo(1, 6)
        expect(law).not.toHaveProperty('interval')
      }),
    )
  })

  it('fits the means, by hand', () => {
    // Means 2 and 8 at 1 and 4: ln 4 / ln 4 = 1, factor 2.
    const law = fitPowerLaw([
      { x: 1, values: [1, 3] },
      { x: 4, values: [8, 8] },
    ])
    expect(law.exponent).toBeCloseTo(1, 12)
    expect(law.factor).toBeCloseTo(2, 12)
    // A quarter of the draws have mean 1 at x = 1, a quarter 3: exponents ln 8 / ln 4 and ln(8/3) / ln 4.
    expect(law.interval?.lower).toBeCloseTo(Math.log(8 / 3) / Math.log(4), 12)
    expect(law.interval?.upper).toBeCloseTo(1.5, 12)
  })

  it('leaves out draws whose mean is 0', () => {
    const law = fitPowerLaw([
      { x: 1, values: [0, 1] },
      { x: 2, values: [2, 2] },
    ])
    expect(law.interval).toEqual({ lower: expect.closeTo(1, 12), upper: expect.closeTo(2, 12) })
  })

  it.each([
    [[{ x: 0, values: [1] }], 'x must be above 0, got 0'],
    [[{ x: 2, values: [1, -1] }], 'values must have a mean above 0, got 0 (2 at x 2)'],
    [[{ x: 2, values: [] }], 'values must have a mean above 0, got NaN (0 at x 2)'],
  ])('refuses %j', (points, message) => {
    expect(() => fitPowerLaw(points)).toThrow(new RangeError(`fitPowerLaw: ${message}`))
  })

  it('refuses a single x', () => {
    expect(() => fitPowerLaw([{ x: 2, values: [1] }])).toThrow(
      'lineFit: points must have at least 2 different x, got 1 (1 x, 1 y)',
    )
  })
})

it('lineFit explains three quarters of the variance of a worked example', () => {
  // Points (0,0) (1,2) (2,2): slope 1, intercept 1/3; residuals -1/3, 2/3, -1/3: 6/9 of 24/9.
  const line = lineFit([0, 1, 2], [0, 2, 2])
  expect(line.slope).toBeCloseTo(1, 12)
  expect(line.intercept).toBeCloseTo(1 / 3, 12)
  expect(line.rSquared).toBeCloseTo(0.75, 12)
})

it('standardDeviation needs two numbers', () => {
  expect(standardDeviation([1, 3])).toBeCloseTo(Math.SQRT2, 12)
  expect(standardDeviation([1])).toBeNaN()
})

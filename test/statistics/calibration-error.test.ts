import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { calibrationError, confidencesOf, reliability } from '../../src/statistics/index.js'

const of = (confidences: readonly number[], right: readonly number[]) => ({
  confidences: Float64Array.from(confidences),
  right: Uint8Array.from(right),
})

describe('reliability', () => {
  it('sorts predictions into bins whose upper edge is their own', () => {
    const bins = reliability(of([0, 0.25, 0.5, 0.51, 1], [0, 1, 1, 0, 1]), 4)
    expect(bins.map(({ count }) => count)).toEqual([2, 1, 1, 1])
    expect(bins[0]).toEqual({ lower: 0, upper: 0.25, count: 2, confidence: 0.125, accuracy: 0.5 })
    expect(bins[2]).toEqual({ lower: 0.5, upper: 0.75, count: 1, confidence: 0.51, accuracy: 0 })
  })

  it('has no means in an empty bin', () => {
    const [empty] = reliability(of([0.9], [1]), 2)
    expect(empty).toEqual({ lower: 0, upper: 0.5, count: 0, confidence: Number.NaN, accuracy: Number.NaN })
  })

  it('puts every confidence into the bin that its edges say', () => {
    const confidence = fc.oneof(
      fc.double({ min: 0, max: 1, noNaN: true }),
      fc.integer({ min: 0, max: 30 }).map(i => i / 30),
    )
    fc.assert(
      fc.property(confidence, fc.integer({ min: 1, max: 30 }), (value, numBins) => {
        const bin = reliability(of([value], [1]), numBins).find(({ count }) => count > 0)!
        expect(bin.upper).toBeGreaterThanOrEqual(value)
        if (value > 0) expect(bin.lower).toBeLessThan(value)
      }),
    )
  })

  it('refuses a number of bins that is none', () => {
    expect(() => reliability(of([0.5], [1]), 0)).toThrow(
      new RangeError('reliability: numBins must be a positive integer, got 0'),
    )
  })
})

describe('calibrationError', () => {
  it('is the mean distance between confidence and accuracy, by items', () => {
    // Two at 0.6 of which one is right, one at 0.9 that is right: 2/3 * |0.5 - 0.6| + 1/3 * |1 - 0.9|.
    const bins = reliability(of([0.6, 0.6, 0.9], [1, 0, 1]), 10)
    expect(calibrationError(bins)).toBeCloseTo(0.1, 12)
  })

  it('is 0 for 3 of 4 right at a confidence of 3/4, and not a number for nothing', () => {
    expect(calibrationError(reliability(of([0.75, 0.75, 0.75, 0.75], [1, 1, 0, 1])))).toBe(0)
    expect(calibrationError([])).toBeNaN()
  })
})

describe('confidencesOf', () => {
  it('takes the probability of the predicted class', () => {
    const logProbabilities = [0.2, 0.8, 0.7, 0.3].map(Math.log)
    const { confidences, right } = confidencesOf({
      labels: [0, 0],
      predicted: [1, 0],
      logProbabilities,
      numClasses: 2,
    })
    expect(confidences[0]).toBeCloseTo(0.8, 12)
    expect(confidences[1]).toBeCloseTo(0.7, 12)
    expect([...right]).toEqual([0, 1])
  })
})

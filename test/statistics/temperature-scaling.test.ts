import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { mean } from '../../src/statistics/descriptive.js'
import { fitTemperature, logLosses, type Predictions, scaled } from '../../src/statistics/index.js'

/** Predictions of two classes with logits (0, z). */
function logistic(logits: readonly number[], labels: readonly number[]): Predictions {
  const logProbabilities = logits.flatMap(z => [-Math.log1p(Math.exp(z)), -Math.log1p(Math.exp(-z))])
  return { labels, predicted: logits.map(z => (z > 0 ? 1 : 0)), logProbabilities, numClasses: 2 }
}

const loss = (predictions: Predictions) => mean([...logLosses(predictions)])

describe('fitTemperature', () => {
  it('brings a confidence of 0.982 down to the share that is right, 3 of 4', () => {
    // sigmoid(4 / T) = 3/4 where 4 / T = ln 3.
    const predictions = logistic([4, 4, 4, 4], [1, 1, 1, 0])
    const temperature = fitTemperature(predictions)
    expect(temperature).toBeCloseTo(4 / Math.log(3), 6)
    expect(Math.exp(scaled(predictions, temperature!).logProbabilities[1]!)).toBeCloseTo(0.75, 6)
  })

  it('is below 1 for predictions that are not sure enough', () => {
    const predictions = logistic([0.5, 0.5, 0.5, 0.5], [1, 1, 1, 0])
    expect(fitTemperature(predictions)).toBeCloseTo(0.5 / Math.log(3), 6)
  })

  it('is not there where all are right or all are wrong, or all classes equally probable', () => {
    expect(fitTemperature(logistic([1, -1], [1, 0]))).toBeUndefined()
    expect(fitTemperature(logistic([1, -1], [0, 1]))).toBeUndefined()
    expect(fitTemperature(logistic([0, 0], [0, 1]))).toBeUndefined()
  })

  it('is not disturbed by a class of probability 0', () => {
    const { logProbabilities, labels, predicted } = logistic([4, 4, 4, 4], [1, 1, 1, 0])
    const predictions = {
      labels: [...Array.from(labels), 0, 0],
      predicted: [...Array.from(predicted), 0, 1],
      logProbabilities: [...Array.from(logProbabilities), 0, -Infinity, -Infinity, 0],
      numClasses: 2,
    }
    expect(fitTemperature(predictions)).toBeCloseTo(4 / Math.log(3), 6)
  })

  it('has a loss no higher than its neighbours', () => {
    const items = fc.array(
      fc.tuple(fc.double({ min: -5, max: 5, noNaN: true }), fc.integer({ max: 1, min: 0 })),
      {
        minLength: 2,
        maxLength: 20,
      },
    )
    fc.assert(
      fc.property(items, all => {
        const predictions = logistic(
          all.map(([z]) => z),
          all.map(([, label]) => label),
        )
        const temperature = fitTemperature(predictions)
        if (temperature === undefined) return
        const least = loss(scaled(predictions, temperature))
        for (const other of [0.9 * temperature, 1.1 * temperature]) {
          if (other > 0.05 && other < 20)
            expect(loss(scaled(predictions, other))).toBeGreaterThan(least - 1e-9)
        }
      }),
    )
  })
})

describe('scaled', () => {
  it('at 1 is the same, and keeps the sum of the probabilities at 1', () => {
    const predictions = logistic([3, -2], [1, 0])
    const same = Array.from(scaled(predictions, 1).logProbabilities)
    same.forEach((log, i) => {
      expect(log).toBeCloseTo(predictions.logProbabilities[i]!, 12)
    })
    const [a, b] = Array.from(scaled(predictions, 7).logProbabilities)
    expect(Math.exp(a!) + Math.exp(b!)).toBeCloseTo(1, 12)
  })

  it.each([0, -1, Number.NaN, Infinity])('refuses a temperature of %d', temperature => {
    expect(() => scaled(logistic([1], [1]), temperature)).toThrow(
      new RangeError(`scaled: temperature must be a number above 0, got ${temperature}`),
    )
  })
})

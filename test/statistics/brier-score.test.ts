import { describe, expect, it } from 'vitest'
import { brierScores, logLosses } from '../../src/statistics/index.js'

const predictions = {
  labels: [0, 2],
  predicted: [0, 0],
  logProbabilities: [0.7, 0.2, 0.1, 0.6, 0.4, 0].map(Math.log),
  numClasses: 3,
}

describe('brierScores', () => {
  it('are the squared distances to the class', () => {
    const [first, second] = brierScores(predictions)
    // 0.3^2 + 0.2^2 + 0.1^2, and 0.6^2 + 0.4^2 + 1.
    expect(first).toBeCloseTo(0.14, 12)
    expect(second).toBeCloseTo(1.52, 12)
  })
})

describe('logLosses', () => {
  it('are the negative logarithms of the probability of the class, without bound', () => {
    const [first, second] = logLosses(predictions)
    expect(first).toBeCloseTo(0.356675, 6)
    expect(second).toBe(Infinity)
  })

  it('stay exact where a probability would be rounded to 0', () => {
    const tiny = { labels: [1], predicted: [0], logProbabilities: [0, -2000], numClasses: 2 }
    expect([...logLosses(tiny)]).toEqual([2000])
  })
})

import { describe, expect, it } from 'vitest'
import { random } from '../../src/random.js'
import { classificationReport, type Predictions } from '../../src/statistics/index.js'

/** Predictions from rows of probabilities; the predicted class is the most probable one. */
function predictionsOf(rows: readonly (readonly number[])[], labels: readonly number[]): Predictions {
  return {
    labels,
    predicted: rows.map(row => row.indexOf(Math.max(...row))),
    logProbabilities: rows.flat().map(Math.log),
    numClasses: rows[0]!.length,
  }
}

const rows = [
  [0.7, 0.2, 0.1],
  [0.4, 0.5, 0.1],
  [0.1, 0.8, 0.1],
  [0.3, 0.3, 0.4],
]
const predictions = predictionsOf(rows, [0, 0, 1, 1])

describe('classificationReport', () => {
  it('measures four items by hand', () => {
    const report = classificationReport(predictions, { resamples: 50 })
    expect(report.count).toBe(4)
    expect(report.accuracy.value).toBe(0.5)
    // Wilson: (0.5 + 0.48) +- ... of 2 of 4.
    expect(report.accuracy.interval!.lower).toBeCloseTo(0.150036, 5)
    expect(report.classes[0]).toMatchObject({ count: 2, precision: 1, recall: 0.5, f1: 2 / 3, rocArea: 1 })
    // Probabilities of class 1: 0.8 and 0.3 against 0.2 and 0.5: 3 of 4 pairs.
    expect(report.classes[1]).toMatchObject({ precision: 0.5, recall: 0.5, f1: 0.5, rocArea: 0.75 })
    expect(report.classes[2]).toMatchObject({
      count: 0,
      precision: 0,
      recall: Number.NaN,
      rocArea: Number.NaN,
    })
    expect(report.macro.f1.value).toBeCloseTo((2 / 3 + 1 / 2) / 2, 12)
    expect(report.weighted.recall.value).toBe(0.5)
    expect(report.logLoss.value).toBeCloseTo(-(Math.log(0.7 * 0.4 * 0.8 * 0.3) / 4), 12)
    // 0.14, 0.62, 0.06 and 0.74.
    expect(report.brier.value).toBeCloseTo(1.56 / 4, 12)
    expect(report.confusions).toContainEqual({ label: 1, predicted: 2, count: 1 })
  })

  it('has intervals around what it estimates, the same for the same seed', () => {
    const source = random(5)
    const many = Array.from({ length: 200 }, () => {
      const p = 0.2 + 0.6 * source.next()
      return { row: [p, 1 - p], label: source.next() < p ? 0 : 1 }
    })
    const all = predictionsOf(
      many.map(({ row }) => row),
      many.map(({ label }) => label),
    )
    const report = classificationReport(all, { resamples: 200 })
    for (const { value, interval } of [
      ...Object.values(report.macro),
      ...Object.values(report.weighted),
      report.logLoss,
      report.brier,
      report.accuracy,
    ]) {
      expect(interval!.lower).toBeLessThan(value)
      expect(interval!.upper).toBeGreaterThan(value)
    }
    expect(classificationReport(all, { resamples: 200 })).toEqual(report)
    expect(classificationReport(all, { resamples: 200, seed: 1 }).brier).not.toEqual(report.brier)
  })

  it('draws from each class as many items as it has, so that no mean loses a class', () => {
    // The one item of class 1 is always drawn, and always wrong.
    const few = predictionsOf(
      [
        [0.9, 0.1],
        [0.8, 0.2],
        [0.7, 0.3],
        [0.6, 0.4],
      ],
      [0, 0, 0, 1],
    )
    const { macro } = classificationReport(few, { resamples: 100 })
    expect(macro.recall).toEqual({ value: 0.5, interval: { lower: 0.5, upper: 0.5 } })
  })

  it('of a single item has what can be had of it', () => {
    const { accuracy, macro, calibration } = classificationReport(predictionsOf([[0.9, 0.1]], [0]))
    expect(accuracy.value).toBe(1)
    expect(macro.rocArea).toEqual({ value: Number.NaN })
    expect(macro.f1).toEqual({ value: 1, interval: { lower: 1, upper: 1 } })
    expect(calibration.error.value).toBeCloseTo(0.1, 12)
  })

  it('bears a probability of 0 for the class', () => {
    const { logLoss } = classificationReport(
      predictionsOf(
        [
          [1, 0],
          [0.5, 0.5],
        ],
        [1, 1],
      ),
    )
    expect(logLoss.value).toBe(Infinity)
    expect(logLoss.interval!.upper).toBe(Infinity)
  })

  it('leaves intervals of areas out where they would take too long', () => {
    const numClasses = 1001
    const labels = Array.from({ length: 200 }, (_, i) => i % 2)
    const logProbabilities = new Float64Array(200 * numClasses).fill(-Math.log(numClasses))
    const report = classificationReport(
      { labels, predicted: labels, logProbabilities, numClasses },
      { resamples: 2 },
    )
    expect(report.macro.rocArea).toEqual({ value: 0.5 })
    expect(report.macro.f1.interval).toEqual({ lower: 1, upper: 1 })
    expect(report.classes.length).toBe(numClasses)
  })

  it.each([
    [{ numClasses: 1 }, 'numClasses must be an integer of at least 2, got 1'],
    [{ labels: [], predicted: [], logProbabilities: [] }, 'labels must hold at least 1 label, got 0'],
    [
      { predicted: [0] },
      'predicted and logProbabilities must hold 4 and 12 numbers, got 1 and 12 (4 labels, 3 classes)',
    ],
    [{ labels: [0, 3, 1, 1] }, 'labels must be integers in [0, 2], got 3 (item 1)'],
    [{ predicted: [0, 1, 0.5, 1] }, 'predicted must be integers in [0, 2], got 0.5 (item 2)'],
    [
      { logProbabilities: Array.from({ length: 12 }, (_, i) => (i === 7 ? Number.NaN : -1)) },
      'logProbabilities must be numbers of at most 0, got NaN (item 2, class 1)',
    ],
    [
      { logProbabilities: Array.from({ length: 12 }, (_, i) => (i === 3 ? 0.5 : -1)) },
      'logProbabilities must be numbers of at most 0, got 0.5 (item 1, class 0)',
    ],
  ])('refuses %j', (wrong, message) => {
    const all: Predictions = { ...predictions, ...wrong }
    const error = new RangeError(`classificationReport: ${message}`)
    expect(() => classificationReport(all)).toThrow(error)
  })
})

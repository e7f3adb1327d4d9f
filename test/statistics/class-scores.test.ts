import { describe, expect, it } from 'vitest'
import { classAverage } from '../../src/statistics/class-scores.js'
import { classScores, confusions } from '../../src/statistics/index.js'

// Three classes, one of which is never found, as in the documentation of scikit-learn's precision_recall_fscore_support.
const labels = [0, 1, 2, 0, 1, 2]
const predicted = [0, 2, 1, 0, 0, 1]

describe('classScores', () => {
  it('counts what was right among what was predicted and what there is', () => {
    const scores = classScores(labels, predicted, 3)
    // Class 0: 2 of 3 predictions right, 2 of 2 items found; F1 = 2*2/(2 + 3).
    expect(scores[0]).toEqual({ count: 2, predicted: 3, right: 2, precision: 2 / 3, recall: 1, f1: 0.8 })
    expect(scores[1]).toEqual({ count: 2, predicted: 2, right: 0, precision: 0, recall: 0, f1: 0 })
    expect(scores[2]).toEqual({ count: 2, predicted: 1, right: 0, precision: 0, recall: 0, f1: 0 })
  })

  it('averages as scikit-learn does: macro 0.22, 0.33 and 0.26', () => {
    const scores = classScores(labels, predicted, 3)
    const counts = scores.map(({ count }) => count)
    const macro = (name: 'precision' | 'recall' | 'f1') =>
      classAverage(
        scores.map(score => score[name]),
        counts,
        'macro',
      )
    expect(macro('precision')).toBeCloseTo(2 / 9, 12)
    expect(macro('recall')).toBeCloseTo(1 / 3, 12)
    expect(macro('f1')).toBeCloseTo(0.8 / 3, 12)
  })

  it('has no precision for a class never predicted, no recall for one without items, no F1 for both', () => {
    const [, never, absent, neither] = classScores([0, 1, 0], [0, 0, 2], 4)
    expect(never).toMatchObject({ precision: Number.NaN, recall: 0, f1: 0 })
    expect(absent).toMatchObject({ precision: 0, recall: Number.NaN, f1: 0 })
    expect(neither).toMatchObject({ precision: Number.NaN, recall: Number.NaN, f1: Number.NaN })
  })

  it('counts items as often as their weights say', () => {
    expect(classScores([0, 1, 1], [0, 1, 0], 2, [3, 0, 2])).toEqual(
      classScores([0, 0, 0, 1, 1], [0, 0, 0, 0, 0], 2),
    )
  })
})

describe('classAverage', () => {
  it('weighs classes by their items, and leaves out those without any and those without a value', () => {
    const values = [0.5, 1, 0.9, Number.NaN]
    const counts = [3, 1, 0, 4]
    expect(classAverage(values, counts, 'macro')).toBe(0.75)
    expect(classAverage(values, counts, 'weighted')).toBe((3 * 0.5 + 1) / 4)
    expect(classAverage([Number.NaN], [2], 'macro')).toBeNaN()
  })
})

describe('confusions', () => {
  it('are the cells of the matrix that are not 0, in order', () => {
    expect(confusions(labels, predicted)).toEqual([
      { label: 0, predicted: 0, count: 2 },
      { label: 1, predicted: 0, count: 1 },
      { label: 1, predicted: 2, count: 1 },
      { label: 2, predicted: 1, count: 2 },
    ])
  })

  it('refuses predictions that are not one for each label', () => {
    expect(() => confusions([0, 1], [0])).toThrow(
      new RangeError('confusions: predicted must hold one class for each label, got 1 for 2'),
    )
  })
})

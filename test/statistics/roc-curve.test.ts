import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rocArea } from '../../src/statistics/area-under-curve.js'
import { RankedScores } from '../../src/statistics/ranked-scores.js'
import { meanRocCurve, type RocPoint, rocCurve, rocPoints } from '../../src/statistics/roc-curve.js'

const point = (falsePositives: number, truePositives: number): RocPoint => ({ falsePositives, truePositives })

/** Scores of positive and of negative items. */
const curveOf = (positives: readonly number[], negatives: readonly number[]) =>
  rocPoints(new RankedScores([...positives, ...negatives], item => item < positives.length, 'test').counts())

/** The area under the lines between the points. */
const areaOf = (curve: readonly RocPoint[]) =>
  curve.slice(1).reduce((sum, to, i) => {
    const from = curve[i]!
    return sum + ((to.falsePositives - from.falsePositives) * (to.truePositives + from.truePositives)) / 2
  }, 0)

describe('rocPoints', () => {
  it('goes up for positives, right for negatives, aslant for ties', () => {
    // 0.9 +, 0.8 -, 0.7 + and -, 0.1 -.
    expect(curveOf([0.9, 0.7], [0.8, 0.7, 0.1])).toEqual([
      point(0, 0),
      point(0, 1 / 2),
      point(1 / 3, 1 / 2),
      point(2 / 3, 1),
      point(1, 1),
    ])
  })

  it('has a corner only where scores separate the two, a line where they say nothing', () => {
    expect(curveOf([3, 4], [1, 2])).toEqual([point(0, 0), point(0, 1), point(1, 1)])
    expect(curveOf([1, 1], [1])).toEqual([point(0, 0), point(1, 1)])
  })

  it('is empty where one of the two is missing', () => {
    expect(curveOf([1], [])).toEqual([])
    expect(curveOf([], [1])).toEqual([])
  })

  it('has the area of rocArea, rises, and ends in the corners', () => {
    const scores = fc.array(fc.integer({ min: 0, max: 6 }), { minLength: 1, maxLength: 12 })
    fc.assert(
      fc.property(scores, scores, (positives, negatives) => {
        const curve = curveOf(positives, negatives)
        const ranked = new RankedScores([...positives, ...negatives], item => item < positives.length, 'test')
        expect(areaOf(curve)).toBeCloseTo(rocArea(ranked.counts()), 10)
        expect([curve[0], curve.at(-1)]).toEqual([point(0, 0), point(1, 1)])
        for (const [i, to] of curve.slice(1).entries()) {
          expect(to.falsePositives).toBeGreaterThanOrEqual(curve[i]!.falsePositives)
          expect(to.truePositives).toBeGreaterThanOrEqual(curve[i]!.truePositives)
        }
      }),
    )
  })
})

describe('rocCurve', () => {
  it('takes the probability of one class against the rest', () => {
    const logProbabilities = [0.7, 0.2, 0.1, 0.3, 0.6, 0.1, 0.4, 0.5, 0.1].map(Math.log)
    const predictions = { labels: [0, 1, 0], predicted: [0, 1, 1], logProbabilities, numClasses: 3 }
    expect(rocCurve(predictions, 0)).toEqual([point(0, 0), point(0, 1), point(1, 1)])
    expect(rocCurve(predictions, 2)).toEqual([])
  })
})

describe('meanRocCurve', () => {
  it('is the mean height at each share of false positives, of the curves that there are', () => {
    const perfect = curveOf([2], [1])
    const useless = curveOf([1], [1])
    const mean = meanRocCurve([perfect, [], useless])
    const at = (share: number) => mean.findLast(({ falsePositives }) => falsePositives === share)
    expect(mean[0]).toEqual(point(0, 0))
    expect(at(0)?.truePositives).toBeCloseTo(0.5)
    expect(at(0.5)?.truePositives).toBeCloseTo(0.75)
    expect(at(1)?.truePositives).toBe(1)
    expect(meanRocCurve([[], []])).toEqual([])
  })
})

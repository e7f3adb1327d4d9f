import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { rocArea } from '../../src/statistics/area-under-curve.js'
import { precisionArea } from '../../src/statistics/average-precision.js'
import { areaUnderCurve, averagePrecision } from '../../src/statistics/index.js'
import { RankedScores } from '../../src/statistics/ranked-scores.js'

const items = fc.array(fc.record({ score: fc.integer({ min: 0, max: 6 }), positive: fc.boolean() }), {
  minLength: 1,
  maxLength: 30,
})

/** Pairs that are won, ties counting half. */
function shareOfPairs(above: readonly number[], below: readonly number[]): number {
  const wins = above.flatMap(high => below.map(low => (high > low ? 1 : high === low ? 0.5 : 0)))
  return wins.reduce<number>((sum, win) => sum + win, 0) / wins.length
}

describe('areaUnderCurve', () => {
  it('is the share of pairs in the right order', () => {
    fc.assert(
      fc.property(items, all => {
        const [above, below] = [true, false].map(is => all.filter(each => each.positive === is))
        const [high, low] = [above!.map(({ score }) => score), below!.map(({ score }) => score)]
        if (high.length === 0 || low.length === 0) expect(areaUnderCurve(high, low)).toBeNaN()
        else expect(areaUnderCurve(high, low)).toBeCloseTo(shareOfPairs(high, low), 12)
      }),
    )
  })
})

describe('averagePrecision', () => {
  it('is that of the documentation of scikit-learn', () => {
    // Scores 0.8 (1), 0.4 (0), 0.35 (1), 0.1 (0): 1/2 * 1/1 + 1/2 * 2/3.
    const truth = [false, false, true, true]
    expect(averagePrecision([0.1, 0.4, 0.35, 0.8], item => truth[item]!)).toBeCloseTo(0.8333333, 6)
  })

  it('counts items of one score together: the share of positives where all score alike', () => {
    expect(averagePrecision([0.5, 0.5, 0.5, 0.5], item => item === 2)).toBe(0.25)
  })

  it('is 1 where the positives score highest, and not a number without any', () => {
    expect(averagePrecision([3, 1, 2], item => item !== 1)).toBe(1)
    expect(averagePrecision([3, 1, 2], () => false)).toBeNaN()
  })

  it('sums the steps of recall times the precision there', () => {
    fc.assert(
      fc.property(items, all => {
        const positives = all.filter(({ positive }) => positive).length
        const thresholds = [...new Set(all.map(({ score }) => score))].sort((a, b) => b - a)
        let [sum, before] = [0, 0]
        for (const threshold of thresholds) {
          const chosen = all.filter(({ score }) => score >= threshold)
          const right = chosen.filter(({ positive }) => positive).length
          sum += ((right - before) / positives) * (right / chosen.length)
          before = right
        }
        const area = averagePrecision(
          all.map(({ score }) => score),
          item => all[item]!.positive,
        )
        if (positives === 0) expect(area).toBeNaN()
        else expect(area).toBeCloseTo(sum, 12)
      }),
    )
  })

  it('refuses what is not finite', () => {
    expect(() => averagePrecision([1, Number.NaN], () => true)).toThrow(
      new RangeError('averagePrecision: scores must be finite, got NaN'),
    )
  })
})

it('items that count several times are as good as copies of them', () => {
  fc.assert(
    fc.property(items, fc.infiniteStream(fc.integer({ min: 0, max: 3 })), (all, counts) => {
      const weights = all.map(() => counts.next().value as number)
      const copies = all.flatMap((each, i) => new Array<typeof each>(weights[i]!).fill(each))
      const ranked = (of: typeof all) =>
        new RankedScores(
          of.map(({ score }) => score),
          item => of[item]!.positive,
          'test',
        )
      for (const area of [rocArea, precisionArea]) {
        const expected = area(ranked(copies).counts())
        const counted = area(ranked(all).counts(weights))
        if (Number.isNaN(expected)) expect(counted).toBeNaN()
        else expect(counted).toBeCloseTo(expected, 12)
      }
    }),
  )
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { chooseThreshold, scoreAtThreshold, type ThresholdGoal } from '../../src/statistics/index.js'

const scores = [0.9, 0.8, 0.7, 0.6, 0.3]
const truth = [true, false, true, true, false]
const isPositive = (item: number) => truth[item]!

describe('chooseThreshold', () => {
  it('takes the score of the best F1', () => {
    // From 0.9 down F1 is 2/4, 2/5, 4/6, 6/7, 6/8.
    expect(chooseThreshold(scores, isPositive, 'best-f1')).toMatchObject({
      threshold: expect.closeTo(0.45, 12),
      precision: 3 / 4,
      recall: 1,
      f1: 6 / 7,
    })
  })

  it('takes the most recall of those with the precision', () => {
    expect(chooseThreshold(scores, isPositive, { precision: 0.75 })).toMatchObject({
      threshold: expect.closeTo(0.45, 12),
      recall: 1,
    })
    expect(chooseThreshold(scores, isPositive, { precision: 0.8 })).toMatchObject({
      threshold: expect.closeTo(0.85, 12),
      precision: 1,
      recall: 1 / 3,
    })
  })

  it('is not there without positive items, or where no threshold has the precision', () => {
    expect(chooseThreshold(scores, () => false, 'best-f1')).toBeUndefined()
    expect(chooseThreshold([0.5, 0.5], item => item === 0, { precision: 0.6 })).toBeUndefined()
  })

  it('is the lowest score itself where all count, and above a score that is next to it', () => {
    expect(chooseThreshold([0.7, 0.2], () => true, 'best-f1')?.threshold).toBe(0.2)
    const next = 0.5 + Number.EPSILON / 2
    expect(chooseThreshold([next, 0.5], item => item === 0, 'best-f1')).toMatchObject({
      threshold: next,
      f1: 1,
    })
  })

  it('is no worse than any other score, and what it says holds', () => {
    const items = fc.array(fc.tuple(fc.integer({ min: 0, max: 5 }), fc.boolean()), {
      minLength: 1,
      maxLength: 12,
    })
    const goal = fc.oneof(
      fc.constant('best-f1' as const),
      fc.double({ min: 0.05, max: 1, noNaN: true }).map(precision => ({ precision })),
    )
    fc.assert(
      fc.property(items, goal, (all, goal: ThresholdGoal) => {
        const values = all.map(([score]) => score)
        const is = (item: number) => all[item]![1]
        const chosen = chooseThreshold(values, is, goal)
        const others = values
          .map(value => scoreAtThreshold(values, is, value))
          .filter(({ right, precision }) => right > 0 && (goal === 'best-f1' || precision >= goal.precision))
        if (!chosen) expect(others).toEqual([])
        else {
          const { threshold, ...score } = chosen
          expect(scoreAtThreshold(values, is, threshold)).toEqual(score)
          const name = goal === 'best-f1' ? 'f1' : 'recall'
          expect(score[name]).toBe(Math.max(...others.map(other => other[name])))
        }
      }),
    )
  })

  it.each([0, 1.5, Number.NaN])('refuses a precision of %d', precision => {
    expect(() => chooseThreshold(scores, isPositive, { precision })).toThrow(
      new RangeError(`chooseThreshold: precision must be in (0, 1], got ${precision}`),
    )
  })

  it('refuses scores that are not finite', () => {
    expect(() => chooseThreshold([Number.NaN], () => true, 'best-f1')).toThrow(
      new RangeError('chooseThreshold: scores must be finite, got NaN'),
    )
  })
})

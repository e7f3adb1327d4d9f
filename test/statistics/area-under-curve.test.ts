import { describe, expect, it } from 'vitest'
import { areaUnderCurve } from '../../src/statistics/index.js'

describe('areaUnderCurve', () => {
  it.each([
    [[3, 4], [1, 2], 1],
    [[1, 2], [3, 4], 0],
    // Of four pairs two are won and one is even: (2 + 1/2) / 4.
    [[2, 4], [2, 3], 0.625],
    [[5, 5], [5], 0.5],
  ])('of %j over %j is %d', (above, below, area) => {
    expect(areaUnderCurve(above, below)).toBe(area)
  })

  it('is not a number where a group is empty', () => {
    expect(areaUnderCurve([], [1])).toBeNaN()
    expect(areaUnderCurve([1], [])).toBeNaN()
  })

  it('refuses what is not finite', () => {
    expect(() => areaUnderCurve([1, Number.NaN], [2])).toThrow(
      new RangeError('areaUnderCurve: scores must be finite, got NaN'),
    )
  })
})

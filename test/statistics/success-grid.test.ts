import { describe, expect, it } from 'vitest'
import { type GridTrial, successGrid } from '../../src/statistics/success-grid.js'

const cell = (x: number, y: number, successes: number, failures: number): GridTrial[] => [
  ...new Array<GridTrial>(successes).fill({ x, y, success: true }),
  ...new Array<GridTrial>(failures).fill({ x, y, success: false }),
]

describe('successGrid', () => {
  const trials = [
    ...cell(4, 500, 0, 4),
    ...cell(2, 700, 3, 1),
    ...cell(2, 500, 1, 3),
    ...cell(4, 700, 2, 2),
    ...cell(2, 600, 4, 0),
    ...cell(6, 700, 1, 3),
  ]

  it('counts the trials of each setting, ascending', () => {
    const { xs, ys, cells } = successGrid(trials)
    expect(xs).toEqual([2, 4, 6])
    expect(ys).toEqual([500, 600, 700])
    expect(cells).toEqual([
      { x: 2, y: 500, trials: 4, successes: 1, share: 0.25 },
      { x: 4, y: 500, trials: 4, successes: 0, share: 0 },
      { x: 2, y: 600, trials: 4, successes: 4, share: 1 },
      { x: 2, y: 700, trials: 4, successes: 3, share: 0.75 },
      { x: 4, y: 700, trials: 4, successes: 2, share: 0.5 },
      { x: 6, y: 700, trials: 4, successes: 1, share: 0.25 },
    ])
  })

  it('finds from which y on at least half succeed', () => {
    expect(successGrid(trials).boundary).toEqual([600, 700, undefined])
    // A failure above takes the boundary with it.
    expect(successGrid([...trials, ...cell(2, 800, 0, 1), ...cell(2, 900, 1, 0)]).boundary[0]).toBe(900)
  })

  it('refuses no trials and parameters that are not finite', () => {
    expect(() => successGrid([])).toThrow('successGrid: trials must hold at least 1 trial, got 0')
    expect(() => successGrid(cell(2, Number.NaN, 1, 0))).toThrow(
      'successGrid: x and y must be finite, got 2 and NaN (trial 0)',
    )
  })
})

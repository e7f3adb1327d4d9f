import { describe, expect, it } from 'vitest'
import {
  boundBrief,
  boundFigure,
  boundFindings,
  boundTables,
} from '../../../scripts/study/bound/bound-report.js'
import { summarizeBound } from '../../../scripts/study/bound/bound-summary.js'
import type { CellResult } from '../../../scripts/study/cell-result.js'
import { parseCellResult } from '../../../scripts/study/cell-result.js'
import { cellsOf } from '../../../scripts/study/cells.js'
import type { BoundGrid } from '../../../scripts/study/grids/bound-grid.js'
import { chartSvg } from '../../../src/report/charts.js'
import { boundFigureSpec } from '../../../src/report/study-bound.js'

const grid: BoundGrid = {
  kind: 'bound',
  base: { active: 2, experts: 8, samples: 100 },
  active: [1, 2, 4],
  experts: [1, 8],
  samples: [100, 400],
  testSamples: 50,
  delta: 0.05,
  margin: 1,
  flags: {},
}
const cells = cellsOf(grid, 2)

/** A gap of 0.1 k / (m / 100), and 0.02 more with seed 2; the router term falls with m and, against the theorem, with k. */
function resultOf(cell: (typeof cells)[number]): CellResult {
  const { active } = cell.sparse as { active: number }
  const samples = cell.samples as number
  const gap = (10 * active) / samples + (cell.seed === 2 ? 0.02 : 0)
  const routerTerm = 100 / samples / active
  const result = {
    status: 'done',
    cell,
    bounded: {
      train: { ramp: 0.1, zeroOne: 0.05 },
      test: { ramp: 0.1 + gap, zeroOne: 0.05 },
      expertTerm: 5,
      routerTerm,
      exactRouterTerm: routerTerm / 2,
      sparsity: 0.1,
      spectralNorm: 2,
      slope: 3,
      steps: 10,
      trainLoss: 0.3,
      seconds: 1,
    },
    took: 2,
    ended: '2026-11-28T00:00:00.000Z',
  }
  return parseCellResult(JSON.stringify(result), 'result.json')
}
const results = new Map(cells.map(cell => [cell.index, resultOf(cell)]))

describe('a study of the bound', () => {
  it('runs every setting of its axes once a seed, k being at most T', () => {
    const settings = cells
      .filter(({ seed }) => seed === 1)
      .map(({ samples, sparse }) => [sparse?.active, sparse?.experts, samples])
    // T = 1 has no 2 experts.
    expect(settings).toEqual([
      [1, 8, 100],
      [2, 8, 100],
      [4, 8, 100],
      [2, 8, 400],
    ])
  })

  it('takes means over the seeds and ranks them against the bound', () => {
    const { axes, correlations, done, failed } = summarizeBound(grid, results)
    expect([done, failed]).toEqual([8, 0])
    expect(axes.map(({ letter, points }) => [letter, points.length])).toEqual([
      ['k', 3],
      ['T', 1],
      ['m', 2],
    ])
    const [alongK, alongT, alongM] = axes
    expect(alongK?.points.map(({ rampGap }) => rampGap.mean)).toEqual(
      [0.11, 0.21, 0.41].map(value => expect.closeTo(value, 12)),
    )
    expect(alongK?.points[0]).toMatchObject({ bound: 6, routerTerm: 1, expertTerm: 5, exactRouterTerm: 0.5 })
    expect(alongK?.correlations).toMatchObject({ routerTerm: -1, bound: -1, expertTerm: null })
    expect(alongT?.correlations.routerTerm).toBeNull()
    expect(alongM?.correlations.routerTerm).toBe(1)
    // Gaps 0.11 0.21 0.41 0.06, router terms 1 0.5 0.25 0.125: ranks 2 3 4 1 and 4 3 2 1, d^2 sum 8.
    expect(correlations.routerTerm).toBeCloseTo(1 - 48 / 60, 12)
  })

  it('says what it found, with signs', () => {
    const summary = summarizeBound(grid, results)
    const findings = boundFindings(summary)
    expect(findings[0]).toBe(
      'The bound is vacuous, at least 1, in 4 of 4 settings; its router term alone is below 1 in 3.',
    )
    expect(findings[1]).toBe(
      "Along k the gap goes from 0.1100 at k = 1 to 0.4100 at k = 4; the router term's rank correlation with it is −1.00: they do not rise together.",
    )
    expect(findings[2]).toContain('is not known: undecided.')
    expect(boundBrief(summary)).toBe(
      'rank correlation with the measured gap: bound +0.20; router term along k −1.00, T not known, m +1.00',
    )
    const [first, , , last] = boundTables(summary)
    expect(first).toMatchObject({ title: 'Against k, with T = 8 and m = 100' })
    expect(first?.rows[0]?.slice(0, 2)).toEqual(['1', '0.1100 ± 0.0141'])
    expect(last?.rows.at(-1)).toEqual(['all', '+0.20', 'not known', '+0.20', '+0.20'])
  })

  it('draws a panel a quantity, the vacuous zone grey', async () => {
    const spec = boundFigure({ title: 'The bound' }, summarizeBound(grid, results))
    const svg = await chartSvg(spec as NonNullable<typeof spec>)
    for (const text of [
      'measured gap',
      'router term',
      'expert term',
      '#e9ebee',
      'grey: vacuous, 1 or more',
    ]) {
      expect(svg).toContain(text)
    }
  })
})

describe('boundFigureSpec', () => {
  const titles = { title: 'a', subtitle: 'b' }
  const point = { value: 2, gap: -0.1, routerTerm: 0.5, expertTerm: 3 }

  it('draws gaps that a logarithmic axis does not have at its foot', () => {
    const { data } = boundFigureSpec([{ letter: 'k', points: [point] }], titles)
    expect(data).toMatchObject({
      values: [
        { series: 'measured gap', height: 1e-4, clipped: true },
        { series: 'router term', height: 0.5, clipped: false },
        { series: 'expert term', height: 3, clipped: false },
      ],
    })
  })

  it('refuses what it cannot draw', () => {
    expect(() => boundFigureSpec([{ letter: 'k', points: [{ ...point, routerTerm: 0 }] }], titles)).toThrow(
      new RangeError('boundFigureSpec: terms and values must be above 0, got routerTerm 0 (k = 2)'),
    )
    expect(() => boundFigureSpec([{ letter: 'm', points: [] }], titles)).toThrow(
      new RangeError('boundFigureSpec: curves must hold at least 1 point, got 0 in 1 curves'),
    )
  })
})

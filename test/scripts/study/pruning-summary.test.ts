import { describe, expect, it } from 'vitest'
import type { CellResult, Pruned } from '../../../scripts/study/cell-result.js'
import {
  pruningBrief,
  pruningFigure,
  pruningFindings,
  pruningTables,
} from '../../../scripts/study/pruning/pruning-report.js'
import { summarizePruning } from '../../../scripts/study/pruning/pruning-summary.js'
import { chartSvg } from '../../../src/report/charts.js'

function resultsOf(rows: readonly (readonly [seed: number, pruned: Pruned, experts?: number])[]) {
  return new Map(
    rows.map(([seed, pruned, experts], index): [number, CellResult] => [
      index,
      {
        status: 'done',
        cell: { index, seed, variant: 'any', ...(experts !== undefined && { experts }) },
        pruned,
        took: 1,
        ended: '2026-01-01T00:00:00.000Z',
      },
    ]),
  )
}

type Cut = NonNullable<Pruned['photographs']>['cuts'][number]

function cut(
  criterion: string,
  keep: number,
  kept: number[],
  before: number,
  after: number,
  draw?: number,
): Cut {
  const numbers = { parameters: 100 * keep, multiplyAdds: 1000 * keep, difference: keep === 2 ? 0 : 1e-6 }
  return { criterion, keep, kept, before, after, ...numbers, ...(draw !== undefined && { draw }) }
}

const photographs = (shift: number): Pruned => ({
  photographs: {
    pretrainedAccuracy: 0.8,
    accuracy: 0.9,
    panel: [{ criterion: 'router-norm', scores: [1, 2] }],
    cuts: [
      cut('router-norm', 2, [0, 1], 0.9, 0.92),
      cut('router-norm', 1, [1], 0.6 + shift, 0.8),
      cut('taylor', 2, [0, 1], 0.9, 0.92),
      cut('taylor', 1, [0], 0.7 + shift, 0.7),
      cut('random', 2, [0, 1], 0.9, 0.92, 1),
      cut('random', 2, [0, 1], 0.9, 0.92, 2),
      cut('random', 1, [0], 0.5, 0.8, 1),
      cut('random', 1, [1], 0.6, 0.7, 2),
    ],
  },
})

const patterns: Pruned = {
  patterns: {
    pretrainedAccuracy: 0.95,
    accuracy: 1,
    relevant: [0, 2],
    criteria: [
      // Two of four experts are relevant; of the four pairs three are won.
      {
        criterion: 'router-norm',
        scores: [3, 0, 1, 2],
        areaUnderCurve: 0.75,
        overlap: 0.5,
        accuracies: [1, 1, 0.98, 0.7],
      },
      {
        criterion: 'coverage',
        scores: [1, 1, 1, 1],
        areaUnderCurve: 0.5,
        overlap: 0,
        accuracies: [1, 0.9, 0.8, 0.5],
      },
    ],
  },
}

const results = resultsOf([
  [1, patterns],
  [1, photographs(0)],
  [2, photographs(0.1)],
  [1, { fromStart: { accuracy: 0.75, parameters: 100, multiplyAdds: 1000 } }, 1],
  [
    1,
    {
      latencies: [
        { keep: 2, batch: 1, milliseconds: 4 },
        { keep: 1, batch: 1, milliseconds: 3 },
      ],
    },
  ],
])

describe('a study of pruning', () => {
  const summary = summarizePruning(results)

  it('averages the draws of a seed before it averages seeds', () => {
    const random = summary.photographs?.cuts.find(
      ({ criterion, keep }) => criterion === 'random' && keep === 1,
    )
    expect(random?.before).toMatchObject({ count: 2, mean: expect.closeTo(0.55), standardDeviation: 0 })
    expect(random?.after.mean).toBeCloseTo(0.75)
  })

  it('compares criteria seed by seed, over the numbers of experts below K', () => {
    const pair = (criterion: string, baseline: string, stage: string) =>
      summary.photographs?.pairs.find(
        other => other.criterion === criterion && other.baseline === baseline && other.stage === stage,
      )?.difference
    // Of two seeds: 0.7 - 0.55 and 0.8 - 0.55.
    expect(pair('taylor', 'random', 'before')).toMatchObject({
      count: 2,
      mean: expect.closeTo(0.2),
      ahead: 2,
    })
    expect(pair('taylor', 'router-norm', 'after')?.mean).toBeCloseTo(-0.1)
    expect(pair('random', 'router-norm', 'after')?.mean).toBeCloseTo(-0.05)
  })

  it('counts how often criteria disagree; random choices do not count', () => {
    expect(summary.photographs?.disagreement).toEqual([
      { keep: 2, share: 0 },
      { keep: 1, share: 1 },
    ])
  })

  it('takes the accuracy at the truth from the numbers of experts', () => {
    // With two of four experts left 0.98 of 1.
    expect(summary.patterns?.criteria[0]).toMatchObject({ changeAtTruth: { mean: expect.closeTo(-0.02) } })
  })

  it('says what it found', () => {
    expect(pruningFindings(summary)).toEqual([
      'Where the truth is known, 2.0 of 4 experts are relevant; router-norm tells them from the others with an area under the curve of 0.75.',
      'Pruned down to as many experts as are relevant it loses 2.0 points: NOT within the 1 point expected.',
      'Before training on, taylor is best on the mean of all numbers of experts: 75.0 % (router-norm 65.0, random 55.0).',
      'After training on, router-norm is best on the mean of all numbers of experts: 80.0 % (router-norm 80.0, random 75.0).',
      'Criteria disagree: of their pairs 100.0 % keep different experts at 1.',
      'A pruned network differs from the unpruned one with the same channels masked by at most 0.0000010.',
      'Networks that had so many experts from the start, against the best pruned ones after training on, in percent: 1: 75.0 against 80.0 (router-norm).',
    ])
    expect(pruningBrief(summary)).toBe(
      'router-norm finds the relevant experts with an AUC of 0.75; ' +
        'before training on: best taylor 75.0 %, router-norm 65.0 %, random 55.0 %; ' +
        'after training on: best router-norm 80.0 %, router-norm 80.0 %, random 75.0 %',
    )
  })

  it('has tables of accuracies, pairs, sizes and the truth', () => {
    const [before, after, pairs, sizes, truth] = pruningTables(summary)
    expect(before?.head).toEqual(['experts left', '2', '1'])
    expect(before?.rows[1]).toEqual(['taylor', '90.0 ± 0.0', '75.0 ± 7.1'])
    expect(after?.rows.at(-1)).toEqual(['so many from the start', '', '75.0'])
    expect(pairs?.rows.find(([name]) => name === 'taylor')?.[1]).toBe('+20.0 (2 / 0, p 0.50)')
    expect(sizes?.rows).toEqual([
      ['2', '200', '2,000', '4.00'],
      ['1', '100', '1,000', '3.00'],
    ])
    expect(truth?.rows[0]).toEqual(['router-norm', '0.75', '50.0', '−2.0', '98.0', '70.0'])
  })

  it('draws two panels', async () => {
    const svg = await chartSvg(pruningFigure('Pruned', summary)!)
    for (const text of ['before training on', 'after training on', 'taylor', 'so many from the start']) {
      expect(svg).toContain(text)
    }
  })
})

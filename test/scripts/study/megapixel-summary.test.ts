import { describe, expect, it } from 'vitest'
import type { MegapixelExperiment } from '../../../scripts/experiments/experiment.js'
import { experimentNamed } from '../../../scripts/experiments/experiments.js'
import type {
  CellResult,
  LargeImageTimes,
  Localised,
  OnLargeImages,
} from '../../../scripts/study/cell-result.js'
import {
  megapixelBrief,
  megapixelFigure,
  megapixelFindings,
  megapixelTables,
} from '../../../scripts/study/large-images/megapixel-report.js'
import { summarizeMegapixel } from '../../../scripts/study/large-images/megapixel-summary.js'
import {
  localiseFigure,
  localiseFindings,
  localiseTables,
  summarizeLocalise,
} from '../../../scripts/study/localise/localise-report.js'
import { parsePeerResults } from '../../../scripts/study/peer-result.js'
import { chartSvg } from '../../../src/report/charts.js'

const experiment = experimentNamed('megapixel') as MegapixelExperiment
const grid = {
  tasks: [{ name: 'task', dataset: 'megapixel-digits', flags: {}, samples: [100], testSamples: 10 }],
  variants: experiment.variants,
}

type Row = readonly [cell: Partial<CellResult['cell']>, outcome: object]

function resultsOf(rows: readonly Row[]): ReadonlyMap<number, CellResult> {
  return new Map(
    rows.map(([cell, outcome], index): [number, CellResult] => [
      index,
      {
        status: 'done',
        cell: { index, seed: 1, variant: 'dense', setting: 'task', ...cell },
        ...outcome,
        took: 1,
        ended: '2026-01-01T00:00:00.000Z',
      },
    ]),
  )
}

const learned = (testAccuracy: number, more: Partial<OnLargeImages> = {}) => ({
  onLargeImages: {
    testAccuracy,
    trainAccuracy: 0.5,
    trainLoss: 1,
    epochs: 2,
    steps: 8,
    seconds: 10,
    parameters: 100,
    multiplyAdds: 2e6,
    ...more,
  },
})

const times = (dense: number, routed: number): { largeImageTimes: LargeImageTimes } => ({
  largeImageTimes: [
    { variant: 'dense', multiplyAdds: 8e6, milliseconds: dense },
    { variant: 'routed, K = 1', multiplyAdds: 2e6, milliseconds: routed },
  ],
})

const peer = {
  variant: 'attention sampling',
  program: 'PyTorch 2',
  setting: 'task',
  samples: 100,
  seed: 1,
  testAccuracy: 0.1,
  trainAccuracy: 0.1,
  trainLoss: 2.3,
  recall: 0.2,
  recalls: [0.1, 0.2],
  epochs: 2,
  steps: 8,
  seconds: 5,
  parameters: 90,
  multiplyAdds: 1e6,
}

const results = resultsOf([
  [{ seed: 1, samples: 100 }, learned(0.4)],
  [{ seed: 2, samples: 100 }, learned(0.5)],
  [{ seed: 2, samples: 100, variant: 'routed, K = 1' }, learned(0.52, { recall: 0.9, recalls: [0.5, 0.7] })],
  [{ seed: 1, samples: 100, variant: 'routed, K = 1' }, learned(0.46, { recall: 0.8, recalls: [0.3, 0.9] })],
  [{ setting: '64x64', variant: 'cost' }, times(40, 10)],
  [{ setting: '64x64', variant: 'cost', seed: 2 }, times(20, 10)],
])

describe('what a study of large images found', () => {
  const summary = summarizeMegapixel(experiment, grid, results, [peer])

  it('pairs networks with the dense one seed by seed, peers too', () => {
    const [dense, routed, sampling] = summary.points
    expect(summary.points).toHaveLength(3)
    expect(dense).toMatchObject({ variant: 'dense', accuracies: [0.4, 0.5] })
    expect(dense?.difference).toBeUndefined()
    // 0.46 - 0.4 and 0.52 - 0.5.
    expect(routed?.accuracies).toEqual([0.46, 0.52])
    expect(routed?.difference?.mean).toBeCloseTo(0.04, 12)
    expect(routed?.recall?.mean).toBeCloseTo(0.85, 12)
    expect(routed?.recalls?.map(value => Number(value.toFixed(6)))).toEqual([0.4, 0.8])
    expect(sampling).toMatchObject({ variant: 'attention sampling', program: 'PyTorch 2' })
    expect(sampling?.difference?.mean).toBeCloseTo(-0.3, 12)
  })

  it('divides times by those of the dense network in the same cell', () => {
    const routed = summary.times.find(({ variant }) => variant === 'routed, K = 1')
    // 10 / 40 and 10 / 20.
    expect(routed?.ratio?.mean).toBe(0.375)
    expect(routed?.side).toBe(64)
  })

  it('leaves out peers on other images', () => {
    const other = summarizeMegapixel(experiment, grid, results, [{ ...peer, setting: 'another' }])
    expect(other.points.map(({ variant }) => variant)).toEqual(['dense', 'routed, K = 1'])
  })

  it('is said in sentences, tables and a figure', async () => {
    expect(megapixelFindings(experiment, summary).join(' ')).toContain(
      'task, 100 images, routed, K = 1 − dense: +4.0 points (95 % interval +2.0 to +6.0, 2 seeds).',
    )
    expect(megapixelFindings(experiment, summary)).toContain(
      'At 64x64 a training step of routed, K = 1 takes 0.375 of the time of dense, a forward pass 0.250 of its multiply-adds.',
    )
    expect(megapixelBrief(experiment, summary)).toContain('dense 45.0, routed, K = 1 49.0')
    const [accuracy, recall, cost] = megapixelTables(summary)
    expect(accuracy?.rows[1]?.slice(0, 6)).toEqual([
      'task',
      '100',
      'routed, K = 1',
      '49.0 ± 4.2',
      '46.0, 52.0',
      '+4.0',
    ])
    // First epoch, 10 %, 25 %, half and the whole of two epochs.
    expect(recall?.rows[0]?.slice(3)).toEqual(['40.0', '40.0', '40.0', '40.0', '80.0'])
    expect(cost?.rows[1]).toEqual(['64', 'routed, K = 1', '2.00', '10.0 ± 0.0', '0.375 ± 0.177'])
    const svg = await chartSvg(megapixelFigure(experiment, summary)!)
    for (const text of ['attention sampling', 'recall', 'million multiply-adds']) expect(svg).toContain(text)
  })
})

describe('results of other programs', () => {
  it('are read by line, the last of a run counting', () => {
    const lines = [peer, { ...peer, testAccuracy: 0.3 }, { ...peer, seed: 2 }]
    const text = `${lines.map(line => JSON.stringify(line)).join('\n')}\n\n`
    expect(parsePeerResults(text, 'peers.jsonl').map(({ testAccuracy }) => testAccuracy)).toEqual([0.3, 0.1])
  })

  it('are refused with the number of the line', () => {
    const text = `${JSON.stringify(peer)}\n{`
    expect(() => parsePeerResults(text, 'peers.jsonl')).toThrow(
      new Error('peers.jsonl: line 2: must be JSON, got 1 characters that are not'),
    )
    expect(() => parsePeerResults(JSON.stringify({ ...peer, seed: 'one' }), 'peers.jsonl')).toThrow(
      /^peers\.jsonl: line 1: must be the result of a run, got seed: /,
    )
  })
})

describe('what a study of where networks look found', () => {
  const localised = (hits: readonly (readonly [string, number, number])[]): { localised: Localised } => ({
    localised: {
      testAccuracy: 0.5,
      images: 20,
      pointing: hits.map(([method, inside, near]) => ({ method, inside, near })),
    },
  })
  const summary = summarizeLocalise(
    grid,
    resultsOf([
      [{ seed: 1 }, localised([['dense: Grad-CAM', 0.2, 0.4]])],
      [{ seed: 2 }, localised([['dense: Grad-CAM', 0.4, 0.6]])],
      [
        { seed: 1, variant: 'routed, K = 1' },
        localised([
          ['routed, K = 1: largest gate', 0.6, 0.8],
          ['any cell', 0.01, 0.02],
        ]),
      ],
    ]),
  )

  it('is a mean over the seeds, the best method first', () => {
    expect(summary.points.map(({ method }) => method)).toEqual([
      'routed, K = 1: largest gate',
      'dense: Grad-CAM',
      'any cell',
    ])
    expect(summary.points[1]?.near.mean).toBe(0.5)
    expect(localiseFindings(summary)).toEqual([
      'task: on what decides the class, or at most half a cell beside it, lies the strongest point of ' +
        'routed, K = 1: largest gate 80.0 % (60.0 % inside), dense: Grad-CAM 50.0 % (30.0 % inside), any cell 2.0 % (1.0 % inside).',
    ])
    // Chance has no network.
    expect(localiseTables(summary)[0]?.rows.map(row => row[4])).toEqual(['50.0', '50.0 ± 0.0', ''])
  })

  it('is drawn', async () => {
    const svg = await chartSvg(localiseFigure({ title: 'Where' }, summary)!)
    expect(svg).toContain('any cell')
  })
})

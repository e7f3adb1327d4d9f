import { describe, expect, it } from 'vitest'
import { experimentNamed } from '../../../scripts/experiments/experiments.js'
import type { TransferExperiment } from '../../../scripts/experiments/transfer-experiment.js'
import type { CellResult, Transferred } from '../../../scripts/study/cell-result.js'
import {
  transferBrief,
  transferFigure,
  transferFindings,
  transferTables,
} from '../../../scripts/study/transfer/transfer-report.js'
import { summarizeTransfer } from '../../../scripts/study/transfer/transfer-summary.js'
import { chartSvg } from '../../../src/report/charts.js'

const experiment = experimentNamed('transfer') as TransferExperiment

type Layer = Transferred['layers'][number]

const layer = (testAccuracy: number, more: Partial<Layer> = {}): Layer => ({
  map: 8,
  after: 'block9',
  channels: 64,
  field: 32,
  testAccuracy,
  trainAccuracy: 1,
  trainLoss: 0.1,
  steps: 120,
  seconds: 2,
  multiplyAdds: 10e6,
  layerMultiplyAdds: 4e6,
  ...more,
})

const quarter = { kept: 25, patchSize: 1, patches: 64, seconds: 3, layerMultiplyAdds: 1e6, multiplyAdds: 7e6 }

/** A cell for each seed, with the accuracies of the dense layer and of the mixture. */
function resultsOf(
  pairs: readonly (readonly [dense: number, mixture: number])[],
  { variant = 'pretrained', setting = '10 %', samples = 100, network = 'mobilenet' } = {},
): ReadonlyMap<number, CellResult> {
  return new Map(
    pairs.map(([dense, mixture], index): [number, CellResult] => [
      index,
      {
        status: 'done',
        cell: { index, seed: index + 1, variant, setting, samples },
        transferred: { network, imageSide: 128, layers: [layer(dense), layer(mixture, quarter)] },
        took: 1,
        ended: '2026-01-01T00:00:00.000Z',
      },
    ]),
  )
}

// Differences of 0.1, 0.2 and 0.3.
const ahead = resultsOf([
  [0.5, 0.6],
  [0.5, 0.7],
  [0.4, 0.7],
])

describe('what a study of transfer found', () => {
  it('pairs each mixture with the dense layer of its seed, and its time with that layer', () => {
    const { points, network, done, failed } = summarizeTransfer(ahead)
    expect([network, done, failed]).toEqual(['mobilenet', 3, 0])
    const [dense, mixture] = points
    expect(dense).not.toHaveProperty('difference')
    expect(dense?.accuracy.mean).toBeCloseTo(1.4 / 3, 12)
    expect(mixture).toMatchObject({ share: 10, samples: 100, map: 8, kept: 25, patches: 64, field: 32 })
    expect(mixture?.difference?.mean).toBeCloseTo(0.2, 12)
    expect(mixture?.difference?.count).toBe(3)
    expect(mixture?.timeRatio?.mean).toBeCloseTo(1.5, 12)
  })

  it('does not pair what stands on other maps, other images, or behind other networks', () => {
    const [cell] = resultsOf([[0.5, 0.6]]).values()
    const [other] = resultsOf([[0.9, 0.9]], { setting: '50 %' }).values()
    const [scratch] = resultsOf([[0.2, 0.3]], { variant: 'from scratch' }).values()
    const all = new Map([cell, other, scratch].map((result, index) => [index, result as CellResult]))
    const { points } = summarizeTransfer(all)
    expect(points.map(({ body, share, kept }) => [body, share, kept])).toEqual([
      ['pretrained', 10, undefined],
      ['pretrained', 10, 25],
      ['pretrained', 50, undefined],
      ['pretrained', 50, 25],
      ['from scratch', 10, undefined],
      ['from scratch', 10, 25],
    ])
    const differences = points.flatMap(({ difference }) => difference?.mean ?? [])
    expect(differences.map(value => value.toFixed(3))).toEqual(['0.100', '0.000', '0.100'])
  })

  it('says where the interval leaves no doubt', () => {
    expect(transferFindings(summarizeTransfer(ahead))).toEqual([
      'pretrained (mobilenet), 100 images: of 1 mixtures 1 ahead of the dense layer (object 10 %, map 8x8, 25 % kept: +20.0 points), 0 behind, 0 undecided.',
    ])
    const undecided = summarizeTransfer(
      resultsOf([
        [0.5, 0.6],
        [0.6, 0.5],
      ]),
    )
    expect(transferFindings(undecided)[0]).toContain('0 ahead of the dense layer, 0 behind, 1 undecided.')
    // One seed has no interval.
    expect(transferFindings(summarizeTransfer(resultsOf([[0.1, 0.9]])))[0]).toContain('1 undecided.')
    expect(transferBrief(summarizeTransfer(ahead))).toBe(
      'pretrained, mixture − dense: +20.0 to +20.0 points, ahead in 1, behind in 0 of 1 settings',
    )
  })

  it('lists every layer with its costs', () => {
    const [table] = transferTables(summarizeTransfer(ahead))
    expect(table?.rows.map(row => [row[5], row[4], row[9], row[10], row[11], row[12]])).toEqual([
      ['dense', '25', '10.00', '', '', '3'],
      ['mixture, 25 % kept', '25', '7.00', '0.25', '1.50 ± 0.00', '3'],
    ])
    expect(table?.rows[1]?.[7]).toMatch(/^\+20\.0 \[\+1\d\.\d, \+\d\d\.\d\]$/)
  })

  it('draws a row for each mixture, with its name', async () => {
    const svg = await chartSvg(transferFigure(experiment, summarizeTransfer(ahead)) as never)
    expect(svg).toContain('object 10 %, map 8x8, keeps 25 %')
    expect(svg).toContain('pretrained, 100 images')
  })
})

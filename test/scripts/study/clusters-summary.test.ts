import { describe, expect, it } from 'vitest'
import type { ClustersExperiment } from '../../../scripts/experiments/experiment.js'
import type { CellResult, Clustered } from '../../../scripts/study/cell-result.js'
import {
  clustersBrief,
  clustersFigure,
  clustersFindings,
  clustersTables,
} from '../../../scripts/study/clusters/clusters-report.js'
import { summarizeClusters } from '../../../scripts/study/clusters/clusters-summary.js'
import { clustersStudies } from '../../../scripts/study/kinds/clusters.js'
import { chartSvg } from '../../../src/report/charts.js'

const flags = {}
const experiment: ClustersExperiment = {
  kind: 'clusters',
  name: 'clusters',
  title: 'Clusters',
  paper: 'Table 1',
  claim: '',
  dataset: 'theory-clusters',
  data: '',
  variants: [
    { name: 'single', model: 'two-layer', flags },
    { name: 'linear', model: 'two-layer', flags },
    {
      name: 'cubic',
      model: 'two-layer',
      flags,
      published: { S1: { accuracy: [99.46, 0.55], entropy: [0.098, 0.088] } },
      bands: {
        S1: { accuracy: [97.5, 100], entropy: [0, 0.45] },
        S3: { accuracy: [99.5, 100] },
      },
    },
  ],
  scales: {
    full: { seeds: 2, settings: ['S1'], samples: 10, testSamples: 10, entropySteps: 5, flags },
    small: { seeds: 1, settings: ['S1'], samples: 10, testSamples: 10, entropySteps: 5, flags },
  },
  order: { singles: ['single'], linear: 'linear', nonlinear: 'cubic' },
  ceilings: { S3: 87.5 },
  pairs: [['cubic', 'linear']],
  figure: ['single', 'linear', 'cubic'],
}

function routing(entropy: number) {
  return { entropy, counts: [[5, 5]], deadExperts: 1, negativeGates: 0.25 }
}

type Row = readonly [
  setting: string,
  variant: string,
  seed: number,
  accuracy: number,
  more?: Partial<Clustered>,
]

function resultsOf(rows: readonly Row[]): Map<number, CellResult> {
  return new Map(
    rows.map(([setting, variant, seed, testAccuracy, more], index) => [
      index,
      {
        status: 'done',
        cell: { index, seed, variant, setting },
        clustered: {
          testAccuracy,
          trainAccuracy: 1,
          trainLoss: 0.1,
          steps: 10,
          seconds: 1,
          parameters: 100,
          ...more,
        },
        took: 1,
        ended: '2026-01-01T00:00:00.000Z',
      } as CellResult,
    ]),
  )
}

const routed = (entropies: Clustered['entropies'], entropy: number): Partial<Clustered> => ({
  noisyAccuracy: 0.95,
  routing: routing(entropy),
  noisyRouting: routing(entropy + 0.1),
  trainRouting: routing(entropy + 0.2),
  ...(entropies && { entropies }),
})

const results = resultsOf([
  ['S3', 'cubic', 1, 0.99],
  ['S3', 'single', 1, 0.9],
  ['S1', 'cubic', 1, 0.98, routed([{ step: 1, entropy: 1.2 }], 0.3)],
  [
    'S1',
    'cubic',
    2,
    1,
    routed(
      [
        { step: 1, entropy: 1 },
        { step: 6, entropy: 0.2 },
      ],
      0.5,
    ),
  ],
  ['S1', 'linear', 1, 0.9],
  ['S1', 'linear', 2, 0.94],
  ['S1', 'single', 1, 0.7],
  ['S1', 'single', 2, 0.72],
])

describe('a study of clusters', () => {
  const summary = summarizeClusters(experiment, results)

  it('summarises settings and variants in their order, and compares means with their bands', () => {
    expect(summary.points.map(({ setting, variant, accuracy }) => [setting, variant, accuracy.mean])).toEqual(
      [
        ['S1', 'single', expect.closeTo(0.71)],
        ['S1', 'linear', expect.closeTo(0.92)],
        ['S1', 'cubic', expect.closeTo(0.99)],
        ['S3', 'single', 0.9],
        ['S3', 'cubic', 0.99],
      ],
    )
    // S1: 99 % of 97.5 to 100, entropy (0.3 + 0.5) / 2 of 0 to 0.45. S3: 99 % is below 99.5.
    expect(summary.points.flatMap(({ bands }) => (bands ? [bands] : []))).toEqual([
      {
        accuracy: { band: [97.5, 100], holds: true },
        entropy: { band: [0, 0.45], holds: true },
      },
      { accuracy: { band: [99.5, 100], holds: false } },
    ])
  })

  it('compares with no band where there are fewer samples than the bands are of', () => {
    const findings = (samples: number) => {
      const grid = {
        kind: 'clusters',
        variants: [],
        flags,
        settings: ['S1'],
        testSamples: 10,
        entropySteps: 5,
      } as const
      return clustersStudies.report(experiment, { ...grid, samples }, results, []).findings.join(' ')
    }
    expect(findings(10)).toContain('2 of 3 means lie in the bands')
    expect(findings(9)).not.toContain('bands')
  })

  it('averages entropies step by step; a run that ended early keeps its last one', () => {
    const [cubic] = summary.points.filter(({ routing }) => routing)
    // After step 1: (1.2 + 1) / 2; after step 6, where the first run has ended: (1.2 + 0.2) / 2.
    expect(cubic?.routing?.entropies).toEqual([
      { step: 1, entropy: expect.closeTo(1.1) },
      { step: 6, entropy: expect.closeTo(0.7) },
    ])
    expect(cubic?.routing?.trainEntropy.mean).toBeCloseTo(0.6)
  })

  it('says whether order, ceilings and bands hold', () => {
    expect(clustersFindings(experiment, summary)).toEqual([
      'cubic above linear above every single model: so in S1.',
      'In S3 the best single model has 90.0 %: NOT below the ceiling of 87.5 %.',
      '2 of 3 means lie in the bands of a correct run; not the accuracy of cubic in S3 (99.5 to 100).',
      // Paired: 8 and 6 points.
      'S1, cubic against linear, paired over 2 seeds: +7.0 points (95 % interval +6.0 to +8.0).',
    ])
    expect(clustersBrief(experiment, summary)).toBe(
      'cubic 99.0 / 99.0; linear 92.0 / –; single 71.0 / 90.0 % in S1 / S3; 2 of 3 bands hold',
    )
  })

  it('says where the order is another', () => {
    const turned = resultsOf([
      ['S2', 'cubic', 1, 0.8],
      ['S2', 'linear', 1, 0.9],
      ['S2', 'single', 1, 0.7],
    ])
    expect(clustersFindings(experiment, summarizeClusters(experiment, turned))).toEqual([
      'cubic above linear above every single model: not in S2 (of S2).',
    ])
  })

  it('has tables with published numbers and bands', () => {
    const [accuracy, entropy, pairs] = clustersTables(experiment, summary)
    expect(accuracy?.rows[2]).toEqual([
      'S1',
      'cubic',
      '99.00 ± 1.41',
      '95.00 ± 0.00',
      '99.46 ± 0.55',
      '97.5 to 100',
      'yes',
      '10 ± 0',
    ])
    expect(entropy?.rows).toEqual([
      [
        'S1',
        'cubic',
        '0.400 ± 0.141',
        '0.500 ± 0.141',
        '0.600 ± 0.141',
        '0.098 ± 0.088',
        '0 to 0.45',
        'yes',
        '1.0 ± 0.0',
        '25.0',
      ],
    ])
    expect(pairs?.rows[0]?.slice(0, 4)).toEqual(['S1', 'cubic', 'linear', '+7.0'])
  })

  it('draws bars and entropies', async () => {
    const spec = clustersFigure(experiment, summary)
    const svg = await chartSvg(spec!)
    for (const text of [
      'Clusters',
      'single',
      'linear',
      'cubic',
      'S1',
      'S3',
      'entropy of the routing, nats',
    ]) {
      expect(svg).toContain(text)
    }
  })
})

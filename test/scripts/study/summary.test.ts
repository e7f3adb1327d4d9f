import { describe, expect, it } from 'vitest'
import type { Figure } from '../../../scripts/experiments/experiment.js'
import { briefOf, costBrief } from '../../../scripts/study/brief.js'
import type { CellResult } from '../../../scripts/study/cell-result.js'
import { costFindings, findingsOf } from '../../../scripts/study/findings.js'
import { studyTables } from '../../../scripts/study/study-tables.js'
import { summarize, summarizeCost } from '../../../scripts/study/summary.js'
import { doneResult } from './small-study.js'

type Row = readonly [variant: string, samples: number, seed: number, accuracy: number, more?: object]

function resultsOf(rows: readonly Row[]): Map<number, CellResult> {
  return new Map(
    rows.map(([variant, samples, seed, accuracy, more], index) => [
      index,
      doneResult(index, { variant, samples, seed }, accuracy, more),
    ]),
  )
}

const curve: Figure = { kind: 'curve', measure: { of: 'accuracy' }, target: 0.8 }

describe('a curve', () => {
  // The baseline reaches 80 % halfway between 100 and 200 images, the other halfway between 50 and 100.
  const results = resultsOf([
    ['CNN', 50, 1, 0.5],
    ['CNN', 100, 1, 0.7],
    ['CNN', 200, 1, 0.9],
    ['pMoE', 50, 1, 0.7],
    ['pMoE', 100, 1, 0.9],
    ['pMoE', 200, 1, 0.95],
    ['CNN', 100, 2, 0.72],
    ['pMoE', 100, 2, 0.88],
  ])

  it('gives means, images needed and paired differences', () => {
    const summary = summarize(results, curve, ['CNN', 'pMoE'])
    const at100 = summary.points.filter(({ samples }) => samples === 100)
    expect(at100.map(({ series, count, mean }) => [series, count, mean])).toEqual([
      ['CNN', 2, expect.closeTo(0.71)],
      ['pMoE', 2, expect.closeTo(0.89)],
    ])
    // 100 + 100 (0.8 - 0.71) / (0.9 - 0.71) = 147.4; 50 + 50 (0.8 - 0.7) / (0.89 - 0.7) = 76.3.
    expect(summary.needed?.map(({ series, samples }) => [series, samples])).toEqual([
      ['CNN', expect.closeTo(147.37, 2)],
      ['pMoE', expect.closeTo(76.32, 2)],
    ])
    const [comparison] = summary.comparisons ?? []
    expect(comparison?.ratios.map(({ ratio }) => ratio)).toEqual([expect.closeTo(76.32 / 147.37, 3)])
    // At 100 images: (0.2 + 0.16) / 2 over two seeds; elsewhere one pair.
    expect(comparison?.differences.map(({ samples, count, mean }) => [samples, count, mean])).toEqual([
      [50, 1, expect.closeTo(0.2)],
      [100, 2, expect.closeTo(0.18)],
      [200, 1, expect.closeTo(0.05)],
    ])
    expect(findingsOf(summary, curve)).toEqual([
      expect.stringMatching(/^pMoE reaches 80\.0 % with 0\.52 of the training images of CNN \(95 % interval/),
      'Paired by seed, pMoE against CNN: ahead at N = 100 (by 18.0 points).',
    ])
    expect(briefOf(summary, curve)).toMatch(
      /^pMoE − CNN: \+5\.0 to \+20\.0 points, ahead at 1, behind at 0 of 3 numbers of images; 80\.0 % with 0\.52 \([^)]*\) of its images$/,
    )
  })

  it('counts what failed, and does not need the baseline to come first', () => {
    const withFailure = new Map(results).set(99, {
      status: 'failed',
      cell: { index: 99, variant: 'CNN', samples: 200, seed: 2 },
      reason: 'diverged',
      message: 'loss',
      took: 1,
      ended: '',
    })
    const summary = summarize(withFailure, curve, ['pMoE', 'CNN'])
    expect([summary.done, summary.failed]).toEqual([8, 1])
    expect(summary.comparisons?.map(({ series, baseline }) => [series, baseline])).toEqual([['CNN', 'pMoE']])
  })

  it('takes what the baseline reaches where it does not reach the target', () => {
    const figure: Figure = { ...curve, target: 0.97 }
    const summary = summarize(results, figure, ['CNN'])
    const [comparison] = summary.comparisons ?? []
    expect(comparison?.ratios.map(({ model, ratio }) => [model.target, ratio])).toEqual([
      [0.97, Number.NaN],
      // 0.9 over two seeds at 100: 100 + 100 (0.9 - 0.89) / (0.95 - 0.89) = 116.7 of 200 images.
      [expect.closeTo(0.9), expect.closeTo(0.583, 3)],
    ])
    expect(findingsOf(summary, figure)[0]).toBe('Neither pMoE nor CNN reaches 97.0 % with the images tried.')
    const needed = studyTables(summary, figure).find(({ title }) => title === 'Training images needed')
    expect(needed?.rows.map(([name, , images]) => [name, images])).toEqual([
      ['CNN', 'not reached'],
      ['pMoE', 'not reached'],
      ['pMoE', expect.stringMatching(/^117 \[/)],
    ])
  })

  it('says where it is ahead and behind, and by how much', () => {
    const seeds = [1, 2]
    const rows = (samples: number, cnn: number, pmoe: number) =>
      seeds.flatMap((seed): Row[] => [
        ['CNN', samples, seed, cnn],
        ['pMoE', samples, seed, pmoe],
      ])
    const paired = (...all: Row[]) => findingsOf(summarize(resultsOf(all), curve, ['CNN']), curve).at(-1)
    expect(paired(...rows(50, 0.5, 0.6), ...rows(100, 0.6, 0.65))).toBe(
      'Paired by seed, pMoE against CNN: ahead at every number of images (by 5.0 to 10.0 points).',
    )
    expect(paired(...rows(50, 0.5, 0.6), ...rows(100, 0.6, 0.57), ...rows(200, 0.6, 0.6))).toBe(
      'Paired by seed, pMoE against CNN: ahead at N = 50 (by 10.0 points); behind at N = 100 (by 3.0 points); ' +
        'not decided at 1 of 3 numbers of images.',
    )
  })

  it('says nothing of nothing', () => {
    const summary = summarize(new Map(), curve, ['CNN'])
    expect(findingsOf(summary, curve)).toEqual(['No run has ended yet.'])
    expect(briefOf(summary, curve)).toBe('nothing yet')
    expect(studyTables(summary, curve)).toEqual([])
  })
})

describe('what training took', () => {
  it('counts seeds that converged and averages those', () => {
    const results = resultsOf([
      ['CNN', 10, 1, 0.5, { converged: { epoch: 2, seconds: 3 } }],
      ['CNN', 10, 2, 0.5, { converged: { epoch: 4, seconds: 5 } }],
      ['CNN', 10, 3, 0.5],
    ])
    const [effort] = summarize(results, curve, ['CNN']).effort
    expect(effort).toMatchObject({ converged: 2, count: 3, epochs: { mean: 3 }, seconds: { mean: 4 } })
    const table = studyTables(summarize(results, curve, ['CNN']), curve, {
      convergence: { CNN: [{ samples: 10, seconds: 260 }] },
    }).at(-1)
    expect(table?.title).toBe('Time until convergence (Table 2)')
    expect(table?.rows).toEqual([
      ['CNN', '10', '2 of 3', '3.0 ± 1.4', '4.0 ± 1.4', '260', '8.0 ± 0.0', '100', '1,000'],
    ])
  })
})

describe('routing', () => {
  const routing = {
    uncovered: 0,
    largestShare: 1,
    fixedExperts: 0,
    ownRecall: [0.7, 0.9],
    largestGate: [
      { expert: 1, share: 0.95 },
      { expert: 0, share: null },
    ],
  }
  const results = resultsOf([['pMoE', 300, 1, 0.5, { routing }]])

  it('gives a line for each rank', () => {
    const figure: Figure = { kind: 'curve', measure: { of: 'own-recall', ranks: [2, 1, 5] }, target: 0.9 }
    const { points, comparisons } = summarize(results, figure, ['pMoE'])
    expect(points.map(({ series, mean }) => [series, mean])).toEqual([
      ['top 2', 0.9],
      ['top 1', 0.7],
    ])
    expect(comparisons).toBeUndefined()
  })

  it('gives a line for each class that has images', () => {
    const figure: Figure = { kind: 'curve', measure: { of: 'largest-gate' }, target: 0.9 }
    const summary = summarize(results, figure, ['pMoE'])
    expect(summary.points.map(({ series, mean }) => [series, mean])).toEqual([['class 1', 0.95]])
    expect(findingsOf(summary, figure)).toEqual([
      'class 1 reaches 90.0 % with ≤ 300 images; at N = 300 it is 95.0 %.',
    ])
    const published = { 'class 1': [300, 400].map(samples => ({ samples, accuracy: 0.92 })) }
    expect(briefOf(summary, { ...figure, published })).toBe(
      'class 1 at N = 300: 95.0 %, the paper 92.0 %; class 1 at N = 400: not measured, the paper 92.0 %',
    )
  })
})

describe('what experts do', () => {
  const signs = { samePatches: 0.5, difference: 1.2, deadExperts: 1, blankExperts: 0, identicalExperts: 2 }
  const routing = { uncovered: 0.25, largestShare: 1, fixedExperts: 0, recall: [0.7, 0.9] }
  const bars: Figure = { kind: 'bars' }
  const results = resultsOf([
    ['pMoE', 300, 1, 0.5, { signs, routing }],
    ['pMoE', 300, 2, 0.7, { signs: { ...signs, samePatches: 0.7 }, routing }],
    ['CNN', 300, 1, 0.5],
  ])

  it('is listed by variant, where the experiment asks for it', () => {
    const tables = studyTables(summarize(results, bars, ['pMoE']), bars, { showsExperts: true })
    const table = tables.find(({ title }) => title === 'What the experts do')
    expect(table?.rows).toEqual([
      [
        'pMoE',
        '300',
        expect.stringMatching(/^60\.0 ± 14\.1/),
        '60.0 ± 14.1',
        '120.0 ± 0.0',
        '25.0 ± 0.0',
        '90.0 ± 0.0',
        '2 / 0 / 4',
      ],
    ])
    const without = studyTables(summarize(results, bars, ['pMoE']), bars)
    expect(without.some(({ title }) => title === 'What the experts do')).toBe(false)
  })
})

describe('a sweep', () => {
  const figure: Figure = { kind: 'sweep', over: 'experts', from: 2, exponent: 0.5 }
  const swept = (experts: number, accuracy: number, index: number): [number, CellResult] => [
    index,
    doneResult(index, { variant: 'pMoE', samples: 10, seed: 1, experts }, accuracy),
  ]

  it('fits the error from its start on', () => {
    // Errors 0.1 sqrt(k / 2) for k = 2, 8, 32; k = 1 lies before the start.
    const results = new Map([swept(1, 0.1, 0), swept(2, 0.9, 1), swept(8, 0.8, 2), swept(32, 0.6, 3)])
    const summary = summarize(results, figure, ['pMoE'])
    expect(summary.errorLaw?.exponent).toBeCloseTo(0.5)
    expect(findingsOf(summary, figure)).toEqual([
      'The accuracy is highest at k = 2: 90.0 %.',
      'From k = 2 on the error grows as k to the power 0.50 (R² 1.00): with one seed nothing is decided.',
    ])
    expect(briefOf(summary, figure)).toBe('the error grows as k to the power 0.50, predicted 0.5')
  })

  it('says so where too little is there to fit', () => {
    const summary = summarize(new Map([swept(2, 0.9, 0)]), figure, ['pMoE'])
    expect(findingsOf(summary, figure)[1]).toBe('The error has too few values from k = 2 on to fit a power.')
    expect(briefOf(summary, figure)).toBe('too few values to fit a power')
  })
})

describe('a phase map', () => {
  it('counts trials that reach the target', () => {
    const figure: Figure = { kind: 'phase', target: 0.9 }
    const rows = [
      [2, 500, 0.9],
      [2, 600, 0.95],
      [4, 500, 0.5],
      [4, 600, 0.89],
    ] as const
    const results = new Map(
      rows.map(([patchesPerExpert, samples, accuracy], index) => [
        index,
        doneResult(index, { variant: 'pMoE', samples, seed: 1, patchesPerExpert }, accuracy),
      ]),
    )
    const summary = summarize(results, figure, ['pMoE'])
    expect(summary.phases?.boundary).toEqual([500, undefined])
    expect(findingsOf(summary, figure)).toEqual([
      'A trial succeeds with a test accuracy of 90.0 % or more.',
      'Half of the trials succeed from this many training images on: 500 at l = 2.',
      'Never at l = 4.',
    ])
    expect(briefOf(summary, figure)).toBe(
      'half of the trials succeed from this many images: 500 at l = 2, none at l = 4',
    )
    const phases = { ...summary.phases!, xs: [2, 3, 4, 6], boundary: [500, 500, 500, undefined] }
    expect(briefOf({ ...summary, phases }, figure)).toBe(
      'half of the trials succeed from this many images: 500 at l = 2 to 4, none at l = 6',
    )
  })
})

describe('bars', () => {
  it('names what is beyond its interval', () => {
    const results = resultsOf([
      ['default', 10, 1, 0.8],
      ['default', 10, 2, 0.8],
      ['worse', 10, 1, 0.6],
      ['worse', 10, 2, 0.7],
      ['same', 10, 1, 0.9],
      ['same', 10, 2, 0.7],
    ])
    const summary = summarize(results, { kind: 'bars' }, ['default'])
    expect(briefOf(summary, { kind: 'bars' })).toBe(
      'better than the default by more than chance: nothing; worse: worse −15.0',
    )
    expect(findingsOf(summary, { kind: 'bars' })).toEqual([
      'Better than the default beyond the 95 % interval: none.',
      'Worse: worse at N = 10 (−15.0). Of so many comparisons some cross the interval by chance.',
    ])
  })
})

describe('summarizeCost', () => {
  it('fits exponents of time and multiply-adds', () => {
    const results = new Map(
      [8, 16, 32].map((value, index): [number, CellResult] => [
        index,
        {
          status: 'done',
          cell: { index, seed: 1, variant: 'pMoE', cost: { letter: 'l', value } },
          measured: {
            seconds: 1,
            ratio: value ** 0.5,
            cnnRatio: 3,
            multiplyAdds: 10,
            multiplyAddsRatio: value / 8,
          },
          took: 1,
          ended: '',
        },
      ]),
    )
    const axes = summarizeCost(results)
    expect(axes).toHaveLength(1)
    expect(axes[0]?.timeLaw?.exponent).toBeCloseTo(0.5)
    expect(axes[0]?.multiplyAddsLaw?.exponent).toBeCloseTo(1)
    expect(costFindings(axes)).toEqual([
      "Time grows as l to the power 0.50, multiply-adds to the power 1.00; the CNN's time to the power 0.00.",
    ])
    expect([costBrief(axes), costBrief([])]).toEqual(['time grows as l^0.50', 'nothing yet'])
    expect(costFindings([])).toEqual(['No measurement has ended yet.'])
  })
})

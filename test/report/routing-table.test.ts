import { describe, expect, it } from 'vitest'
import { type ReportedRouting, routingTables } from '../../src/report/routing-table.js'

const routing: ReportedRouting = {
  model: 'pMoE <2>',
  classNames: ['0', '1'],
  images: 50,
  patchesPerExpert: 4,
  coverage: { none: 0.108, one: 0.298, several: 0.594 },
  gates: [
    { mean: 0.25, least: 0.00012345, largest: 0.9, largestShare: 0.424 },
    { mean: 0.25, least: 0.2, largest: 0.3, largestShare: 0.3 },
  ],
  fixedExperts: [1],
  truth: {
    recall: [0.9, 1],
    recallByExpert: [
      [
        [0.8, 0.99],
        [0.1, 0.2],
      ],
      [
        [0.1, 0.2],
        [0.634, 0.7],
      ],
    ],
    largestGate: [
      { expert: 0, share: 0.8 },
      { expert: 1, share: 0.634 },
    ],
    dispatch: {
      classShares: [
        [0.75, 0.25],
        [Number.NaN, Number.NaN],
      ],
      entropy: 0.2,
      mutualInformation: 0.4,
    },
    deadExperts: [1],
  },
}

const cellsOf = (html: string) =>
  [...html.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, text]) => text),
  )

describe('routingTables', () => {
  it("says what each class's best expert does, and how each expert weighs its patches", () => {
    expect(cellsOf(routingTables(routing))).toEqual([
      ['Class', 'Its best expert', 'Gives the true patch its largest gate', 'Keeps the true patch'],
      ['0', 'expert 1', '80.0%', '99.0%'],
      ['1', 'expert 2', '63.4%', '70.0%'],
      [
        'Expert',
        'Mean gate',
        'Smallest',
        'Largest',
        'Largest gate&#39;s share',
        'Class 0 among what it receives',
        'Class 1 among what it receives',
      ],
      ['expert 1', '0.25', '0.000123', '0.9', '42.4%', '75.0%', '25.0%'],
      ['expert 2', '0.25', '0.2', '0.3', '30.0%', 'none', 'none'],
    ])
  })

  it('sums it up in words, names escaped', () => {
    const html = routingTables(routing)
    expect(html).toContain('<h3>What the routers learned: pMoE &lt;2&gt;</h3>')
    expect(html).toContain(
      'Over 50 test images, 10.8% of the patches are kept by no expert, 29.8% by one and 59.4% by several. ' +
        'Expert 2 keeps the same patches of every image, whatever it shows. ' +
        'The patch that shows the class is among the 4 best of an expert in 100.0% of the images. ' +
        'Knowing which expert it went to tells 0.400 of the class&#39;s 0.600 nats. 1 of 2 experts never receive it.',
    )
  })

  it('leaves out what only the truth tells', () => {
    const { truth: _, ...rest } = routing
    const html = routingTables({ ...rest, fixedExperts: [0, 1] })
    expect(cellsOf(html).map(row => row.length)).toEqual([5, 5, 5])
    expect(html).toContain('Experts 1, 2 keep the same')
    expect(html).not.toContain('nats')
  })

  it('calls experts as they were called before others were pruned', () => {
    const html = routingTables({ ...routing, experts: [{ name: '2' }, { name: 'sky <1>', layer: 'moe' }] })
    expect(cellsOf(html).map(([, second]) => second)).toEqual([
      'Its best expert',
      'expert 3',
      'expert sky &lt;1&gt; of moe',
      'Mean gate',
      '0.25',
      '0.25',
    ])
    expect(
      cellsOf(html)
        .map(([first]) => first)
        .slice(4),
    ).toEqual(['expert 3', 'expert sky &lt;1&gt; of moe'])
    expect(html).toContain('Expert sky &lt;1&gt; of moe keeps the same patches')
  })

  it('refuses names of other classes', () => {
    expect(() => routingTables({ ...routing, classNames: ['0'] })).toThrow(
      new RangeError('routingTables: classNames must be one for each of 2 classes, got 1'),
    )
  })
})

import { describe, expect, it } from 'vitest'
import { chartSvg } from '../../src/report/charts.js'
import { differenceFigureSpec } from '../../src/report/study-bars.js'
import { costFigureSpec } from '../../src/report/study-cost.js'
import { markdownTable, studyPageHtml } from '../../src/report/study-page.js'

describe('studyPageHtml', () => {
  const page = {
    title: 'fig4: <curves>',
    paper: 'Figure 4',
    claim: 'pMoE & co.',
    findings: ['It holds.', 'Not here.'],
    data: 'A stand-in.',
    progress: ['3 of 4 runs have ended.'],
    figure: { svg: '<svg id="figure"></svg>', label: 'accuracy "against" images' },
    tables: [{ title: 'Accuracy', head: ['', 'CNN'], rows: [['N = 100', '<1']], note: 'Percent.' }],
    pictures: [],
    settings: [['Seeds', '5']],
    command: 'pmoe study fig4',
  } as const

  it('shows everything, with text made safe', () => {
    const html = studyPageHtml(page)
    for (const part of [
      '<h1>fig4: &lt;curves&gt;</h1>',
      '<p>pMoE &amp; co.</p>',
      '<p>It holds.</p>\n<p>Not here.</p>',
      'aria-label="accuracy &quot;against&quot; images"><svg id="figure"></svg>',
      '<th scope="row">N = 100</th><td>&lt;1</td>',
      '<p class="quiet">Percent.</p>',
      '<p class="quiet">3 of 4 runs have ended.</p>',
      '<pre><code>pmoe study fig4</code></pre>',
    ]) {
      expect(html).toContain(part)
    }
  })
})

describe('markdownTable', () => {
  it('aligns numbers right and keeps bars inside their cells', () => {
    expect(markdownTable({ head: ['', 'a'], rows: [['x|y', '1']] })).toBe(
      '|  | a |\n|---|---:|\n| x\\|y | 1 |',
    )
  })
})

describe('differenceFigureSpec', () => {
  it('draws points of percent and their intervals', async () => {
    const spec = differenceFigureSpec(
      [
        { name: 'relu', group: 'N = 10', mean: -0.05, interval: { lower: -0.1, upper: 0.01 } },
        { name: 'halo', group: 'N = 20', mean: 0.02 },
      ],
      { title: 'Settings', x: 'difference' },
    )
    const svg = await chartSvg(spec)
    expect(svg).toMatch(/aria-label="difference: −5; name: relu; group: N = 10"/)
    expect(svg).toMatch(/aria-label="difference: \+2; name: halo; group: N = 20"/)
    // Whole numbers on the axis.
    expect(svg).toContain('>−10<')
  })

  it.each([
    [[], 'bars must hold at least 1 bar, got 0'],
    [[{ name: 'a', group: '', mean: 5 }], 'means must be in [-1, 1], got 5 (a)'],
  ])('refuses %j', (bars, message) => {
    expect(() => differenceFigureSpec(bars, { title: '', x: '' })).toThrow(
      new RangeError(`differenceFigureSpec: ${message}`),
    )
  })
})

describe('costFigureSpec', () => {
  it('has a panel for each size', async () => {
    const points = [
      { value: 1, ratio: 1 },
      { value: 4, ratio: 2 },
    ]
    const svg = await chartSvg(
      costFigureSpec(
        [
          { name: 'time', axis: 'l', points },
          { name: 'multiply-adds', axis: 'n', points, dashed: true },
        ],
        { title: 'Cost', y: 'of the base' },
      ),
    )
    for (const word of ['l', 'n', 'Cost', 'time', 'multiply-adds']) expect(svg).toContain(`>${word}<`)
    expect(svg.match(/stroke-dasharray="5,4"/g)?.length).toBeGreaterThan(0)
  })

  it.each([
    [[], 'curves must hold at least 1 point, got 0 in 0 curves'],
    [
      [{ name: 'time', axis: 'l', points: [{ value: 0, ratio: 1 }] }],
      'points must be above 0, got 0 and 1 (time, l)',
    ],
  ])('refuses %j', (curves, message) => {
    expect(() => costFigureSpec(curves, { title: '', y: '' })).toThrow(
      new RangeError(`costFigureSpec: ${message}`),
    )
  })
})

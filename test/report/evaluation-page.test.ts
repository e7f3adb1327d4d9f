import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { confusionFigure, confusionMatrix } from '../../src/report/confusion-figure.js'
import { estimateText, intervalText, valueText } from '../../src/report/estimate-text.js'
import {
  type EvaluationPage,
  evaluationPage,
  mostFrequent,
  shownClasses,
} from '../../src/report/evaluation-page.js'
import { reliabilityFigure } from '../../src/report/reliability-figure.js'
import { rocSheet } from '../../src/report/roc-figure.js'
import { classificationReport, reliability } from '../../src/statistics/index.js'

/** Predictions of a probability each for the predicted class, the rest for the others in equal parts. */
function reportOf(
  rows: readonly (readonly [label: number, predicted: number, p: number])[],
  numClasses: number,
) {
  const logProbabilities = rows.flatMap(([, predicted, p]) =>
    Array.from({ length: numClasses }, (_, k) => Math.log(k === predicted ? p : (1 - p) / (numClasses - 1))),
  )
  return classificationReport(
    {
      labels: rows.map(([label]) => label),
      predicted: rows.map(([, predicted]) => predicted),
      logProbabilities,
      numClasses,
    },
    { resamples: 20 },
  )
}

const report = reportOf(
  [
    [0, 0, 0.9],
    [0, 1, 0.8],
    [1, 1, 0.7],
  ],
  3,
)

const page: EvaluationPage = {
  title: 'net on <3> images',
  summary: 'Two of three.',
  classNames: ['cat', 'dog & fox', 'emu'],
  report,
  curves: [
    {
      name: 'dog & fox',
      area: 0.5,
      points: [
        { falsePositives: 0, truePositives: 0 },
        { falsePositives: 1, truePositives: 1 },
      ],
    },
  ],
  mixtures: [],
  remarks: [],
  wrong: [
    {
      name: 'a/"b".png',
      uri: 'data:image/png;base64,AA==',
      side: 32,
      trueClass: 'cat',
      predictedClass: 'dog & fox',
      trueProbability: 0.1,
      predictedProbability: 0.8,
    },
  ],
  notes: ['Left out: yak/.'],
  settings: [['model', 'runs/x']],
  command: 'pmoe evaluate runs/x',
}

/** The text of the cells of each row of the tables. */
const rows = (html: string) =>
  [...html.matchAll(/<tr>(.*?)<\/tr>/g)].map(([, row]) =>
    [...row!.matchAll(/<t[hd][^>]*>(.*?)<\/t[hd]>/g)].map(([, cell]) => cell),
  )

describe('the experts of a page', () => {
  const expert = { answer: 2, view: 0.5, scoredPatches: 30.25, keptShare: 0.6, gatedPatches: 12 }
  const mixture = {
    layer: 'group<3>',
    patches: 64,
    patchesPerExpert: 16,
    images: 128,
    experts: [expert, { ...expert, answer: 1 }, { ...expert, answer: 0 }],
    pairs: [
      { experts: [0, 1] as const, samePatches: 0.25, difference: 1 },
      { experts: [0, 2] as const, samePatches: 0.75, difference: 1 },
      { experts: [1, 2] as const, samePatches: 0.5, difference: 1 },
    ],
  }

  it('are a table a layer, with what is wrong with them', () => {
    const html = evaluationPage({ ...page, mixtures: [mixture], remarks: ['Expert 2 of <x> adds nothing.'] })
    expect(html).toContain('group&lt;3&gt;: 16 of 64 patches, on 128 images')
    expect(html).toContain('<p>Expert 2 of &lt;x&gt; adds nothing.</p>')
    const lines = rows(html)
    expect(lines).toContainEqual(['0', '100.0%', '50.0%', '60.0%', '30.3', '12.0', '75.0%'])
    expect(lines).toContainEqual(['1', '50.0%', '50.0%', '60.0%', '30.3', '12.0', '50.0%'])
    expect(lines).toContainEqual(['2', '0.0%', '50.0%', '60.0%', '30.3', '12.0', '75.0%'])
  })

  it('are no numbers that there are not: one expert, experts that all add nothing', () => {
    const alone = { ...mixture, experts: [{ ...expert, answer: 0 }], pairs: [] }
    const html = evaluationPage({ ...page, mixtures: [alone] })
    expect(html).toContain('Nothing looks wrong with them.')
    expect(rows(html)).toContainEqual(['0', '0.0%', '50.0%', '60.0%', '30.3', '12.0', '-'])
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
  })
})

describe('the ROC curves of a page', () => {
  it('are drawn one a class, and named', () => {
    const html = evaluationPage(page)
    expect(html).toContain('aria-label="ROC curve of dog &amp; fox, area 0.500"')
    expect(html).toContain('d="M34 156L166 24"')
    expect(evaluationPage({ ...page, curves: [] })).not.toContain('ROC curves')
  })

  it('are one picture of four in a row', async () => {
    const [curve] = page.curves
    const sheet = rocSheet(Array.from({ length: 5 }, () => curve!))
    const { width, height } = await sharp(Buffer.from(sheet)).metadata()
    expect([width, height]).toEqual([704, 380])
  })
})

describe('evaluationPage', () => {
  it('writes each number as it is in the report, and a dash for what has none', () => {
    const html = evaluationPage(page)
    const lines = rows(html)
    expect(lines).toContainEqual(['accuracy', '66.7%', '20.8% to 93.9%'])
    expect(lines).toContainEqual(['cat', '2', '100.0%', '50.0%', '66.7%', '0.500', '0.833', '9.5% to 90.5%'])
    expect(lines).toContainEqual(['emu', '0', '-', '-', '-', '-', '-', '-'])
    expect(lines).toContainEqual(['cat', 'dog &amp; fox', '1'])
    expect(html).not.toMatch(/NaN|undefined|Infinity/)
    expect(html).toContain('Left out: yak/.')
    expect(html).toContain('The 1 wrong image<')
    expect(html).toContain('title="a/&quot;b&quot;.png"')
    expect(html).not.toContain('<h2>Thresholds')
  })

  it('says where thresholds and temperature were chosen', () => {
    const chosen = { ...report.classes[0]!, threshold: 0.123456 }
    const html = evaluationPage({
      ...page,
      thresholds: {
        goal: 'the best F1',
        chosenOn: '9 images of there',
        classes: [{ chosen, measured: report.classes[1]! }, undefined, undefined],
      },
      temperature: { temperature: 1.5, fittedOn: '9 images of there', scaled: report },
    })
    expect(rows(html)).toContainEqual(['cat', '0.123', '50.0%', '100.0%', '66.7%'])
    expect(rows(html)).toContainEqual(['emu', '-', '-', '-', '-'])
    expect(html).toContain('chosen for the best F1 on 9 images of there')
    expect(html).toContain('at temperature 1.50: calibration error')
  })

  it('shows the 20 worst of 3,000 classes, and leaves no number out of the matrix', () => {
    const many = reportOf(
      Array.from({ length: 60 }, (_, i) => [i, i % 2 === 0 ? i : i + 100, 0.5] as const),
      3000,
    )
    const classNames = Array.from({ length: 3000 }, (_, i) => `class ${i}`)
    const html = evaluationPage({ ...page, classNames, report: many, wrong: [] })
    expect(html.length).toBeLessThan(100_000)
    expect(html).toContain('The 20 of 3000 classes with the lowest F1')
    expect(html).toContain('The 20 of 3000 classes that are confused most')
    expect(shownClasses(many.classes).map(([label]) => label)).toEqual(
      Array.from({ length: 20 }, (_, i) => 2 * i + 1),
    )
    const { counts } = confusionMatrix(classNames, many.confusions)
    expect(counts.flat().reduce((sum, count) => sum + count, 0)).toBe(60)
  })

  it('says that nothing was confused where all is right', () => {
    const right = evaluationPage({ ...page, report: reportOf([[0, 0, 0.9]], 3), wrong: [] })
    expect(right).toContain('No image was taken for another class.')
    expect(right).not.toContain('wrong images')
  })
})

describe('mostFrequent', () => {
  it('leaves out what is right, the most frequent first', () => {
    const cells = [
      { label: 0, predicted: 0, count: 9 },
      { label: 0, predicted: 1, count: 1 },
      { label: 1, predicted: 0, count: 3 },
    ]
    expect(mostFrequent(cells)).toEqual([cells[2], cells[1]])
    expect(mostFrequent(cells, 1)).toEqual([cells[2]])
  })
})

describe('confusionFigure', () => {
  it('writes counts where they belong, rows by class, and can be rendered', async () => {
    const matrix = confusionMatrix(
      ['a', '<b>'],
      [
        { label: 0, predicted: 1, count: 3 },
        { label: 1, predicted: 1, count: 12_345 },
      ],
    )
    expect(matrix).toEqual({
      names: ['a', '<b>'],
      counts: [
        [0, 3],
        [0, 12_345],
      ],
      others: 0,
    })
    const svg = confusionFigure(matrix)
    expect(svg).toContain('<title>a taken for &lt;b&gt;: 3 of 3</title>')
    expect(svg).toContain('>12k</text>')
    // A row that is all wrong has a full tint of the colour of wrong ones.
    expect(svg).toMatch(/class="miss" fill="#d55e00" fill-opacity="1\.000"/)
    expect(svg).toMatch(/class="hit" fill="#0072b2" fill-opacity="1\.000"/)
    const { format, width } = await sharp(Buffer.from(svg)).metadata()
    expect([format, width]).toEqual(['svg', Number(/width="(\d+)"/.exec(svg)?.[1])])
  })

  it('puts classes that are seldom confused together as others', () => {
    const cells = [
      { label: 0, predicted: 0, count: 50 },
      { label: 1, predicted: 2, count: 4 },
      { label: 2, predicted: 0, count: 1 },
      { label: 3, predicted: 3, count: 7 },
    ]
    const matrix = confusionMatrix(['a', 'b', 'c', 'd'], cells, 2)
    expect(matrix).toEqual({
      names: ['b', 'c', '2 others'],
      counts: [
        [0, 4, 0],
        [0, 0, 1],
        [0, 0, 57],
      ],
      others: 2,
    })
    // The others are not all right only because they are others.
    expect(confusionFigure(matrix)).toMatch(
      /2 others taken for 2 others: 57 of 57<\/title><rect [^>]* class="miss"/,
    )
  })

  it('shortens long names of any letters', () => {
    const svg = confusionFigure(confusionMatrix(['😀'.repeat(30), 'b'], []))
    expect(svg).toContain(`>${'😀'.repeat(17)}…<`)
  })
})

describe('reliabilityFigure', () => {
  it('marks the share that is right and the distance to the confidence', async () => {
    const bins = reliability({ confidences: Float64Array.of(0.75, 0.75), right: Uint8Array.of(1, 0) }, 2)
    const svg = reliabilityFigure(bins, 'the <figure>')
    expect(svg).toContain('<title>50.0% to 100.0%: 2 images, mean confidence 75.0%, 50.0% right</title>')
    // 260 pixels high from 272 up: right to 142, confidence to 77.
    expect(svg).toContain('class="bar" x="175" y="142" width="128" height="130"')
    expect(svg).toContain('class="gap" x="175" y="77" width="128" height="65"')
    expect(svg).toContain('aria-label="the &lt;figure&gt;"')
    expect(svg).not.toContain('NaN')
    expect((await sharp(Buffer.from(svg)).metadata()).format).toBe('svg')
  })
})

describe('estimateText', () => {
  it.each([
    [{ value: 0.9524, interval: { lower: 0.9, upper: 1 } }, 'percent', '95.2% (90.0% to 100.0%)'],
    [{ value: 0.25 }, 'number', '0.250'],
    [{ value: Number.NaN }, 'percent', '-'],
    [{ value: Infinity, interval: { lower: 2, upper: Infinity } }, 'number', '∞ (2.000 to ∞)'],
  ] as const)('of %j as %s is %s', (estimate, form, text) => {
    expect(estimateText(estimate, form)).toBe(text)
  })

  it('has a dash for an interval that is not there', () => {
    expect(intervalText({}, 'percent')).toBe('-')
    expect(valueText(-Infinity, 'number')).toBe('-∞')
  })
})

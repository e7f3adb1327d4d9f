import sharp from 'sharp'
import { describe, expect, test } from 'vitest'
import { chosenText } from '../../src/report/chosen-experts.js'
import { bestClass, type ExplainedImage, explanationFigure } from '../../src/report/explanation-figure.js'
import { explanationPage } from '../../src/report/explanation-page.js'

const pixel =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8BQDwAEhQGAhKmMIQAAAABJRU5ErkJggg=='

/** Two experts over a grid of one row and two columns, on a picture twice as wide as high. */
const image: ExplainedImage = {
  name: 'a <photo>.jpg',
  uri: pixel,
  size: [100, 200],
  classes: [
    { name: 'bag & co', probability: 0.925 },
    { name: 'boot', probability: 0.075 },
  ],
  grid: [1, 2],
  experts: [
    { patches: [0], gates: [0.5] },
    { patches: [1], gates: [2] },
  ],
  sensitivity: Float32Array.of(0.5, -0.25),
}

describe('explanationFigure', () => {
  test('uncovers what each expert kept, and colours what a patch counts', async () => {
    const svg = explanationFigure(image, 'x')
    // Tiles of 240 x 120: the first expert's hole is the left half, the second's the right one.
    expect(svg).toContain('d="M0 0h240v120h-240zM0 0h120v120h-120z"')
    expect(svg).toContain('d="M0 0h240v120h-240zM120 0h120v120h-120z"')
    expect(svg).toContain('>+50</text>')
    expect(svg).toContain('>−25</text>')
    expect(svg).toContain('fill="#d7301f" fill-opacity="0.68"')
    expect(svg).toContain('fill="#2b6cb0" fill-opacity="0.38"')
    expect(svg.match(/<image /g)).toHaveLength(1)
    expect(svg.match(/href="#x"/g)).toHaveLength(4)
    expect(svg).toContain('bag &amp; co 93%')
    const { width, height } = await sharp(Buffer.from(svg)).metadata()
    expect({ width, height }).toEqual({ width: 12 + 4 * 252, height: 12 + 154 })
  })

  test('calls experts as they were called before others were pruned', () => {
    const [first, second] = image.experts
    const svg = explanationFigure(
      {
        ...image,
        experts: [
          { ...first!, name: '1' },
          { ...second!, name: '6' },
        ],
      },
      'x',
    )
    expect([...svg.matchAll(/>(expert [^<]*)</g)].map(([, title]) => title)).toEqual(['expert 2', 'expert 7'])
  })

  test('has one tile for a model that keeps every patch, and none for what was not measured', () => {
    const { grid: _, sensitivity: __, ...plain } = image
    expect(explanationFigure({ ...plain, experts: [] }, 'x').match(/href="#x"/g)).toHaveLength(1)
    const { sensitivity: ___, ...unmeasured } = image
    expect(explanationFigure(unmeasured, 'x').match(/href="#x"/g)).toHaveLength(3)
    expect(bestClass({ ...plain, classes: [] })).toBe('')
  })

  test('refuses patches outside of the grid, and gates without patches', () => {
    const outside = { ...image, experts: [{ patches: [2], gates: [1] }] }
    expect(() => explanationFigure(outside, 'x')).toThrow(
      new RangeError('explanationFigure: patches must be integers in [0, 1], got 2 (expert 0, 1x2 grid)'),
    )
    const unequal = { ...image, experts: [{ patches: [1], gates: [1, 2] }] }
    expect(() => explanationFigure(unequal, 'x')).toThrow(
      new RangeError('explanationFigure: gates must be one a patch, got 2 for 1 (expert 0)'),
    )
  })
})

describe('explanationPage', () => {
  const page = {
    title: '2 images',
    images: [image, image],
    field: [17, 17],
    input: [32, 64],
    settings: [['model', 'runs/<first>']],
    command: 'pmoe explain runs/first a.jpg',
  } as const

  test('says what is seen, with every text escaped and the figures apart', () => {
    const html = explanationPage({ ...page, expertSheet: 'experts.png' })
    expect(html).toContain('A patch is computed from 17x17 of the 32x64 pixels')
    expect(html).toContain('a &lt;photo&gt;.jpg: bag &amp; co 93%')
    expect(html).not.toContain('<photo>')
    expect(html).toContain('<td>92.5%</td>')
    expect(html).toContain('id="explained-0"')
    expect(html).toContain('id="explained-1"')
    expect(html).toContain('src="experts.png"')
    expect(html).toContain('runs/&lt;first&gt;')
    expect(html).toContain('pmoe explain runs/first a.jpg')
  })

  test('says where there is nothing to show, or the field is not known', () => {
    const { grid: _, ...plain } = image
    expect(explanationPage({ ...page, images: [plain] })).toContain('This model keeps every patch')
    const { field: __, ...unknown } = page
    expect(explanationPage(unknown)).toContain('is not known for this model')
    expect(explanationPage(unknown)).not.toContain('<img')
  })
})

describe('a model that sends whole images to experts', () => {
  const { grid: _, sensitivity: __, ...plain } = image
  const choice = {
    layer: 'logits',
    names: ['0', '4', 'sky <blue>'],
    experts: [2, 0],
    gates: [0.75, 0.125],
    scores: [0.5, -1, 2],
  }
  const chosen: ExplainedImage = { ...plain, experts: [], choices: [choice] }

  test('has a tile of scores, those of the chosen experts in colour', async () => {
    const svg = explanationFigure(chosen, 'x')
    expect(svg.match(/href="#x"/g)).toHaveLength(2)
    // Three bars of a tile of 240x120: scores from -1 to 2 over 232 pixels, 0 at 4 + 232 / 3.
    const bars = [
      ...svg.matchAll(/<rect x="([\d.]+)" y="([\d.]+)" width="([\d.]+)" height="32.0" fill="(#\w+)"/g),
    ]
    expect(bars.map(([, ...numbers]) => numbers)).toEqual([
      ['81.3', '4.0', '38.7', '#ff9d1e'],
      ['4.0', '44.0', '77.3', '#7d8791'],
      ['81.3', '84.0', '154.7', '#ff9d1e'],
    ])
    expect(svg).toContain('expert sky &lt;blue&gt;, expert 1, by its score')
    await sharp(Buffer.from(svg)).metadata()
  })

  test('has a table of scores and gates, also where a score is not finite', () => {
    const page = { title: 'a', input: [1, 1], settings: [], command: 'pmoe' } as const
    const html = explanationPage({ ...page, images: [chosen] })
    expect(html).toContain(
      'The layer logits sends each image to 2 of its 3 experts, those of the largest scores.',
    )
    expect(html).toContain('<tr><th scope="row">expert 5</th><td>-1.00</td><td></td></tr>')
    expect(html).toContain('<tr><th scope="row">expert sky &lt;blue&gt;</th><td>2.00</td><td>0.750</td></tr>')
    const damaged = { ...choice, scores: [0, Number.NaN, 1] }
    expect(explanationFigure({ ...chosen, choices: [damaged] }, 'x')).not.toContain('NaN')
    expect(chosenText(choice)).toBe('expert sky <blue> (gate 0.75), expert 1 (gate 0.13)')
  })
})

describe('what a patch sees', () => {
  const page = { title: 'a', images: [image], settings: [], command: 'pmoe' } as const
  test.each([
    [[491, 491], [224, 224], 'Each patch is computed from the whole image'],
    [[300, 300], [224, 224], 'Patches in the middle are computed from the whole image'],
    [[300, 40], [224, 224], 'A patch is computed from 224x40 of the 224x224 pixels'],
  ] as const)('is never more than there is: %j of %j', (field, input, sentence) => {
    const html = explanationPage({ ...page, field, input })
    expect(html).toContain(sentence)
    expect(html).not.toContain(`${field[0]}x${field[1]}`)
  })

  test('is shown in tiles that stand beside each other as the page has room', () => {
    const html = explanationPage({ ...page, field: [9, 9], input: [32, 64] })
    expect(html.match(/<figure><svg viewBox="0 0 240 120"/g)).toHaveLength(4)
    expect(html.match(/<image /g)).toHaveLength(1)
    expect(html).toContain('<figcaption>lost without the patch</figcaption>')
  })
})

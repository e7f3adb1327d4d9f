import { describe, expect, test } from 'vitest'
import { type Report, reportHtml } from '../../src/report/html.js'
import type { RoutedImage } from '../../src/report/routing-figure.js'

const PIXEL =
  'data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=='

const image: RoutedImage = {
  uri: PIXEL,
  size: [32, 32],
  trueClass: '0',
  predictedClass: '1',
  probability: 0.723,
  grid: [4, 4],
  experts: [{ patches: [5, 0], gates: [0.75, 0.25] }],
  truth: { cells: [4, 4], cell: 5 },
}

const report: Report = {
  title: 'Runs of <b>two</b> networks',
  summary: 'A "quoted" summary & more',
  settings: [
    ['seed', '1'],
    ['folder', "it's <here>"],
  ],
  command: 'pmoe demo --out "a b" && echo <done>',
  sections: [
    {
      title: 'Digits',
      description: 'x < y',
      results: [
        { model: 'CNN', accuracy: 0.8512, parameters: 2601, multiplyAdds: 40960, seconds: 3.1234 },
        { model: 'pMoE <8>', accuracy: 0.9604, parameters: 3112, multiplyAdds: 1_234_567, seconds: 12 },
      ],
      curves: [
        {
          name: 'CNN',
          points: [{ epoch: 1, trainLoss: 0.7, trainAccuracy: 0.5, testLoss: 0.7, testAccuracy: 0.5 }],
        },
        {
          name: 'pMoE <8>',
          points: [{ epoch: 1, trainLoss: 0.6, trainAccuracy: 0.6, testLoss: 0.6, testAccuracy: 0.625 }],
        },
      ],
      images: [image, { ...image, predictedClass: '0', trueClass: '0' }],
      imagesNote: 'of "pMoE"',
      routing: [
        {
          model: 'pMoE <8>',
          classNames: ['0', '1'],
          images: 7,
          patchesPerExpert: 2,
          coverage: { none: 0.5, one: 0.25, several: 0.25 },
          gates: [{ mean: 0.5, least: 0.25, largest: 0.75, largestShare: 0.75 }],
          fixedExperts: [],
        },
      ],
    },
  ],
}

describe('reportHtml', () => {
  test('shows what was measured, the settings and the command, with every text escaped', async () => {
    const html = await reportHtml(report)
    expect(html).toContain('<h1>Runs of &lt;b&gt;two&lt;/b&gt; networks</h1>')
    expect(html).toContain('A &quot;quoted&quot; summary &amp; more')
    expect(html).toContain('<dt>folder</dt><dd>it&#39;s &lt;here&gt;</dd>')
    expect(html).toContain('pmoe demo --out &quot;a b&quot; &amp;&amp; echo &lt;done&gt;')
    expect(html).toContain('pMoE &lt;8&gt;')
    expect(html).not.toContain('pMoE <8>')
    expect(html).toContain('Over 7 test images, 50.0% of the patches are kept by no expert')
    expect(html).toContain('<td>85.1%</td>\n<td>2,601</td>\n<td>40,960</td>\n<td>3.1</td>')
    expect(html).toContain('<td class="best">96.0%</td>\n<td>3,112</td>\n<td>1,234,567</td>\n<td>12.0</td>')
  })

  test('says what is wrong with mixtures', async () => {
    const remarks = ['Expert 1 of <moe> adds nothing', 'Routers stand still']
    const html = await reportHtml({ ...report, sections: [{ ...report.sections[0]!, remarks }] })
    expect(html).toContain('<p>Expert 1 of &lt;moe&gt; adds nothing</p>\n<p>Routers stand still</p>')
  })

  test('is self-contained: no script, no address of the network, no file', async () => {
    const html = await reportHtml(report)
    expect(html.replaceAll(/xmlns(:xlink)?="[^"]*"/g, '')).not.toMatch(/https?:|<script|<link|@import|url\(/)
    const references = [...html.matchAll(/(?:href|src)="([^"]*)"/g)].map(match => match[1]!)
    for (const reference of references) expect(reference).toMatch(/^(data:image\/png;base64,|#image-)/)
  })

  test('every picture has a text for those who cannot see it, and every id is its own', async () => {
    const html = await reportHtml(report)
    for (const tag of html.match(/<(svg|figure)[^>]*role="img"[^>]*>/g) ?? [])
      expect(tag).toMatch(/aria-label="[^"]{10,}"/)
    expect(html).toContain('Accuracy over the epochs: CNN ends at 50.0%, pMoE &lt;8&gt; ends at 62.5%')
    const ids = [...html.matchAll(/ id="([^"]+)"/g)].map(match => match[1])
    expect(new Set(ids).size).toBe(ids.length)
    expect(ids.filter(id => id?.startsWith('image-'))).toEqual(['image-0-0', 'image-0-1'])
  })

  test('serves light and dark pages', async () => {
    const html = await reportHtml(report)
    expect(html).toContain('<meta name="color-scheme" content="light dark">')
    expect(html).toContain('.chart [stroke="#0072b2"]{stroke:#56b4e9}')
    expect(html).toContain('stroke="#0072b2"')
  })

  test('leaves out the parts that have no content', async () => {
    const html = await reportHtml({
      ...report,
      sections: [{ ...report.sections[0]!, results: [], curves: [], images: [], routing: [] }],
    })
    expect(html).not.toContain('<table>')
    expect(html).not.toContain('<figure')
    expect(html).toContain('x &lt; y')
  })
})

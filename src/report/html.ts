import { chartSvg, type LearningCurve, learningCurveSpec, seriesColors } from './charts.js'
import { escapeHtml } from './escape.js'
import { pageHtml, provenanceHtml } from './page.js'
import { type RoutedImage, routingFigure } from './routing-figure.js'
import { type ReportedRouting, routingTables } from './routing-table.js'

/** One line of a table of results. */
export interface ResultRow {
  readonly model: string
  /** Share of the test images classified rightly, in [0, 1]. */
  readonly accuracy: number
  /** Trainable and other weights together. */
  readonly parameters: number
  /** Multiply-adds of one forward pass over one image. */
  readonly multiplyAdds: number
  /** Wall-clock time of the training, in seconds. */
  readonly seconds: number
}

/** One dataset of a report: what was trained on it, how it learned, and where its experts looked. */
export interface ReportSection {
  readonly title: string
  /** One or two sentences of plain text. */
  readonly description: string
  readonly results: readonly ResultRow[]
  readonly curves: readonly LearningCurve[]
  readonly images: readonly RoutedImage[]
  /** Which model's routing the images show, and what a patch is; plain text. */
  readonly imagesNote?: string
  /** What is wrong with mixtures, and what can be done: plain text, a paragraph each. */
  readonly remarks?: readonly string[]
  /** What was measured of each mixture's routing. */
  readonly routing?: readonly ReportedRouting[]
}

/** Everything that the HTML report shows. */
export interface Report {
  readonly title: string
  /** One or two sentences of plain text under the title. */
  readonly summary: string
  /** Name and value of every setting that matters, in order. */
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly sections: readonly ReportSection[]
  /** The exact command that made the report. */
  readonly command: string
}

/**
 * Writes a report as one self-contained HTML page: no network, no scripts, light and dark.
 *
 * @throws RangeError or TypeError when a curve or a routed image is not well-formed
 */
export async function reportHtml(report: Report): Promise<string> {
  const sections = await Promise.all(report.sections.map((section, i) => sectionHtml(section, i)))
  return pageHtml({
    title: report.title,
    summary: report.summary,
    sections: [...sections, provenanceHtml(report.settings, report.command)],
    style: darkSeries(),
  })
}

async function sectionHtml(section: ReportSection, index: number): Promise<string> {
  const figures = section.images.map((image, i) => routingFigure(image, `image-${index}-${i}`))
  return `<section>
<h2>${escapeHtml(section.title)}</h2>
<p>${escapeHtml(section.description)}</p>
${section.results.length > 0 ? resultTable(section.results) : ''}
${(section.remarks ?? []).map(remark => `<p>${escapeHtml(remark)}</p>`).join('\n')}
${section.curves.length > 0 ? await chartsHtml(section.curves) : ''}
${figures.length > 0 ? imagesHtml(figures, section.imagesNote ?? '') : ''}
${(section.routing ?? []).map(routingTables).join('\n')}
</section>`
}

function resultTable(rows: readonly ResultRow[]): string {
  const best = Math.max(...rows.map(row => row.accuracy))
  const lines = rows.map(
    row => `<tr><th scope="row">${escapeHtml(row.model)}</th>
<td${row.accuracy === best && rows.length > 1 ? ' class="best"' : ''}>${(row.accuracy * 100).toFixed(1)}%</td>
<td>${grouped(row.parameters)}</td>
<td>${grouped(row.multiplyAdds)}</td>
<td>${row.seconds.toFixed(1)}</td></tr>`,
  )
  return `<div class="scroll"><table>
<thead><tr><th scope="col">Model</th><th scope="col">Test accuracy</th><th scope="col">Parameters</th><th scope="col">Multiply-adds a sample</th><th scope="col">Seconds</th></tr></thead>
<tbody>
${lines.join('\n')}
</tbody>
</table></div>`
}

async function chartsHtml(curves: readonly LearningCurve[]): Promise<string> {
  const accuracy = await chartSvg(learningCurveSpec(curves, 'accuracy'))
  const loss = await chartSvg(learningCurveSpec(curves, 'loss'))
  const summary = curves.map(({ name, points }) => {
    const last = points.at(-1)
    const value = last?.testAccuracy ?? last?.validationAccuracy ?? last?.trainAccuracy
    return `${name} ends at ${value === undefined ? 'no value' : `${(value * 100).toFixed(1)}%`}`
  })
  return `<div class="charts">
${chartFigure(accuracy, `Accuracy over the epochs: ${summary.join(', ')}`)}
${chartFigure(loss, `Loss over the epochs of ${curves.map(curve => curve.name).join(', ')}`)}
</div>`
}

function chartFigure(svg: string, label: string): string {
  return `<figure class="chart" role="img" aria-label="${escapeHtml(label)}">${svg}</figure>`
}

function imagesHtml(figures: readonly string[], note: string): string {
  return `<h3>Where the experts looked</h3>
<p>${escapeHtml(note)}</p>
<ul class="legend"><li><span class="swatch kept"></span>kept patch; the stronger the tint, the larger its gate</li><li><span class="swatch veil"></span>not kept by this expert</li><li><span class="swatch truth"></span>the part that shows the class, where it is known</li></ul>
<div class="figures">
${figures.join('\n')}
</div>`
}

/** On dark pages, paints the lines of the charts in their lighter colours. */
function darkSeries(): string {
  const rules = seriesColors.map(
    ({ light, dark }) => `.chart [stroke="${light}"]{stroke:${dark}}.chart [fill="${light}"]{fill:${dark}}`,
  )
  return `@media (prefers-color-scheme:dark){${rules.join('')}}`
}

function grouped(count: number): string {
  return Math.round(count).toLocaleString('en-US')
}

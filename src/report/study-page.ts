import { escapeHtml } from './escape.js'
import { pageHtml, provenanceHtml } from './page.js'
import { type RoutedImage, routingFigure } from './routing-figure.js'

/** A table as text: the first cell of each row names it. */
export interface StudyTable {
  readonly title: string
  readonly head: readonly string[]
  readonly rows: readonly (readonly string[])[]
  /** A sentence below it. */
  readonly note?: string
}

/** Everything that the page of a study shows. */
export interface StudyPage {
  readonly title: string
  /** The part of the paper that the study repeats. */
  readonly paper: string
  readonly claim: string
  /** The results regarding the claim, one sentence each. */
  readonly findings: readonly string[]
  /** The data of the study, in sentences. */
  readonly data: string
  /** If cells are missing or have failed, how many are done, one sentence each. */
  readonly progress: readonly string[]
  /** SVG text, with a sentence for screen readers. */
  readonly figure?: { readonly svg: string; readonly label: string }
  readonly tables: readonly StudyTable[]
  /** Where the experts of some runs looked. */
  readonly pictures: readonly { readonly name: string; readonly images: readonly RoutedImage[] }[]
  readonly settings: readonly (readonly [name: string, value: string])[]
  readonly command: string
}

/**
 * Writes the report of a study as one self-contained HTML page.
 *
 * @throws RangeError or TypeError when a picture is not well-formed
 */
export function studyPageHtml(page: StudyPage): string {
  const { title, paper, tables, pictures, settings, command, figure } = page
  return pageHtml({
    title,
    summary: paper,
    sections: [
      findingsHtml(page),
      ...(figure ? [figureHtml(figure)] : []),
      ...tables.map(tableHtml),
      ...pictures.map(picturesHtml),
      provenanceHtml(settings, command),
    ],
    style:
      '.study{overflow-x:auto}.study svg{display:block;width:100%;min-width:520px;height:auto;margin:0 auto;background:#fff;border-radius:8px}',
  })
}

function findingsHtml({ claim, findings, data, progress }: StudyPage): string {
  return `<section>
<h2>The claim</h2>
<p>${escapeHtml(claim)}</p>
<h3>What was found</h3>
${findings.map(sentence => `<p>${escapeHtml(sentence)}</p>`).join('\n')}
<h3>The data</h3>
<p>${escapeHtml(data)}</p>
${progress.map(sentence => `<p class="quiet">${escapeHtml(sentence)}</p>`).join('\n')}
</section>`
}

function figureHtml({ svg, label }: { readonly svg: string; readonly label: string }): string {
  return `<section>
<figure class="study" role="img" aria-label="${escapeHtml(label)}">${svg}</figure>
</section>`
}

function tableHtml({ title, head, rows, note }: StudyTable): string {
  const cells = ([first = '', ...rest]: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(first)}</th>${rest.map(cell => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
  return `<section>
<h2>${escapeHtml(title)}</h2>
<div class="scroll"><table>
<thead><tr>${head.map(name => `<th scope="col">${escapeHtml(name)}</th>`).join('')}</tr></thead>
<tbody>
${rows.map(cells).join('\n')}
</tbody>
</table></div>
${note === undefined ? '' : `<p class="quiet">${escapeHtml(note)}</p>`}
</section>`
}

function picturesHtml({ name, images }: StudyPage['pictures'][number], index: number): string {
  const figures = images.map((image, i) => routingFigure(image, `pictures-${index}-${i}`))
  return `<section>
<h2>Where the experts looked: ${escapeHtml(name)}</h2>
<ul class="legend"><li><span class="swatch kept"></span>kept patch; the stronger the tint, the larger its gate</li><li><span class="swatch veil"></span>not kept by this expert</li><li><span class="swatch truth"></span>the cell that shows the class, where it is known</li></ul>
<div class="figures">
${figures.join('\n')}
</div>
</section>`
}

/** A table in Markdown, without its title. */
export function markdownTable({ head, rows }: Pick<StudyTable, 'head' | 'rows'>): string {
  const line = (cells: readonly string[]) =>
    `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`
  const separator = `|${head.map((_, i) => (i === 0 ? '---' : '---:')).join('|')}|`
  return [line(head), separator, ...rows.map(line)].join('\n')
}

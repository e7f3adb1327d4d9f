import { escapeHtml, shortened } from './escape.js'
import { coordinateText, valueText } from './estimate-text.js'

/** The ROC curve of one class, as `rocCurve` of the statistics gives it. */
export interface ReportedRocCurve {
  readonly name: string
  /** Area under it, in [0, 1]. */
  readonly area: number
  /** From (0, 0) to (1, 1), shares in [0, 1]. */
  readonly points: readonly { readonly falsePositives: number; readonly truePositives: number }[]
}

const SIDE = 132
const LEFT = 34
const TOP = 24
const BOTTOM = 34
const WIDTH = LEFT + SIDE + 10
const HEIGHT = TOP + SIDE + BOTTOM
const COLUMNS = 4

/** Letters of a name that have room above a curve. */
const MOST_LETTERS = 22

/**
 * Draws one ROC curve as an SVG document, its name and area above it; the dashed line is where scores say nothing.
 *
 * @param position left and top where it stands within another picture
 */
export function rocFigure(curve: ReportedRocCurve, position?: readonly [left: number, top: number]): string {
  const { name, area, points } = curve
  const path = points.map(({ falsePositives, truePositives }, i) => {
    const [x, y] = [LEFT + falsePositives * SIDE, TOP + (1 - truePositives) * SIDE].map(coordinateText)
    return `${i === 0 ? 'M' : 'L'}${x} ${y}`
  })
  const at = position ? ` x="${position[0]}" y="${position[1]}"` : ''
  const label = `ROC curve of ${name}, area ${valueText(area, 'number')}`
  return `<svg xmlns="http://www.w3.org/2000/svg"${at} viewBox="0 0 ${WIDTH} ${HEIGHT}" width="${WIDTH}" height="${HEIGHT}" role="img" aria-label="${escapeHtml(label)}" font-family="DejaVu Sans, Arial, sans-serif" font-size="10" fill="#56616d">
<title>${escapeHtml(label)}</title>
${[0, 0.5, 1].map(tickMark).join('\n')}
<path class="ideal" d="M${LEFT} ${TOP + SIDE}L${LEFT + SIDE} ${TOP}" stroke="#56616d" stroke-dasharray="4 4" fill="none"/>
<path class="curve" d="${path.join('')}" stroke="#0072b2" stroke-width="2" stroke-linejoin="round" fill="none"/>
<text class="name" x="${LEFT}" y="12" font-size="11" fill="#1d2733">${escapeHtml(shortened(name, MOST_LETTERS))}</text>
<text x="${LEFT + SIDE}" y="${TOP + SIDE - 6}" text-anchor="end">area ${valueText(area, 'number')}</text>
<text x="${LEFT + SIDE / 2}" y="${HEIGHT - 4}" text-anchor="middle">false positives</text>
<text transform="translate(9 ${TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">true positives</text>
</svg>`
}

/** Several ROC curves as one picture, four in a row. */
export function rocSheet(curves: readonly ReportedRocCurve[]): string {
  const columns = Math.max(1, Math.min(COLUMNS, curves.length))
  const [width, height] = [columns * WIDTH, Math.max(1, Math.ceil(curves.length / columns)) * HEIGHT]
  const panels = curves.map((curve, i) =>
    rocFigure(curve, [(i % columns) * WIDTH, Math.floor(i / columns) * HEIGHT]),
  )
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="ROC curves">
${panels.join('\n')}
</svg>`
}

/** How a page lays these figures out, and paints them on dark ground. */
export const rocStyle = `.rocs{display:grid;grid-template-columns:repeat(auto-fill,minmax(150px,1fr));gap:14px 12px;max-width:760px;margin:16px 0}
.rocs svg{display:block;width:100%;max-width:${WIDTH + 24}px;height:auto}
@media (prefers-color-scheme:dark){.rocs text{fill:var(--quiet)}.rocs .name{fill:var(--ink)}.rocs .grid{stroke:var(--line)}.rocs .ideal{stroke:var(--quiet)}.rocs .curve{stroke:#56b4e9}}`

function tickMark(share: number): string {
  const [x, y] = [LEFT + share * SIDE, TOP + (1 - share) * SIDE]
  const anchor = share === 1 ? 'end' : share === 0 ? 'start' : 'middle'
  return (
    `<path class="grid" d="M${LEFT} ${y}h${SIDE}M${x} ${TOP}v${SIDE}" stroke="#dfe4e9"/>` +
    `<text x="${LEFT - 5}" y="${y + 4}" text-anchor="end">${share}</text>` +
    `<text x="${x}" y="${TOP + SIDE + 13}" text-anchor="${anchor}">${share}</text>`
  )
}

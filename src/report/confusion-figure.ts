import { escapeHtml, shortened } from './escape.js'

/** The confusion matrix of some classes, as it is drawn. */
export interface ConfusionMatrix {
  /** Of the rows and columns. */
  readonly names: readonly string[]
  /** (rows, columns) how many images of the class of the row were taken for that of the column. */
  readonly counts: readonly (readonly number[])[]
  /** Classes that the last row and column stand for together; 0 where each class has its own. */
  readonly others: number
}

/** A cell of a confusion matrix that is not 0. */
export interface ConfusionCell {
  readonly label: number
  readonly predicted: number
  readonly count: number
}

/** Classes that are drawn with a row and a column of their own at most. */
const MOST_CLASSES = 20

const CELL_PX = 34
const LETTER_PX = 6.4
const FONT_PX = 11
const MOST_LETTERS = 18
/** Above these shares of its row the number of a cell is written in the colour of the page: on light ground, and on dark. */
const DARK_SHARE = 0.8
const BRIGHT_SHARE = 0.7

/**
 * The confusion matrix of the classes; of more than 20 those that are confused most, the others together in a last row and
 * column.
 *
 * @param cells as `confusions` of the statistics gives them
 */
export function confusionMatrix(
  classNames: readonly string[],
  cells: readonly ConfusionCell[],
  most = MOST_CLASSES,
): ConfusionMatrix {
  const shown = mostConfused(classNames.length, cells, most)
  const others = classNames.length - shown.length
  const size = shown.length + (others > 0 ? 1 : 0)
  const indexOf = new Map(shown.map((label, index) => [label, index]))
  const counts = Array.from({ length: size }, () => new Array<number>(size).fill(0))
  for (const { label, predicted, count } of cells) {
    const row = counts[indexOf.get(label) ?? size - 1]!
    row[indexOf.get(predicted) ?? size - 1]! += count
  }
  const names = shown.map(label => classNames[label] ?? String(label))
  return { names: others > 0 ? [...names, `${others} others`] : names, counts, others }
}

/** Class numbers, ascending. */
function mostConfused(numClasses: number, cells: readonly ConfusionCell[], most: number): number[] {
  const all = Array.from({ length: numClasses }, (_, label) => label)
  if (numClasses <= most) return all
  const wrong = new Float64Array(numClasses)
  for (const { label, predicted, count } of cells) {
    if (label === predicted) continue
    wrong[label]! += count
    wrong[predicted]! += count
  }
  return all
    .sort((a, b) => wrong[b]! - wrong[a]! || a - b)
    .slice(0, most)
    .sort((a, b) => a - b)
}

/**
 * Draws a confusion matrix as an SVG document: one row a class, its images by what they were taken for; the stronger the
 * tint, the larger the share of the row. Right ones lie on the diagonal.
 */
export function confusionFigure({ names, counts, others }: ConfusionMatrix): string {
  const longest = names.reduce((length, name) => Math.max(length, shortened(name, MOST_LETTERS).length), 0)
  const margin = Math.ceil(longest * LETTER_PX) + 30
  const side = names.length * CELL_PX
  const [width, height] = [margin + side + 8, margin + side + 8]
  const isDiagonal = (row: number, column: number) =>
    row === column && !(others > 0 && row === names.length - 1)
  const rows = counts.flatMap((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0)
    return row.map((count, j) =>
      cellMark(count, count / total, [margin + j * CELL_PX, margin + i * CELL_PX], {
        title: `${names[i]} taken for ${names[j]}: ${count} of ${total}`,
        isRight: isDiagonal(i, j),
      }),
    )
  })
  const labels = names.map((name, i) => {
    const middle = margin + i * CELL_PX + CELL_PX / 2 + 4
    return (
      `<text x="${margin - 8}" y="${middle}" text-anchor="end">${escapeHtml(shortened(name, MOST_LETTERS))}</text>` +
      `<text transform="translate(${middle} ${margin - 8}) rotate(-90)">${escapeHtml(shortened(name, MOST_LETTERS))}</text>`
    )
  })
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(`confusion matrix of ${names.length} classes`)}" font-family="DejaVu Sans, Arial, sans-serif" font-size="${FONT_PX}" fill="#1d2733">
<text class="axis" x="${margin + side / 2}" y="13" text-anchor="middle" fill="#56616d">taken for</text>
<text class="axis" transform="translate(13 ${margin + side / 2}) rotate(-90)" text-anchor="middle" fill="#56616d">class</text>
${labels.join('\n')}
${rows.join('\n')}
<rect class="frame" x="${margin}" y="${margin}" width="${side}" height="${side}" fill="none" stroke="#c5ccd3"/>
</svg>`
}

/** How a page paints these figures on dark ground, and how they fit a phone. */
export const confusionStyle = `.matrix svg{display:block;width:100%;height:auto}
@media (prefers-color-scheme:dark){.matrix text{fill:var(--ink)}.matrix .axis{fill:var(--quiet)}.matrix .hit{fill:#56b4e9}.matrix .miss{fill:#ff9a4d}.matrix .bright{fill:#10161d}.matrix .frame,.matrix .empty{stroke:var(--line)}}`

interface CellText {
  readonly title: string
  readonly isRight: boolean
}

function cellMark(
  count: number,
  share: number,
  [x, y]: readonly [number, number],
  { title, isRight }: CellText,
): string {
  const place = `x="${x}" y="${y}" width="${CELL_PX}" height="${CELL_PX}"`
  if (count === 0) return `<rect class="empty" ${place} fill="none" stroke="#eceff2"/>`
  const color = isRight ? 'class="hit" fill="#0072b2"' : 'class="miss" fill="#d55e00"'
  const text = `${share > BRIGHT_SHARE ? 'class="bright" ' : ''}${share > DARK_SHARE ? 'fill="#ffffff"' : ''}`
  return (
    `<g><title>${escapeHtml(title)}</title><rect ${place} ${color} fill-opacity="${(0.08 + 0.92 * share).toFixed(3)}"/>` +
    `<text ${text} x="${x + CELL_PX / 2}" y="${y + CELL_PX / 2 + 4}" text-anchor="middle">${shortCount(count)}</text></g>`
  )
}

/** At most four letters: `9999`, `12k`, `3M`. */
function shortCount(count: number): string {
  if (count < 10_000) return String(count)
  return count < 1e6 ? `${Math.round(count / 1000)}k` : `${Math.round(count / 1e6)}M`
}

import stringWidth from 'string-width'
import { printableName } from '../../src/report/escape.js'

/**
 * Lays rows of text out in columns: the first aligned left, the others right, a rule under the head.
 *
 * Names are shown in one line each, as wide as a terminal draws them: letters of Chinese, Japanese and Korean take two columns.
 *
 * @param rows as many cells each as the head
 * @param most columns of the terminal: what does not fit is left out from the right, the first column never
 */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  most = Infinity,
): string {
  const shown = rows.map(row => row.map(printableName))
  const all = head.map((name, i) =>
    [name, ...shown.map(row => row[i] ?? '')].reduce((most, cell) => Math.max(most, stringWidth(cell)), 0),
  )
  const widths = fitting(all, most)
  const line = (cells: readonly string[]) =>
    cells
      .slice(0, widths.length)
      .map((cell, i) => (i === 0 ? cell + gap(cell, widths[i]!) : gap(cell, widths[i]!) + cell))
      .join('  ')
  return [line(head), widths.map(width => '-'.repeat(width)).join('  '), ...shown.map(line)].join('\n')
}

/** The spaces that fill a cell up. */
function gap(cell: string, width: number): string {
  return ' '.repeat(Math.max(0, width - stringWidth(cell)))
}

/** The first of some widths, with two columns between each, that fit. */
function fitting(widths: readonly number[], most: number): readonly number[] {
  const total = widths.reduce((sum, width) => sum + width + 2, -2)
  return total <= most || widths.length <= 1 ? widths : fitting(widths.slice(0, -1), most)
}

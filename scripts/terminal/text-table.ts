/**
 * Lays rows of text out in columns: the first aligned left, the others right, a rule under the head.
 *
 * @param rows as many cells each as the head
 * @param most columns of the terminal: what does not fit is left out from the right, the first column never
 */
export function textTable(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  most = Infinity,
): string {
  const all = head.map((name, i) => Math.max(name.length, ...rows.map(row => row[i]?.length ?? 0)))
  const widths = fitting(all, most)
  const line = (cells: readonly string[]) =>
    cells
      .slice(0, widths.length)
      .map((cell, i) => (i === 0 ? cell.padEnd(widths[i]!) : cell.padStart(widths[i]!)))
      .join('  ')
  return [line(head), widths.map(width => '-'.repeat(width)).join('  '), ...rows.map(line)].join('\n')
}

/** The first of some widths, with two columns between each, that fit. */
function fitting(widths: readonly number[], most: number): readonly number[] {
  const total = widths.reduce((sum, width) => sum + width + 2, -2)
  return total <= most || widths.length <= 1 ? widths : fitting(widths.slice(0, -1), most)
}

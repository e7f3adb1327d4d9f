import { escapeHtml } from './escape.js'

/** A table of text; the first cell of a row names it, and a wide table scrolls by itself. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = ([first = '', ...cells]: readonly string[]) =>
    `<tr><th scope="row">${escapeHtml(first)}</th>${cells.map(cell => `<td>${escapeHtml(cell)}</td>`).join('')}</tr>`
  return `<div class="scroll"><table>
<thead><tr>${head.map(name => `<th scope="col">${escapeHtml(name)}</th>`).join('')}</tr></thead>
<tbody>
${rows.map(line).join('\n')}
</tbody>
</table></div>`
}

/** The beginning of a text that a spreadsheet would take for a formula, unless it is a number with a sign. */
const formula = /^[=+\-@\t\r]/
const number = /^[+-]?\d+(\.\d+)?$/

/**
 * A line of comma-separated values, without its end.
 *
 * Values with commas, quotes or line breaks are quoted (RFC 4180). Text that a spreadsheet would take for a formula gets
 * an apostrophe in front.
 */
export function csvLine(values: readonly (string | number)[]): string {
  return values.map(cell).join(',')
}

function cell(value: string | number): string {
  if (typeof value === 'number') return String(value)
  const text = formula.test(value) && !number.test(value) ? `'${value}` : value
  return /[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text
}

import type { Machine } from '../scripts/run/measuring/machine.js'
import { bytesText, ratioText, shareText } from '../scripts/run/measuring/number-text.js'
import type { BenchResult, Table } from './bench-result.js'
import { type Measured, type MeasuredTargets, reaches, type Target, targets } from './targets.js'

/** Writes the results as a Markdown page. */
export function renderMarkdown(result: BenchResult): string {
  const parts = [
    '# Measured speed',
    machineText(result),
    'Everything that is compared ran in turn in one sitting. A ratio is taken round by round; the table gives the median ' +
      'of these ratios, with their quartiles in brackets. Absolute times differ between machines and hours.',
    ...targetParts(result.measured),
    ...result.tables.flatMap(tableParts),
  ]
  if (result.failures.length > 0) {
    parts.push('## Not measured', result.failures.map(failure => `- ${escaped(failure)}`).join('\n'))
  }
  return `${parts.join('\n\n')}\n`
}

/** Lays cells out as a Markdown table, the first column left, the others right. */
export function markdownTable(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const line = (cells: readonly string[]) => `| ${cells.map(escaped).join(' | ')} |`
  const alignment = `|${head.map((_, column) => (column === 0 ? '---' : '---:')).join('|')}|`
  return [line(head), alignment, ...rows.map(line)].join('\n')
}

function machineText({ command, machine, reports }: BenchResult): string {
  const software = new Set(Object.values(reports).flatMap(list => list.map(report => report.software)))
  return [
    `- command: \`${command}\``,
    `- date: ${machine.date}`,
    `- machine: ${processorText(machine)}, ${bytesText(machine.memoryBytes)} memory, ${machine.system}`,
    `- software: Node ${machine.node}; ${[...software].join('; ')}`,
    `- load in the minute before: ${machine.loadBefore.toFixed(2)}`,
  ].join('\n')
}

function processorText({ processor, cores }: Machine): string {
  return `${processor}, ${cores} ${cores === 1 ? 'core' : 'cores'}`
}

function tableParts({ letter, title, sentence, head, rows, notes }: Table): string[] {
  const table = [`## (${letter}) ${title}`, sentence, markdownTable(head, rows)]
  return notes?.length ? [...table, notes.map(note => `- ${note}`).join('\n')] : table
}

/** The section of the targets; empty where nothing was measured for them. */
function targetParts(measured: MeasuredTargets): string[] {
  if (Object.keys(measured).length === 0) return []
  const sentence = 'Compares what was measured with what this library is to reach on 2 cores.'
  return ['## Targets', sentence, targetTable(measured)]
}

function targetTable(measured: MeasuredTargets): string {
  const rows = targets.map(target => {
    const result = measured[target.id]
    const stretch = target.stretch === undefined ? '' : numberText(target, target.stretch)
    return [target.title, limitText(target), stretch, measuredText(target, result), verdict(target, result)]
  })
  return markdownTable(['what', 'target', 'stretch', 'measured', 'reached'], rows)
}

function limitText(target: Target): string {
  return `${target.comparison} ${numberText(target, target.limit)}`
}

function measuredText(target: Target, measured: Measured | undefined): string {
  if (!measured) return 'not measured'
  const { value, quartiles } = measured
  const spread = quartiles ? ` (${quartiles.map(quartile => numberText(target, quartile)).join(' - ')})` : ''
  return `${numberText(target, value)}${spread}`
}

function verdict(target: Target, measured: Measured | undefined): string {
  if (!measured) return ''
  return reaches(target, measured.value) ? 'yes' : 'no'
}

function numberText({ unit }: Target, value: number): string {
  return unit === 'share' ? shareText(value) : ratioText(value)
}

function escaped(text: string): string {
  return text.replaceAll('|', '\\|')
}

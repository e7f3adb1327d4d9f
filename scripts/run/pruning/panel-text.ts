import { expertTitle } from '../../../src/report/expert-title.js'
import { textTable } from '../../terminal/text-table.js'
import { percent } from '../../terminal/training-log.js'
import type { MixturePanel, PanelRow } from './pruning-panel.js'

/**
 * What the criteria say of the experts of one mixture, as tables and sentences for a person.
 *
 * @param columns of the terminal
 */
export function panelText(panel: MixturePanel, columns = Infinity): string {
  const { layer, expertNames, criteria, refused } = panel
  const rows = Object.entries(criteria) as [string, PanelRow][]
  const titles = expertNames.map((name, position) => expertTitle({ name }, position))
  const numbers = titles.map(title => title.replace(/^expert /, ''))
  const counts = Object.keys(rows[0]?.[1].accuracy ?? {})
    .map(Number)
    .sort((a, b) => b - a)
  const scoreTable = textTable(
    ['score', ...titles],
    rows.map(([criterion, { scores }]) => [criterion, ...scores.map(short)]),
    columns,
  )
  const orderTable = textTable(
    ['goes first to last', 'experts', ...counts.map(count => `${count} left`)],
    rows.map(([criterion, { order, accuracy }]) => [
      criterion,
      order.map(expert => numbers[expert]).join(' '),
      ...counts.map(count => percent(accuracy?.[count] ?? Number.NaN)),
    ]),
    columns,
  )
  const operator = panel.operator ? `, operator ${panel.operator}` : ''
  return [
    `${layer}: ${expertNames.length} experts${operator}`,
    scoreTable,
    orderTable,
    ...remarks(rows, refused),
  ].join('\n\n')
}

function remarks(rows: readonly (readonly [string, PanelRow])[], refused: MixturePanel['refused']): string[] {
  const criteriaByWarning = new Map<string, string[]>()
  for (const [criterion, row] of rows) {
    for (const text of row.warnings) {
      criteriaByWarning.set(text, [...(criteriaByWarning.get(text) ?? []), criterion])
    }
  }
  const warnings = [...criteriaByWarning].map(([text, criteria]) => `  ${criteria.join(', ')}: ${text}`)
  const reasons = Object.entries(refused).map(([criterion, reason]) => `  ${criterion}: ${reason}`)
  return [
    ...(warnings.length > 0 ? [`To be read with care:\n${warnings.join('\n')}`] : []),
    ...(reasons.length > 0 ? [`Not computed:\n${reasons.join('\n')}`] : []),
  ]
}

/** A score in three digits: `0.0123`, `-1.20e-5`. */
function short(score: number): string {
  const magnitude = Math.abs(score)
  return magnitude !== 0 && (magnitude < 1e-3 || magnitude >= 1e5)
    ? score.toExponential(2)
    : score.toPrecision(3)
}

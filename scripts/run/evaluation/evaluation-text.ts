import stringWidth from 'string-width'
import { printableName } from '../../../src/report/escape.js'
import { estimateText, valueText } from '../../../src/report/estimate-text.js'
import { mostFrequent, scoreCells, shownClasses } from '../../../src/report/evaluation-page.js'
import { AVERAGED, type ClassificationReport } from '../../../src/statistics/classification-report.js'
import { textTable } from '../../terminal/text-table.js'

/** Columns of a terminal that is not asked how wide it is. */
const WIDTH = 80
/** Columns that the numbers of a class take, with the gaps before them. */
const NUMBERS = 54
const MOST_NAMED = 4

/** The scores of the classes and their means as a table of at most 80 columns, and what belongs to it. */
export function classTable(report: ClassificationReport, classNames: readonly string[]): string {
  const { classes, macro, weighted, count } = report
  const shown = shownClasses(classes)
  const rows = shown.map(([label, score]) => [
    fitting(classNames[label] ?? String(label), WIDTH - NUMBERS),
    String(score.count),
    ...scoreCells(score),
  ])
  const means = ([name, of]: readonly [string, typeof macro]) => [
    name,
    String(count),
    ...scoreCells(
      Object.fromEntries(AVERAGED.map(each => [each, of[each].value])) as Record<
        (typeof AVERAGED)[number],
        number
      >,
    ),
  ]
  const head = ['class', 'images', 'precision', 'recall', 'F1', 'ROC area', 'AP']
  const table = textTable(head, [
    ...rows,
    ...[['(mean)', macro] as const, ['(weighted)', weighted] as const].map(means),
  ])
  const fewer =
    shown.length < classes.length
      ? `\nThe ${shown.length} of ${classes.length} classes of the lowest F1; --report writes all.`
      : ''
  return `${table}${fewer}`
}

/** Confusions and calibration in a few lines. */
export function reportText(
  { confusions, calibration, brier, macro }: ClassificationReport,
  classNames: readonly string[],
): string {
  const name = (label: number) => printableName(classNames[label] ?? String(label))
  const wrong = mostFrequent(confusions, MOST_NAMED).map(
    ({ label, predicted, count }) => `  ${name(label)} as ${name(predicted)}: ${count}`,
  )
  const lines = [
    `mean F1 ${estimateText(macro.f1, 'percent')}, mean ROC area ${estimateText(macro.rocArea, 'number')}`,
    `calibration error ${estimateText(calibration.error, 'percent')} in ${calibration.bins.length} bins, Brier score ${valueText(brier.value, 'number')}`,
    ...(wrong.length > 0 ? ['most often confused:', ...wrong] : []),
  ]
  return lines.join('\n')
}

/** A name that fits into some columns. */
function fitting(name: string, columns: number): string {
  const text = printableName(name)
  if (stringWidth(text) <= columns) return text
  let short = ''
  for (const letter of text) {
    if (stringWidth(`${short}${letter}…`) > columns) break
    short += letter
  }
  return `${short}…`
}

import { confusionMatrix } from '../../../src/report/confusion-figure.js'
import { counted, element } from '../elements.js'
import type { Score } from '../passes.js'

/** Classes with a row and column of their own; of more, those that are confused most. */
const MOST_CLASSES = 20

/** A cell of the table. */
export interface ConfusedClasses {
  /** The true class; undefined for those that have no row of their own. */
  readonly label: string | undefined
  /** The class that was said; undefined for those that have no column of their own. */
  readonly predicted: string | undefined
  /** Classes that have a row and a column of their own. */
  readonly named: ReadonlySet<string>
}

/**
 * The confusion matrix as a table whose cells are buttons.
 *
 * @param open is called with the cell that was pressed
 */
export function confusionTable(
  classNames: readonly string[],
  { cells }: Score,
  open: (cell: ConfusedClasses) => void,
): HTMLElement {
  const { names, counts, others } = confusionMatrix(classNames, cells, MOST_CLASSES)
  const named = new Set(names.slice(0, others > 0 ? -1 : undefined))
  const nameAt = (i: number) => (others > 0 && i === names.length - 1 ? undefined : names[i])
  const head = element(
    'tr',
    {},
    element('td', { class: 'x-corner' }, 'true ↓ said →'),
    ...names.map(name => element('th', { scope: 'col', title: name }, element('span', {}, name))),
  )
  const rows = counts.map((row, i) => {
    const total = row.reduce((sum, count) => sum + count, 0)
    const buttons = row.map((count, j) => {
      if (count === 0) return element('td')
      const isRight = i === j && nameAt(i) !== undefined
      const label = `${names[i]} taken for ${names[j]}: ${counted(count, 'image')}`
      const button = element(
        'button',
        { type: 'button', class: isRight ? 'x-hit' : 'x-miss', 'aria-label': label, title: label },
        String(count),
      )
      button.style.setProperty('--share', (count / total).toFixed(3))
      button.addEventListener('click', () => open({ label: nameAt(i), predicted: nameAt(j), named }))
      return element('td', {}, button)
    })
    return element(
      'tr',
      {},
      element('th', { scope: 'row', title: names[i] ?? '' }, names[i] ?? ''),
      ...buttons,
    )
  })
  return element(
    'div',
    { class: 'x-scroll', tabindex: 0, role: 'region', 'aria-label': 'Confusion matrix' },
    element('table', { class: 'x-confusion' }, element('thead', {}, head), element('tbody', {}, ...rows)),
  )
}

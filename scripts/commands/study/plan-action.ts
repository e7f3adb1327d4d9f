import { experimentNamed } from '../../experiments/experiments.js'
import type { AskedStudy } from '../../study/asked-study.js'
import type { Cell } from '../../study/cell.js'
import { cellsOf } from '../../study/cells.js'
import { gridOf } from '../../study/study-config.js'
import { textTable } from '../../terminal/text-table.js'
import { asUsage } from '../../terminal/usage-error.js'

/** The flags of `pmoe study plan`. */
export interface StudyPlanRequest extends AskedStudy {
  readonly json?: boolean
}

/** Prints the cells of a study. */
export async function runStudyPlan(name: string, request: StudyPlanRequest): Promise<void> {
  const experiment = asUsage(() => experimentNamed(name))
  const { grid, seeds } = gridOf(name, request.scale ?? 'full', request.data !== undefined)
  const cells = cellsOf(grid, request.seeds ?? seeds)
  if (request.json) {
    for (const cell of cells) process.stdout.write(`${JSON.stringify(cell)}\n`)
    return
  }
  const columns: (readonly [string, (cell: Cell) => string | number | undefined])[] = [
    ['cell', ({ index }) => index],
    ['seed', ({ seed }) => seed],
    ['setting', ({ setting }) => setting],
    ['images', ({ samples }) => samples],
    ['l', ({ patchesPerExpert }) => patchesPerExpert],
    ['k', ({ experts }) => experts],
    ['axis', ({ cost }) => cost && `${cost.letter} = ${cost.value}`],
    ['variant', ({ variant }) => variant],
  ]
  const used = columns.filter(([, of]) => cells.some(cell => of(cell) !== undefined))
  const rows = cells.map(cell => used.map(([, of]) => String(of(cell) ?? '')))
  const head = used.map(([column]) => column)
  process.stdout.write(
    `${textTable(head, rows)}\n\n${experiment.name}: ${cells.length} cells, 0 to ${cells.length - 1}\n`,
  )
}

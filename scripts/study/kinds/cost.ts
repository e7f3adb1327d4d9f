import { costBrief } from '../brief.js'
import { measureCell } from '../cell-cost.js'
import { costFindings } from '../findings.js'
import { costFigure } from '../study-figure.js'
import { costTables } from '../study-tables.js'
import { summarizeCost } from '../summary.js'
import { refuseFolders, type StudyKind } from './study-kind.js'

/** Studies that measure the time of a training step. */
export const costStudies: StudyKind<'cost'> = {
  dataSentence: () => 'Random images: the numbers in them do not change the time.',
  isStandIn: () => false,
  checkFiles: (_, config) => refuseFolders(config, 'random images'),
  async run({ folder, grid, cell, backend, signal }) {
    await folder.keepCellConfig(cell.index, { cell, grid, backend: backend.name })
    return { measured: await measureCell(grid, cell, signal) }
  },
  report({ title }, _, results) {
    const axes = summarizeCost(results)
    return {
      summary: { axes },
      findings: costFindings(axes),
      brief: costBrief(axes),
      tables: axes.length > 0 ? costTables(axes) : [],
      spec: costFigure(title, axes),
    }
  },
  resultText: ({ measured }) => `${measured?.ratio.toFixed(2)} of the base`,
  commonSettings: ({ batch, patchSide, hiddenUnits, base }) => [
    ['Base', `l ${base.l}, k ${base.k}, n ${base.n}`],
    ['Images a pass', String(batch)],
    ['Patch', `${patchSide}x${patchSide}`],
    ['Hidden units', String(hiddenUnits)],
  ],
}

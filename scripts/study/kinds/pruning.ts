import { CRITERIA, type Criterion } from '../../../src/prune/index.js'
import { duration } from '../../terminal/training-log.js'
import type { DoneCell } from '../cell-result.js'
import { pruningVariants } from '../grids/pruning-grid.js'
import { prunePatterns } from '../pruning/pattern-pruning.js'
import { prunePhotographs, trainFromStart } from '../pruning/photograph-pruning.js'
import { measureLatencies } from '../pruning/pruning-latency.js'
import { pruningBrief, pruningFigure, pruningFindings, pruningTables } from '../pruning/pruning-report.js'
import { summarizePruning } from '../pruning/pruning-summary.js'
import { points } from '../wording.js'
import { type CellWork, refuseFolders, type StudyKind } from './study-kind.js'

/** Studies that prune experts. */
export const pruningStudies: StudyKind<'pruning'> = {
  dataSentence: ({ data }) => data,
  isStandIn: () => true,
  checkFiles: (_, config) => refuseFolders(config, 'images that come with the package'),
  async run(work) {
    const { folder, cell, grid, backend } = work
    await folder.keepCellConfig(cell.index, { cell, grid, backend: backend.name })
    return { pruned: await pruned(work) }
  },
  report({ title }, _, results) {
    const summary = summarizePruning(results)
    return {
      summary,
      findings: pruningFindings(summary),
      brief: pruningBrief(summary),
      tables: pruningTables(summary),
      spec: pruningFigure(title, summary),
    }
  },
  resultText,
  commonSettings: ({ photographs, patterns }) => [
    [
      'Wide network',
      `WRN-10-${photographs.widen}, ${photographs.experts} experts, ${photographs.patchesPerExpert} of 16 patches`,
    ],
    ['Two-layer mixture', `${patterns.experts} experts, ${patterns.patchesPerExpert} of 16 patches`],
  ],
}

async function pruned({ grid, cell, signal }: CellWork<'pruning'>) {
  const { patterns, photographs, latencyRounds } = grid
  const run = { seed: cell.seed, signal }
  switch (cell.variant) {
    case pruningVariants.patterns:
      return { patterns: await prunePatterns(patterns, criteriaOf(grid.criteria), run) }
    case pruningVariants.photographs:
      return { photographs: await prunePhotographs(photographs, criteriaOf(grid.criteria), run) }
    case pruningVariants.fromStart:
      return { fromStart: await trainFromStart(photographs, cell.experts ?? 0, run) }
    default:
      return { latencies: await measureLatencies(photographs, latencyRounds, run) }
  }
}

function criteriaOf(names: readonly string[]): Criterion[] {
  return names.map(name => {
    const criterion = CRITERIA.find(known => known === name)
    if (criterion) return criterion
    throw new RangeError(`study: criteria must be of ${CRITERIA.join(', ')}, got ${name}`)
  })
}

function resultText({ pruned: result, took }: DoneCell): string {
  const { patterns, photographs, fromStart, latencies } = result ?? {}
  const accuracy = patterns?.accuracy ?? photographs?.accuracy ?? fromStart?.accuracy
  const text = accuracy === undefined ? `${latencies?.length ?? 0} latencies` : `test ${points(accuracy)} %`
  return `${text}, ${duration(took)}`
}

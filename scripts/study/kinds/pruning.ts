import { existsSync } from 'node:fs'
import { cifar100Format } from '../../../src/data/datasets/cifar100.js'
import { cifar10Format, findCifar } from '../../../src/data/formats/cifar.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { CRITERIA, type Criterion } from '../../../src/prune/index.js'
import type { PruningExperiment } from '../../experiments/experiment.js'
import { duration } from '../../terminal/training-log.js'
import { UsageError } from '../../terminal/usage-error.js'
import type { DoneCell } from '../cell-result.js'
import { pruningVariants } from '../grids/pruning-grid.js'
import { prunePatterns } from '../pruning/pattern-pruning.js'
import { prunePhotographs, trainFromStart } from '../pruning/photograph-pruning.js'
import { measureLatencies } from '../pruning/pruning-latency.js'
import { pruningBrief, pruningFigure, pruningFindings, pruningTables } from '../pruning/pruning-report.js'
import { summarizePruning } from '../pruning/pruning-summary.js'
import type { StudyConfig } from '../study-config.js'
import { points } from '../wording.js'
import type { CellWork, StudyKind } from './study-kind.js'

/** Studies that prune experts. */
export const pruningStudies: StudyKind<'pruning'> = {
  dataSentence: ({ patternSentence, standInSentence, paperSentence }, { data }) =>
    `${patternSentence} ${data === null ? standInSentence : paperSentence}`,
  isStandIn: ({ data }) => data === null,
  checkFiles,
  checkImages,
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

function checkFiles(_: PruningExperiment, { data, standIn }: StudyConfig): void {
  if (standIn !== null) {
    throw new UsageError(
      'study: --stand-in must be left out for pruning: its stand-in comes with the package',
    )
  }
  if (data !== null && !existsSync(data)) {
    throw new UsageError(`study: --data must name a folder, got ${data}, which is not there`)
  }
}

async function checkImages(_: PruningExperiment, { data }: StudyConfig): Promise<readonly string[]> {
  if (data === null) return []
  const source = dataFolder(data)
  for (const format of [cifar100Format, cifar10Format]) {
    const { missing } = await findCifar(source, format)
    if (missing.length === 0) continue
    throw new UsageError(
      `study: --data must hold the binary versions of CIFAR-100 and CIFAR-10, each in the folder of its archive, ` +
        `got ${data} without ${missing.join(', ')} of ${format.folder} (pmoe data fetch cifar10 --out ${data} gets one of them)`,
    )
  }
  return []
}

async function pruned({ folder, grid, cell, signal }: CellWork<'pruning'>) {
  const { patterns, photographs, latencyRounds } = grid
  const run = { seed: cell.seed, signal, data: folder.config.data }
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

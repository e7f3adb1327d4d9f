import type { BoundExperiment } from '../../experiments/experiment.js'
import { experimentNamed } from '../../experiments/experiments.js'
import { duration } from '../../terminal/training-log.js'
import { boundOfCell } from '../bound/bound-cell.js'
import { boundBrief, boundFigure, boundFindings, boundTables } from '../bound/bound-report.js'
import { summarizeBound } from '../bound/bound-summary.js'
import { refuseFolders, type StudyKind } from './study-kind.js'

/** Studies of the generalisation bound of mixtures that samples choose. */
export const boundStudies: StudyKind<'bound'> = {
  dataSentence: ({ data }) => data,
  isStandIn: () => false,
  checkFiles: (_, config) => refuseFolders(config, 'samples that are drawn'),
  async run({ folder, grid, cell, backend, signal }) {
    const bounded = await boundOfCell(grid, cell, {
      experiment: experimentNamed(folder.config.experiment) as BoundExperiment,
      backend,
      signal,
      keepConfig: run => folder.keepCellConfig(cell.index, { cell, run }),
    })
    return { bounded }
  },
  report(experiment, grid, results) {
    const summary = summarizeBound(grid, results)
    return {
      summary,
      findings: boundFindings(summary),
      brief: boundBrief(summary),
      tables: boundTables(summary),
      spec: boundFigure(experiment, summary),
    }
  },
  resultText({ bounded, took }) {
    if (!bounded) return 'no result'
    const { train, test, routerTerm } = bounded
    return `gap ${(test.ramp - train.ramp).toFixed(4)}, router term ${routerTerm.toFixed(3)}, ${duration(took)}`
  },
  commonSettings: ({ base, testSamples, delta, margin, flags }) => [
    ['Base', `k ${base.active}, T ${base.experts}, m ${base.samples}`],
    ['Test samples', String(testSamples)],
    ['delta', String(delta)],
    ['Margin of the ramp loss', String(margin)],
    ...Object.entries(flags).map(([name, value]) => [name, String(value)] as const),
  ],
}

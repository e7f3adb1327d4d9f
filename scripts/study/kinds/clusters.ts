import type { ClustersExperiment } from '../../experiments/experiment.js'
import { experimentNamed } from '../../experiments/experiments.js'
import { duration } from '../../terminal/training-log.js'
import { trainOnClusters } from '../clusters/clusters-cell.js'
import {
  clustersBrief,
  clustersFigure,
  clustersFindings,
  clustersTables,
} from '../clusters/clusters-report.js'
import { summarizeClusters } from '../clusters/clusters-summary.js'
import type { ClustersGrid } from '../grids/clusters-grid.js'
import { points } from '../wording.js'
import { refuseFolders, type StudyKind } from './study-kind.js'

/** Studies of sample-level mixtures on data of several clusters. */
export const clustersStudies: StudyKind<'clusters'> = {
  dataSentence: ({ data }) => data,
  isStandIn: () => false,
  checkFiles: (_, config) => refuseFolders(config, 'samples that are drawn'),
  async run({ folder, grid, cell, backend, signal }) {
    const { dataset } = experimentNamed(folder.config.experiment) as ClustersExperiment
    const clustered = await trainOnClusters(grid, cell, {
      dataset,
      backend,
      signal,
      keepConfig: run => folder.keepCellConfig(cell.index, { cell, run }),
    })
    return { clustered }
  },
  report(experiment, grid, results) {
    const summary = summarizeClusters(withBands(experiment, grid), results)
    return {
      summary,
      findings: clustersFindings(experiment, summary),
      brief: clustersBrief(experiment, summary),
      tables: clustersTables(experiment, summary),
      spec: clustersFigure(experiment, summary),
    }
  },
  resultText({ clustered, took }) {
    if (!clustered) return 'no result'
    const { testAccuracy, routing, steps } = clustered
    const entropy = routing ? `, entropy ${routing.entropy.toFixed(3)}` : ''
    return `test ${points(testAccuracy)} %${entropy} after ${steps} steps, ${duration(took)}`
  },
  commonSettings: ({ samples, testSamples, flags }) => [
    ['Training samples', String(samples)],
    ['Test samples', String(testSamples)],
    ...Object.entries(flags).map(([name, value]) => [name, String(value)] as const),
  ],
}

/** Bands are of runs with all samples: fewer samples are compared with none. */
function withBands(experiment: ClustersExperiment, { samples }: ClustersGrid): ClustersExperiment {
  if (samples >= experiment.scales.full.samples) return experiment
  return { ...experiment, variants: experiment.variants.map(({ bands: _, ...variant }) => variant) }
}

import { existsSync } from 'node:fs'
import { datasetEntry } from '../../../src/data/datasets/datasets.js'
import { datasetSource } from '../../../src/files/data-folder.js'
import { isPrepared, readManifest } from '../../../src/files/prepared/prepared-set.js'
import { isAddress } from '../../../src/files/storage/address.js'
import type { TrainingExperiment } from '../../experiments/experiment.js'
import { experimentNamed } from '../../experiments/experiments.js'
import { routedImages } from '../../run/routed-images.js'
import { datasetOptions } from '../../run/run-data.js'
import { duration } from '../../terminal/training-log.js'
import { UsageError } from '../../terminal/usage-error.js'
import { briefOf } from '../brief.js'
import type { Cell } from '../cell.js'
import { cellData, prepareCell } from '../cell-run.js'
import { trainCell } from '../cell-training.js'
import { findingsOf } from '../findings.js'
import type { TrainingGrid } from '../grids/training-grid.js'
import type { StudyConfig } from '../study-config.js'
import { studyFigure } from '../study-figure.js'
import { studyTables } from '../study-tables.js'
import { summarize } from '../summary.js'
import { points } from '../wording.js'
import type { CellWork, StudyKind } from './study-kind.js'

/** Test images whose routing a report shows. */
const shownImages = 6

/** Studies that train networks and test them once. */
export const trainingStudies: StudyKind<'training'> = {
  dataSentence({ data: ofExperiment }, { data, standIn }) {
    if (data !== null) return `The paper's own dataset, ${ofExperiment.dataset}.`
    const from = standIn === null ? '' : ' They come from a folder of the user.'
    return `${ofExperiment.standIn.sentence}${from} ${ofExperiment.fetch}`
  },
  isStandIn: ({ data }) => data === null,
  checkFiles,
  checkImages,
  run: runTraining,
  isShown,
  report(experiment, { variants }, results) {
    const { figure } = experiment
    const names = variants.map(({ name }) => name)
    const summary = summarize(results, figure, names)
    return {
      summary,
      findings: findingsOf(summary, figure),
      brief: briefOf(summary, figure),
      tables: studyTables(summary, figure, experiment),
      spec: studyFigure(experiment, figure, summary, variants),
    }
  },
  resultText({ trained, took }) {
    if (!trained) return 'no result'
    return `test ${points(trained.testAccuracy)} % after ${trained.epochs} epochs, ${duration(took)}`
  },
  commonSettings: ({ flags }) => Object.entries(flags).map(([name, value]) => [name, String(value)]),
}

/**
 * The cell of the first seed, with the most training images and the first value of every sweep.
 */
function isShown({ samples, patchesPerExpert, experts }: TrainingGrid, cell: Cell): boolean {
  return (
    cell.seed === 1 &&
    cell.samples === Math.max(...samples) &&
    (patchesPerExpert === undefined || cell.patchesPerExpert === patchesPerExpert[0]) &&
    (experts === undefined || cell.experts === experts[0])
  )
}

async function runTraining({ folder, grid, cell, backend, checkpoints, signal }: CellWork<'training'>) {
  const { config } = folder
  const run = await prepareCell({ ...config, grid }, cell, backend)
  try {
    await folder.keepCellConfig(cell.index, { cell, run: run.config })
    const { untilNoError = false } = experimentNamed(config.experiment) as TrainingExperiment
    const trained = await trainCell(run, { untilNoError, checkpoints, signal })
    if (trained.routing && isShown(grid, cell)) {
      const pictures = await routedImages(run.model, run.data.test, shownImages)
      if (pictures.length > 0) await folder.keepPictures(cell.index, pictures)
    }
    return { trained }
  } finally {
    run.model.dispose()
  }
}

function checkFiles({ name, data: ofExperiment }: TrainingExperiment, config: StudyConfig): void {
  const { data, standIn } = config
  if (data !== null && standIn !== null) {
    throw new UsageError('study: --data and --stand-in must not be given together')
  }
  for (const [flag, folder] of [
    ['--data', data],
    ['--stand-in', standIn],
  ]) {
    if (folder !== null && folder !== undefined && !isAddress(folder) && !existsSync(folder)) {
      throw new UsageError(`study: ${flag} must name a folder, got ${folder}, which is not there`)
    }
  }
  const { dataset, folder } = cellData(config)
  if (datasetEntry(dataset).source !== 'folder' || folder !== undefined) return
  const { fetch, standIn: stand } = ofExperiment
  throw new UsageError(
    `study: ${name} must have its data, got none. ${fetch} Otherwise: ${stand.sentence} ` +
      `${stand.folder ?? ''}, then give the folder as --stand-in.`,
  )
}

/** Images are not decoded where that is not needed. */
async function checkImages(experiment: TrainingExperiment, config: StudyConfig): Promise<readonly string[]> {
  const grid = config.grid as TrainingGrid
  const { dataset, folder } = cellData(config)
  // Prepared images are checked when they are opened.
  if (folder !== undefined && (await isPrepared(folder))) {
    return unusedNotes((await readManifest(folder)).validation?.count)
  }
  const entry = datasetEntry(dataset)
  const { testSamples } = grid.flags as { readonly testSamples?: number }
  const options = datasetOptions(
    {
      name: dataset,
      data: folder ?? null,
      samples: Math.max(...grid.samples),
      testSamples: testSamples ?? null,
    },
    1,
  )
  const source = datasetSource(entry, folder)
  try {
    const { validation, notes = [] } = await (entry.catalog
      ? entry.catalog(source, options)
      : entry.load(source, options))
    return [...notes, ...unusedNotes(validation?.count)]
  } catch (error) {
    if (!(error instanceof RangeError)) throw error
    const { folder: advice = '' } = experiment.data.standIn
    const hint = config.standIn !== null && advice !== '' ? ` (${advice})` : ''
    throw new UsageError(`study: ${config.experiment} must have images enough: ${error.message}${hint}`, {
      cause: error,
    })
  }
}

/** @param count validation images */
function unusedNotes(count = 0): string[] {
  if (count === 0) return []
  return [
    `The ${count} validation images are not used: each run has a fixed number of epochs, and is tested once on the test images.`,
  ]
}

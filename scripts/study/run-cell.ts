import { setTimeout as pause } from 'node:timers/promises'
import type { BackendChoice } from '../../src/backend/choose.js'
import { DivergenceError } from '../../src/train/events.js'
import type { TrainingExperiment } from '../experiments/experiment.js'
import { experimentNamed } from '../experiments/experiments.js'
import { routedImages } from '../run/routed-images.js'
import { measureCell } from './cell-cost.js'
import type { CellResult, DoneCell } from './cell-result.js'
import { prepareCell } from './cell-run.js'
import { trainCell } from './cell-training.js'
import type { Cell } from './cells.js'
import type { StudyFolder } from './study-folder.js'

/** Test images whose routing a report shows. */
const shownImages = 6

/**
 * Runs one cell of a study and stores its result; a cell that cannot be trained, or diverges, has failed.
 *
 * @throws the reason of the signal when it was aborted: then nothing is stored
 */
export async function runCell(
  folder: StudyFolder,
  cell: Cell,
  backend: BackendChoice,
  signal: AbortSignal,
): Promise<CellResult> {
  const began = performance.now()
  const result = await outcomeOf(folder, cell, backend, signal).catch((error: unknown) => {
    if (signal.aborted) throw error
    return failure(error)
  })
  const took = (performance.now() - began) / 1000
  const cellResult: CellResult = { ...result, cell, took, ended: new Date().toISOString() }
  await folder.keepResult(cellResult)
  return cellResult
}

type Outcome = Pick<DoneCell, 'status' | 'trained' | 'measured'>

async function outcomeOf(
  folder: StudyFolder,
  cell: Cell,
  backend: BackendChoice,
  signal: AbortSignal,
): Promise<Outcome> {
  const { grid } = folder.config
  // Lets the process handle messages that have arrived: one of them may abort the signal.
  await pause(0)
  signal.throwIfAborted()
  if (grid.kind === 'cost') {
    await folder.keepCellConfig(cell.index, { cell, grid, backend: backend.name })
    return { status: 'done', measured: await measureCell(grid, cell, signal) }
  }
  const run = await prepareCell(folder.config, cell, backend)
  try {
    await folder.keepCellConfig(cell.index, { cell, run: run.config })
    const { untilNoError = false } = experimentNamed(folder.config.experiment) as TrainingExperiment
    const trained = await trainCell(run, { untilNoError, signal })
    if (trained.routing && isShown(folder, cell)) {
      const pictures = await routedImages(run.model, run.data.test, shownImages)
      if (pictures.length > 0) await folder.keepPictures(cell.index, pictures)
    }
    return { status: 'done', trained }
  } finally {
    run.model.dispose()
  }
}

/**
 * Whether a report shows where the experts of a cell looked: that of the first seed, with the most training images and
 * the first value of every sweep.
 */
export function isShown({ config: { grid } }: Pick<StudyFolder, 'config'>, cell: Cell): boolean {
  if (grid.kind !== 'training' || cell.seed !== 1) return false
  const { samples, patchesPerExpert, experts } = grid
  return (
    cell.samples === Math.max(...samples) &&
    (patchesPerExpert === undefined || cell.patchesPerExpert === patchesPerExpert[0]) &&
    (experts === undefined || cell.experts === experts[0])
  )
}

function failure(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return {
    status: 'failed',
    reason: error instanceof DivergenceError ? 'diverged' : 'error',
    message,
  } as const
}

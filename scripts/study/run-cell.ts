import { setTimeout as pause } from 'node:timers/promises'
import type { BackendChoice } from '../../src/backend/choose.js'
import { DivergenceError } from '../../src/train/events.js'
import type { Cell } from './cell.js'
import type { CellResult, Outcome } from './cell-result.js'
import { studyKind } from './kinds/kinds.js'
import type { StudyFolder } from './study-folder.js'

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

async function outcomeOf(
  folder: StudyFolder,
  cell: Cell,
  backend: BackendChoice,
  signal: AbortSignal,
): Promise<Outcome & { readonly status: 'done' }> {
  const { grid } = folder.config
  // Lets the process handle messages that have arrived: one of them may abort the signal.
  await pause(0)
  signal.throwIfAborted()
  const outcome = await studyKind(folder.config).kind.run({ folder, grid, cell, backend, signal })
  return { status: 'done', ...outcome }
}

function failure(error: unknown) {
  const message = error instanceof Error ? error.message : String(error)
  return {
    status: 'failed',
    reason: error instanceof DivergenceError ? 'diverged' : 'error',
    message,
  } as const
}

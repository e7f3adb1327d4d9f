import { setTimeout as pause } from 'node:timers/promises'
import type { BackendChoice } from '../../src/backend/choose.js'
import { LockedError } from '../../src/files/lock.js'
import { DivergenceError } from '../../src/train/events.js'
import type { Cell } from './cell.js'
import type { CellCheckpoints } from './cell-checkpoints.js'
import type { CellResult, Outcome } from './cell-result.js'
import { studyKind } from './kinds/kinds.js'
import type { StudyFolder } from './study-folder.js'

/** How a cell that others may want too is run. */
export interface ClaimedRun {
  readonly backend: BackendChoice
  /** Ends the cell, whose training goes on from there another time. */
  readonly signal: AbortSignal
  /** Runs it again where it has failed. */
  readonly retryFailed: boolean
  /** Is told of the process that had the cell and ended without a result. */
  readonly onTakenOver?: (from: string) => void
}

/** What became of a cell that this process tried to run: its result, or that another process has it. */
export type ClaimedCell =
  | { readonly result: CellResult; readonly isEarlier: boolean }
  | { readonly busy: LockedError }

/**
 * Runs one cell of a study unless another process runs it or it has its result, and stores the result. A process of any
 * machine that shares the folder keeps off it meanwhile; where this one has given no sign of life for so long that another took
 * the cell over, the cell is ended and left to that one.
 *
 * @throws the reason of the signal when it was aborted: then there is no result, and a later run goes on from the stored state
 */
export async function runClaimedCell(
  folder: StudyFolder,
  cell: Cell,
  { backend, signal, retryFailed, onTakenOver }: ClaimedRun,
): Promise<ClaimedCell> {
  const isFinal = (result: CellResult) => !(retryFailed && result.status === 'failed')
  try {
    const lock = await folder.lockCell(cell.index)
    try {
      const earlier = await folder.result(cell.index)
      if (earlier && isFinal(earlier)) return { result: earlier, isEarlier: true }
      if (lock.takenFrom !== undefined) onTakenOver?.(lock.takenFrom)
      const stop = AbortSignal.any([signal, lock.lost])
      return { result: await runCell(folder, cell, backend, stop), isEarlier: false }
    } finally {
      await lock.release()
    }
  } catch (error) {
    if (error instanceof LockedError) return { busy: error }
    throw error
  }
}

/**
 * Runs one cell of a study and stores its result; a cell that cannot be trained, or diverges, has failed.
 *
 * @throws the reason of the signal when it was aborted: then there is no result, and a later run goes on from the stored state
 */
export async function runCell(
  folder: StudyFolder,
  cell: Cell,
  backend: BackendChoice,
  signal: AbortSignal,
): Promise<CellResult> {
  const began = performance.now()
  const checkpoints = folder.checkpoints(cell.index)
  const result = await outcomeOf(folder, cell, backend, { checkpoints, signal }).catch(
    async (error: unknown) => {
      if (!signal.aborted) return failure(error)
      if (!(signal.reason instanceof LockedError)) await checkpoints.flush()
      throw signal.reason
    },
  )
  const took = (performance.now() - began) / 1000
  const cellResult: CellResult = { ...result, cell, took, ended: new Date().toISOString() }
  signal.throwIfAborted()
  await folder.keepResult(cellResult)
  await checkpoints.remove()
  return cellResult
}

async function outcomeOf(
  folder: StudyFolder,
  cell: Cell,
  backend: BackendChoice,
  { checkpoints, signal }: { readonly checkpoints: CellCheckpoints; readonly signal: AbortSignal },
): Promise<Outcome & { readonly status: 'done' }> {
  const { grid } = folder.config
  // Lets the process handle messages that have arrived: one of them may abort the signal.
  await pause(0)
  signal.throwIfAborted()
  const work = { folder, grid, cell, backend, checkpoints, signal }
  const outcome = await studyKind(folder.config).kind.run(work)
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

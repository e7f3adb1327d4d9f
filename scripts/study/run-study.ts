import { setTimeout as pause } from 'node:timers/promises'
import type { Cell } from './cell.js'
import { CellProcess, type RunCell, WorkerCrash } from './cell-process.js'
import type { CellResult } from './cell-result.js'
import type { StudyFolder } from './study-folder.js'

/** How the cells of a study are run. */
export interface StudyRun {
  readonly cells: readonly Cell[]
  /** Processes at a time, at least 1. */
  readonly jobs: number
  /** Processor cores that they share. */
  readonly cores: number
  /** Runs cells again that have failed. */
  readonly retryFailed?: boolean
  /** Ends the study; running cells leave nothing behind. */
  readonly signal: AbortSignal
  /** The program of the processes; `cell-worker` unless given. */
  readonly workerFile?: string
  /** Is told of each cell that has ended. */
  readonly onResult?: (result: CellResult) => void
  /** Is told of the process that had a cell and ended without a result. */
  readonly onTakenOver?: (cell: Cell, from: string) => void
}

/**
 * Runs the cells of a study that have no result yet, in processes that each take one after the other. When a process
 * crashes, its cell has failed, and a new process takes over.
 *
 * Several of them may work on one folder, on any machines: a cell that has a result by the time of its turn is left out, and so is
 * one that another process runs.
 *
 * @returns the cells that others run, with what is to be said of each
 * @throws Error when a process cannot work at all, or results cannot be stored
 */
export async function runStudy(folder: StudyFolder, run: StudyRun): Promise<Map<Cell, string>> {
  const queue = [...run.cells]
  const busy = new Map<Cell, string>()
  const failed = new AbortController()
  const signal = AbortSignal.any([run.signal, failed.signal])
  const threads = Math.max(1, Math.floor(run.cores / run.jobs))
  const workers = Array.from({ length: Math.min(run.jobs, queue.length) }, () =>
    work(folder, { queue, busy, threads }, { ...run, signal }).catch((error: unknown) => {
      failed.abort()
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  const broken = ends.find(end => end.status === 'rejected')
  if (broken) throw broken.reason
  return busy
}

/** The work that processes share. */
interface SharedWork {
  readonly queue: Cell[]
  /** Cells that others run. */
  readonly busy: Map<Cell, string>
  readonly threads: number
}

/** Runs cells of the queue one after the other, in one process at a time. */
async function work(
  folder: StudyFolder,
  { queue, busy, threads }: SharedWork,
  { signal, retryFailed = false, workerFile, onResult, onTakenOver }: StudyRun,
): Promise<void> {
  let worker: CellProcess | undefined
  const stop = () => void worker?.end()
  signal.addEventListener('abort', stop)
  try {
    for (let next = queue.shift(); next && !signal.aborted; next = queue.shift()) {
      const cell = next
      const earlier = await folder.result(cell.index)
      if (earlier && !(retryFailed && earlier.status === 'failed')) continue
      if (!worker) {
        worker = new CellProcess(threads, workerFile)
        await worker.begin(folder)
      }
      const began = performance.now()
      const order = { retryFailed, onTakenOver: (from: string) => onTakenOver?.(cell, from) }
      const ran = await worker.run(cell, order).catch(async (error: unknown): Promise<RunCell> => {
        if (signal.aborted || !(error instanceof WorkerCrash)) throw error
        worker = undefined
        return crashed(folder, cell, error, (performance.now() - began) / 1000)
      })
      if (ran.kind === 'busy') busy.set(cell, ran.message)
      else if (!ran.isEarlier) onResult?.(ran.result)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stop)
    await worker?.end()
  }
}

/** What ends a whole job may end its processes one after the other: then this one ends, too, and the cell has not failed. */
const afterCrashMs = 500

/** Records that a cell has crashed, unless another process has it by now. */
async function crashed(folder: StudyFolder, cell: Cell, { message }: Error, took: number): Promise<RunCell> {
  await pause(afterCrashMs)
  const result: CellResult = {
    status: 'failed',
    cell,
    reason: 'crashed',
    message,
    took,
    ended: new Date().toISOString(),
  }
  const isKept = await folder.keepFailure(result)
  if (!isKept) return { kind: 'busy', message: `cell ${cell.index} was taken over` }
  return { kind: 'result', result, isEarlier: false }
}

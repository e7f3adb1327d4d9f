import type { Cell } from './cell.js'
import { CellProcess, WorkerCrash } from './cell-process.js'
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
}

/**
 * Runs the cells of a study that have no result yet, in processes that each take one after the other. When a process
 * crashes, its cell has failed, and a new process takes over.
 *
 * Several of them may work on one folder: a cell that has a result by the time of its turn is left out.
 *
 * @throws Error when a process cannot work at all, or results cannot be stored
 */
export async function runStudy(folder: StudyFolder, run: StudyRun): Promise<void> {
  const queue = [...run.cells]
  const failed = new AbortController()
  const signal = AbortSignal.any([run.signal, failed.signal])
  const threads = Math.max(1, Math.floor(run.cores / run.jobs))
  const workers = Array.from({ length: Math.min(run.jobs, queue.length) }, () =>
    work(folder, queue, threads, { ...run, signal }).catch((error: unknown) => {
      failed.abort()
      throw error
    }),
  )
  const ends = await Promise.allSettled(workers)
  const broken = ends.find(end => end.status === 'rejected')
  if (broken) throw broken.reason
}

/** Runs cells of the queue one after the other, in one process at a time. */
async function work(
  folder: StudyFolder,
  queue: Cell[],
  threads: number,
  { signal, retryFailed = false, workerFile, onResult }: StudyRun,
): Promise<void> {
  let worker: CellProcess | undefined
  const stop = () => void worker?.end()
  signal.addEventListener('abort', stop)
  try {
    for (let cell = queue.shift(); cell && !signal.aborted; cell = queue.shift()) {
      const earlier = await folder.result(cell.index)
      if (earlier && !(retryFailed && earlier.status === 'failed')) continue
      if (!worker) {
        worker = new CellProcess(threads, workerFile)
        await worker.begin(folder)
      }
      const began = performance.now()
      const result = await worker.run(cell).catch(async (error: unknown) => {
        if (signal.aborted || !(error instanceof WorkerCrash)) throw error
        worker = undefined
        return crashed(folder, cell as Cell, error, (performance.now() - began) / 1000)
      })
      onResult?.(result)
    }
  } catch (error) {
    if (!signal.aborted) throw error
  } finally {
    signal.removeEventListener('abort', stop)
    await worker?.end()
  }
}

async function crashed(
  folder: StudyFolder,
  cell: Cell,
  { message }: Error,
  took: number,
): Promise<CellResult> {
  const result: CellResult = {
    status: 'failed',
    cell,
    reason: 'crashed',
    message,
    took,
    ended: new Date().toISOString(),
  }
  await folder.keepResult(result)
  return result
}

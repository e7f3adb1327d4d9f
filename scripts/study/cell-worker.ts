import { type BackendChoice, useBackend } from '../../src/backend/choose.js'
import { lockFolder } from '../../src/files/lock.js'
import { runClaimedCell } from './run-cell.js'
import { StudyFolder } from './study-folder.js'
import type { WorkerOrder, WorkerReport } from './worker-messages.js'

/*
 * A process that runs cells of a study, one after the other, as the process that started it tells it to. It ends when
 * that process ends, in whatever way.
 */

const stop = new AbortController()
let running: Promise<void> = Promise.resolve()
let folder: StudyFolder | undefined
let backend: BackendChoice | undefined

function tell(report: WorkerReport): void {
  process.send?.(report)
}

async function follow(order: WorkerOrder): Promise<void> {
  if (order.kind === 'end') {
    stop.abort()
    // A training stores its state, from which it goes on another time.
    await running
    process.disconnect()
    return
  }
  if (order.kind === 'study') {
    folder = new StudyFolder(order.directory, order.config)
    // Nobody may begin the study anew while this process runs, even when its parent was killed.
    await lockFolder(order.directory, 'study', { shared: true, parent: process.ppid })
    backend = await useBackend(order.config.backend)
    tell({ kind: 'ready' })
    return
  }
  if (!folder || !backend) throw new Error('study: a worker must be told its study before a cell, got a cell')
  const { cell, retryFailed } = order
  const claimed = await runClaimedCell(folder, cell, {
    backend,
    signal: stop.signal,
    retryFailed,
    onTakenOver: from => tell({ kind: 'takeover', from }),
  })
  if ('busy' in claimed) tell({ kind: 'busy', message: claimed.busy.message })
  else tell({ kind: 'result', ...claimed })
}

process.on('message', (order: WorkerOrder) => {
  const followed = follow(order).catch((error: unknown) => {
    if (stop.signal.aborted) return
    tell({ kind: 'broken', message: error instanceof Error ? error.message : String(error) })
  })
  if (order.kind !== 'end') running = followed
})
process.on('disconnect', () => {
  stop.abort()
  // Nobody is left to take the result of a cell that still runs.
  process.exit(0)
})
// Ctrl-C reaches every process of the terminal, and what a scheduler sends every process of a job; the parent decides what it means.
process.on('SIGINT', () => undefined)
process.on('SIGTERM', () => undefined)

import { useBackend } from '../../../src/backend/choose.js'
import { type AskedStudy, openAskedStudy } from '../../study/asked-study.js'
import type { Cell } from '../../study/cell.js'
import { studyKind } from '../../study/kinds/kinds.js'
import { runCell } from '../../study/run-cell.js'
import { studyCells } from '../../study/study-config.js'
import type { StudyFolder } from '../../study/study-folder.js'
import { studyLog } from '../../study/study-log.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe study run`. */
export interface StudyRunRequest extends AskedStudy {
  readonly out: string
  readonly cell: number
}

/** Runs one cell of a study in this process; sets the exit code when it failed or was interrupted. */
export async function runStudyCell(name: string, request: StudyRunRequest): Promise<void> {
  const { folder, lock } = await openAskedStudy(name, request, { shared: true })
  try {
    await runOne(folder, request)
  } finally {
    await lock.release()
  }
}

async function runOne(folder: StudyFolder, request: StudyRunRequest): Promise<void> {
  const cells = studyCells(folder.config)
  const cell = cells[request.cell]
  if (!cell) {
    throw new UsageError(`study: --cell must be in [0, ${cells.length - 1}], got ${request.cell}`)
  }
  const lock = await folder.lockCell(cell.index)
  try {
    await runLocked(folder, cell)
  } finally {
    await lock.release()
  }
}

async function runLocked(folder: StudyFolder, cell: Cell): Promise<void> {
  const before = await folder.result(cell.index)
  const { resultText } = studyKind(folder.config).kind
  const log = studyLog(folder.config.experiment, { total: 1, done: 0, failed: 0 }, { resultText })
  if (before?.status === 'done') {
    process.stdout.write(`Cell ${cell.index} has its result already\n`)
    return
  }
  const interrupt = onInterrupt(() => process.stderr.write('\nStopping; the cell is left out …\n'))
  try {
    const backend = await useBackend(folder.config.backend)
    const result = await runCell(folder, cell, backend, interrupt.signal)
    log.result(result)
    if (result.status === 'failed') process.exitCode = 1
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    log.close()
    interrupt.release()
  }
}

import { useBackend } from '../../../src/backend/choose.js'
import { tensorFlowThreads } from '../../../src/backend/threads.js'
import type { Share } from '../../run/cluster/shared-work.js'
import { type AskedStudy, openAskedStudy } from '../../study/asked-study.js'
import type { Cell } from '../../study/cell.js'
import { cellText } from '../../study/cell.js'
import { studyKind } from '../../study/kinds/kinds.js'
import { runClaimedCell } from '../../study/run-cell.js'
import { studyCells } from '../../study/study-config.js'
import type { StudyFolder } from '../../study/study-folder.js'
import { studyLog } from '../../study/study-log.js'
import { writeStudyReport } from '../../study/study-report.js'
import { runStudyTask } from '../../study/study-task.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { UsageError } from '../../terminal/usage-error.js'

/** The flags of `pmoe study run`. */
export interface StudyRunRequest extends AskedStudy {
  readonly out: string
  readonly cell?: number
  readonly share?: Share
  readonly jobs?: number
}

/** Runs one cell of a study, or the share of a task; sets the exit code when the cell failed or it was interrupted. */
export async function runStudyPart(name: string, request: StudyRunRequest): Promise<void> {
  const { share } = request
  if ((share === undefined) === (request.cell === undefined)) {
    throw new UsageError(`study: run must have either --cell or --share, got ${share ? 'both' : 'neither'}`)
  }
  if (request.jobs !== undefined && !share) {
    throw new UsageError(`study: --jobs must come with --share, got ${request.jobs} with --cell`)
  }
  const { folder, lock } = await openAskedStudy(name, request, { shared: true })
  try {
    if (share) await runShare(folder, share, request.jobs ?? 1)
    else await runOne(folder, request.cell as number)
  } finally {
    await lock.release()
  }
}

const say = (text: string) => void process.stdout.write(`${text}\n`)
const sayTakenOver = (cell: Cell, from: string) =>
  say(`Cell ${cell.index} (${cellText(cell)}) is taken over from ${from}, which has ended`)

/** Works on the share of a task, and writes the report where every cell has its result then. */
async function runShare(folder: StudyFolder, share: Share, jobs: number): Promise<void> {
  const { config, directory } = folder
  const cells = studyCells(config)
  const before = [...(await folder.results(cells)).values()]
  const failed = before.filter(({ status }) => status === 'failed').length
  say(
    `Study ${config.experiment}, ${config.scale} scale: task ${share.task} of ${share.tasks}, ` +
      `${before.length} of ${cells.length} cells done; backend ${config.backend}, folder ${directory}`,
  )
  const counts = { total: cells.length, done: before.length - failed, failed }
  const log = studyLog(config.experiment, counts, { resultText: studyKind(config).kind.resultText })
  const interrupt = onInterrupt(() =>
    process.stderr.write('\nStopping; cells that run go on another time …\n'),
  )
  try {
    const left = await runStudyTask(folder, {
      share,
      jobs,
      cores: tensorFlowThreads(),
      signal: interrupt.signal,
      onResult: result => log.result(result),
      onTakenOver: sayTakenOver,
      onWaiting: busy =>
        say(`Waiting for a sign of life of the tasks that have ${cellsText([...busy.keys()])}`),
    })
    for (const [cell, why] of left) say(`Cell ${cell.index} is left to others: ${why}`)
  } finally {
    log.close()
    interrupt.release()
  }
  if (interrupt.signal.aborted) process.exitCode = interruptedExitCode
  await concludeStudy(folder)
}

function cellsText(cells: readonly Cell[]): string {
  const shown = cells.slice(0, 5).map(({ index }) => index)
  return `cell${cells.length === 1 ? '' : 's'} ${shown.join(', ')}${cells.length > 5 ? ' and others' : ''}`
}

/** Whoever finds every cell done writes the report: of several tasks that end together each may, with the same content. */
async function concludeStudy(folder: StudyFolder): Promise<void> {
  const cells = studyCells(folder.config)
  const { size } = await folder.results(cells)
  if (size < cells.length) {
    say(`${size} of ${cells.length} cells are done`)
    return
  }
  await writeStudyReport(folder, folder.directory)
  say(`All ${cells.length} cells are done; the report is in ${folder.directory}`)
}

async function runOne(folder: StudyFolder, index: number): Promise<void> {
  const cells = studyCells(folder.config)
  const cell = cells[index]
  if (!cell) throw new UsageError(`study: --cell must be in [0, ${cells.length - 1}], got ${index}`)
  const { resultText } = studyKind(folder.config).kind
  const log = studyLog(folder.config.experiment, { total: 1, done: 0, failed: 0 }, { resultText })
  const interrupt = onInterrupt(() =>
    process.stderr.write('\nStopping; the cell goes on from here another time …\n'),
  )
  try {
    const claimed = await runClaimedCell(folder, cell, {
      backend: await useBackend(folder.config.backend),
      signal: interrupt.signal,
      retryFailed: true,
      onTakenOver: from => sayTakenOver(cell, from),
    })
    if ('busy' in claimed) throw claimed.busy
    if (claimed.isEarlier) say(`Cell ${cell.index} has its result already`)
    else log.result(claimed.result)
    if (claimed.result.status === 'failed') process.exitCode = 1
  } catch (error) {
    if (!interrupt.signal.aborted) throw error
    process.exitCode = interruptedExitCode
  } finally {
    log.close()
    interrupt.release()
  }
}

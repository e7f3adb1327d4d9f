import { availableParallelism } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'
import { askedJob, type ClusterFlags } from '../../run/cluster/cluster-options.js'
import { type AskedStudy, openAskedStudy } from '../../study/asked-study.js'
import { gridKind } from '../../study/grids/grids.js'
import { studyKind } from '../../study/kinds/kinds.js'
import { runStudy } from '../../study/run-study.js'
import { studyCells } from '../../study/study-config.js'
import { reportFiles, type StudyFolder } from '../../study/study-folder.js'
import { studyLog } from '../../study/study-log.js'
import { dataSentence, type StudyReport, studyReport, writeStudyReport } from '../../study/study-report.js'
import { submitStudy } from '../../study/submit-study.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { noteText } from '../../terminal/safe-output.js'
import { textTable } from '../../terminal/text-table.js'
import { duration } from '../../terminal/training-log.js'

/** The flags of `pmoe study NAME`. */
export interface StudyStartRequest extends AskedStudy, ClusterFlags {
  readonly jobs?: number
  readonly retryFailed?: boolean
  readonly json?: boolean
}

const mostJobs = 8

/**
 * Runs a study, writes its report and says where it is, or gives it to a cluster; sets the exit code when interrupted.
 *
 * @param words the options that were typed, without some of them
 */
export async function runStudyStart(
  name: string,
  request: StudyStartRequest,
  words: (leftOut: readonly string[]) => string[],
): Promise<void> {
  const job = askedJob(request, 'study')
  if (job) {
    await submitStudy(name, request, { job, words: words(['out', 'force', 'retryFailed', 'json']) })
    return
  }
  const { folder, lock } = await openAskedStudy(name, request)
  try {
    await workOn(folder, request)
  } finally {
    await lock.release()
  }
}

async function workOn(folder: StudyFolder, request: StudyStartRequest): Promise<void> {
  const json = request.json === true
  const say = (text: string) => (json ? process.stderr : process.stdout).write(`${text}\n`)
  const { config, directory } = folder
  const { kind, experiment } = studyKind(config)
  const cells = studyCells(config)
  const before = await folder.results(cells)
  const todo = cells.filter(({ index }) => {
    const result = before.get(index)
    return !result || (request.retryFailed && result.status === 'failed')
  })
  const notes = todo.length > 0 ? ((await kind.checkImages?.(experiment, config)) ?? []) : []
  const cores = availableParallelism()
  // Runs that measure time would disturb each other.
  const defaultJobs = gridKind(config.grid.kind).isTimed ? 1 : Math.min(cores, mostJobs)
  const jobs = Math.max(1, Math.min(request.jobs ?? defaultJobs, todo.length))
  say(
    `Study ${config.experiment}, ${config.scale} scale: ${todo.length} of ${cells.length} runs to do, ${jobs} at a time; ` +
      `backend ${config.backend}, folder ${directory}`,
  )
  say(dataSentence(config))
  for (const note of notes) say(noteText(note))
  const keptResults = [...before.values()].filter(
    ({ cell }) => !todo.some(({ index }) => index === cell.index),
  )
  const failed = keptResults.filter(({ status }) => status === 'failed').length
  const log = studyLog(
    config.experiment,
    { total: cells.length, done: keptResults.length - failed, failed },
    { json, resultText: kind.resultText },
  )
  const interrupt = onInterrupt(() => process.stderr.write('\nStopping; cells that run are left out …\n'))
  const began = performance.now()
  try {
    await runStudy(folder, {
      cells: todo,
      jobs,
      cores,
      retryFailed: request.retryFailed === true,
      signal: interrupt.signal,
      onResult: result => log.result(result),
    })
  } finally {
    log.close()
    interrupt.release()
  }
  const results = await folder.results(cells)
  await writeStudyReport(folder, directory)
  if (!json) writeFindings(studyReport(config, cells, results, await folder.peers()), say)
  const page = pathToFileURL(resolve(join(directory, reportFiles.page))).href
  if (interrupt.signal.aborted) {
    say(
      `Stopped with ${results.size} of ${cells.length} runs; the same command goes on from there. So far: ${page}`,
    )
    process.exitCode = interruptedExitCode
    return
  }
  say(`Took ${duration((performance.now() - began) / 1000)}. Report: ${page}`)
  if (json) process.stdout.write(`${JSON.stringify({ type: 'study', directory, report: page })}\n`)
}

function writeFindings(
  { findings, tables, progress, experiment }: StudyReport,
  say: (text: string) => void,
): void {
  const [first] = tables
  if (first) say(`\n${textTable(first.head, first.rows)}\n`)
  say(`The claim: ${experiment.claim}`)
  for (const sentence of [...findings, ...progress]) say(sentence)
}

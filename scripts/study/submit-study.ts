import { experimentNamed } from '../experiments/experiments.js'
import type { AskedJob } from '../run/cluster/cluster-options.js'
import { checkGrid, submitGrid } from '../run/cluster/submit-grid.js'
import { noteText } from '../terminal/safe-output.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { type AskedStudy, openAskedStudy, studyDirectory } from './asked-study.js'
import { cellsOf } from './cells.js'
import { studyKind } from './kinds/kinds.js'
import { gridOf, studyCells } from './study-config.js'

/** How a study is given to a cluster. */
export interface StudySubmission {
  readonly job: AskedJob
  /** The options that decide what the study is, as they were typed. */
  readonly words: readonly string[]
}

/** What becomes of an existing study. */
interface SubmittedStudy extends AskedStudy {
  readonly retryFailed?: boolean
  readonly json?: boolean
}

/**
 * Gives the cells of a study to a cluster, as one job. Where its tasks see the files of this machine, the study is begun here, with
 * all of its checks; otherwise the tasks begin it.
 *
 * @throws as `openAskedStudy` and `submitGrid`; UsageError for flags that change a folder which is not on this machine
 */
export async function submitStudy(
  name: string,
  request: SubmittedStudy,
  { job, words }: StudySubmission,
): Promise<void> {
  const experiment = asUsage(() => experimentNamed(name))
  const planned = {
    where: 'study',
    words: ['study', 'run', experiment.name, ...words],
    runs: plannedCells(name, request),
    out: studyDirectory(experiment.name, request),
    json: request.json === true,
  }
  checkGrid(job, planned)
  if (!job.scheduler.seesFiles) refuseChanges(request, job)
  // A study that is there may have other seeds than one that is new.
  const runs = job.scheduler.seesFiles ? await beginStudy(name, request) : planned.runs
  await submitGrid(job, { ...planned, runs })
}

/** Begins a study, or goes on with it beside the tasks that work on it. @returns its number of cells */
async function beginStudy(name: string, request: SubmittedStudy): Promise<number> {
  const { folder, lock } = await openAskedStudy(name, request, { shared: request.force !== true })
  try {
    const { kind, experiment } = studyKind(folder.config)
    const cells = studyCells(folder.config)
    for (const note of (await kind.checkImages?.(experiment, folder.config)) ?? []) {
      process.stderr.write(`${noteText(note)}\n`)
    }
    if (request.retryFailed) await folder.forgetFailed(cells)
    return cells.length
  } finally {
    await lock.release()
  }
}

function refuseChanges({ force, retryFailed }: SubmittedStudy, { scheduler }: AskedJob): void {
  const flag = force ? '--force' : retryFailed ? '--retry-failed' : undefined
  if (flag === undefined) return
  throw new UsageError(
    `study: ${flag} must be left out for ${scheduler.title}, whose folders are not on this machine, got ${flag}`,
  )
}

function plannedCells(name: string, { scale = 'full', data, seeds }: AskedStudy): number {
  const planned = gridOf(name, scale, data !== undefined)
  return cellsOf(planned.grid, seeds ?? planned.seeds).length
}

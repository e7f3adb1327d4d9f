import { UsageError } from '../../terminal/usage-error.js'
import type { AskedJob } from '../cluster/cluster-options.js'
import { checkGrid, submitGrid } from '../cluster/submit-grid.js'
import { checkSetPlace, type RunSet, storeSet } from './run-set.js'
import { checkFirstRun } from './set-task.js'

/** How a set of runs is given to a cluster. */
export interface SetSubmission {
  readonly job: AskedJob
  /** The settings of the runs, as they were typed. */
  readonly words: readonly string[]
  /** Whether the folder holds the set already. */
  readonly isContinued: boolean
  readonly force: boolean
  readonly json: boolean
}

/**
 * Gives the runs of a set to a cluster, as one job. Where its tasks see the files of this machine, the settings are checked and the
 * set is begun here; otherwise the tasks do that.
 *
 * @throws as `checkSetPlace`, `preparedTraining` and `submitGrid`
 */
export async function submitSet(
  set: RunSet,
  { job, words, isContinued, force, json }: SetSubmission,
): Promise<void> {
  const grid = {
    where: 'train',
    words: ['train', ...words],
    runs: set.count,
    out: set.directory,
    json,
  }
  checkGrid(job, grid)
  if (job.scheduler.seesFiles && !isContinued) {
    await checkSetPlace(set, { force })
    await checkFirstRun(set)
    await storeSet(set)
  } else if (force) {
    throw new UsageError(`train: --force must be left out with --${set.kind}, got both`)
  }
  await submitGrid(job, grid)
}

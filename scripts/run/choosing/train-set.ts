import { join } from 'node:path'
import { shellCommand } from '../../../src/cluster/shell-command.js'
import { writeFileAtomic } from '../../../src/files/atomic.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { holdsRun, openRun } from '../../../src/run/run-folder.js'
import { networkOf } from '../../../src/train/feed.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { followRun, type StartedRun } from '../followed-run.js'
import type { GivenFlags } from '../train-settings.js'
import { membersOf, type RunSet, type SetMember, storeSet } from './run-set.js'
import { type SummarizedRun, setTable, summarizedRun, summarizeSet } from './set-summary.js'

/** How the runs of a set begin, and what is shown of them. */
export interface SetTraining {
  /** Whether the folder of the set is there, from an earlier time. */
  readonly isContinued: boolean
  /** Starts a run by its flags, `out` among them. */
  readonly start: (flags: GivenFlags) => Promise<StartedRun>
  /** Continues the run in a folder. */
  readonly resume: (directory: string) => Promise<StartedRun>
  /** Writes events and the summary as JSON lines. */
  readonly json: boolean
}

/**
 * Trains the runs of a set one after the other, keeps those that have ended already, and shows a table of all with their mean and
 * spread, which `summary.json` in the folder of the set holds as well.
 *
 * Ctrl-C stops the running one, which goes on where it stopped when the set is resumed.
 */
export async function trainSet(set: RunSet, training: SetTraining): Promise<void> {
  const members = membersOf(set)
  // Between two runs, too, Ctrl-C lets what has ended be shown.
  const interrupt = onInterrupt(() => undefined)
  try {
    const ended = await endedRuns(set, members, training, interrupt.signal)
    if (ended.length < members.length) process.exitCode = interruptedExitCode
    if (ended.length > 0) await writeSummary(set, ended)
    reportSet(set, ended, members.length, training)
  } finally {
    interrupt.release()
  }
}

/** Trains the runs of a set that have not ended yet. */
async function endedRuns(
  set: RunSet,
  members: readonly SetMember[],
  training: SetTraining,
  signal: AbortSignal,
): Promise<SummarizedRun[]> {
  const ended: SummarizedRun[] = []
  let isStored = training.isContinued
  for (const member of members) {
    if (signal.aborted) break
    const before = isStored ? await endedRun(member) : undefined
    if (before) {
      ended.push(before)
      continue
    }
    const started = await begun(member, training, isStored)
    try {
      // Only a set whose first run could begin is kept.
      if (!isStored) await storeSet(set)
      isStored = true
      if (signal.aborted) break
      const { ended: how, history } = await followRun(started, training)
      if (how === 'aborted') break
      ended.push(summarizedRun(member.name, history))
      await writeSummary(set, ended)
    } finally {
      await started.lock.release()
      disposeModel(networkOf(started.model))
    }
  }
  return ended
}

/** What a run of the set gave, where it has ended. */
export async function endedRun({ name, directory }: SetMember): Promise<SummarizedRun | undefined> {
  if (!(await holdsRun(directory))) return undefined
  const run = await openRun(directory)
  return (await run.hasModel()) ? summarizedRun(name, await run.epochs()) : undefined
}

/** Starts a run of a set, or goes on with it where it has begun. */
export async function begun(
  { directory, flags }: SetMember,
  { start, resume }: Pick<SetTraining, 'start' | 'resume'>,
  isStored: boolean,
): Promise<StartedRun> {
  const isBegun = isStored && (await holdsRun(directory))
  return isBegun ? resume(directory) : start({ ...flags, out: directory })
}

/** Writes what the runs that have ended gave, whole or not at all. */
export async function writeSummary({ directory }: RunSet, ended: readonly SummarizedRun[]): Promise<void> {
  const text = `${JSON.stringify(summarizeSet(ended), null, 2)}\n`
  await writeFileAtomic(join(directory, 'summary.json'), text)
}

/** Shows what the runs that have ended gave, and how to go on with the others. */
export function reportSet(
  { directory }: RunSet,
  ended: readonly SummarizedRun[],
  count: number,
  { json }: Pick<SetTraining, 'json'>,
): void {
  const summary = summarizeSet(ended)
  const people = json ? process.stderr : process.stdout
  if (ended.length > 0) people.write(`\n${setTable(summary)}\n`)
  if (ended.length < count) {
    const resume = shellCommand(['pmoe', 'train', '--resume', '--out', directory])
    people.write(`${ended.length} of ${count} runs have ended. Continue all of them with: ${resume}\n`)
  }
  if (json) process.stdout.write(`${JSON.stringify({ type: 'summary', ...summary })}\n`)
}

import { LockedError, lockFile, signOfLife } from '../../../src/files/lock.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { networkOf } from '../../../src/train/feed.js'
import { interruptedExitCode, onInterrupt } from '../../terminal/interrupt.js'
import { inOrderOf, type Share, workOff } from '../cluster/shared-work.js'
import { followRun } from '../followed-run.js'
import { preparedTraining, type TrainingRequest } from '../training/prepared-training.js'
import { checkSameSet, createSet, membersOf, type RunSet, type SetMember, storedSet } from './run-set.js'
import type { SummarizedRun } from './set-summary.js'
import { begun, endedRun, reportSet, type SetTraining, writeSummary } from './train-set.js'

/** How a task works on its share of a set. */
export interface SetTask extends Omit<SetTraining, 'isContinued'> {
  readonly share: Share
}

/**
 * Trains the runs of a set that have not ended and that no other process trains, those of its share first. Where all have ended
 * then, it writes and shows the summary.
 */
export async function trainSetTask(set: RunSet, { share, ...training }: SetTask): Promise<void> {
  const members = membersOf(set)
  const say = (text: string) => void (training.json ? process.stderr : process.stdout).write(`${text}\n`)
  say(`Task ${share.task} of ${share.tasks} on ${members.length} runs, folder ${set.directory}`)
  // Between two runs, too, a task that is stopped lets what has ended be shown.
  const interrupt = onInterrupt(() => undefined)
  try {
    const left = await workOff(inOrderOf(members, share), {
      pass: runs => passOver(runs, training, { say, signal: interrupt.signal }),
      signOfLife: ({ directory }) => signOfLife(directory, false),
      signal: interrupt.signal,
      onWaiting: busy => say(`Waiting for a sign of life of the tasks that have ${namesOf(busy)}`),
    })
    for (const [{ name }, why] of left) say(`${name} is left to others: ${why}`)
    if (interrupt.signal.aborted) process.exitCode = interruptedExitCode
    await conclude(set, members, training)
  } finally {
    interrupt.release()
  }
}

function namesOf(busy: ReadonlyMap<SetMember, string>): string {
  return [...busy.keys()].map(({ name }) => name).join(', ')
}

interface Pass {
  readonly say: (text: string) => void
  readonly signal: AbortSignal
}

/** @returns the runs that others train, with what is to be said of each */
async function passOver(
  members: readonly SetMember[],
  training: Omit<SetTraining, 'isContinued'>,
  { say, signal }: Pass,
): Promise<Map<SetMember, string>> {
  const busy = new Map<SetMember, string>()
  for (const member of members) {
    if (signal.aborted) break
    try {
      await trainMember(member, training, say)
    } catch (error) {
      if (!(error instanceof LockedError)) throw error
      busy.set(member, error.message)
    }
  }
  return busy
}

/**
 * Trains a run to its end, unless it has ended.
 *
 * @throws LockedError when another process trains it, or has taken it over meanwhile
 */
async function trainMember(
  member: SetMember,
  training: Omit<SetTraining, 'isContinued'>,
  say: (text: string) => void,
): Promise<void> {
  if (await endedRun(member)) return
  // The folder of the run is locked as well, but not before its images are there.
  const claim = await lockFile(member.directory, 'train')
  try {
    if (await endedRun(member)) return
    if (claim.takenFrom !== undefined) {
      say(`${member.name} is taken over from ${claim.takenFrom}, which has ended`)
    }
    const started = await begun(member, training, true)
    try {
      await followRun(started, { json: training.json, signal: claim.lost })
      claim.lost.throwIfAborted()
    } finally {
      await started.lock.release()
      disposeModel(networkOf(started.model))
    }
  } finally {
    await claim.release()
  }
}

/** Whoever finds every run ended writes the summary: of several tasks that end together each may, with the same content. */
async function conclude(
  set: RunSet,
  members: readonly SetMember[],
  { json }: Pick<SetTask, 'json'>,
): Promise<void> {
  const ended: SummarizedRun[] = []
  for (const member of members) {
    const run = await endedRun(member)
    if (run) ended.push(run)
  }
  if (ended.length === members.length) await writeSummary(set, ended)
  reportSet(set, ended, members.length, { json })
}

/**
 * The set that a task is to work on: the one in the folder, or a new one with what is asked for, of which the first run can begin.
 *
 * @param asked undefined where the flags name no set
 * @throws UsageError when the set in the folder has other settings, or there is none and none is asked for; as `preparedTraining`
 */
export async function joinedSet(
  directory: string,
  asked: RunSet | undefined,
  request: TrainingRequest,
): Promise<RunSet | undefined> {
  const stored = await storedSet(directory)
  if (stored) {
    checkSameSet(stored, request)
    return stored
  }
  if (!asked) return undefined
  await checkFirstRun(asked)
  if (await createSet(asked)) return asked
  // Another task has begun it at the same time.
  return joinedSet(directory, undefined, request)
}

/**
 * Checks that the first run of a set can begin, without writing anything.
 *
 * @throws as `preparedTraining`
 */
export async function checkFirstRun(set: RunSet): Promise<void> {
  const [first] = membersOf(set)
  if (!first) return
  const { network } = await preparedTraining(first.flags as TrainingRequest, 'train')
  disposeModel(networkOf(network))
}

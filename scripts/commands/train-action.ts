import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { useBackend } from '../../src/backend/choose.js'
import type { JoinedCluster } from '../../src/cluster/join-cluster.js'
import { type Lock, refuseLocked } from '../../src/files/lock.js'
import type { RunConfig } from '../../src/run/run-config.js'
import { continueRun, lockedRun, openLockedRun, openRun, type RunFolder } from '../../src/run/run-folder.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import type { TrainState } from '../../src/train/checkpoint.js'
import type { Cluster } from '../../src/train/cluster/cluster.js'
import { networkOf } from '../../src/train/feed.js'
import { askedSet, checkSameSet, checkSetPlace, storedSet } from '../run/choosing/run-set.js'
import { joinedSet, trainSetTask } from '../run/choosing/set-task.js'
import { submitSet } from '../run/choosing/submit-set.js'
import { trainSet } from '../run/choosing/train-set.js'
import { askedJob, type ClusterFlags } from '../run/cluster/cluster-options.js'
import type { Share } from '../run/cluster/shared-work.js'
import { followRun, type StartedRun } from '../run/followed-run.js'
import type { NewRun } from '../run/new-run.js'
import { preferThreadsOf } from '../run/regions/region-threads.js'
import { loadData, loadRegions } from '../run/run-data.js'
import {
  type ClusterRequest,
  checkWorkersBackend,
  joinedCluster,
  startedTogether,
  stayForOthers,
  unkeptRun,
} from '../run/training/cluster-worker.js'
import { continuedConfig } from '../run/training/continued-config.js'
import {
  newNetwork,
  preparedTraining,
  requiredNames,
  type TrainingRequest,
} from '../run/training/prepared-training.js'
import { storedState, useComputeSettings } from '../run/training-run.js'
import { storedInitial } from '../run/transfer/initial-model.js'
import { UsageError } from '../terminal/usage-error.js'

/** The flags of `pmoe train`, as commander hands them over; those of `trainSettings` are among them. */
export interface TrainRequest
  extends TrainingRequest,
    ClusterFlags,
    Pick<ClusterRequest, 'heartbeat' | 'startTimeout'> {
  readonly out?: string
  readonly resume?: boolean
  readonly force?: boolean
  readonly json?: boolean
  /** Runs that differ by their seed, in folders of their own. */
  readonly seeds?: number
  /** Runs of which each validates on another fold, in folders of their own. */
  readonly folds?: number
  /** The task of a job as which it works on a set. */
  readonly share?: Share
}

/**
 * Starts or resumes a run or a set of them, works on a share of a set, or gives a set to a cluster; sets the exit code when
 * interrupted.
 *
 * @param words the options that were typed, without some of them
 */
export async function runTrain(
  request: TrainRequest,
  words: (leftOut: readonly string[]) => string[],
): Promise<void> {
  if (request.resume && request.force)
    throw new UsageError('train: --resume and --force must not be given together')
  const job = askedJob(request, 'train')
  const { share } = request
  if (share) {
    if (job) throw new UsageError('train: --cluster and --share must not be given together')
    await trainShare(request, share)
    return
  }
  const cluster = job ? undefined : await joinedCluster(request)
  if (cluster) {
    await trainTogether(request, cluster)
    return
  }
  const directory = request.out ?? (request.resume ? undefined : newFolder(request))
  // A job joins a set that is there, as its tasks do.
  const joins = request.resume || job !== undefined
  const stored = joins && directory !== undefined ? await storedSet(directory) : undefined
  const set = stored ?? (directory === undefined ? undefined : askedSet(directory, request))
  if (!set) {
    if (job) throw new UsageError('train: --cluster must come with --seeds or --folds, got neither')
    await trainOne(request)
    return
  }
  if (stored) checkSameSet(stored, request)
  else if (request.resume) {
    throw new UsageError(`train: --resume with --${set.kind} must name the folder of a set, got ${directory}`)
  } else if (!job) await checkSetPlace(set, { force: request.force === true })
  const isContinued = stored !== undefined
  const json = request.json === true
  if (job) {
    const typed = words(['out', 'resume', 'force', 'json'])
    await submitSet(set, { job, words: typed, isContinued, force: request.force === true, json })
    return
  }
  await trainSet(set, { isContinued, json, ...setRuns })
}

/** How the runs of a set begin and go on. */
const setRuns = { start: startRun, resume: (out: string) => resumeRun({ out, resume: true }) }

/** Works on the share of a task in a set, which it begins where no other task has. */
async function trainShare(request: TrainRequest, share: Share): Promise<void> {
  const { out } = request
  if (out === undefined) throw new UsageError('train: --share must come with --out, the folder of the set')
  const set = await joinedSet(out, askedSet(out, request), request)
  if (!set)
    throw new UsageError(`train: --share must come with --seeds or --folds, got neither and no set in ${out}`)
  await trainSetTask(set, { share, json: request.json === true, ...setRuns })
}

/** Starts or resumes one run, and follows it to its end. */
async function trainOne(request: TrainRequest): Promise<void> {
  const started = request.resume ? await resumeRun(request) : await startRun(request)
  try {
    await followRun(started, { json: request.json === true })
  } finally {
    await started.lock.release()
  }
}

/** Takes part in a run of several workers. */
async function trainTogether(request: TrainRequest, cluster: JoinedCluster): Promise<void> {
  const start = request.resume ? resumeRun : startRun
  try {
    const started = await startedTogether(
      cluster,
      () => start(request, cluster),
      ({ lock }) => lock.release(),
    )
    try {
      await followRun({ ...started, cluster }, { json: request.json === true })
    } finally {
      await started.lock.release()
    }
  } catch (error) {
    await stayForOthers(error)
    throw error
  }
}

/** The folder of a run, or of a set of them, for which none is named. */
function newFolder({ dataset, model, init }: TrainRequest): string {
  return nextFree(join('runs', `${dataset}-${model ?? (init === undefined ? 'run' : 'init')}`))
}

async function startRun(request: TrainRequest, cluster?: Cluster): Promise<StartedRun> {
  const { dataset, model } = requiredNames(request, 'train')
  const directory = request.out ?? nextFree(join('runs', `${dataset}-${model}`))
  const writes = !cluster || cluster.index === 0
  if (writes) await refuseLocked(directory, 'train')
  const { config, data, opened, network, notes } = await preparedTraining(request, 'train')
  if (!writes) return { run: unkeptRun(config, { directory }), lock: noLock, model: network, data, notes }
  const layers = networkOf(network)
  const { run, lock } = await lockedRun(directory, config, {
    force: request.force === true,
    routers: await modelRouters(layers),
    ...(opened && { initial: layers }),
  })
  return { run, lock, model: network, data, notes }
}

async function resumeRun(request: TrainRequest, cluster?: Cluster): Promise<StartedRun> {
  if (request.out === undefined)
    throw new UsageError('train: --resume must come with --out, the folder of the run')
  const writes = !cluster || cluster.index === 0
  const { run: before, lock } = writes
    ? await openLockedRun(request.out)
    : { run: await openRun(request.out), lock: noLock }
  try {
    const config = continuedConfig(before, request)
    if (cluster) checkWorkersBackend(config.backend, cluster.size, `the backend of ${before.directory}`)
    const resume = await storedState(before)
    preferThreadsOf(config, resume)
    await useBackend(config.backend)
    useComputeSettings(config)
    checkLength(before, config, resume)
    const { dataset, seed } = config
    const { options } = config.model
    const data = await (options.kind === 'routed' ? loadRegions : loadData)(dataset, seed)
    checkImages(before, data.train, resume)
    const model = options.kind === 'init' ? await storedInitial(before) : newNetwork(config, data)
    // What was asked for is written once nothing of it can fail: a run with settings that do not work could not be resumed.
    const kept = writes ? before : unkeptRun(config, before)
    const run = config === before.config || !writes ? kept : await continueRun(before, config)
    return { run, lock, model, data, resume, notes: [] }
  } catch (error) {
    await lock.release()
    throw error
  }
}

/** The lock of a worker that writes nothing. */
const noLock: Lock = { lost: new AbortController().signal, release: async () => undefined }

/** What follows the whole length of a training, such as a falling learning rate, would be another in a longer one. */
function checkLength(
  { directory }: RunFolder,
  { training: { epochs } }: RunConfig,
  state: TrainState | undefined,
): void {
  if (state?.epochs === undefined || state.epochs === epochs) return
  throw new UsageError(
    `train: --epochs must stay ${state.epochs} for ${directory}, whose learning rate or prior follows the length of the training, ` +
      `got ${epochs} (--schedule constant in a new run leaves it open)`,
  )
}

/**
 * Checks that the images are as many as before, and those that are read in parts as large: a folder that has changed may hold
 * others.
 */
function checkImages(
  { directory, config }: RunFolder,
  { shape, count }: NewRun['data']['train'],
  state: TrainState | undefined,
): void {
  const { options } = config.model
  if (state && state.examples !== count) {
    throw new UsageError(
      `train: training images must be ${state.examples}, as at the start of ${directory}, got ${count}`,
    )
  }
  if (options.kind !== 'routed' || options.imageShape.join() === shape.join()) return
  throw new UsageError(
    `train: images must be ${options.imageShape.join('x')}, as at the start of ${directory}, got ${shape.join('x')}`,
  )
}

/** The path itself, or the first of path-2, path-3, ... that does not exist. */
function nextFree(path: string): string {
  for (let number = 1; ; number++) {
    const candidate = number === 1 ? path : `${path}-${number}`
    if (!existsSync(candidate)) return candidate
  }
}

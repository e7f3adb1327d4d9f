import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { useBackend } from '../../src/backend/choose.js'
import { refuseLocked } from '../../src/files/lock.js'
import type { RunConfig } from '../../src/run/run-config.js'
import { continueRun, lockedRun, openLockedRun, type RunFolder } from '../../src/run/run-folder.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import type { TrainState } from '../../src/train/checkpoint.js'
import { networkOf } from '../../src/train/feed.js'
import { askedSet, checkSameSet, checkSetPlace, storedSet } from '../run/choosing/run-set.js'
import { trainSet } from '../run/choosing/train-set.js'
import { followRun, type StartedRun } from '../run/followed-run.js'
import type { NewRun } from '../run/new-run.js'
import { preferThreadsOf } from '../run/regions/region-threads.js'
import { loadData, loadRegions } from '../run/run-data.js'
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
export interface TrainRequest extends TrainingRequest {
  readonly out?: string
  readonly resume?: boolean
  readonly force?: boolean
  readonly json?: boolean
  /** Runs that differ by their seed, in folders of their own. */
  readonly seeds?: number
  /** Runs of which each validates on another fold, in folders of their own. */
  readonly folds?: number
}

/** Starts or resumes a run; sets the exit code when interrupted. */
export async function runTrain(request: TrainRequest): Promise<void> {
  if (request.resume && request.force)
    throw new UsageError('train: --resume and --force must not be given together')
  const directory = request.out ?? (request.resume ? undefined : newFolder(request))
  const stored = request.resume && directory !== undefined ? await storedSet(directory) : undefined
  const set = stored ?? (directory === undefined ? undefined : askedSet(directory, request))
  if (!set) {
    await trainOne(request)
    return
  }
  if (stored) checkSameSet(stored, request)
  else if (request.resume) {
    throw new UsageError(`train: --resume with --${set.kind} must name the folder of a set, got ${directory}`)
  } else await checkSetPlace(set, { force: request.force === true })
  await trainSet(set, {
    isContinued: stored !== undefined,
    json: request.json === true,
    start: startRun,
    resume: out => resumeRun({ out, resume: true }),
  })
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

/** The folder of a run, or of a set of them, for which none is named. */
function newFolder({ dataset, model, init }: TrainRequest): string {
  return nextFree(join('runs', `${dataset}-${model ?? (init === undefined ? 'run' : 'init')}`))
}

async function startRun(request: TrainRequest): Promise<StartedRun> {
  const { dataset, model } = requiredNames(request, 'train')
  const directory = request.out ?? nextFree(join('runs', `${dataset}-${model}`))
  await refuseLocked(directory, 'train')
  const { config, data, opened, network, notes } = await preparedTraining(request, 'train')
  const layers = networkOf(network)
  const { run, lock } = await lockedRun(directory, config, {
    force: request.force === true,
    routers: await modelRouters(layers),
    ...(opened && { initial: layers }),
  })
  return { run, lock, model: network, data, notes }
}

async function resumeRun(request: TrainRequest): Promise<StartedRun> {
  if (request.out === undefined)
    throw new UsageError('train: --resume must come with --out, the folder of the run')
  const { run: before, lock } = await openLockedRun(request.out)
  try {
    const config = continuedConfig(before, request)
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
    const run = config === before.config ? before : await continueRun(before, config)
    return { run, lock, model, data, resume, notes: [] }
  } catch (error) {
    await lock.release()
    throw error
  }
}

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

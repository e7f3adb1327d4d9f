import { appendFile, stat } from 'node:fs/promises'
import { join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { readSafetensors, writeSafetensors } from '../data/formats/safetensors.js'
import { writeFileAtomic } from '../files/atomic.js'
import { isMissing, makeFolder } from '../files/folders.js'
import { type Lock, LockedError, lockFolder } from '../files/lock.js'
import { fileSystem, holdsModel, loadModelFolder, modelFolderFiles } from '../files/model-files.js'
import { readRegularFile, readTextFile } from '../files/regular-file.js'
import {
  folderState,
  type OwnFolder,
  recoverFolder,
  recoverForReading,
  replaceFolder,
} from '../files/replacement.js'
import { type CheckpointStore, latestCheckpoint } from '../train/checkpoint.js'
import type { EpochMetrics } from '../train/events.js'
import { eventFileName, eventFileStart } from '../train/tensorboard.js'
import { eventsOf, jsonLine, parseMetrics, type RecordedEpoch } from './recorded-epochs.js'
import { parseRunConfig, type RunConfig } from './run-config.js'
import { modelRouters, type Routers } from './starting-routers.js'

const CONFIG = 'config.json'
const METRICS = 'metrics.jsonl'
const MODEL = 'model'
const INITIAL = 'initial'
const ROUTERS = 'routers-start.safetensors'
const PRUNING = 'pruning.json'
const CHECKPOINTS = 'checkpoints'
const EVENTS = eventFileName(0, 'patch-moe')
const RUN_FILES = [
  CONFIG,
  METRICS,
  EVENTS,
  ROUTERS,
  PRUNING,
  join(CHECKPOINTS, latestCheckpoint),
  ...[MODEL, INITIAL].flatMap(folder => modelFolderFiles.map(file => join(folder, file))),
]
const runKind: OwnFolder = { marker: CONFIG, ownFiles: async () => RUN_FILES }

/**
 * The folder of one training run:
 *
 * | name | content |
 * |---|---|
 * | `config.json` | everything needed to repeat the run |
 * | `metrics.jsonl` | one JSON line an epoch |
 * | `model/` | the trained model, as tfjs saves it |
 * | `initial/` | of a run that starts from a trained network: that network |
 * | `routers-start.safetensors` | the routers of its mixtures before the first step, float32 by layer path |
 * | `pruning.json` | of a network that was pruned: what was removed, why, and what it saves |
 * | `checkpoints/` | the exact state of the training |
 * | `features/` | of a run with frozen layers: what they give for each image; it may be deleted at any time |
 * | `events.out.tfevents.*` | the metrics for TensorBoard |
 */
export interface RunFolder {
  readonly directory: string
  readonly config: RunConfig
  /** Keeps training states under `checkpoints/`, each written whole or not at all. */
  readonly checkpoints: CheckpointStore
  /** The epochs so far, oldest first; a last line that was cut off in writing does not count. */
  epochs(): Promise<RecordedEpoch[]>
  /** Adds one epoch to `metrics.jsonl` and to the TensorBoard events. */
  recordEpoch(metrics: EpochMetrics): Promise<void>
  /**
   * Makes `metrics.jsonl` and the TensorBoard events hold exactly these epochs: none at the start of a run, those of
   * the checkpoint when it resumes. Epochs that are there already keep the time at which they ended.
   */
  restart(history: readonly EpochMetrics[]): Promise<void>
  /** Saves the model; where this fails, the model that was saved before remains. */
  saveModel(model: tfl.LayersModel): Promise<void>
  /** Whether a model was saved. */
  hasModel(): Promise<boolean>
  /** Loads the saved model on the current backend. */
  loadModel(): Promise<tfl.LayersModel>
  /** Loads the network that the run started from, where that was trained before, on the current backend. */
  loadInitial(): Promise<tfl.LayersModel>
  /**
   * The routers of the run's mixtures before its first step; undefined for a run that kept none, as runs without a
   * mixture and those of version 0.1.0.
   *
   * @throws Error naming the file where it is damaged or cannot be read
   */
  startingRouters(): Promise<Routers | undefined>
  /** Writes `pruning.json`, whole or not at all. */
  recordPruning(record: object): Promise<void>
}

/** How the folder of a run is created. */
export interface RunCreation {
  /** Replaces the run that the folder holds; files that are not a run's own are kept. */
  readonly force?: boolean
  /** The network that the run starts from, where that was trained before. */
  readonly initial?: tfl.LayersModel
  /** The routers of the network before its first step, as `modelRouters` reads them; those of `initial` unless given. */
  readonly routers?: Routers
  /** The network as it can be used at once, where the run begins with a trained one; a training replaces it. */
  readonly trained?: tfl.LayersModel
  /** Of a pruned network: what `pruning.json` says, plain data. */
  readonly pruning?: object
}

/**
 * Creates the folder of a run, with its `config.json`. When the process is killed meanwhile, the folder holds either what
 * it held before or the new run. A folder with nothing but the configuration of a killed run counts as empty.
 *
 * @param directory is created with its parents; it may be an empty folder
 * @throws Error when the folder holds a run and `force` is not given, holds something else, is in use by another process,
 *   or cannot be written
 */
export async function createRun(
  directory: string,
  config: RunConfig,
  creation: RunCreation = {},
): Promise<RunFolder> {
  const { run, lock } = await lockedRun(directory, config, creation)
  await lock.release()
  return run
}

/** A run whose folder this process has locked. */
export interface LockedRun {
  readonly run: RunFolder
  /** Must be released when nothing more is written. */
  readonly lock: Lock
}

/**
 * Creates the folder of a run, as {@link createRun}, and keeps other processes out of it.
 *
 * @throws as `createRun`
 */
export async function lockedRun(
  directory: string,
  config: RunConfig,
  creation: RunCreation = {},
): Promise<LockedRun> {
  await refuseForeign(directory)
  return writable(directory, async () => {
    const lock = await lockFolder(directory, 'train')
    try {
      await recoverFolder(directory, runKind)
      if (!creation.force) await refuseRun(directory, 'continue it with --resume, replace it with --force')
      await replaceFolder(directory, runKind, async staging => {
        await writeStart(staging, creation)
        await withConfig(staging, config)
      })
      return { run: runFolder(directory, config), lock }
    } catch (error) {
      await lock.release()
      throw error
    }
  })
}

/** Writes what a run starts with, besides its configuration. */
async function writeStart(directory: string, creation: RunCreation): Promise<void> {
  const { initial, routers, trained, pruning } = creation
  if (initial) await initial.save(fileSystem(join(directory, INITIAL)))
  if (trained) await trained.save(fileSystem(join(directory, MODEL)))
  if (pruning) await writeFileAtomic(join(directory, PRUNING), jsonFile(pruning))
  const starting = routers ?? (initial && (await modelRouters(initial)))
  if (!starting || starting.size === 0) return
  await writeFileAtomic(join(directory, ROUTERS), writeSafetensors(starting))
}

/**
 * Checks that a new run can have a folder, before the work that the run is to keep.
 *
 * @throws Error as {@link createRun}, for a folder with a run unless `force` is given, and for one with something else
 */
export async function checkRunPlace(
  directory: string,
  { force = false }: Pick<RunCreation, 'force'> = {},
): Promise<void> {
  await refuseForeign(directory)
  if (!force) await refuseRun(directory, 'replace it with --force')
}

async function refuseForeign(directory: string): Promise<void> {
  const { is, entries } = await folderState(directory, runKind).catch((cause: unknown) => {
    throw new Error(`createRun: ${directory} must be a readable folder, got ${(cause as Error).message}`, {
      cause,
    })
  })
  if (is !== 'foreign') return
  throw new Error(
    `createRun: ${directory} must be new, empty or a run, got a folder with ${entries.slice(0, 3).join(', ')}`,
  )
}

/** Throws for a run with results; one with only its configuration and empty metrics may be replaced. */
async function refuseRun(directory: string, advice: string): Promise<void> {
  const { entries } = await folderState(directory, runKind)
  if (!entries.includes(CONFIG)) return
  const hasResults =
    entries.includes(MODEL) ||
    (await readBytesIfPresent(join(directory, CHECKPOINTS, latestCheckpoint))) !== undefined ||
    (await readTextIfPresent(join(directory, METRICS))) !== ''
  if (!hasResults) return
  throw new Error(`createRun: ${directory} must be new or empty, got a run (${advice})`)
}

async function writable<T>(directory: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    if (!isFileSystemError(cause)) throw cause
    throw new Error(`createRun: ${directory} must be writable, got ${(cause as Error).message}`, { cause })
  }
}

/** Whether an error is the file system's own; those of this library name the file already. */
function isFileSystemError(error: unknown): boolean {
  return !(error instanceof LockedError) && error instanceof Error && 'syscall' in error
}

/** The same run with another configuration: to last for more epochs, or to read its files from elsewhere. */
export function continueRun({ directory }: RunFolder, config: RunConfig): Promise<RunFolder> {
  return withConfig(directory, config)
}

async function withConfig(directory: string, config: RunConfig): Promise<RunFolder> {
  await writeFileAtomic(join(directory, CONFIG), jsonFile(config))
  return runFolder(directory, config)
}

/** Whether a folder holds a run, begun or ended. */
export async function holdsRun(directory: string): Promise<boolean> {
  await recoverForReading(directory, runKind)
  return stat(join(directory, CONFIG)).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false
      throw error
    },
  )
}

/**
 * Opens the folder of an existing run.
 *
 * @throws Error when there is none, or its `config.json` is not JSON or lacks a setting, naming the path and the key
 */
export async function openRun(directory: string): Promise<RunFolder> {
  const path = join(directory, CONFIG)
  await recoverForReading(directory, runKind)
  const text = await readTextFile(path).catch(async (cause: unknown) => {
    throw new Error(
      `openRun: ${directory} must be the folder of a run, got ${await reasonNoRun(directory, cause)}`,
      {
        cause,
      },
    )
  })
  return runFolder(directory, parseRunConfig(text, path))
}

async function reasonNoRun(directory: string, cause: unknown): Promise<string> {
  const stats = await stat(directory).catch(() => undefined)
  if (!stats) return 'nothing there'
  if (!stats.isDirectory()) return 'a file'
  if (isMissing(cause)) return `one without ${CONFIG}`
  return `one whose ${CONFIG} cannot be read: ${(cause as Error).message}`
}

/**
 * Opens the folder of a run to continue it: locks it against other processes, and removes what a killed one left.
 *
 * @throws as {@link openRun}; LockedError naming the process that works on it
 */
export async function openLockedRun(directory: string): Promise<LockedRun> {
  await openRun(directory)
  const lock = await lockFolder(directory, 'train')
  try {
    await recoverFolder(directory, runKind)
    return { run: await openRun(directory), lock }
  } catch (error) {
    await lock.release()
    throw error
  }
}

function runFolder(directory: string, config: RunConfig): RunFolder {
  const metricsPath = join(directory, METRICS)
  const eventsPath = join(directory, EVENTS)
  const modelFolder = join(directory, MODEL)
  const epochs = async () => parseMetrics(await readTextIfPresent(metricsPath), metricsPath)
  return {
    directory,
    config,
    checkpoints: fileCheckpoints(join(directory, CHECKPOINTS)),
    epochs,
    recordEpoch: async metrics => {
      const epoch = { ...metrics, wallTime: now() }
      await withRequirement(`${metricsPath} must be writable`, () => appendFile(metricsPath, jsonLine(epoch)))
      await withRequirement(`${eventsPath} must be writable`, () => appendFile(eventsPath, eventsOf([epoch])))
    },
    restart: async history => {
      const endTimes = new Map((await epochs()).map(({ epoch, wallTime }) => [epoch, wallTime]))
      const recorded = history.map(metrics => ({
        ...metrics,
        wallTime: endTimes.get(metrics.epoch) ?? now(),
      }))
      await writeFileAtomic(metricsPath, recorded.map(jsonLine).join(''))
      await writeFileAtomic(
        eventsPath,
        joined(eventFileStart(recorded[0]?.wallTime ?? now()), eventsOf(recorded)),
      )
    },
    saveModel: async model => {
      await model.save(fileSystem(modelFolder))
    },
    hasModel: () => holdsModel(modelFolder),
    loadModel: () => loadModelFolder(modelFolder),
    loadInitial: () => loadModelFolder(join(directory, INITIAL)),
    startingRouters: async () => {
      const path = join(directory, ROUTERS)
      const bytes = await readBytesIfPresent(path)
      return bytes && readSafetensors(bytes, path).tensors
    },
    recordPruning: record => writeFileAtomic(join(directory, PRUNING), jsonFile(record)),
  }
}

/**
 * Keeps training states as files of a folder.
 *
 * @param directory is created with the first state
 */
export function fileCheckpoints(directory: string): CheckpointStore {
  return {
    write: async (name, bytes) => {
      await withRequirement(`checkpoint ${join(directory, name)} must be writable`, () =>
        makeFolder(directory),
      )
      await writeFileAtomic(join(directory, name), bytes)
    },
    read: name => readBytesIfPresent(join(directory, name)),
  }
}

async function readBytesIfPresent(path: string): Promise<Uint8Array | undefined> {
  try {
    return await readRegularFile(path)
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw new Error(`${path}: must be readable, got ${(cause as Error).message}`, { cause })
  }
}

async function readTextIfPresent(path: string): Promise<string> {
  const bytes = await readBytesIfPresent(path)
  return bytes ? new TextDecoder().decode(bytes) : ''
}

function now(): number {
  return Date.now() / 1000
}

function jsonFile(value: object): string {
  return `${JSON.stringify(value, null, 2)}\n`
}

function joined(first: Uint8Array, second: Uint8Array): Uint8Array {
  return Buffer.concat([first, second])
}

/** Runs an action of the file system; where it fails, the error begins with the requirement. */
async function withRequirement<T>(requirement: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new Error(`${requirement}, got ${(cause as Error).message}`, { cause })
  }
}

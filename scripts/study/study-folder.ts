import { readdir, rm } from 'node:fs/promises'
import { join } from 'node:path'
import type * as tfl from '@tensorflow/tfjs-layers'
import { readSafetensors, writeSafetensors } from '../../src/data/formats/safetensors.js'
import { createFileAtomic, writeFileAtomic } from '../../src/files/atomic.js'
import { isMissing, makeFolder } from '../../src/files/folders.js'
import { type Lock, LockedError, lockFolder, signOfLife } from '../../src/files/lock.js'
import { readRegularFile, readTextFile } from '../../src/files/regular-file.js'
import {
  folderState,
  type OwnFolder,
  recoverFolder,
  recoverForReading,
  replaceFolder,
} from '../../src/files/replacement.js'
import { checkWeights, readWeights, restoreWeights } from '../../src/train/checkpoint.js'
import { UsageError } from '../terminal/usage-error.js'
import type { Cell } from './cell.js'
import { type CellCheckpoints, cellCheckpoint, cellCheckpoints } from './cell-checkpoints.js'
import { type CellResult, type FailedCell, parseCellResult } from './cell-result.js'
import { type PeerResult, parsePeerResults } from './peer-result.js'
import { parseStudyConfig, type StudyConfig, studyDifferences } from './study-config.js'

const CONFIG = 'study.json'
const CELLS = 'cells'
const RESULT = 'result.json'
const CELL_CONFIG = 'config.json'
const PICTURES = 'pictures.json'
const NETWORK = 'network.safetensors'
const PEERS = 'peers.jsonl'
const CELL_FILES = [RESULT, CELL_CONFIG, PICTURES, NETWORK, join(cellCheckpoint.folder, cellCheckpoint.file)]
/** What `pmoe study report` writes. */
export const reportFiles = {
  page: 'report.html',
  results: 'results.json',
  table: 'table.md',
  svg: 'figure.svg',
  png: 'figure.png',
} as const
const studyKind: OwnFolder = {
  marker: CONFIG,
  async ownFiles(directory) {
    const cells = await readdir(join(directory, CELLS)).catch(() => [])
    const files = cells
      .filter(name => /^\d{5,}$/.test(name))
      .flatMap(cell => CELL_FILES.map(file => join(CELLS, cell, file)))
    return [CONFIG, PEERS, ...Object.values(reportFiles), ...files]
  },
}

/**
 * The folder of a study:
 *
 * | name | content |
 * |---|---|
 * | `study.json` | everything needed to repeat it |
 * | `cells/00017/config.json` | what a cell is |
 * | `cells/00017/result.json` | what became of it, once it has ended |
 * | `cells/00017/pictures.json` | where its experts looked, of a few cells |
 * | `cells/00017/network.safetensors` | the weights of its trained network, of studies that look at networks again |
 * | `cells/00017/checkpoints/` | the state of its training, until it has its result |
 * | `peers.jsonl` | what other programs reached on the same images, a line each, where they were run |
 */
export class StudyFolder {
  readonly directory: string
  readonly config: StudyConfig

  constructor(directory: string, config: StudyConfig) {
    this.directory = directory
    this.config = config
  }

  /** What became of a cell; undefined while it has not ended. */
  async result(index: number): Promise<CellResult | undefined> {
    const path = join(this.cellFolder(index), RESULT)
    const text = await readIfPresent(path)
    return text === undefined ? undefined : parseCellResult(text, path)
  }

  /** The results of all cells that have ended, by index. */
  async results(cells: readonly Cell[]): Promise<Map<number, CellResult>> {
    const results = new Map<number, CellResult>()
    for (const { index } of cells) {
      const result = await this.result(index)
      if (result) results.set(index, result)
    }
    return results
  }

  /** Stores what became of a cell; the file is written whole or not at all. */
  async keepResult(result: CellResult): Promise<void> {
    await this.write(result.cell.index, RESULT, result)
  }

  /** The state of the training of a cell. */
  checkpoints(index: number): CellCheckpoints {
    return cellCheckpoints(this.cellFolder(index))
  }

  /**
   * Stores that a cell has failed, unless another process runs it or has done it.
   *
   * @returns whether it was stored
   */
  async keepFailure(result: FailedCell): Promise<boolean> {
    const lock = await this.lockCell(result.cell.index).catch((error: unknown) => {
      if (error instanceof LockedError) return undefined
      throw error
    })
    if (!lock) return false
    try {
      if ((await this.result(result.cell.index))?.status === 'done') return false
      await this.keepResult(result)
      return true
    } finally {
      await lock.release()
    }
  }

  /** Stores the configuration of a cell. */
  async keepCellConfig(index: number, config: unknown): Promise<void> {
    await this.write(index, CELL_CONFIG, config)
  }

  /** Stores where the experts of a cell looked. */
  async keepPictures(index: number, pictures: unknown): Promise<void> {
    await this.write(index, PICTURES, pictures)
  }

  /** Where the experts of a cell looked; undefined when that was not stored. */
  async pictures(index: number): Promise<unknown> {
    const text = await readIfPresent(join(this.cellFolder(index), PICTURES))
    return text === undefined ? undefined : JSON.parse(text)
  }

  /** Stores the weights of the trained network of a cell. */
  async keepNetwork(index: number, network: tfl.LayersModel): Promise<void> {
    const folder = this.cellFolder(index)
    await makeFolder(folder)
    await writeFileAtomic(join(folder, NETWORK), writeSafetensors(await readWeights(network), {}))
  }

  /**
   * Gives a network the weights that were stored of a cell.
   *
   * @throws Error naming the file when there is none or it is damaged; RangeError when they are of another network
   */
  async restoreNetwork(index: number, network: tfl.LayersModel): Promise<void> {
    const path = join(this.cellFolder(index), NETWORK)
    const { tensors } = readSafetensors(await readRegularFile(path), path)
    // They are numbered in the order of the network.
    const weights = [...tensors].sort(([a], [b]) => (a < b ? -1 : 1))
    checkWeights(network, weights, path)
    restoreWeights(network, weights)
  }

  /**
   * What other programs reached on the images of the study.
   *
   * @throws Error naming the file and the line that is not what it should be
   */
  async peers(): Promise<readonly PeerResult[]> {
    const path = join(this.directory, PEERS)
    const text = await readIfPresent(path)
    return text === undefined ? [] : parsePeerResults(text, path)
  }

  /** Adds what another program reached. */
  async keepPeer(result: PeerResult): Promise<void> {
    const lines = [...(await this.peers()), result].map(line => JSON.stringify(line))
    await writeFileAtomic(join(this.directory, PEERS), `${lines.join('\n')}\n`)
  }

  /**
   * Keeps other processes from running a cell.
   *
   * @throws LockedError naming the process that runs it
   */
  lockCell(index: number): Promise<Lock> {
    return lockFolder(this.cellFolder(index), 'study')
  }

  /** When the process that runs a cell gave its last sign of life; undefined where none runs it. */
  signOfLife(index: number): Promise<number | undefined> {
    return signOfLife(this.cellFolder(index), true)
  }

  /** Deletes the results of cells that have failed, so that they are run again. */
  async forgetFailed(cells: readonly Cell[]): Promise<void> {
    for (const [index, { status }] of await this.results(cells)) {
      if (status !== 'failed') continue
      const lock = await this.lockCell(index)
      await rm(join(this.cellFolder(index), RESULT), { force: true }).finally(() => lock.release())
    }
  }

  private cellFolder(index: number): string {
    return join(this.directory, CELLS, String(index).padStart(5, '0'))
  }

  private async write(index: number, name: string, content: unknown): Promise<void> {
    const folder = this.cellFolder(index)
    await makeFolder(folder)
    await writeFileAtomic(join(folder, name), `${JSON.stringify(content)}\n`)
  }
}

/**
 * Opens the folder of an existing study.
 *
 * @throws Error when there is none, or its `study.json` is damaged
 */
export async function openStudy(directory: string): Promise<StudyFolder> {
  const path = join(directory, CONFIG)
  await recoverForReading(directory, studyKind)
  const text = await readIfPresent(path)
  if (text === undefined) {
    throw new Error(`${directory}: must be the folder of a study, got none (no ${CONFIG} in it)`)
  }
  return new StudyFolder(directory, parseStudyConfig(text, path))
}

/** The configuration of the study in a folder; undefined where there is none. */
export async function studyIn(directory: string): Promise<StudyConfig | undefined> {
  const path = join(directory, CONFIG)
  await recoverForReading(directory, studyKind)
  const text = await readIfPresent(path)
  return text === undefined ? undefined : parseStudyConfig(text, path)
}

/** How the folder of a study is begun. */
export interface StudyStart {
  /** Replaces an existing study; files that are not the study's own stay. */
  readonly force?: boolean
  /** Whether other processes may work on it; then leftovers of killed processes are not cleared away. */
  readonly shared?: boolean
}

/**
 * Makes the folder of a study, or continues the existing one. The folder must be locked. A process that is killed
 * meanwhile leaves the old study or the new one, whole.
 *
 * @throws UsageError naming the settings in which the existing study differs; Error for a folder that holds something
 *   else
 */
export async function startStudy(
  directory: string,
  config: StudyConfig,
  { force = false, shared = false }: StudyStart = {},
): Promise<StudyFolder> {
  await refuseForeign(directory)
  await makeFolder(directory)
  if (!shared) await recoverFolder(directory, studyKind)
  let existing = await studyIn(directory)
  if (!existing && shared && !force) {
    if (await createFileAtomic(join(directory, CONFIG), configText(config))) {
      return new StudyFolder(directory, config)
    }
    // Another process has begun it at the same time.
    existing = await studyIn(directory)
  }
  if (existing && !force) refuseChanges(directory, existing, config)
  if (existing && !force && existing.seeds === config.seeds) return new StudyFolder(directory, existing)
  // A continued study keeps the versions that it began with.
  const updated = existing && !force ? { ...existing, seeds: config.seeds } : config
  if (force) await replaceFolder(directory, studyKind, staging => writeConfig(staging, updated))
  else await writeConfig(directory, updated)
  return new StudyFolder(directory, updated)
}

/**
 * Checks that a folder can be that of a study, without changing it.
 *
 * @throws Error for a folder that holds something else, naming it
 */
export async function refuseForeign(directory: string): Promise<void> {
  const { is, entries } = await folderState(directory, studyKind).catch((error: Error) => {
    throw new Error(`study: ${directory} must be a folder, got ${error.message}`, { cause: error })
  })
  if (is !== 'foreign') return
  throw new Error(
    `study: --out must be new, empty or a study, got ${directory} with ${entries.slice(0, 3).join(', ')}`,
  )
}

function refuseChanges(directory: string, existing: StudyConfig, requested: StudyConfig): void {
  const differences = studyDifferences(existing, requested)
  if (differences.length === 0) return
  const list = differences.map(({ key, was, asked }) => `${key} is ${text(was)}, asked for ${text(asked)}`)
  throw new UsageError(
    `study: --out must keep the settings of ${directory}, got changed ones: ${list.join('; ')} ` +
      '(another --out begins anew, --force replaces it)',
  )
}

function text(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}

async function writeConfig(directory: string, config: StudyConfig): Promise<void> {
  await writeFileAtomic(join(directory, CONFIG), configText(config))
}

function configText(config: StudyConfig): string {
  return `${JSON.stringify(config, null, 2)}\n`
}

async function readIfPresent(path: string): Promise<string | undefined> {
  try {
    return await readTextFile(path)
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw new Error(`${path}: must be readable, got ${(cause as Error).message}`, { cause })
  }
}

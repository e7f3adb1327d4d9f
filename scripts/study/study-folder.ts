import { readdir } from 'node:fs/promises'
import { join } from 'node:path'
import { writeFileAtomic } from '../../src/files/atomic.js'
import { isMissing, makeFolder } from '../../src/files/folders.js'
import { type Lock, lockFolder } from '../../src/files/lock.js'
import { readTextFile } from '../../src/files/regular-file.js'
import {
  folderState,
  type OwnFolder,
  recoverFolder,
  recoverForReading,
  replaceFolder,
} from '../../src/files/replacement.js'
import { UsageError } from '../terminal/usage-error.js'
import { type CellResult, parseCellResult } from './cell-result.js'
import type { Cell } from './cells.js'
import { parseStudyConfig, type StudyConfig, studyDifferences } from './study-config.js'

const CONFIG = 'study.json'
const CELLS = 'cells'
const RESULT = 'result.json'
const CELL_CONFIG = 'config.json'
const PICTURES = 'pictures.json'
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
      .flatMap(cell => [RESULT, CELL_CONFIG, PICTURES].map(file => join(CELLS, cell, file)))
    return [CONFIG, ...Object.values(reportFiles), ...files]
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
    const text = await readIfThere(path)
    return text === undefined ? undefined : parseCellResult(text, path)
  }

  /** The results of all cells that have ended, by index. */
  async results(cells: readonly Cell[]): Promise<Map<number, CellResult>> {
    const found = new Map<number, CellResult>()
    for (const { index } of cells) {
      const result = await this.result(index)
      if (result) found.set(index, result)
    }
    return found
  }

  /** Keeps what became of a cell; its file is whole or not there. */
  async keepResult(result: CellResult): Promise<void> {
    await this.write(result.cell.index, RESULT, result)
  }

  /** Keeps what a cell is. */
  async keepCellConfig(index: number, config: unknown): Promise<void> {
    await this.write(index, CELL_CONFIG, config)
  }

  /** Keeps where the experts of a cell looked. */
  async keepPictures(index: number, pictures: unknown): Promise<void> {
    await this.write(index, PICTURES, pictures)
  }

  /** Where the experts of a cell looked, as it was kept. */
  async pictures(index: number): Promise<unknown> {
    const text = await readIfThere(join(this.cellFolder(index), PICTURES))
    return text === undefined ? undefined : JSON.parse(text)
  }

  /**
   * Keeps other processes from running a cell.
   *
   * @throws LockedError naming the process that runs it
   */
  lockCell(index: number): Promise<Lock> {
    return lockFolder(this.cellFolder(index), 'study')
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
 * Opens the folder of a study that is there.
 *
 * @throws Error when there is none, or its `study.json` is damaged
 */
export async function openStudy(directory: string): Promise<StudyFolder> {
  const path = join(directory, CONFIG)
  await recoverForReading(directory, studyKind)
  const text = await readIfThere(path)
  if (text === undefined) {
    throw new Error(`${directory}: must be the folder of a study, got none (no ${CONFIG} in it)`)
  }
  return new StudyFolder(directory, parseStudyConfig(text, path))
}

/** The configuration of the study in a folder; undefined where there is none. */
export async function studyIn(directory: string): Promise<StudyConfig | undefined> {
  const path = join(directory, CONFIG)
  await recoverForReading(directory, studyKind)
  const text = await readIfThere(path)
  return text === undefined ? undefined : parseStudyConfig(text, path)
}

/** How the folder of a study is begun. */
export interface StudyStart {
  /** Replaces a study that is there; what is not a study's own file stays. */
  readonly force?: boolean
  /** Others may work on it: what killed processes left stays, unless it is written anew. */
  readonly shared?: boolean
}

/**
 * Makes the folder of a study, or goes on with the one that is there. It must be locked; a process that is killed in this
 * leaves what was there, or the new study.
 *
 * @throws UsageError naming the settings in which the study that is there differs; Error for a folder that holds
 *   something else
 */
export async function startStudy(
  directory: string,
  config: StudyConfig,
  { force = false, shared = false }: StudyStart = {},
): Promise<StudyFolder> {
  await refuseForeign(directory)
  await makeFolder(directory)
  if (!shared) await recoverFolder(directory, studyKind)
  const before = await studyIn(directory)
  if (before && !force) refuseChanges(directory, before, config)
  if (before && !force && before.seeds === config.seeds) return new StudyFolder(directory, before)
  // Results keep the versions they began with.
  const kept = before && !force ? { ...before, seeds: config.seeds } : config
  if (force) await replaceFolder(directory, studyKind, staging => writeConfig(staging, kept))
  else await writeConfig(directory, kept)
  return new StudyFolder(directory, kept)
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

function refuseChanges(directory: string, before: StudyConfig, asked: StudyConfig): void {
  const differences = studyDifferences(before, asked)
  if (differences.length === 0) return
  const list = differences.map(({ key, was, asked: now }) => `${key} is ${text(was)}, asked for ${text(now)}`)
  throw new UsageError(
    `study: --out must keep the settings of ${directory}, got changed ones: ${list.join('; ')} ` +
      '(another --out begins anew, --force replaces it)',
  )
}

function text(value: unknown): string {
  return value === undefined ? 'not set' : JSON.stringify(value)
}

async function writeConfig(directory: string, config: StudyConfig): Promise<void> {
  await writeFileAtomic(join(directory, CONFIG), `${JSON.stringify(config, null, 2)}\n`)
}

async function readIfThere(path: string): Promise<string | undefined> {
  try {
    return await readTextFile(path)
  } catch (cause) {
    if (isMissing(cause)) return undefined
    throw new Error(`${path}: must be readable, got ${(cause as Error).message}`, { cause })
  }
}

import type { Stats } from 'node:fs'
import { open, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { flushFolder } from './atomic.js'
import { isMissing, makeFolder } from './folders.js'
import { brokenOffAt, heartbeatMs, type Lock, lockFile, lockFolder } from './lock.js'
import { folderState, type OwnFolder, recoverFolder, replaceFolder } from './replacement.js'

/** Where an export goes, and what may be there. */
export interface ExportPlace {
  /** Who writes it, for errors: `export`. */
  readonly where: string
  readonly path: string
  /** How a folder of this format is recognised; undefined where the format is one file. */
  readonly folder?: ExportFolder
  /** Whether an earlier export there may be replaced. */
  readonly force?: boolean
}

/** A format that is a folder. */
export interface ExportFolder {
  /** The file by which it is recognised. */
  readonly marker: string
  /**
   * The files of such a folder by its own list, paths below it with the marker; undefined where the marker is not one of
   * this format.
   */
  list(directory: string): Promise<readonly string[] | undefined>
}

/**
 * Checks that an export can take its place, before any work is done for it.
 *
 * @throws Error when something is there that is not to be replaced: with `force`, anything but a file for a file, and an
 *   empty folder or an export of the format for a folder
 */
export async function checkPlace(place: ExportPlace): Promise<void> {
  return checkFree(place, await brokenOffAt(place.path, place.folder !== undefined))
}

/**
 * @param brokenOff when a killed process that was making this export gave its last sign of life: what it left may be
 *   replaced
 */
async function checkFree(
  { where, path, folder, force = false }: ExportPlace,
  brokenOff: number | undefined,
): Promise<void> {
  const stats = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw new Error(`${where}: ${path} must be a place to write to, got: ${(error as Error).message}`, {
      cause: error,
    })
  })
  if (!stats) return
  const isFolder = stats.isDirectory()
  if (isFolder !== (folder !== undefined)) {
    const [expected, got] = folder === undefined ? ['file', 'folder'] : ['folder', 'file']
    throw new Error(`${where}: ${path} must be a new ${expected}, got a ${got} that is there`)
  }
  const replace = `${where}: ${path} must be new, got one that is there (replace it with --force)`
  if (!folder) {
    if (!force && !isLeftByKilled(stats, brokenOff)) throw new Error(replace)
    return
  }
  const { is, entries } = await folderState(path, kindOf(folder))
  if (is === 'new' || (is === 'own' && !entries.includes(folder.marker))) return
  const marker = await stat(join(path, folder.marker)).catch(() => undefined)
  if (!force && !isLeftByKilled(marker, brokenOff)) throw new Error(replace)
  const got = entries.slice(0, 3).join(', ')
  if (is === 'own' && (await folder.list(path)) !== undefined) return
  const kind = is === 'own' ? `a folder whose ${folder.marker} is something else` : `a folder with ${got}`
  throw new Error(`${where}: ${path} must be new, empty or an export with ${folder.marker}, got ${kind}`)
}

/** Whether a file was left by the killed process: it has not changed since its last sign of life. */
function isLeftByKilled(file: Stats | undefined, brokenOff: number | undefined): boolean {
  return brokenOff !== undefined && file !== undefined && file.ctimeMs < brokenOff + 2 * heartbeatMs
}

function kindOf({ marker, list }: ExportFolder): OwnFolder {
  return { marker, ownFiles: async directory => (await list(directory)) ?? [] }
}

/**
 * Writes an export whole or not at all: under a temporary name, from where it takes its place once `write` has
 * succeeded, its checks included. Where a folder is replaced, the files that its own list names are deleted; others
 * stay. A process that is killed in this leaves the old or the new export, and the next export to the same place cleans
 * up.
 *
 * @param write is handed the temporary path: where nothing is yet for a file, an empty folder for a folder
 * @throws as {@link checkPlace}, and what `write` throws; then the place is as before; LockedError while another process
 *   writes to it
 */
export async function placeExport<T>(
  place: ExportPlace,
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const path = resolve(place.path)
  await checkPlace(place)
  await makeFolder(dirname(path))
  const { where, folder } = place
  const making = await isNew(path)
  const lock = await (folder ? lockFolder(path, where, { making }) : lockFile(path, where, { making }))
  try {
    return await (folder ? placeFolder(place, folder, lock, write) : placeFile(place, lock, write))
  } finally {
    await lock.release()
  }
}

async function isNew(path: string): Promise<boolean> {
  return stat(path).then(
    () => false,
    () => true,
  )
}

async function placeFolder<T>(
  place: ExportPlace,
  folder: ExportFolder,
  lock: Lock,
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const path = resolve(place.path)
  const kind = kindOf(folder)
  await recoverFolder(path, kind)
  await checkFree(place, lock.brokenOffAt)
  return replaceFolder(path, kind, write)
}

async function placeFile<T>(
  place: ExportPlace,
  lock: Lock,
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const path = resolve(place.path)
  await checkFree(place, lock.brokenOffAt)
  const temporary = join(dirname(path), `.${basename(path)}.pmoe-new`)
  await rm(temporary, { recursive: true, force: true })
  try {
    const result = await write(temporary)
    await flushFile(temporary)
    await rename(temporary, path)
    await flushFolder(dirname(path))
    return result
  } finally {
    await rm(temporary, { recursive: true, force: true })
  }
}

async function flushFile(path: string): Promise<void> {
  const file = await open(path, 'r+')
  await file.sync().finally(() => file.close())
}

import { lstat, readdir, rename, rm, rmdir, stat } from 'node:fs/promises'
import { dirname, join, sep } from 'node:path'
import { flushFolder, isTemporaryOf, temporariesOf } from './atomic.js'
import { isMissing, makeFolder, namesIn } from './folders.js'
import { isLockFile, LockedError, lockFolder } from './lock.js'

/*
 * How what lies in a folder is replaced whole or not at all:
 *
 * 1. the new files are written into `.pmoe-new`;
 * 2. `.pmoe-new` is renamed to `.pmoe-ready`: from here on the new files count;
 * 3. of the old files, those that have no successor are deleted; `.pmoe-ready` is renamed to `.pmoe-placing`;
 * 4. the new files take their places, the one that tells what the folder is last.
 *
 * A process that is killed before 2 leaves the old files; one that is killed later leaves a replacement that the next
 * process finishes.
 */

const NEW = '.pmoe-new'
const READY = '.pmoe-ready'
const PLACING = '.pmoe-placing'
const stages: readonly string[] = [NEW, READY, PLACING]
/** Where earlier versions put the old files aside. */
const asideFolder = /^\.replaced-[0-9A-Za-z]+$/

/** A kind of folders that this library fills, and may replace. */
export interface OwnFolder {
  /** The file that tells what such a folder is. */
  readonly marker: string
  /**
   * The files in a folder that are this library's, by its own list: paths below it, which need not be there. The marker
   * goes last, and need not be among them.
   */
  ownFiles(directory: string): Promise<readonly string[]>
  /** Files that are written before there is a list: what is left of them under temporary names is ignored. */
  readonly firstFiles?: readonly string[]
}

/** What a folder is, before anything is written into it. */
export interface FolderState {
  /**
   * `new` where there are no entries, `own` where it is of the kind, also when a process was killed while replacing it.
   */
  readonly is: 'new' | 'own' | 'foreign'
  /** The names in it, without the locks, temporary files and staging folders of running or killed processes. */
  readonly entries: readonly string[]
}

/**
 * Tells what a folder is, without changing it.
 *
 * @throws what the file system throws where it cannot be read; a missing folder is new
 */
export async function folderState(directory: string, kind: OwnFolder): Promise<FolderState> {
  const all = await namesIn(directory)
  const names = await topNames(directory, kind)
  const aside: string[] = []
  for (const name of all) if (await isAside(directory, name, names)) aside.push(name)
  const entries = all.filter(
    name =>
      !stages.includes(name) && !isLockFile(name) && !isTemporaryOf(name, names) && !aside.includes(name),
  )
  const isPlacing = all.includes(READY) || all.includes(PLACING)
  if (isPlacing || aside.length > 0 || entries.includes(kind.marker)) return { is: 'own', entries }
  return { is: entries.length === 0 ? 'new' : 'foreign', entries }
}

async function writtenFiles(
  directory: string,
  { marker, firstFiles = [], ownFiles }: OwnFolder,
): Promise<string[]> {
  return [marker, ...firstFiles, ...(await ownFiles(directory))]
}

async function topNames(directory: string, kind: OwnFolder): Promise<Set<string>> {
  const files = await writtenFiles(directory, kind)
  return new Set(files.map(file => file.split(sep)[0] as string))
}

/** Whether an entry is a folder where an earlier version put files of this kind aside, and holds nothing else. */
async function isAside(directory: string, name: string, names: ReadonlySet<string>): Promise<boolean> {
  if (!asideFolder.test(name)) return false
  const inside = await readdir(join(directory, name)).catch(() => ['no folder/'])
  return inside.every(each => names.has(each))
}

/** The folder below a folder of ours where new files are written before they take their places. */
export function stagingFolder(directory: string): string {
  return join(directory, NEW)
}

/**
 * Replaces the files of a folder by those that `write` makes, whole or not at all.
 *
 * @param directory is there, and locked
 * @param write is handed a new, empty folder
 * @throws what `write` throws; then the files are as before
 */
export async function replaceFolder<T>(
  directory: string,
  kind: OwnFolder,
  write: (staging: string) => Promise<T>,
): Promise<T> {
  const staging = stagingFolder(directory)
  await rm(staging, { recursive: true, force: true })
  await makeFolder(staging)
  try {
    const written = await write(staging)
    await placeStaged(directory, kind)
    return written
  } catch (error) {
    await rm(staging, { recursive: true, force: true })
    throw error
  }
}

/**
 * Checks that new files can take their places in a folder: nothing is there but files of ours, and folders for folders.
 *
 * @param files paths below the folder
 * @throws Error naming what is in the way
 */
export async function checkRoom(directory: string, kind: OwnFolder, files: readonly string[]): Promise<void> {
  const ownFiles = new Set(await writtenFiles(directory, kind))
  for (const file of files) {
    const parts = file.split(sep)
    for (const i of parts.keys()) {
      const path = join(directory, ...parts.slice(0, i + 1))
      const stats = await lstat(path).catch(() => undefined)
      const isLast = i === parts.length - 1
      if (!stats || (isLast ? !stats.isDirectory() && ownFiles.has(file) : !stats.isFile())) continue
      const [expected, got] = isLast ? ['file', stats.isDirectory() ? 'folder' : 'file'] : ['folder', 'file']
      throw new Error(
        `${path}: must be a new ${expected}, got a ${got} that is there and not of the old ones`,
      )
    }
  }
}

/**
 * Puts what was written into the staging folder into its place.
 *
 * @throws as {@link checkRoom}; then nothing is changed
 */
export async function placeStaged(directory: string, kind: OwnFolder): Promise<void> {
  const staging = stagingFolder(directory)
  const files = await filesBelow(staging)
  await checkRoom(directory, kind, files)
  for (const folder of new Set(files.map(file => dirname(join(staging, file))))) await flushFolder(folder)
  await rename(staging, join(directory, READY))
  await flushFolder(directory)
  await finishReplacement(directory, kind)
}

/**
 * Puts right what a killed process left in a folder: a replacement that had begun is finished, the new files of one
 * that had not begun are deleted.
 *
 * @param directory is there, and locked
 * @param options.keepStaged leaves the new files of a replacement that had not begun
 */
export async function recoverFolder(
  directory: string,
  kind: OwnFolder,
  { keepStaged = false }: { readonly keepStaged?: boolean } = {},
): Promise<void> {
  await putBack(directory, kind)
  await finishReplacement(directory, kind)
  if (!keepStaged) await rm(stagingFolder(directory), { recursive: true, force: true })
  await removeTemporaries(directory, await writtenFiles(directory, kind))
}

/**
 * As {@link recoverFolder}, before a folder is read. Where a process works on the folder, or it cannot be written to,
 * it is left as it is.
 */
export async function recoverForReading(directory: string, kind: OwnFolder): Promise<void> {
  const entries = await readdir(directory).catch(() => [])
  if (!entries.some(name => name === READY || name === PLACING || asideFolder.test(name))) return
  if ((await folderState(directory, kind)).is !== 'own') return
  try {
    const lock = await lockFolder(directory, 'recover', { parent: process.pid })
    await recoverFolder(directory, kind, { keepStaged: true }).finally(() => lock.release())
  } catch (error) {
    if (error instanceof LockedError || isRefusal(error)) return
    throw error
  }
}

function isRefusal(error: unknown): boolean {
  return ['EACCES', 'EPERM', 'EROFS'].includes((error as NodeJS.ErrnoException).code ?? '')
}

/**
 * Finishes a replacement that had begun. Nothing happens where there is none; two processes may do it at once where
 * nothing is to be deleted.
 */
export async function finishReplacement(directory: string, kind: OwnFolder): Promise<void> {
  const [ready, placing] = [join(directory, READY), join(directory, PLACING)]
  if (await isThere(ready)) {
    const successors = new Set(await filesBelow(ready))
    const old = await kind.ownFiles(directory)
    const dropped = old.filter(file => file !== kind.marker && !successors.has(file))
    await removeTemporaries(directory, await writtenFiles(directory, kind))
    await removeFiles(directory, dropped)
    await unlessMissing(() => rename(ready, placing))
  }
  if (!(await isThere(placing))) return
  const files = (await filesBelow(placing)).filter(file => file !== kind.marker)
  for (const file of [...files, kind.marker]) {
    await unlessMissing(async () => {
      await stat(join(placing, file))
      await makeFolder(dirname(join(directory, file)))
      await rename(join(placing, file), join(directory, file))
    })
  }
  for (const folder of new Set(files.map(file => dirname(join(directory, file))))) await flushFolder(folder)
  await flushFolder(directory)
  await rm(placing, { recursive: true, force: true })
}

/**
 * Deletes files of a folder, and folders below it that are empty then.
 *
 * @param files paths below the folder; those that are not there are passed over
 */
export async function removeFiles(directory: string, files: readonly string[]): Promise<void> {
  const folders = new Set<string>()
  for (const file of files) {
    await rm(join(directory, file), { force: true })
    for (let folder = dirname(file); folder !== '.'; folder = dirname(folder)) folders.add(folder)
  }
  const deepestFirst = [...folders].sort((a, b) => b.split(sep).length - a.split(sep).length)
  // Folders that still hold other files stay: rmdir fails for them.
  for (const folder of deepestFirst) await rmdir(join(directory, folder)).catch(() => undefined)
}

/** Deletes what killed processes left under temporary names of these files. */
async function removeTemporaries(directory: string, files: readonly string[]): Promise<void> {
  const byFolder = new Map<string, Set<string>>()
  for (const file of files) {
    const names = byFolder.get(dirname(file)) ?? new Set()
    byFolder.set(dirname(file), names.add(file.slice(file.lastIndexOf(sep) + 1)))
  }
  for (const [folder, names] of byFolder) {
    const path = join(directory, folder)
    for (const name of await temporariesOf(path, names)) await rm(join(path, name), { force: true })
  }
}

/** Undoes a replacement by an earlier version of this library that stopped before its new marker was in place. */
async function putBack(directory: string, kind: OwnFolder): Promise<void> {
  const names = await topNames(directory, kind)
  for (const aside of await readdir(directory)) {
    if (!(await isAside(directory, aside, names))) continue
    const from = join(directory, aside)
    const isReplaced =
      (await isThere(join(from, kind.marker))) && (await isThere(join(directory, kind.marker)))
    if (isReplaced) {
      await removeFiles(
        from,
        (await kind.ownFiles(from)).filter(file => file !== kind.marker),
      )
      await rm(join(from, kind.marker), { force: true })
    } else {
      for (const name of await readdir(from)) {
        if (!(await isThere(join(directory, name)))) await rename(join(from, name), join(directory, name))
      }
    }
    await rmdir(from).catch(() => undefined)
  }
}

/** The files below a folder, as paths below it; none where it is not there. */
async function filesBelow(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch((error: unknown) => {
    if (isMissing(error)) return []
    throw error
  })
  const files: string[] = []
  for (const entry of entries) {
    if (!entry.isDirectory()) files.push(entry.name)
    else files.push(...(await filesBelow(join(folder, entry.name))).map(file => join(entry.name, file)))
  }
  return files
}

async function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    (error: unknown) => {
      if (isMissing(error)) return false
      throw error
    },
  )
}

async function unlessMissing(action: () => Promise<void>): Promise<void> {
  await action().catch((error: unknown) => {
    if (!isMissing(error)) throw error
  })
}

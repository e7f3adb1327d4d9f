import { link, open, readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
import { threadId } from 'node:worker_threads'
import { isRunning, thisProcess } from './process-identity.js'

/** What a file is to hold: text, bytes, or bytes that come piece by piece. */
export type FileContent = string | Uint8Array | AsyncIterable<Uint8Array>

/** How files are written. */
export interface WriteOptions {
  /** Whether they outlive a loss of power, `true` by default; without it a file may then be cut off. */
  readonly flush?: boolean
}

/**
 * Writes a file whole or not at all: under a temporary name in the same folder, flushed to the disk, then renamed.
 *
 * @param path a file in a folder that exists; an earlier file is replaced, or kept where writing fails
 * @param content text is written as UTF-8
 * @throws Error with the path and the cause (no such folder, no permission, disk full, ...)
 */
export async function writeFileAtomic(
  path: string,
  content: FileContent,
  options: WriteOptions = {},
): Promise<void> {
  await writeFilesAtomic([[path, content]], options)
}

/**
 * Writes files that belong together: none is put in its place before all are completely on the disk.
 *
 * @param files path and content of each, as for {@link writeFileAtomic}; they take their places in this order
 * @throws Error with the path and the cause; then the files that were not yet put in place are as before
 */
export async function writeFilesAtomic(
  files: readonly (readonly [string, FileContent])[],
  { flush = true }: WriteOptions = {},
): Promise<void> {
  const written: [temporary: string, path: string][] = []
  try {
    for (const [path, content] of files) {
      await removeAbandoned(path)
      const temporary = temporaryName(path)
      written.push([temporary, path])
      await withPathInError(path, () => writeWhole(temporary, content, flush))
    }
    for (const [temporary, path] of written) await withPathInError(path, () => rename(temporary, path))
  } finally {
    await Promise.all(written.map(([temporary]) => rm(temporary, { force: true })))
  }
  if (!flush) return
  for (const folder of new Set(files.map(([path]) => dirname(path)))) await flushFolder(folder)
}

/**
 * Makes sure that the names in a folder outlive a loss of power, where the system can.
 *
 * @throws never: the files are written even where this fails
 */
export async function flushFolder(folder: string): Promise<void> {
  const opened = await open(folder, 'r').catch(() => undefined)
  await opened?.sync().catch(() => undefined)
  await opened?.close()
}

/**
 * Writes a file where there is none. Of several processes that do so at the same time, on any machines that share the
 * folder, one succeeds.
 *
 * @returns whether it was written; an existing file is left as it is
 * @throws as {@link writeFileAtomic}
 */
export async function createFileAtomic(path: string, content: FileContent): Promise<boolean> {
  await removeAbandoned(path)
  const temporary = temporaryName(path)
  try {
    await withPathInError(path, () => writeWhole(temporary, content, true))
    const isNew = await withPathInError(path, () => linkNew(temporary, path))
    await flushFolder(dirname(path))
    return isNew
  } finally {
    await rm(temporary, { force: true })
  }
}

/** Gives a file a second name, where nothing has that name. */
async function linkNew(from: string, path: string): Promise<boolean> {
  try {
    await link(from, path)
    return true
  } catch (error) {
    const { code = '' } = error as NodeJS.ErrnoException
    // A network file system may repeat a request whose answer was lost.
    if (code === 'EEXIST') return (await stat(from)).nlink === 2
    if (!['EPERM', 'ENOTSUP', 'EOPNOTSUPP', 'ENOSYS', 'EMLINK'].includes(code)) throw error
    // File systems without second names cannot do better than to look first.
    const isThere = await stat(path).then(
      () => true,
      () => false,
    )
    if (!isThere) await rename(from, path)
    return !isThere
  }
}

/**
 * The files under temporary names that killed processes left in a folder; files of earlier versions, whose names do not
 * identify their process exactly, count as such.
 *
 * @param names of the files that they were to become
 */
export async function temporariesOf(folder: string, names: ReadonlySet<string>): Promise<string[]> {
  const abandonedNames: string[] = []
  for (const entry of await readdir(folder).catch(() => [])) {
    const parts = temporaryParts(entry)
    if (!parts || !names.has(parts.name)) continue
    if (parts.start === '' || (await isAbandoned(join(folder, entry), parts))) abandonedNames.push(entry)
  }
  return abandonedNames
}

/** Whether an entry of a folder is one of these files under a temporary name, while a process writes it or left from a killed one. */
export function isTemporaryOf(entry: string, names: ReadonlySet<string>): boolean {
  const parts = temporaryParts(entry)
  return parts !== undefined && names.has(parts.name)
}

/** Threads of one process count in ranges of their own: they may write the same file at once. */
let count = threadId * 1e9

function temporaryName(path: string): string {
  const { machine, pid, start } = thisProcess()
  return join(dirname(path), `.${basename(path)}.${machine}-${pid}-${start}-${count++}.tmp`)
}

/** What a temporary name tells; names of earlier versions have no machine, or no start of the process either. */
interface TemporaryParts {
  readonly name: string
  readonly machine: string | undefined
  readonly pid: number
  readonly start: string
}

function temporaryParts(entry: string): TemporaryParts | undefined {
  const [, name, machine, pid, start = ''] =
    /^\.(.+)\.(?:([0-9a-f]{8})-)?(\d+)(?:-(\w*))?-\d+\.tmp$/.exec(entry) ?? []
  return name === undefined ? undefined : { name, machine, pid: Number(pid), start }
}

/** A file that a process of another machine writes changes within this time, in milliseconds, however far apart clocks are. */
const otherMachineMs = 3_600_000

/** Whether no process writes a temporary file any more. */
async function isAbandoned(path: string, { machine, pid, start }: TemporaryParts): Promise<boolean> {
  if (machine === undefined || machine === thisProcess().machine) return !isRunning({ pid, start })
  const stats = await stat(path).catch(() => undefined)
  return stats !== undefined && Date.now() - stats.mtimeMs > otherMachineMs
}

/**
 * For each folder, the temporary files of killed processes at the first look, by the names of the files that they were
 * to become.
 */
const abandoned = new Map<string, Promise<Map<string, string[]>>>()

/** Makes the next write into a folder look again for temporary files of killed processes. */
export function lookForAbandoned(): void {
  abandoned.clear()
}

/** Removes the temporary files of this file that killed processes left. */
async function removeAbandoned(path: string): Promise<void> {
  const folder = dirname(path)
  let entries = abandoned.get(folder)
  if (!entries) {
    entries = abandonedIn(folder)
    abandoned.set(folder, entries)
  }
  const temporaries = (await entries).get(basename(path)) ?? []
  for (const entry of temporaries.splice(0)) await rm(join(folder, entry), { force: true })
}

async function abandonedIn(folder: string): Promise<Map<string, string[]>> {
  const byName = new Map<string, string[]>()
  for (const entry of await readdir(folder).catch(() => [])) {
    const parts = temporaryParts(entry)
    if (!parts || !(await isAbandoned(join(folder, entry), parts))) continue
    byName.set(parts.name, [...(byName.get(parts.name) ?? []), entry])
  }
  return byName
}

async function writeWhole(path: string, content: FileContent, flush: boolean): Promise<void> {
  const file = await open(path, 'wx')
  try {
    if (typeof content === 'string' || content instanceof Uint8Array) await file.writeFile(content)
    else for await (const piece of content) await file.writeFile(piece)
    if (flush) await file.sync()
  } finally {
    await file.close()
  }
}

async function withPathInError<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new Error(`writeFileAtomic: ${path} must be writable, got: ${(cause as Error).message}`, { cause })
  }
}

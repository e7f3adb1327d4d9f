import { open, readdir, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'
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
 * The files under temporary names that killed processes left in a folder; files of earlier versions, whose names do not
 * identify their process exactly, count as such.
 *
 * @param names of the files that they were to become
 */
export async function temporariesOf(folder: string, names: ReadonlySet<string>): Promise<string[]> {
  const entries = await readdir(folder).catch(() => [])
  return entries.filter(entry => {
    const parts = temporaryParts(entry)
    return parts && names.has(parts.name) && (parts.start === '' || !isRunning(parts))
  })
}

let count = 0

function temporaryName(path: string): string {
  const { pid, start } = thisProcess()
  return join(dirname(path), `.${basename(path)}.${pid}-${start}-${count++}.tmp`)
}

/** The parts of a temporary name; names of earlier versions have no start of the process. */
function temporaryParts(entry: string): { name: string; pid: number; start: string } | undefined {
  const [, name, pid, start = ''] = /^\.(.+)\.(\d+)(?:-(\w*))?-\d+\.tmp$/.exec(entry) ?? []
  return name === undefined ? undefined : { name, pid: Number(pid), start }
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
    if (!parts || isRunning(parts)) continue
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

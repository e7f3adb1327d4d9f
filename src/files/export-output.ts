import { readdir, rename, rm, stat } from 'node:fs/promises'
import { basename, dirname, join, resolve } from 'node:path'
import { isMissing, makeFolder } from './folders.js'

/** Where an export goes, and what may be there. */
export interface ExportPlace {
  /** Who writes it, for errors: `export`. */
  readonly where: string
  readonly path: string
  /** The file by which a folder of this format is known; undefined where the format is one file. */
  readonly marker?: string
  /** Whether an earlier export there may be replaced. */
  readonly force?: boolean
}

/**
 * Checks that an export can take its place, before any work is done for it.
 *
 * @throws Error when something is there that is not to be replaced: with `force`, anything but a file for a file, and an
 *   empty folder or one with the marker for a folder
 */
export async function checkPlace({ where, path, marker, force = false }: ExportPlace): Promise<void> {
  const found = await stat(path).catch((error: unknown) => {
    if (isMissing(error)) return undefined
    throw new Error(`${where}: ${path} must be a place to write to, got: ${(error as Error).message}`, {
      cause: error,
    })
  })
  if (!found) return
  const isFolder = found.isDirectory()
  if (isFolder !== (marker !== undefined)) {
    const [wanted, got] = marker === undefined ? ['file', 'folder'] : ['folder', 'file']
    throw new Error(`${where}: ${path} must be a new ${wanted}, got a ${got} that is there`)
  }
  const entries = isFolder ? await readdir(path) : []
  if (isFolder && entries.length === 0) return
  if (!force)
    throw new Error(`${where}: ${path} must be new, got one that is there (replace it with --force)`)
  if (marker !== undefined && !entries.includes(marker)) {
    throw new Error(
      `${where}: ${path} must be new, empty or an export with ${marker}, got a folder with ${entries.slice(0, 3).join(', ')}`,
    )
  }
}

/**
 * Writes an export whole or not at all: under a temporary name beside its place, which it takes once `write` has
 * succeeded, its checks included.
 *
 * @param write is handed the temporary path, where nothing is yet
 * @throws as {@link checkPlace}, and what `write` throws; then the place is as before
 */
export async function placeExport<T>(
  place: ExportPlace,
  write: (temporary: string) => Promise<T>,
): Promise<T> {
  const path = resolve(place.path)
  await checkPlace(place)
  await makeFolder(dirname(path))
  const temporary = join(dirname(path), `.${basename(path)}.${process.pid}.tmp`)
  const aside = `${temporary}.old`
  try {
    const result = await write(temporary)
    const before = await rename(path, aside).then(
      () => true,
      (error: unknown) => {
        if (isMissing(error)) return false
        throw error
      },
    )
    try {
      await rename(temporary, path)
    } catch (error) {
      if (before) await rename(aside, path)
      throw error
    }
    return result
  } finally {
    await rm(temporary, { recursive: true, force: true })
    await rm(aside, { recursive: true, force: true })
  }
}

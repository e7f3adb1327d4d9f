import { mkdtemp, readdir, rename, rm } from 'node:fs/promises'
import { join } from 'node:path'

/**
 * Replaces files and folders inside a folder: those that are there are put aside, taken back where `write` fails or one
 * of them cannot be moved, and deleted once it has succeeded.
 *
 * @param names inside `directory`; those that are not there are passed over
 * @throws what the file system or `write` throws; then everything is in its old place
 */
export async function replaceFiles<T>(
  directory: string,
  names: readonly string[],
  write: () => Promise<T>,
): Promise<T> {
  const aside = await mkdtemp(join(directory, '.replaced-'))
  const moved: string[] = []
  const present = new Set(await readdir(directory))
  try {
    for (const name of names) {
      if (!present.has(name)) continue
      await rename(join(directory, name), join(aside, name))
      moved.push(name)
    }
    const written = await write()
    moved.length = 0
    return written
  } finally {
    for (const name of moved) {
      await rm(join(directory, name), { recursive: true, force: true })
      await rename(join(aside, name), join(directory, name))
    }
    // What cannot be deleted any more is old: the new files are whole.
    await rm(aside, { recursive: true, force: true }).catch(() => undefined)
  }
}

import { mkdir, readdir, stat } from 'node:fs/promises'
import { dirname } from 'node:path'

/**
 * Makes a folder with its parents; an existing folder is left as it is. (mkdir's own `recursive` never returns where a
 * file system refuses with 'no such file', as /proc does.)
 *
 * @throws Error as the file system gives it
 */
export async function makeFolder(directory: string): Promise<void> {
  try {
    await mkdir(directory)
  } catch (error) {
    if (isMissing(error) && dirname(directory) !== directory) {
      await makeFolder(dirname(directory))
      // Somebody else may have made it meanwhile.
      await mkdir(directory).catch(async (again: unknown) => {
        if (!(await isFolder(directory))) throw again
      })
    } else if (!(await isFolder(directory))) {
      throw error
    }
  }
}

async function isFolder(path: string): Promise<boolean> {
  const stats = await stat(path).catch(() => undefined)
  return stats?.isDirectory() ?? false
}

/**
 * The names in a folder; none where it is not there.
 *
 * @throws Error as the file system gives it, for what is no folder or cannot be read
 */
export async function namesIn(directory: string): Promise<string[]> {
  return readdir(directory).catch((error: unknown): string[] => {
    if (isMissing(error)) return []
    throw error
  })
}

/** Whether an error of the file system says that something is not there. */
export function isMissing(error: unknown): boolean {
  return error instanceof Error && 'code' in error && error.code === 'ENOENT'
}

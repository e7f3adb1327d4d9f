import { open, rename, rm } from 'node:fs/promises'
import { basename, dirname, join } from 'node:path'

/** What a file is to hold: text, bytes, or bytes that come piece by piece. */
export type FileContent = string | Uint8Array | AsyncIterable<Uint8Array>

/**
 * Writes a file whole or not at all: under a temporary name in the same folder, flushed to the disk, then renamed.
 *
 * @param path a file in a folder that exists; what is there is replaced, or kept where writing fails
 * @param content text is written as UTF-8
 * @throws Error with the path and the cause (no such folder, no permission, disk full, ...)
 */
export async function writeFileAtomic(path: string, content: FileContent): Promise<void> {
  await writeFilesAtomic([[path, content]])
}

/**
 * Writes files that belong together: none takes its place before all are whole on the disk.
 *
 * @param files path and content of each, as for {@link writeFileAtomic}; they take their places in this order
 * @throws Error with the path and the cause; then files whose turn had not come are as before
 */
export async function writeFilesAtomic(files: readonly (readonly [string, FileContent])[]): Promise<void> {
  const written: [temporary: string, path: string][] = []
  try {
    for (const [path, content] of files) {
      const temporary = temporaryName(path)
      written.push([temporary, path])
      await naming(path, () => writeFlushed(temporary, content))
    }
    for (const [temporary, path] of written) await naming(path, () => rename(temporary, path))
  } finally {
    await Promise.all(written.map(([temporary]) => rm(temporary, { force: true })))
  }
}

let count = 0

function temporaryName(path: string): string {
  return join(dirname(path), `.${basename(path)}.${process.pid}-${count++}.tmp`)
}

async function writeFlushed(path: string, content: FileContent): Promise<void> {
  const file = await open(path, 'wx')
  try {
    if (typeof content === 'string' || content instanceof Uint8Array) await file.writeFile(content)
    else for await (const piece of content) await file.writeFile(piece)
    await file.sync()
  } finally {
    await file.close()
  }
}

async function naming<T>(path: string, action: () => Promise<T>): Promise<T> {
  try {
    return await action()
  } catch (cause) {
    throw new Error(`writeFileAtomic: ${path} must be writable, got: ${(cause as Error).message}`, { cause })
  }
}

import type { Stats } from 'node:fs'
import { type FileHandle, open, readFile, stat } from 'node:fs/promises'
import type { ByteSource } from '../data/data-source.js'

/**
 * Names what is neither a file nor a folder: reading a pipe, socket or device may never end.
 *
 * @returns undefined for files and folders
 */
export function specialFile(
  stats: Pick<Stats, 'isFIFO' | 'isSocket' | 'isFile' | 'isDirectory'>,
): string | undefined {
  if (stats.isFile() || stats.isDirectory()) return undefined
  if (stats.isFIFO()) return 'a pipe'
  return stats.isSocket() ? 'a socket' : 'a device'
}

/**
 * Reads a file whole.
 *
 * @throws what the file system throws; Error `a pipe`, `a socket` or `a device` for what is no file
 */
export async function readRegularFile(path: string): Promise<Buffer<ArrayBuffer>> {
  const special = specialFile(await stat(path))
  if (special !== undefined) throw new Error(special)
  return readFile(path)
}

/** As {@link readRegularFile}, as text in UTF-8 without the mark that some editors put before it. */
export async function readTextFile(path: string): Promise<string> {
  return new TextDecoder().decode(await readRegularFile(path))
}

/**
 * Opens a file to read parts of it.
 *
 * @throws Error naming the file when it is not there, is no file, or cannot be read
 */
export async function openRegularFile(path: string): Promise<ByteSource> {
  const handle = await openUnlessSpecial(path).catch((cause: unknown) => {
    throw new Error(`${path}: file must be readable, got ${failureOf(cause)}`, { cause })
  })
  try {
    const stats = await handle.stat()
    if (!stats.isFile()) throw new Error(`${path}: path must be a file, got a folder`)
    return {
      length: stats.size,
      async slice(start, end) {
        const bytes = new Uint8Array(Math.max(0, Math.min(end, stats.size) - start))
        const { bytesRead } = await handle.read(bytes, 0, bytes.length, start).catch((cause: unknown) => {
          throw new Error(`${path}: file must be readable, got ${failureOf(cause)} (at byte ${start})`, {
            cause,
          })
        })
        return bytes.subarray(0, bytesRead)
      },
      close: () => handle.close(),
    }
  } catch (error) {
    await handle.close()
    throw error
  }
}

/** Opens a file, but no pipe, socket or device: opening a pipe would wait until something is written into it. */
async function openUnlessSpecial(path: string): Promise<FileHandle> {
  const special = specialFile(await stat(path))
  if (special !== undefined) throw new Error(special)
  return open(path)
}

/** Whether an error of the file system says that nothing is there, also where the path leads through a file. */
export function isAbsent(cause: unknown): boolean {
  return cause instanceof Error && 'code' in cause && (cause.code === 'ENOENT' || cause.code === 'ENOTDIR')
}

/** An error of the file system in the words of messages. */
export function failureOf(cause: unknown): string {
  if (isAbsent(cause)) return 'nothing there'
  return cause instanceof Error ? cause.message : String(cause)
}

import type { Stats } from 'node:fs'
import { readFile, stat } from 'node:fs/promises'

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

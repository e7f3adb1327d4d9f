import { stat } from 'node:fs/promises'
import { specialFile } from '../regular-file.js'

/** A file that has to stay as it is while it is read in parts. */
export interface UnchangedFile {
  /**
   * Compares size and time of change with those at the opening.
   *
   * @throws Error naming the file when it has changed or is gone
   */
  check(): Promise<void>
}

/**
 * Notes size and time of change of a file.
 *
 * @throws Error naming the file when it is not there or no file
 */
export async function unchangedFile(path: string): Promise<UnchangedFile> {
  const opened = await stat(path).catch((cause: unknown) => {
    throw new Error(`${path}: file must be readable, got ${reason(cause)}`, { cause })
  })
  if (!opened.isFile()) {
    throw new Error(`${path}: path must be a file, got ${specialFile(opened) ?? 'a folder'}`)
  }
  return {
    async check() {
      const now = await stat(path).catch((cause: unknown) => {
        throw new Error(`${path}: file must stay as it was opened, got ${reason(cause)}`, { cause })
      })
      if (now.size === opened.size && now.mtimeMs === opened.mtimeMs) return
      throw new Error(`${path}: file must stay as it was opened, ${described(opened)}, got ${described(now)}`)
    },
  }
}

function described({ size, mtime }: { readonly size: number; readonly mtime: Date }): string {
  return `${size} bytes changed at ${mtime.toISOString()}`
}

function reason(cause: unknown): string {
  if (cause instanceof Error && 'code' in cause && ['ENOENT', 'ENOTDIR'].includes(String(cause.code)))
    return 'nothing there'
  return cause instanceof Error ? cause.message : String(cause)
}

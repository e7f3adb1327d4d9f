import { closeSync, createReadStream, mkdirSync, openSync, writeFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { createGunzip } from 'node:zlib'
import { Parser, type ReadEntry } from 'tar'

/** What an archive may hold. */
export interface UnpackOptions {
  /** Length of all files together, in bytes. */
  readonly atMostBytes: number
  /** Number of files and folders; 1,000 by default. */
  readonly atMostEntries?: number
  /** Stops the work, with its reason as the error. */
  readonly signal?: AbortSignal | undefined
}

/** More than tar spends on headers, long names and padding, in bytes an entry. */
const overheadBytes = 8192

/**
 * Unpacks a gzip-compressed tar archive.
 *
 * Files and folders whose names stay inside are all that it may hold: absolute names, `..`, links, devices, and more or
 * longer files than stated are refused before they are written. After an error the folder holds some of the files.
 *
 * @param path of the archive
 * @param folder that is there, and empty
 * @returns names of the files, in the order of the archive
 * @throws Error with the archive, and the entry and its number (from 1) where it is one of them that is refused;
 *   RangeError where it holds too much
 */
export async function unpackTarGz(path: string, folder: string, options: UnpackOptions): Promise<string[]> {
  const { atMostBytes, atMostEntries = 1000, signal } = options
  const unpacking = new Unpacking(path, folder, { atMostBytes, atMostEntries })
  try {
    await pipeline(
      createReadStream(path),
      createGunzip(),
      (chunks: AsyncIterable<Buffer>) => unpacking.take(chunks),
      {
        ...(signal && { signal }),
      },
    )
  } catch (error) {
    signal?.throwIfAborted()
    // For an error in its last part the pipeline only reports that it stopped.
    throw described(unpacking.problem ?? (error as Error), path, folder)
  } finally {
    unpacking.close()
  }
  return unpacking.files
}

function described(cause: NodeJS.ErrnoException, path: string, folder: string): Error {
  if (cause instanceof ArchiveError || cause instanceof RangeError) return cause
  // Only errors of writing carry the path of a file in the folder.
  return cause.path?.startsWith(folder)
    ? new Error(`${path}: archive must find room in ${folder}, got ${cause.message}`, { cause })
    : new Error(`${path}: archive must be a .tar.gz file that unpacks to its end, got ${cause.message}`, {
        cause,
      })
}

/** An archive that holds what it must not. */
class ArchiveError extends Error {}

/** The state of one archive that is being unpacked. */
class Unpacking {
  /** Names of the files so far. */
  readonly files: string[] = []
  /** The error that stopped it, unless decompression failed. */
  problem: Error | undefined
  private readonly path: string
  private readonly folder: string
  private readonly limits: { readonly atMostBytes: number; readonly atMostEntries: number }
  private entries = 0
  private bytes = 0
  private open: number | undefined

  constructor(path: string, folder: string, limits: Unpacking['limits']) {
    this.path = path
    this.folder = folder
    this.limits = limits
  }

  /** Unpacks the archive from its decompressed bytes. */
  async take(chunks: AsyncIterable<Buffer>): Promise<void> {
    const parser = new Parser({
      strict: true,
      onReadEntry: entry => this.keepingProblem(() => this.store(entry)),
    })
    parser.on('error', error => {
      this.problem ??= error
    })
    let length = 0
    for await (const chunk of chunks) {
      length += chunk.length
      const most = this.limits.atMostBytes + overheadBytes * (this.entries + 2)
      if (length > most) this.keepingProblem(() => this.refuseLength())
      parser.write(chunk)
      if (this.problem) throw this.problem
    }
    parser.end()
    this.keepingProblem(() => {
      if (this.problem) throw this.problem
      if (this.files.length === 0) throw new Error('no files')
    })
  }

  private keepingProblem(action: () => void): void {
    try {
      action()
    } catch (error) {
      this.problem ??= error as Error
      throw error
    }
  }

  /** Closes the file that an error left open. */
  close(): void {
    if (this.open !== undefined) closeSync(this.open)
    this.open = undefined
  }

  /** Writes an entry as it is parsed: synchronously, so that a parser that hands out one entry at a time is never ahead. */
  private store(entry: ReadEntry): void {
    this.entries++
    const target = join(this.folder, this.checkedName(entry))
    if (entry.type === 'Directory') {
      mkdirSync(target, { recursive: true })
      entry.resume()
      return
    }
    mkdirSync(dirname(target), { recursive: true })
    const file = openSync(target, 'wx')
    this.open = file
    this.files.push(entry.path)
    entry.on('data', chunk => writeFileSync(file, chunk))
    entry.on('end', () => this.close())
  }

  /** The name of an entry that may be unpacked. */
  private checkedName(entry: ReadEntry): string {
    const { path: name, type, size } = entry
    if (!fileTypes.has(type) && type !== 'Directory') {
      this.refuse(
        `must be a file or a folder, got ${type}${entry.linkpath ? ` to ${entry.linkpath}` : ''}`,
        name,
      )
    }
    const parts = name.split(/[\\/]/)
    if (/^([\\/]|[A-Za-z]:)/.test(name) || parts.includes('..') || name.includes('\0')) {
      this.refuse('must have a name that stays inside the folder, got this one', name)
    }
    if (this.entries > this.limits.atMostEntries) {
      this.refuse(`must be one of at most ${this.limits.atMostEntries}`, name)
    }
    this.bytes += size
    if (this.bytes > this.limits.atMostBytes) this.refuseLength()
    return name
  }

  private refuse(requirement: string, name: string): never {
    throw new ArchiveError(`${this.path}: entry ${this.entries} ${JSON.stringify(name)} ${requirement}`)
  }

  private refuseLength(): never {
    const { atMostBytes } = this.limits
    throw new RangeError(
      `${this.path}: archive must unpack to at most ${atMostBytes} bytes, got more (by entry ${this.entries})`,
    )
  }
}

const fileTypes: ReadonlySet<string> = new Set(['File', 'OldFile', 'ContiguousFile'])

import { type Entry, fromRandomAccessReaderPromise, RandomAccessReader, type ZipFile } from 'yauzl'
import type { ByteSource } from '../../data/data-source.js'

/** What the central directory of a zip archive says about one file in it. */
export interface ZipEntry {
  /** Where its local header starts, in bytes of the archive. */
  readonly offset: number
  /** Bytes that it takes in the archive. */
  readonly compressedSize: number
  /** Bytes that it has unpacked, by its own account. */
  readonly size: number
  /** CRC-32 of the unpacked bytes. */
  readonly crc32: number
  /** 0 stored, 8 deflated; others cannot be read. */
  readonly method: number
  readonly encrypted: boolean
  /** Bytes of its name. */
  readonly nameLength: number
}

/** The files of a zip archive, and its folders. */
export interface ZipDirectory {
  readonly files: ReadonlyMap<string, ZipEntry>
  /** What each folder holds, sorted; names of folders end in `/`. The archive itself is the folder ''. */
  readonly folders: ReadonlyMap<string, readonly string[]>
}

/**
 * Reads the central directory of a zip archive, once and in large pieces (Zip64 included).
 *
 * @param file the open archive
 * @param path of the archive, for errors
 * @throws Error with the path when it is not a zip archive or is damaged, with the number of the entry where a
 *   name is absolute, leads out of the archive, or comes twice
 */
export async function readZipDirectory(file: ByteSource, path: string): Promise<ZipDirectory> {
  const { length: size } = file
  const archive = await openArchive(file, size, path)
  const files = new Map<string, ZipEntry>()
  try {
    for await (const entry of archive.eachEntry()) {
      if (entry.fileName.endsWith('/')) continue
      if (files.has(entry.fileName)) throw new Error(`the name ${entry.fileName} twice`)
      // What is allocated to read a file is bounded by this.
      if (entry.relativeOffsetOfLocalHeader + entry.compressedSize > size) {
        throw new Error(`${entry.fileName} of ${entry.compressedSize} bytes beyond the end`)
      }
      files.set(entry.fileName, summary(entry))
    }
  } catch (cause) {
    throw new Error(
      `${path}: archive must have a directory of unique names inside it, got ${reason(cause)} ` +
        `(entry ${archive.entriesRead} of ${archive.entryCount})`,
      { cause },
    )
  }
  return { files, folders: foldersOf(files.keys()) }
}

async function openArchive(file: ByteSource, size: number, path: string): Promise<ZipFile> {
  try {
    return await fromRandomAccessReaderPromise(new ReadAhead(file), size)
  } catch (cause) {
    throw new Error(`${path}: file must be a zip archive, got ${reason(cause)} (file of ${size} bytes)`, {
      cause,
    })
  }
}

function summary(entry: Entry): ZipEntry {
  return {
    offset: entry.relativeOffsetOfLocalHeader,
    compressedSize: entry.compressedSize,
    size: entry.uncompressedSize,
    crc32: entry.crc32,
    method: entry.compressionMethod,
    encrypted: entry.isEncrypted(),
    nameLength: entry.fileNameLength,
  }
}

function foldersOf(paths: Iterable<string>): Map<string, string[]> {
  const folders = new Map<string, Set<string>>([['', new Set()]])
  for (const path of paths) {
    let inside = path
    for (let end = path.lastIndexOf('/'); ; end = path.lastIndexOf('/', end - 1)) {
      const folder = path.slice(0, Math.max(end, 0))
      const existing = folders.get(folder)
      const names = existing ?? new Set<string>()
      names.add(inside.slice(folder === '' ? 0 : folder.length + 1))
      if (existing && folder !== '') break
      folders.set(folder, names)
      if (folder === '') break
      inside = `${folder}/`
    }
  }
  return new Map([...folders].map(([folder, names]) => [folder, [...names].sort()]))
}

const window = 2 ** 20

/** Serves the many small reads of a directory from few large ones. */
class ReadAhead extends RandomAccessReader {
  private readonly file: ByteSource
  private buffer: Buffer = Buffer.alloc(0)
  private start = 0

  constructor(file: ByteSource) {
    super()
    this.file = file
  }

  override read(
    target: Buffer,
    offset: number,
    length: number,
    position: number,
    done: (error: Error | null, bytesRead?: number) => void,
  ): void {
    this.fill(position, length).then(
      () => {
        const from = position - this.start
        done(null, this.buffer.copy(target, offset, from, from + length))
      },
      (cause: Error) => done(cause),
    )
  }

  override close(done: (error: Error | null) => void): void {
    // Whoever opened the file closes it.
    done(null)
  }

  private async fill(position: number, length: number): Promise<void> {
    if (position >= this.start && position + length <= this.start + this.buffer.length) return
    const { buffer, byteOffset, byteLength } = await this.file.slice(
      position,
      position + Math.max(window, length),
    )
    this.buffer = Buffer.from(buffer, byteOffset, byteLength)
    this.start = position
  }
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

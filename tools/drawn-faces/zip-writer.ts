import { type FileHandle, open } from 'node:fs/promises'
import crc32 from 'crc-32'

/** A zip archive that is being written, its files stored as they are. */
export interface ZipWriter {
  /** Adds a file; one at a time. */
  add(name: string, bytes: Uint8Array): Promise<void>
  /** Writes the directory, and closes the file. */
  end(): Promise<void>
  /** Closes the file as it is. */
  abandon(): Promise<void>
}

/** The most files of an archive without Zip64, which is not written here. */
export const mostZipFiles = 0xfffe
const mostBytes = 0xfffffffe

/**
 * Starts a zip archive of files that are compressed already.
 *
 * @param path of a file that is not there yet
 * @throws RangeError, of `add`, where the archive would have more than `mostFiles` files, or 4 GiB
 */
export async function writeZip(path: string, mostFiles: number = mostZipFiles): Promise<ZipWriter> {
  const file = await open(path, 'wx')
  const directory: Buffer[] = []
  let offset = 0
  return {
    async add(name, bytes) {
      const header = headerOf(name, bytes)
      const size = 4 + header.length + name.length + bytes.length
      if (directory.length >= mostFiles || offset + size > mostBytes) {
        throw new RangeError(
          `writeZip: archive must have at most ${mostFiles} files and ${mostBytes} bytes, ` +
            `got ${directory.length + 1} and ${offset + size}`,
        )
      }
      directory.push(directoryEntry(name, header, offset))
      await append(file, [signature(0x04034b50), header, Buffer.from(name), bytes])
      offset += size
    },
    async end() {
      const size = directory.reduce((sum, entry) => sum + entry.length, 0)
      await append(file, [...directory, endOfDirectory(directory.length, size, offset)])
      await file.close()
    },
    abandon: () => file.close(),
  }
}

/** What a file's own header and its entry in the directory have in common. */
function headerOf(name: string, bytes: Uint8Array): Buffer {
  const header = Buffer.alloc(26)
  header.writeUInt16LE(20, 0)
  // The earliest date that zip archives can hold, so that the same faces give the same bytes.
  header.writeUInt16LE(0x21, 8)
  header.writeUInt32LE(crc32.buf(bytes) >>> 0, 10)
  header.writeUInt32LE(bytes.length, 14)
  header.writeUInt32LE(bytes.length, 18)
  header.writeUInt16LE(name.length, 22)
  return header
}

function directoryEntry(name: string, header: Buffer, offset: number): Buffer {
  const versionMadeBy = Buffer.from([20, 0])
  const rest = Buffer.alloc(14)
  rest.writeUInt32LE(offset, 10)
  return Buffer.concat([signature(0x02014b50), versionMadeBy, header, rest, Buffer.from(name)])
}

function endOfDirectory(count: number, size: number, offset: number): Buffer {
  const end = Buffer.alloc(18)
  end.writeUInt16LE(count, 4)
  end.writeUInt16LE(count, 6)
  end.writeUInt32LE(size, 8)
  end.writeUInt32LE(offset, 12)
  return Buffer.concat([signature(0x06054b50), end])
}

function signature(value: number): Buffer {
  const bytes = Buffer.alloc(4)
  bytes.writeUInt32LE(value)
  return bytes
}

async function append(file: FileHandle, parts: readonly Uint8Array[]): Promise<void> {
  await file.writeFile(Buffer.concat(parts))
}

/**
 * Opens files of records, plain or compressed with GZIP or ZLIB as TensorFlow writes them; they are told apart by their
 * bytes, not by their names.
 */
import type { ByteSource, DataSource } from '../data-source.js'
import { gunzip, inflate, isGzip, isZlib } from './gzip.js'
import { headBytes, isRecordHead } from './tfrecord.js'

/** What all compressed files of a source may decompress to together, in bytes: they are held in memory. */
const mostBytes = 2 ** 31

/** Compressions of files that TensorFlow does not read either, by their first bytes. */
const otherCompressions: readonly (readonly [name: string, magic: readonly number[]])[] = [
  ['Zstandard', [0x28, 0xb5, 0x2f, 0xfd]],
  ['bzip2', [0x42, 0x5a, 0x68]],
  ['xz', [0xfd, 0x37, 0x7a, 0x58, 0x5a]],
]

/**
 * A way to open the files of records in a source. A compressed file is decompressed when it is first opened, and held
 * in memory for as long as the returned function is.
 *
 * @param most bytes that compressed files may decompress to, all together
 * @returns opens a file as the records that are in it; throws Error naming the file when it cannot be read, is
 *   compressed in another way or damaged, RangeError when it decompresses to too much
 */
export function recordFiles(source: DataSource, most = mostBytes): (path: string) => Promise<ByteSource> {
  const cache = new Map<string, Promise<Uint8Array>>()
  let cachedBytes = 0
  const decompressed = async (path: string, decompress: typeof gunzip): Promise<Uint8Array> => {
    const bytes = await decompress(await source.read(path), source.describe(path), most - cachedBytes)
    cachedBytes += bytes.length
    return bytes
  }
  return async path => {
    const cached = cache.get(path)
    if (cached) return sourceOf(await cached)
    const file = await source.open(path)
    const decompress = await compressionOf(file, source.describe(path)).catch(async error => {
      await file.close()
      throw error
    })
    if (!decompress) return file
    await file.close()
    const bytes = cache.get(path) ?? decompressed(path, decompress)
    cache.set(path, bytes)
    return sourceOf(await bytes)
  }
}

/** How a file is decompressed; undefined for a plain one. */
async function compressionOf(file: ByteSource, name: string): Promise<typeof gunzip | undefined> {
  const start = await file.slice(0, headBytes)
  // The length of a record may look like the start of a compressed file; the checksum tells them apart.
  if (isRecordHead(start)) return undefined
  if (isGzip(start)) return gunzip
  if (isZlib(start)) return inflate
  const other = otherCompressions.find(([, magic]) => magic.every((byte, i) => start[i] === byte))
  if (other) {
    throw new Error(`${name}: records must be plain or compressed with GZIP or ZLIB, got ${other[0]}`)
  }
  return undefined
}

function sourceOf(bytes: Uint8Array): ByteSource {
  return {
    length: bytes.length,
    slice: async (start, end) => bytes.slice(start, end),
    close: async () => {},
  }
}

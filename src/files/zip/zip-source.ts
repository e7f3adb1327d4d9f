import { statSync } from 'node:fs'
import { isAbsolute, posix, resolve } from 'node:path'
import { promisify } from 'node:util'
import { inflateRaw } from 'node:zlib'
import crc32 from 'crc-32'
import type { ByteSource, DataSource } from '../../data/data-source.js'
import { openRegularFile } from '../regular-file.js'
import { readZipDirectory, type ZipDirectory, type ZipEntry } from './zip-directory.js'

/** How much a file of an archive may unpack to. */
export interface ZipLimits {
  /** Bytes of one file, unpacked; 2^30 by default. */
  readonly mostBytes?: number
  /** Unpacked bytes for each byte in the archive, where a file unpacks to more than 1 MiB; 200 by default. */
  readonly mostRatio?: number
}

/**
 * A `DataSource` over a zip archive on the disk; see {@link zipArchive}.
 *
 * @param path of the archive
 * @throws Error when there is no such file
 */
export function zipSource(path: string, limits: ZipLimits = {}): DataSource {
  const full = resolve(path)
  if (!statSync(full, { throwIfNoEntry: false })?.isFile()) {
    throw new Error(`${full}: archive must be a file, got a folder or nothing there`)
  }
  return zipArchive(full, () => openRegularFile(full), limits)
}

/**
 * A `DataSource` over a zip archive, read in place: the directory is read once, each file by itself when it is asked
 * for, any number at a time. Nothing is unpacked to the disk; the archive is open only while it is read.
 *
 * @param full name of the archive, for errors
 * @param open opens the archive
 * @param limits against archives that unpack to more than they should
 */
export function zipArchive(
  full: string,
  open: () => Promise<ByteSource>,
  limits: ZipLimits = {},
): DataSource {
  const archive = sharedFile(open)
  let listing: Promise<ZipDirectory> | undefined
  const directory = (): Promise<ZipDirectory> => {
    listing ??= archive(file => readZipDirectory(file, full))
    return listing
  }
  const describe = (inner: string): string => {
    const name = locate(full, inner)
    return name === '' ? full : `${full}/${name}`
  }
  const read = async (inner: string): Promise<Uint8Array> => {
    const name = describe(inner)
    const entry = (await directory()).files.get(locate(full, inner))
    if (!entry) throw new Error(`${name}: file must be readable, got nothing there`)
    checkEntry(name, entry, limits)
    return unpack(name, entry, await archive(file => packedBytes(file, name, entry)))
  }
  return {
    read,
    async open(inner) {
      const bytes = await read(inner)
      return {
        length: bytes.length,
        slice: async (start, end) => bytes.slice(start, end),
        close: async () => {},
      }
    },
    async exists(inner) {
      const name = locate(full, inner)
      return (await directory()).files.has(name)
    },
    async list(folder) {
      const names = (await directory()).folders.get(locate(full, folder))
      if (!names) throw new Error(`${describe(folder)}: folder must be readable, got nothing there`)
      return names
    },
    describe,
  }
}

/**
 * Makes zip archives of a folder appear as folders: `faces.zip/000001.jpg` is a file in `faces.zip`.
 *
 * @param folder the source whose archives are looked into; `list` shows them as the files that they are
 */
export function withArchives(folder: DataSource): DataSource {
  const archives = new Map<string, DataSource>()
  const inside = async (path: string): Promise<readonly [DataSource, string]> => {
    const [, archive, inner] = /^(.*?\.zip)(?:\/(.*))?$/i.exec(path) ?? []
    if (archive === undefined) return [folder, path]
    let source = archives.get(archive)
    if (!source) {
      // A folder may have a name that ends in .zip as well.
      if (!(await folder.exists(archive))) return [folder, path]
      source = zipArchive(folder.describe(archive), () => folder.open(archive))
      archives.set(archive, source)
    }
    return [source, inner ?? '']
  }
  const forFile = async (path: string): Promise<readonly [DataSource, string]> =>
    /\.zip\/./i.test(path) ? inside(path) : [folder, path]
  return {
    async read(path) {
      const [source, inner] = await forFile(path)
      return source.read(inner)
    },
    async open(path) {
      const [source, inner] = await forFile(path)
      return source.open(inner)
    },
    async exists(path) {
      const [source, inner] = await forFile(path)
      return source.exists(inner)
    },
    async list(path) {
      const [source, inner] = await inside(path)
      return source.list(inner)
    },
    async strayLinks(path) {
      const [source, inner] = await inside(path)
      return (await source.strayLinks?.(inner)) ?? []
    },
    describe: path => folder.describe(path),
  }
}

/** A file that is open while there is at least one reader, and is opened once for all of them. */
function sharedFile(
  open: () => Promise<ByteSource>,
): <T>(use: (file: ByteSource) => Promise<T>) => Promise<T> {
  let opened: Promise<ByteSource> | undefined
  let readers = 0
  return async use => {
    opened ??= open()
    const handle = opened
    readers++
    try {
      return await use(await handle)
    } finally {
      if (--readers === 0) {
        opened = undefined
        await handle.then(
          file => file.close(),
          () => {},
        )
      }
    }
  }
}

/** The name of a file in the archive, without `.`, `..` and a slash at its end. */
function locate(archive: string, path: string): string {
  const name = posix.normalize(path).replace(/\/$/, '')
  if (isAbsolute(path) || name === '..' || name.startsWith('../')) {
    throw new RangeError(`zipSource: path must stay inside ${archive}, got ${path}`)
  }
  return name === '.' ? '' : name
}

const smallBytes = 2 ** 20

function checkEntry(
  name: string,
  entry: ZipEntry,
  { mostBytes = 2 ** 30, mostRatio = 200 }: ZipLimits,
): void {
  const { size, compressedSize, method, encrypted } = entry
  const position = `at byte ${entry.offset} of the archive`
  if (encrypted) throw new Error(`${name}: file must not be encrypted, got an encrypted one (${position})`)
  if (method !== 0 && method !== 8) {
    throw new Error(`${name}: file must be stored (0) or deflated (8), got method ${method} (${position})`)
  }
  if (size > mostBytes) {
    throw new RangeError(`${name}: file must unpack to at most ${mostBytes} bytes, got ${size} (${position})`)
  }
  if (size > smallBytes && size > mostRatio * compressedSize) {
    throw new RangeError(
      `${name}: file must unpack to at most ${mostRatio} times its bytes, got ${size} from ${compressedSize} (${position})`,
    )
  }
}

const headerBytes = 30
const headerSignature = 0x04034b50

/** The bytes of a file as they are in the archive. Its local header, of a length of its own, comes first. */
async function packedBytes(file: ByteSource, name: string, entry: ZipEntry): Promise<Uint8Array> {
  const { offset, compressedSize, nameLength } = entry
  // Local headers rarely have more extra fields than this: then one reading gets it all.
  const guess = headerBytes + nameLength + 64
  const bytes = await readAt(file, offset, guess + compressedSize)
  if (bytes.length < headerBytes || bytes.readUInt32LE(0) !== headerSignature) {
    throw new Error(
      `${name}: file must start with a zip header, got other bytes (at byte ${offset} of the archive)`,
    )
  }
  const start = headerBytes + bytes.readUInt16LE(26) + bytes.readUInt16LE(28)
  const withHeader = start <= guess ? bytes : await readAt(file, offset, start + compressedSize)
  const packed = withHeader.subarray(start, start + compressedSize)
  if (packed.length < compressedSize) {
    throw new Error(
      `${name}: file must have its ${compressedSize} bytes in the archive, got ${packed.length} ` +
        `(from byte ${offset + start} of the archive)`,
    )
  }
  return packed
}

async function readAt(file: ByteSource, position: number, length: number): Promise<Buffer> {
  const { buffer, byteOffset, byteLength } = await file.slice(position, position + length)
  return Buffer.from(buffer, byteOffset, byteLength)
}

const inflate = promisify<Uint8Array, { maxOutputLength: number }, Buffer>(inflateRaw)

async function unpack(name: string, entry: ZipEntry, packed: Uint8Array): Promise<Uint8Array> {
  const { size, offset } = entry
  const position = `at byte ${offset} of the archive`
  const bytes = entry.method === 0 ? packed : await inflated(name, entry, packed)
  if (bytes.length !== size) {
    throw new Error(`${name}: file must unpack to its ${size} bytes, got ${bytes.length} (${position})`)
  }
  const checksum = crc32.buf(bytes) >>> 0
  if (checksum !== entry.crc32) {
    throw new Error(
      `${name}: file must have the CRC-32 ${hex(entry.crc32)} of its directory, got ${hex(checksum)} (${position})`,
    )
  }
  return new Uint8Array(bytes.buffer, bytes.byteOffset, bytes.byteLength)
}

async function inflated(name: string, entry: ZipEntry, packed: Uint8Array): Promise<Uint8Array> {
  try {
    // zlib stops where a file unpacks to more bytes than its entry states.
    return await inflate(packed, { maxOutputLength: Math.max(1, entry.size) })
  } catch (cause) {
    const tooLong = cause instanceof RangeError
    const got = tooLong ? 'more' : (cause as Error).message
    throw new Error(
      `${name}: file must unpack to its ${entry.size} bytes, got ${got} (at byte ${entry.offset} of the archive)`,
      { cause },
    )
  }
}

function hex(value: number): string {
  return value.toString(16).padStart(8, '0')
}

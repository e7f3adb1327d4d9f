import { createHash, type Hash } from 'node:crypto'
import { type FileHandle, open, rm, statfs } from 'node:fs/promises'
import { join } from 'node:path'
import type { FeatureLayout, FeatureStore, StoredFeatures } from '../../train/frozen/features.js'
import { writeFileAtomic } from '../atomic.js'
import { isMissing, makeFolder, namesIn } from '../folders.js'

/*
 * A file holds the features of one set: float32, little-endian, image by image, and then the SHA-256 of all of these bytes.
 * Its name is the hash of what they were computed with and from.
 */

const HASH_BYTES = 32
const ENDING = '.features'
/** Bytes that are read at a time where a whole file is checked. */
const CHECKED_AT_ONCE = 2 ** 20

/** Features in the files of a folder. */
export interface FeatureFiles extends FeatureStore {
  /** Deletes the files that were not opened since the last call, in a folder that is not shared: those of other weights or images. */
  removeUnused(): Promise<void>
}

/**
 * Keeps features as files of a folder, which is made with the first of them. Several processes may use it at once, and files of it may
 * be deleted at any time when none does.
 *
 * @param options.isShared whether others may use files of it that this process does not; true unless given
 * @param options.computedBy what computes besides what keys hold, such as a precision: features of others are not used
 */
export function featureFiles(
  directory: string,
  { isShared = true, computedBy = '' }: { readonly isShared?: boolean; readonly computedBy?: string } = {},
): FeatureFiles {
  const used = new Set<string>()
  return {
    key: pieces => keyOf(computedBy, pieces),
    open: async (key, layout, compute) => {
      const path = join(directory, key + ENDING)
      used.add(key + ENDING)
      const found = await opened(path, layout)
      if (typeof found === 'object') return storedFeatures(found, layout, { isNew: false })
      const reason = await unwritten(directory, path, layout, compute)
      if (reason !== undefined) return { reason }
      const written = await open(path, 'r')
      const remark = found && `${path}: ${found}; the features are computed again`
      return storedFeatures(written, layout, { isNew: true, ...(remark && { remark }) })
    },
    removeUnused: async () => {
      const names = isShared ? [] : await namesIn(directory)
      const unused = names.filter(name => isFeatureFile(name) && !used.has(name))
      for (const name of unused) await rm(join(directory, name), { force: true })
      used.clear()
    },
  }
}

/** Whether a name is one that this module gives. */
function isFeatureFile(name: string): boolean {
  return /^[0-9a-f]{64}\.features$/.test(name)
}

async function keyOf(computedBy: string, pieces: AsyncIterable<string | Uint8Array>): Promise<string> {
  const hash = createHash('sha256').update(`${computedBy}\n`)
  for await (const piece of pieces) {
    const bytes = typeof piece === 'string' ? new TextEncoder().encode(piece) : piece
    // With the lengths, no two lists of pieces are the same bytes.
    hash.update(`${bytes.length}:`).update(bytes)
  }
  return hash.digest('hex')
}

/** An open file of features; what is wrong with it; or undefined where there is none. */
async function opened(path: string, layout: FeatureLayout): Promise<FileHandle | string | undefined> {
  const file = await open(path, 'r').catch((error: unknown) => {
    if (isMissing(error)) return undefined
    return `must be readable, got ${(error as Error).message}`
  })
  if (typeof file !== 'object') return file
  const damage = await damageOf(file, layout).catch(
    (error: unknown) => `must be readable, got ${(error as Error).message}`,
  )
  if (damage === undefined) return file
  await file.close()
  return damage
}

async function damageOf(file: FileHandle, layout: FeatureLayout): Promise<string | undefined> {
  const [expected, { size }] = [bytesOf(layout) + HASH_BYTES, await file.stat()]
  if (size !== expected) return `file must have ${expected} bytes, got ${size}`
  const hash = createHash('sha256')
  const buffer = Buffer.alloc(Math.min(CHECKED_AT_ONCE, bytesOf(layout)))
  for (let at = 0; at < bytesOf(layout); at += buffer.length) {
    const length = Math.min(buffer.length, bytesOf(layout) - at)
    await readFully(file, buffer.subarray(0, length), at)
    hash.update(buffer.subarray(0, length))
  }
  const stored = Buffer.alloc(HASH_BYTES)
  await readFully(file, stored, bytesOf(layout))
  const computed = hash.digest()
  if (computed.equals(stored)) return undefined
  return `sha256 must be ${shortHash(stored)}, got ${shortHash(computed)} (the file is damaged)`
}

function shortHash(hash: Buffer): string {
  return `${hash.toString('hex').slice(0, 16)}…`
}

function bytesOf({ count, size }: FeatureLayout): number {
  return 4 * count * size
}

/**
 * Writes features, whole or not at all.
 *
 * @returns why they are not written; undefined where they are
 * @throws what `compute` throws
 */
async function unwritten(
  directory: string,
  path: string,
  layout: FeatureLayout,
  compute: () => AsyncIterable<Float32Array>,
): Promise<string | undefined> {
  const failures: unknown[] = []
  const watched = async function* () {
    try {
      yield* withHash(compute(), layout, path)
    } catch (error) {
      failures.push(error)
      throw error
    }
  }
  try {
    await makeFolder(directory)
    const { bavail, bsize } = await statfs(directory)
    const [needed, free] = [bytesOf(layout), bavail * bsize]
    if (needed > free / 2) {
      return `their features would take ${megabytes(needed)}, more than half of the ${megabytes(free)} that are free in ${directory}`
    }
    await writeFileAtomic(path, watched())
    return undefined
  } catch (error) {
    if (failures.length > 0) throw failures[0]
    return (error as Error).message
  }
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`
}

/** The bytes of features, and their hash. */
async function* withHash(
  features: AsyncIterable<Float32Array>,
  layout: FeatureLayout,
  path: string,
): AsyncGenerator<Uint8Array> {
  const hash: Hash = createHash('sha256')
  let written = 0
  for await (const { buffer, byteOffset, byteLength } of features) {
    const bytes = new Uint8Array(buffer, byteOffset, byteLength)
    hash.update(bytes)
    written += bytes.length
    yield bytes
  }
  if (written !== bytesOf(layout)) {
    throw new RangeError(
      `${path}: features must take ${bytesOf(layout)} bytes (${layout.count} images of ${layout.size} numbers), got ${written}`,
    )
  }
  yield hash.digest()
}

function storedFeatures(
  file: FileHandle,
  layout: FeatureLayout,
  described: Pick<StoredFeatures, 'isNew' | 'remark'>,
): StoredFeatures {
  const { size } = layout
  return {
    ...described,
    bytes: bytesOf(layout),
    read: async positions => {
      const values = new Float32Array(positions.length * size)
      const bytes = Buffer.from(values.buffer)
      const reads = [...runsOf(positions)].map(({ first, position, count }) =>
        readFully(
          file,
          bytes.subarray(4 * first * size, 4 * (first + count) * size),
          4 * (position as number) * size,
        ),
      )
      await Promise.all(reads)
      return values
    },
    close: () => file.close(),
  }
}

/** Images that lie one after the other in a file and are asked for so. */
interface PositionRun {
  /** Place of the first among those that are asked for. */
  readonly first: number
  /** Place of the first in the file. */
  readonly position: number
  readonly count: number
}

function* runsOf(positions: Int32Array): Generator<PositionRun> {
  for (let first = 0; first < positions.length; ) {
    const position = positions[first] as number
    let count = 1
    while (positions[first + count] === position + count) count++
    yield { first, position, count }
    first += count
  }
}

async function readFully(file: FileHandle, buffer: Uint8Array, from: number): Promise<void> {
  for (let done = 0; done < buffer.length; ) {
    const { bytesRead } = await file.read(buffer, done, buffer.length - done, from + done)
    if (bytesRead === 0) {
      throw new RangeError(`features must be there as they were, got ${done} of ${buffer.length} bytes`)
    }
    done += bytesRead
  }
}

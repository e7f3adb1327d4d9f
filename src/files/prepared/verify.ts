import { createHash } from 'node:crypto'
import type { ByteSource, DataSource } from '../../data/data-source.js'
import type { HalfName } from '../../data/datasets/dataset.js'
import { recordFiles } from '../../data/formats/record-files.js'
import { readRecords } from '../../data/formats/tfrecord.js'
import { recordShards } from '../../data/formats/tfrecord-shards.js'
import { checkIndex, type PreparedIndex, readIndex } from '../../data/prepared/index-file.js'
import {
  manifestFile,
  type PreparedHalf,
  type PreparedManifest,
  preparedHalves,
} from '../../data/prepared/manifest.js'
import { dataFolder } from '../data-folder.js'
import { isAddress } from '../storage/address.js'
import { isPrepared, manifestIn, readManifest } from './prepared-set.js'
import { readShardRecords, type ShardRecords } from './shard.js'

/** The result of checking one file. */
export interface VerifiedFile {
  readonly file: string
  /** Whole records, for files of records. */
  readonly records?: number
  /** What is wrong with it; missing where nothing is. */
  readonly problem?: string
}

/** How verifying is watched and stopped. */
export interface VerifyOptions {
  readonly signal?: AbortSignal
  onFile?(file: VerifiedFile): void
}

/** The result of checking a folder. */
export interface Verification {
  /** Whether it has a manifest, whose every number was checked. */
  readonly prepared: boolean
  readonly files: readonly VerifiedFile[]
}

/**
 * Checks every byte of a folder, on this machine or at an address: of a prepared one all that its manifest and its indexes say, of another one the
 * checksums of all files of records, and that no shard is missing. A damaged file is reported, and the check goes on
 * with the next one.
 *
 * @throws Error when the folder is not there or holds no records, its manifest cannot be read, or shards are missing
 */
export async function verifyFolder(directory: string, options: VerifyOptions = {}): Promise<Verification> {
  // What is at an address is read from there, also where it is in the cache.
  const source = dataFolder(directory, { fresh: true })
  const files: VerifiedFile[] = []
  const report = (file: VerifiedFile): void => {
    files.push(file)
    options.onFile?.(file)
  }
  const folder = { source, report, signal: options.signal }
  const prepared = await isPrepared(directory)
  if (prepared) {
    const manifest = isAddress(directory) ? await manifestIn(source) : await readManifest(directory)
    for (const [name, half] of preparedHalves(manifest)) await verifyHalf(folder, manifest, name, half)
  } else {
    await verifyRecords(folder)
  }
  return { prepared, files }
}

/** The folder that is verified. */
interface Folder {
  readonly source: DataSource
  readonly signal: AbortSignal | undefined
  report(file: VerifiedFile): void
}

async function verifyRecords({ source, report, signal }: Folder): Promise<void> {
  const paths = (await recordShards(source)).flatMap(set => set.paths)
  if (paths.length === 0) {
    const entries = (await source.list('')).slice(0, 3).join(', ')
    throw new Error(
      `${source.describe('')}: folder must hold ${manifestFile} or .tfrecord files, got ${entries || 'nothing'}`,
    )
  }
  for (const path of paths) {
    let records = 0
    const problem = await problemOf(async () => {
      await withFile(recordFiles(source), path, async file => {
        for await (const chunk of readRecords(file, source.describe(path))) {
          signal?.throwIfAborted()
          records += chunk.records.length
        }
      })
    })
    report({ file: path, records, ...problem })
  }
}

async function verifyHalf(
  folder: Folder,
  manifest: PreparedManifest,
  name: HalfName,
  half: PreparedHalf,
): Promise<void> {
  const { source, report, signal } = folder
  const shards: ShardRecords[] = []
  for (const shard of half.shards) {
    signal?.throwIfAborted()
    const path = source.describe(shard.file)
    let records = 0
    const problem = await problemOf(() =>
      withFile(
        shardPath => source.open(shardPath),
        shard.file,
        async file => {
          const hashed = hashedSource(file)
          const shardRecords = await readShardRecords(hashed.source, path, manifest.shape)
          records = shardRecords.labels.length
          shards.push(shardRecords)
          expectSame(path, 'bytes', shard.bytes, file.length)
          expectSame(path, 'records', shard.records, records)
          expectSame(path, 'sha256', shard.sha256, hashed.digest())
        },
      ),
    )
    report({ file: shard.file, records, ...problem })
  }
  // An index can only be compared with shards that are undamaged.
  const isComplete = shards.length === half.shards.length
  const problem = await problemOf(() =>
    verifyIndex(source, manifest, [name, half], isComplete ? shards : undefined),
  )
  report({ file: half.index.file, ...problem })
}

async function verifyIndex(
  source: DataSource,
  manifest: PreparedManifest,
  [halfName, half]: readonly [HalfName, PreparedHalf],
  shards: readonly ShardRecords[] | undefined,
): Promise<void> {
  const { classNames, groupNames } = manifest
  const { file, sha256 } = half.index
  const name = source.describe(file)
  const bytes = await source.read(file)
  expectSame(name, 'bytes', half.index.bytes, bytes.length)
  expectSame(name, 'sha256', sha256, createHash('sha256').update(bytes).digest('hex'))
  const index = readIndex(bytes, name, half.count)
  checkIndex(index, manifest, halfName, name)
  const { labels, groups } = index
  expectCounts(name, 'class', classNames, half.classCounts, labels)
  if (groupNames) expectCounts(name, 'group', groupNames, half.groupCounts ?? [], groups ?? [])
  if (shards) expectRecords(name, index, shards)
}

/** What an index tells of each record must be what the records hold. */
function expectRecords(name: string, index: PreparedIndex, shards: readonly ShardRecords[]): void {
  const { labels, groups = [], trueCell = [], objectBox = [], offsets } = index
  const columns = { labels, groups, trueCell, objectBox, offsets }
  for (const [key, stored] of Object.entries(columns) as [keyof ShardRecords, ArrayLike<number>][]) {
    const fromShards = shards.flatMap(shard => shard[key])
    expectSame(name, `number of ${key}`, fromShards.length, stored.length)
    const wrong = fromShards.findIndex((value, i) => value !== stored[i])
    if (wrong < 0) continue
    const each = key === 'objectBox' ? 4 : 1
    const record = Math.floor(wrong / each)
    const ofRecord = (values: ArrayLike<number>) =>
      Array.from(values)
        .slice(each * record, each * (record + 1))
        .join(', ')
    expectSame(name, `${key} of record ${record}`, ofRecord(fromShards), ofRecord(stored))
  }
}

function expectCounts(
  name: string,
  what: string,
  names: readonly string[],
  counts: readonly number[],
  values: ArrayLike<number>,
): void {
  const counted = names.map(() => 0)
  for (const value of Array.from(values)) counted[value] = (counted[value] ?? 0) + 1
  names.forEach((part, i) => {
    expectSame(name, `images of ${what} ${i} "${part}"`, counts[i], counted[i])
  })
}

function expectSame<T>(name: string, what: string, expected: T, actual: T): void {
  if (actual === expected) return
  throw new RangeError(`${name}: ${what} must be ${expected}, got ${actual}`)
}

/** A file whose bytes are digested as they are read, in their order. */
function hashedSource(file: ByteSource): { source: ByteSource; digest(): string } {
  const hash = createHash('sha256')
  let hashed = 0
  const source: ByteSource = {
    ...file,
    async slice(start, end) {
      const bytes = await file.slice(start, end)
      // A record that goes beyond a chunk is read again: only its new bytes are digested.
      const fresh = bytes.subarray(Math.max(0, hashed - start))
      hash.update(fresh)
      hashed += fresh.length
      return bytes
    },
  }
  return { source, digest: () => hash.digest('hex') }
}

async function withFile(
  open: (path: string) => Promise<ByteSource>,
  path: string,
  use: (file: ByteSource) => Promise<void>,
): Promise<void> {
  const file = await open(path)
  try {
    await use(file)
  } finally {
    await file.close()
  }
}

/** The error of a check as the problem of the file; an abort is not one and is thrown on. */
async function problemOf(check: () => Promise<void>): Promise<{ problem?: string }> {
  try {
    await check()
    return {}
  } catch (error) {
    if (error instanceof Error && error.name !== 'AbortError') return { problem: error.message }
    throw error
  }
}

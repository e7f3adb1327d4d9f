import type { ImageShape } from '../../shapes.js'
import type { DataSource } from '../data-source.js'
import type { HalfName } from '../datasets/dataset.js'
import { eachInParallel } from '../each-in-parallel.js'
import { splitRecords } from '../formats/tfrecord.js'
import type { ImageRecords } from '../image-records.js'
import type { ImageBatch } from '../image-set.js'
import { readPreparedImage } from './encoded-image.js'
import { checkIndex, type PreparedIndex, readIndex } from './index-file.js'
import type { PreparedHalf, PreparedManifest, PreparedShard } from './manifest.js'

/** Shards that are read at a time. */
const shardsAtOnce = 4
/** Largest gap between two requested records that is read along, to join two reads into one, in bytes. */
const gapBytes = 2 ** 15
/** Most of a read that nobody asked for, as a part of it: a worker that takes a share of each batch reads little besides its share. */
const mostUnasked = 1 / 8
/** Most bytes of one read, unless a single record is longer. */
const readBytes = 2 ** 20

/**
 * The training or the test images of a prepared folder, as images that can be read.
 *
 * @param source the folder
 * @param samples how many; all of them by default
 * @throws RangeError naming the class that has too few images, how many there are and how many were asked for;
 *   RangeError or Error when the index is damaged or missing
 */
export async function preparedRecords(
  source: DataSource,
  manifest: PreparedManifest,
  half: HalfName,
  samples?: number,
): Promise<ImageRecords> {
  const stored = await storedHalf(source, manifest, half, samples)
  const { index, count } = stored
  const { shape, classNames, groupNames, cells } = manifest
  const { labels, groups, trueCell, objectBox } = index
  return {
    count,
    shape,
    classNames,
    labels: labels.subarray(0, count),
    ...(groupNames && groups && { groupNames, groups: groups.subarray(0, count) }),
    ...(cells && trueCell && { cells, trueCell: trueCell.subarray(0, count) }),
    ...(objectBox && { objectBox: objectBox.subarray(0, 4 * count) }),
    read: positions => readImages(stored, positions),
  }
}

/**
 * What a manifest and an index say of the records of a half.
 *
 * @throws as {@link preparedRecords}
 */
export async function storedHalf(
  source: DataSource,
  manifest: PreparedManifest,
  half: HalfName,
  samples?: number,
): Promise<StoredHalf> {
  const described = halfOf(manifest, half, source)
  const name = source.describe(described.index.file)
  const index = readIndex(await source.read(described.index.file), name, described.count)
  // Checked once here, so that a stream need not check it again.
  checkIndex(index, manifest, half, name)
  if (samples !== undefined) checkRequested(manifest, described, half, samples, source.describe(''))
  return { source, shape: manifest.shape, index, half: described, count: samples ?? described.count }
}

function halfOf(manifest: PreparedManifest, half: HalfName, source: DataSource): PreparedHalf {
  const described = manifest[half]
  if (described) return described
  throw new RangeError(`${source.describe('')}: half must be one that was prepared, got ${half}`)
}

/**
 * Checks that each class has its equal share of the requested images, and each group a share as in all prepared images.
 */
function checkRequested(
  manifest: PreparedManifest,
  described: PreparedHalf,
  half: HalfName,
  samples: number,
  folder: string,
): void {
  const { classNames, groupNames } = manifest
  const { count, classCounts, groupCounts } = described
  const classes = classNames.map((name, label) => {
    const numRequired = Math.ceil((samples - label) / classNames.length)
    return { what: `class ${label} "${name}"`, numRequired, numPrepared: classCounts[label] ?? 0 }
  })
  const groups = (groupNames ?? []).map((name, group) => {
    const numPrepared = groupCounts?.[group] ?? 0
    return {
      what: `group ${group} "${name}"`,
      numRequired: Math.ceil((samples * numPrepared) / count),
      numPrepared,
    }
  })
  const short = [...classes, ...groups].filter(({ numRequired, numPrepared }) => numPrepared < numRequired)
  if (short.length === 0) return
  const list = short.map(
    ({ what, numRequired, numPrepared }) => `${what} must have ${numRequired} images, got ${numPrepared}`,
  )
  throw new RangeError(`${folder}: ${list.join('; ')} (${samples} ${half} images asked, ${count} prepared)`)
}

/** What images are read from. */
export interface StoredHalf {
  readonly source: DataSource
  readonly shape: ImageShape
  readonly index: PreparedIndex
  readonly half: PreparedHalf
  /** The first of them that count. */
  readonly count: number
}

/** An image that is requested: where it is stored, and where it goes. */
interface RequestedImage {
  readonly position: number
  readonly slot: number
}

async function readImages(stored: StoredHalf, positions: Int32Array): Promise<ImageBatch> {
  const { shape, index } = stored
  const imageBytes = shape[0] * shape[1] * shape[2]
  const images = new Uint8Array(positions.length * imageBytes)
  const queue = byShard(stored.half, positions)
  const work = async (): Promise<void> => {
    for (let task = queue.pop(); task; task = queue.pop()) {
      await readShard(stored, task, (slot, pixels) => images.set(pixels, slot * imageBytes))
    }
  }
  await Promise.all(Array.from({ length: shardsAtOnce }, work))
  const { groups } = index
  return {
    images,
    labels: positions.map(position => index.labels[position] as number),
    ...(groups && { groups: positions.map(position => groups[position] as number) }),
    count: positions.length,
  }
}

/** What is requested of one shard. */
interface ShardTask {
  readonly shard: PreparedShard
  /** Position of its first record. */
  readonly first: number
  /** Ascending in their positions. */
  readonly requested: RequestedImage[]
}

function byShard({ shards }: PreparedHalf, positions: Int32Array): ShardTask[] {
  const sorted = Array.from(positions, (position, slot) => ({ position, slot }))
  sorted.sort((a, b) => a.position - b.position)
  const tasks: ShardTask[] = []
  let first = 0
  let next = 0
  for (const shard of shards) {
    const requested: RequestedImage[] = []
    for (let item = sorted[next]; item && item.position < first + shard.records; item = sorted[++next]) {
      requested.push(item)
    }
    if (requested.length > 0) tasks.push({ shard, first, requested })
    first += shard.records
  }
  return tasks
}

/** Reads the requested records of a shard, neighbours in one read; checks the checksums of all that is read. */
async function readShard(
  { source, shape, index, half }: StoredHalf,
  { shard, first, requested }: ShardTask,
  put: (slot: number, pixels: Uint8Array) => void,
): Promise<void> {
  const name = source.describe(shard.file)
  const endOf = (position: number): number =>
    position + 1 < first + shard.records ? (index.offsets[position + 1] as number) : shard.bytes
  const file = await source.open(shard.file)
  try {
    if (file.length !== shard.bytes) {
      throw new RangeError(`${name}: file must be ${shard.bytes} bytes long, got ${file.length}`)
    }
    const runs = runsOf(requested, index.offsets, endOf)
    await eachInParallel(runs.length, async number => {
      const run = runs[number] as RequestedImage[]
      const [from, to] = [run[0] as RequestedImage, run.at(-1) as RequestedImage]
      const offset = index.offsets[from.position] as number
      const bytes = await file.slice(offset, endOf(to.position))
      const records = splitRecords(bytes, { name, first: from.position - first, offset })
      for (const { position, slot } of run) {
        const record = records[position - from.position]
        const where = `${name}: record ${position - first}`
        if (!record)
          throw new RangeError(`${where} must be where the index says, got ${records.length} records`)
        const image = readPreparedImage(record, shape, where)
        if (image.label !== index.labels[position]) {
          throw new RangeError(
            `${where} must have the label ${index.labels[position]} of ${half.index.file}, got ${image.label}`,
          )
        }
        put(slot, image.pixels)
      }
    })
  } finally {
    await file.close()
  }
}

/** Joins neighbours to runs that are read at once. */
function runsOf(
  requested: readonly RequestedImage[],
  offsets: Float64Array,
  endOf: (position: number) => number,
): RequestedImage[][] {
  const runs: RequestedImage[][] = []
  let run: RequestedImage[] = []
  let start = 0
  let end = 0
  let unasked = 0
  for (const item of requested) {
    const offset = offsets[item.position] as number
    const bytes = endOf(item.position) - start
    // An image that is asked for twice begins before the end of the last one.
    const gap = Math.max(0, offset - end)
    const joins = gap <= gapBytes && unasked + gap <= mostUnasked * bytes && bytes <= readBytes
    if (run.length === 0 || !joins) {
      run = []
      runs.push(run)
      start = offset
      unasked = 0
    } else {
      unasked += gap
    }
    run.push(item)
    end = endOf(item.position)
  }
  return runs
}

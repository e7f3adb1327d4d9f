import { isPositiveInteger } from '../shapes.js'
import { type BatchShare, batchShares, checkShard, placesOf } from './batch-shares.js'
import { batches } from './batches.js'
import type { ImageBatch, ImageSet } from './image-set.js'
import type { ImageStream, StreamPass } from './image-stream.js'
import { checkValues, zerosLike } from './image-values.js'
import { windowOrder } from './window-order.js'

/** Labelled images of which any can be read at any time: in memory, or in files. */
export interface ImageRecords extends Omit<ImageSet, 'images'> {
  /**
   * Reads images.
   *
   * @param positions integers in [0, count)
   * @returns a batch in the order of `positions`, with memory of its own
   * @throws Error naming file and record where stored images are damaged
   */
  read(positions: Int32Array): Promise<ImageBatch>
}

/** How images that are read from files are brought into an order. */
export interface WindowOptions {
  /** Images that are in memory at a time, and are shuffled among each other; 4096 by default. */
  readonly shuffleWindow?: number
}

/** Images that are in memory at a time where nothing else is asked for. */
export const defaultShuffleWindow = 4096

/**
 * A set in memory, as images that can be read.
 *
 * @throws RangeError naming the first value that is not finite; TypeError for arrays of another kind
 */
export function recordsOf(set: ImageSet): ImageRecords {
  const { images, ...described } = set
  checkValues(images, set.shape, 'recordsOf: set')
  return {
    ...described,
    async read(positions) {
      const [batch] = batches(set, { batchSize: Math.max(1, positions.length), order: positions })
      if (batch) return batch
      return { images: zerosLike(images, 0), labels: new Int32Array(), count: 0 }
    },
  }
}

/**
 * Some of the images of a set.
 *
 * @param positions of the images, in [0, count)
 */
export function someRecords(records: ImageRecords, positions: Int32Array): ImageRecords {
  const { labels, groups, names, trueCell, objectBox } = records
  const some = (values: Int32Array): Int32Array => positions.map(position => values[position] as number)
  return {
    ...records,
    count: positions.length,
    labels: some(labels),
    ...(groups && { groups: some(groups) }),
    ...(names && { names: Array.from(positions, position => names[position] as string) }),
    ...(trueCell && { trueCell: some(trueCell) }),
    ...(objectBox && {
      objectBox: Int32Array.from([...positions].flatMap(at => [...objectBox.subarray(4 * at, 4 * at + 4)])),
    }),
    read: wanted => records.read(wanted.map(index => positions[index] as number)),
  }
}

/** Reads all of the images into memory. */
export async function loadRecords(records: ImageRecords): Promise<ImageSet> {
  const { read, ...described } = records
  const { images } = await read(Int32Array.from({ length: records.count }, (_, position) => position))
  return { ...described, images }
}

/**
 * Images that are too many for memory, as a stream: shuffled passes go through them as {@link windowOrder} says, and
 * while batches of one window are taken, the next window is being read. So two windows are in memory at most.
 *
 * @throws RangeError when `shuffleWindow` is not a positive integer
 */
export function streamRecords(records: ImageRecords, { shuffleWindow }: WindowOptions = {}): ImageStream {
  const window = checkedWindow(shuffleWindow)
  return orderedStream(records, window, shuffle => windowOrder(records.count, window, shuffle))
}

/**
 * A stream whose shuffled passes take an order that a function gives; others take the stored one.
 *
 * @param window images that are read at a time
 * @param orderOf positions of the images of an epoch; as many as there are images
 */
export function orderedStream(
  records: ImageRecords,
  window: number,
  orderOf: (shuffle: NonNullable<StreamPass['shuffle']>) => Int32Array,
): ImageStream {
  const { count, shape, classNames, groupNames, names, cells } = records
  return {
    count,
    shape,
    classNames,
    ...(groupNames && { groupNames }),
    ...(names && { names }),
    ...(cells && { cells }),
    orderOf,
    batches(pass) {
      const { batchSize, shuffle, start = 0, end = count, shard } = checkedPass(pass, count)
      const order = shuffle ? orderOf(shuffle) : Int32Array.from({ length: count }, (_, position) => position)
      return readShares(records, order, window, () => batchShares({ batchSize, start, end, shard }))
    },
  }
}

/**
 * Checks the options of a pass.
 *
 * @param count images of the stream
 * @throws RangeError when one is out of range
 */
export function checkedPass(pass: StreamPass, count: number): StreamPass {
  const { batchSize, start = 0, end = count, shard } = pass
  if (shard) checkShard(shard)
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`batches: batchSize must be a positive integer, got ${batchSize}`)
  }
  if (!Number.isInteger(end) || end < 0 || end > count) {
    throw new RangeError(`batches: end must be an integer in [0, ${count}], got ${end}`)
  }
  if (!Number.isInteger(start) || start < 0 || start > end) {
    throw new RangeError(`batches: start must be an integer in [0, ${end}], got ${start}`)
  }
  return pass
}

/**
 * The number of images that are read at a time.
 *
 * @throws RangeError when it is given and not a positive integer
 */
export function checkedWindow(shuffleWindow: number = defaultShuffleWindow): number {
  if (isPositiveInteger(shuffleWindow)) return shuffleWindow
  throw new RangeError(`shuffleWindow must be a positive integer, got ${shuffleWindow}`)
}

/** Reads shares of batches, of each window only the images that they have; a share may begin in one window and end in the next. */
async function* readShares(
  records: ImageRecords,
  order: Int32Array,
  window: number,
  shares: () => Iterable<BatchShare>,
): AsyncGenerator<ImageBatch, void, undefined> {
  const windows = readWindows(records, windowsOf(order, window, shares()))
  let images: ImageBatch | undefined
  let used = 0
  for (const share of shares()) {
    const size = placesOf(share).length
    if (size === 0) yield records.read(new Int32Array())
    let batch: FillingBatch | undefined
    while (size > 0 && !batch?.isFull) {
      if (!images || used === images.count) {
        images = (await windows.next()).value as ImageBatch
        used = 0
      }
      batch ??= new FillingBatch(images, size)
      used += batch.take(images, used)
    }
    if (batch) yield batch.whole
  }
}

/** Reads images, a window at a time; the next window is read while one is used. */
async function* readWindows(
  records: ImageRecords,
  windows: Iterable<Int32Array>,
): AsyncGenerator<ImageBatch, void, undefined> {
  let reading: Promise<ImageBatch> | undefined
  for (const positions of windows) {
    const images = await reading
    reading = records.read(positions)
    // A consumer that stops early never awaits this read: without a handler its failure would end the process.
    reading.catch(() => undefined)
    if (images) yield images
  }
  if (reading) yield reading
}

/** The positions of the images of shares, cut at the borders of windows: these do not depend on where a pass begins. */
function* windowsOf(
  order: Int32Array,
  window: number,
  shares: Iterable<BatchShare>,
): Generator<Int32Array, void, undefined> {
  let positions: number[] = []
  let current = 0
  for (const share of shares) {
    for (const place of placesOf(share)) {
      const number = Math.floor(place / window)
      if (number !== current && positions.length > 0) {
        yield Int32Array.from(positions)
        positions = []
      }
      current = number
      positions.push(order[place] as number)
    }
  }
  if (positions.length > 0) yield Int32Array.from(positions)
}

/** A batch that is being filled. */
class FillingBatch {
  readonly whole: ImageBatch
  private filled = 0
  private readonly imageValues: number

  constructor(like: ImageBatch, count: number) {
    this.imageValues = like.images.length / like.count
    this.whole = {
      images: zerosLike(like.images, count * this.imageValues),
      labels: new Int32Array(count),
      ...(like.groups && { groups: new Int32Array(count) }),
      count,
    }
  }

  get isFull(): boolean {
    return this.filled === this.whole.count
  }

  /** Copies as many images of a window as still fit, from the image `from` on; returns how many. */
  take(window: ImageBatch, from: number): number {
    const { images, labels, groups, count } = this.whole
    const end = Math.min(window.count, from + count - this.filled)
    images.set(
      window.images.subarray(from * this.imageValues, end * this.imageValues),
      this.filled * this.imageValues,
    )
    labels.set(window.labels.subarray(from, end), this.filled)
    if (groups && window.groups) groups.set(window.groups.subarray(from, end), this.filled)
    this.filled += end - from
    return end - from
  }
}

import { isPositiveInteger } from '../shapes.js'
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
      const { batchSize, shuffle, start = 0, end = count } = checkedPass(pass, count)
      const order = shuffle ? orderOf(shuffle) : Int32Array.from({ length: count }, (_, position) => position)
      return cutWindows(readWindows(records, order.subarray(0, end), start, window), batchSize, end - start)
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
  const { batchSize, start = 0, end = count } = pass
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

/** The images of an order, a window at a time; the next window is read while one is used. */
async function* readWindows(
  records: ImageRecords,
  order: Int32Array,
  start: number,
  window: number,
): AsyncGenerator<ImageBatch, void, undefined> {
  const read = (from: number): Promise<ImageBatch> | undefined => {
    if (from >= order.length) return undefined
    // A resumed pass may begin within a window; the borders of the windows stay the same.
    const reading = records.read(order.subarray(from, from + window - (from % window)))
    // A consumer that stops early never awaits this read: without a handler its failure would end the process.
    reading.catch(() => undefined)
    return reading
  }
  let next = start
  let reading = read(next)
  while (reading) {
    const images = await reading
    next += images.count
    reading = read(next)
    yield images
  }
}

/** Cuts windows into batches, each with memory of its own; a batch may begin in one window and end in the next. */
async function* cutWindows(
  windows: AsyncIterable<ImageBatch>,
  batchSize: number,
  count: number,
): AsyncGenerator<ImageBatch, void, undefined> {
  let batch: FillingBatch | undefined
  let numLeft = count
  for await (const window of windows) {
    for (let from = 0; from < window.count; ) {
      batch ??= new FillingBatch(window, Math.min(batchSize, numLeft))
      const numTaken = batch.take(window, from)
      from += numTaken
      numLeft -= numTaken
      if (!batch.isFull) continue
      yield batch.whole
      batch = undefined
    }
  }
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

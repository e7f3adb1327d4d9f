import { permutation, random } from '../random.js'
import { isPositiveInteger } from '../shapes.js'
import { batchShares, checkShard, placesOf, type Shard } from './batch-shares.js'
import { pickBoxes } from './compose/object-box.js'
import { classOrder, type ImageBatch, type ImageSet } from './image-set.js'
import { type ImageValues, zerosLike } from './image-values.js'

/**
 * The order in which one epoch visits the images: a function of its arguments alone, so that a resumed run
 * goes on exactly where it stopped.
 *
 * @param count images in the set
 * @param epoch number of the epoch, from 0
 * @returns the integers 0..count-1 in an order that differs from epoch to epoch
 */
export function epochOrder(count: number, seed: number, epoch: number): Int32Array {
  return permutation(count, random(seed, `epoch ${epoch}`))
}

/** How a set is cut into batches. */
export interface BatchOptions {
  /** Images a batch; the last batch holds what is left. */
  readonly batchSize: number
  /** Positions in the set, in the order in which they are visited. */
  readonly order: Int32Array
  /** How many images of the order to leave out at its start, where a resumed epoch goes on; 0 by default. */
  readonly start?: number
  /** Takes one worker's part of every batch; see `StreamPass`. */
  readonly shard?: Shard
}

/**
 * Cuts a set into batches, each with memory of its own.
 *
 * @returns batches, lazily; the options are checked at once
 * @throws RangeError when the batch size, the start, the shard or a position of the order is out of range
 */
export function batches(set: ImageSet, options: BatchOptions): Generator<ImageBatch, void, undefined> {
  const { batchSize, order, start = 0, shard } = options
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`batches: batchSize must be a positive integer, got ${batchSize}`)
  }
  if (!Number.isInteger(start) || start < 0 || start > order.length) {
    throw new RangeError(`batches: start must be an integer in [0, ${order.length}], got ${start}`)
  }
  if (shard) checkShard(shard)
  const wrong = order.findIndex(position => position < 0 || position >= set.count)
  if (wrong >= 0) {
    throw new RangeError(
      `batches: order must hold positions in [0, ${set.count - 1}], got ${order[wrong]} (at place ${wrong})`,
    )
  }
  return cut(set, options)
}

/**
 * A balanced part of a set: the first count/classes images of each class, in one seeded order.
 *
 * The classes take turns, so that a smaller subset is the beginning of a larger one with the same seed. Where
 * the classes do not divide `count`, the first of them have one image more.
 *
 * @param count images in the subset; at least 1
 * @throws RangeError when `count` is not a positive integer, or naming the class that has too few images
 */
export function subset<Values extends ImageValues>(
  set: ImageSet<Values>,
  count: number,
  seed = 0,
): ImageSet<Values> {
  if (!isPositiveInteger(count)) {
    throw new RangeError(`subset: count must be a positive integer, got ${count}`)
  }
  const classes = set.classNames.length
  const orders = set.classNames.map((name, label) => {
    const order = classOrder(set, label, seed)
    const numRequired = Math.ceil((count - label) / classes)
    if (order.length < numRequired) {
      throw new RangeError(
        `subset: class ${label} "${name}" must have ${numRequired} images, got ${order.length} ` +
          `(${count} images of ${classes} classes asked)`,
      )
    }
    return order
  })
  const positions = Int32Array.from({ length: count }, (_, i) => {
    const order = orders[i % classes] as Int32Array
    return order[Math.floor(i / classes)] as number
  })
  return pick(set, positions)
}

function* cut(
  set: ImageSet,
  { batchSize, order, start = 0, shard }: BatchOptions,
): Generator<ImageBatch, void, undefined> {
  for (const share of batchShares({ batchSize, start, end: order.length, shard })) {
    const positions = placesOf(share).map(place => order[place] as number)
    const { images, labels, groups, count } = pick(set, positions)
    yield { images, labels, count, ...(groups && { groups }) }
  }
}

/** The images at the given positions, copied. */
function pick<Values extends ImageValues>(set: ImageSet<Values>, positions: Int32Array): ImageSet<Values> {
  const [height, width, channels] = set.shape
  const values = height * width * channels
  const images = zerosLike(set.images, positions.length * values)
  positions.forEach((position, i) => {
    images.set(set.images.subarray(position * values, (position + 1) * values), i * values)
  })
  const { trueCell, objectBox, groups, names } = set
  return {
    ...set,
    images,
    labels: positions.map(position => set.labels[position] as number),
    count: positions.length,
    ...(trueCell && { trueCell: positions.map(position => trueCell[position] as number) }),
    ...(objectBox && { objectBox: pickBoxes(objectBox, positions) }),
    ...(groups && { groups: positions.map(position => groups[position] as number) }),
    ...(names && { names: Array.from(positions, position => names[position] as string) }),
  }
}

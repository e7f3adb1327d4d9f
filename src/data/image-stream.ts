import type { ImageShape, Size2D } from '../shapes.js'
import type { Shard } from './batch-shares.js'
import { batches, epochOrder } from './batches.js'
import type { ImageBatch, ImageSet } from './image-set.js'
import { checkValues } from './image-values.js'

/**
 * Labelled images that come in batches, wherever they are: in memory, in files, or made as they are asked for.
 */
export interface ImageStream {
  readonly count: number
  /** Height, width and channels of every image. */
  readonly shape: ImageShape
  readonly classNames: readonly string[]
  /** Names of the groups that accuracy is reported for, where the images have groups. */
  readonly groupNames?: readonly string[]
  /** (count) name of each image in the stored order, where they have names. */
  readonly names?: readonly string[]
  /** For composed images: the grid of cells that each image was composed of, [rows, columns]. */
  readonly cells?: Size2D
  /**
   * The positions in the stored order of the images that a shuffled pass takes, in its order; as many as there are images. Only where the
   * images themselves are the same in every pass.
   */
  orderOf?(shuffle: NonNullable<StreamPass['shuffle']>): Int32Array
  /**
   * One pass over the images.
   *
   * A function of its arguments alone: asked again with the same ones, it yields the same images, so that a resumed
   * run goes on exactly where it stopped.
   *
   * @throws RangeError when an option is out of range; Error naming file and record where stored images are damaged
   */
  batches(pass: StreamPass): AsyncIterable<ImageBatch>
}

/** Which images of a stream come, in which order and how many at a time. */
export interface StreamPass {
  /** Images a batch, those of all workers together; the last batch holds what is left. */
  readonly batchSize: number
  /** Gives each epoch (from 0) an order of its own; the stored order without it. */
  readonly shuffle?: { readonly seed: number; readonly epoch: number }
  /** How many images of the order to leave out at its start; 0 by default. */
  readonly start?: number
  /** Where in the order to end, `start` included in the count; the number of images by default. */
  readonly end?: number
  /**
   * Takes one worker's part of every batch; the order and the borders of the batches are those of the pass without it. A part is empty
   * where its batch has fewer images than there are workers.
   */
  readonly shard?: Shard
}

/**
 * A set in memory as a stream; its whole order is shuffled at once.
 *
 * @throws RangeError naming the first value that is not finite; TypeError for arrays of another kind
 */
export function streamOf(set: ImageSet | ImageStream): ImageStream {
  if (!('images' in set)) return set
  checkValues(set.images, set.shape, 'streamOf: set')
  const { count, shape, classNames, groupNames, names, cells } = set
  const orderOf: ImageStream['orderOf'] = ({ seed, epoch }) => epochOrder(count, seed, epoch)
  return {
    count,
    shape,
    classNames,
    ...(groupNames && { groupNames }),
    ...(names && { names }),
    ...(cells && { cells }),
    orderOf,
    async *batches({ batchSize, shuffle, start = 0, end = count, shard }) {
      const order = shuffle ? orderOf(shuffle) : Int32Array.from({ length: count }, (_, position) => position)
      yield* batches(set, { batchSize, order: order.subarray(0, end), start, ...(shard && { shard }) })
    },
  }
}

/**
 * The first images of a set or a stream, in their stored order, as a set of their own.
 *
 * @param count images at most
 */
export async function firstImages(source: ImageSet | ImageStream, count: number): Promise<ImageSet> {
  const numImages = Math.min(count, source.count)
  if ('images' in source) {
    const values = source.shape[0] * source.shape[1] * source.shape[2]
    const { groups, names, trueCell, objectBox } = source
    return {
      ...source,
      count: numImages,
      images: source.images.subarray(0, numImages * values),
      labels: source.labels.subarray(0, numImages),
      ...(groups && { groups: groups.subarray(0, numImages) }),
      ...(names && { names: names.slice(0, numImages) }),
      ...(trueCell && { trueCell: trueCell.subarray(0, numImages) }),
      ...(objectBox && { objectBox: objectBox.subarray(0, 4 * numImages) }),
    }
  }
  for await (const batch of source.batches({ batchSize: numImages, end: numImages })) {
    const { shape, classNames, groupNames, cells } = source
    return { ...batch, shape, classNames, ...(groupNames && { groupNames }), ...(cells && { cells }) }
  }
  throw new RangeError(`firstImages: source must hold at least 1 image, got ${source.count}`)
}

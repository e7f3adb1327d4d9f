import { isPositiveInteger } from '../shapes.js'

/** One of several workers that share every batch: each takes a part of it, and their parts in turn are the batch. */
export interface Shard {
  /** Which of the workers, in [0, count). */
  readonly index: number
  /** How many workers there are. */
  readonly count: number
  /**
   * Each part comes with one image more, that which follows its last one in the batch (the first one of the batch follows the last),
   * unless the part is the whole batch or empty. All are in the order of the pass, so the first image of the batch comes before the
   * last part, and other images after theirs.
   */
  readonly withNext?: true
  /** A part that would be empty is the first image of the batch instead, for workers that all have to compute something. */
  readonly leastOne?: true
}

/** What a worker takes of a batch, as places in the order of the pass. */
export interface BatchShare {
  /** The place of the first image of the part. */
  readonly first: number
  /** Images of the part; 0 where the batch has fewer images than there are workers. */
  readonly count: number
  /** The place of the image that follows the part in its batch, where that comes along. */
  readonly next?: number
  /** Images of the whole batch, of all workers. */
  readonly batchImages: number
  /** Whether the part is an image that another worker has as well, which counts for nothing here; see `leastOne`. */
  readonly isSpare?: true
}

/** How an order is cut into batches, and what is taken of each. */
export interface CutOptions {
  /** Images of a batch, of all workers together; the last batch holds what is left. */
  readonly batchSize: number
  /** The place where the first batch begins. */
  readonly start: number
  /** The place where the last batch ends. */
  readonly end: number
  /** Whose parts; without it the whole batches. */
  readonly shard?: Shard | undefined
}

/**
 * What a worker takes of every batch: consecutive images whose numbers differ by at most one between workers.
 *
 * Part i of n of a batch of c images is [floor(i c / n), floor((i + 1) c / n)).
 *
 * @returns one share for each batch, empty ones included, so that all workers take as many steps
 */
export function* batchShares(cut: CutOptions): Generator<BatchShare, void, undefined> {
  const { batchSize, start, end, shard = { index: 0, count: 1 } } = cut
  for (let first = start; first < end; first += batchSize) {
    const size = Math.min(batchSize, end - first)
    const part = partOf(size, shard)
    const count = part.to - part.from
    yield {
      first: first + part.from,
      count,
      ...(shard.withNext && count > 0 && count < size && { next: first + (part.to % size) }),
      batchImages: size,
      ...(part.isSpare && { isSpare: true }),
    }
  }
}

function partOf(
  size: number,
  { index, count, leastOne }: Shard,
): { readonly from: number; readonly to: number; readonly isSpare?: true } {
  const from = Math.floor((index * size) / count)
  const to = Math.floor(((index + 1) * size) / count)
  return from === to && leastOne ? { from: 0, to: 1, isSpare: true } : { from, to }
}

/** The places of the images of a share, and of the one that comes along, ascending. */
export function placesOf({ first, count, next }: Pick<BatchShare, 'first' | 'count' | 'next'>): Int32Array {
  const places = Array.from({ length: count }, (_, i) => first + i)
  if (next === undefined) return Int32Array.from(places)
  return Int32Array.from(next < first ? [next, ...places] : [...places, next])
}

/**
 * Checks a shard.
 *
 * @throws RangeError when its count is no positive integer, or its index none in [0, count)
 */
export function checkShard({ index, count }: Shard): void {
  if (!isPositiveInteger(count)) {
    throw new RangeError(`batches: shard.count must be a positive integer, got ${count}`)
  }
  if (Number.isInteger(index) && index >= 0 && index < count) return
  throw new RangeError(`batches: shard.index must be an integer in [0, ${count - 1}], got ${index}`)
}

import type { Augmentation } from '../../data/augmentation/augmentation.js'
import { augmented, batchVariation, variedPass } from '../../data/augmentation/augmented.js'
import type { BatchShare } from '../../data/batch-shares.js'
import type { ImageBatch } from '../../data/image-set.js'
import type { ImageStream } from '../../data/image-stream.js'
import { VaryingThreads } from './varying-threads.js'

/** Where and how far ahead of their use images are varied. */
export interface AugmentedAheadOptions {
  /** Worker threads that vary images, 1 by default; 0 varies them when they are asked for. */
  readonly workers?: number
  /** Batches that are read and varied ahead of their use, 4 by default. */
  readonly ahead?: number
}

/**
 * A stream as `augmented` varies it, whose images worker threads vary ahead of their use: any number of them yields the same
 * images. The stream itself is read in this thread.
 *
 * The threads start with the first shuffled pass, do not keep the process alive, and end after five minutes without work.
 *
 * @throws RangeError as `augmented`, or when `workers` is not an integer of at least 0 or `ahead` of at least 1
 */
export function augmentedAhead(
  stream: ImageStream,
  augmentation: Augmentation,
  { workers = 1, ahead = 4 }: AugmentedAheadOptions = {},
): ImageStream {
  for (const [option, value, least] of [
    ['workers', workers, 0],
    ['ahead', ahead, 1],
  ] as const) {
    if (Number.isInteger(value) && value >= least) continue
    throw new RangeError(`augmentedAhead: ${option} must be an integer of at least ${least}, got ${value}`)
  }
  if (workers === 0) return augmented(stream, augmentation)
  if (!batchVariation(stream.shape, augmentation)) return stream
  const threads = new VaryingThreads({ shape: stream.shape, augmentation }, workers)
  const { orderOf: _, ...described } = stream
  return {
    ...described,
    async *batches(pass) {
      const { shuffle } = pass
      if (!shuffle) return yield* stream.batches(pass)
      const { asked, shares } = variedPass(pass, stream.count, augmentation)
      const source = stream.batches(asked)[Symbol.asyncIterator]()
      yield* variedAhead(source, { threads, epoch: shuffle.epoch, shares, ahead })
    },
  }
}

interface AheadPass {
  readonly threads: VaryingThreads
  readonly epoch: number
  /** What each batch is. */
  readonly shares: Iterator<BatchShare, void, undefined>
  readonly ahead: number
}

async function* variedAhead(
  source: AsyncIterator<ImageBatch>,
  { threads, epoch, shares, ahead }: AheadPass,
): AsyncGenerator<ImageBatch, void, undefined> {
  let reading: Promise<unknown> = Promise.resolve()
  const readNext = async (): Promise<ImageBatch | undefined> => {
    const before = reading
    const read = before.then(() => source.next())
    reading = read.catch(() => undefined)
    const { done, value: batch } = await read
    if (done) return undefined
    const { first, next } = shares.next().value as BatchShare
    return threads.vary(batch, { epoch, first, ...(next !== undefined && { next }) })
  }
  const waiting: Promise<ImageBatch | undefined>[] = []
  try {
    for (;;) {
      while (waiting.length < ahead) {
        const batch = readNext()
        // What fails ahead is thrown when its turn comes.
        batch.catch(() => undefined)
        waiting.push(batch)
      }
      const batch = await waiting.shift()
      if (!batch) return
      yield batch
    }
  } finally {
    await Promise.allSettled(waiting)
    await source.return?.()
  }
}

import { type BatchShare, batchShares } from '../../data/batch-shares.js'
import type { ImageBatch } from '../../data/image-set.js'
import type { StreamPass } from '../../data/image-stream.js'
import type { RegionBatch } from '../../data/regions/region-stream.js'
import type { BatchPart, Cluster } from './cluster.js'

/** Which part of every batch of a pass a worker takes. */
export interface WorkerPart extends Pick<Cluster, 'size' | 'index'> {
  /** What a worker does with a batch that has fewer images than there are workers, where it gets none: see {@link BatchPart}. */
  readonly whenEmpty: 'skip' | 'repeat'
}

/** Which part of every batch this worker takes. */
export function workerPart({ size, index }: Cluster, whenEmpty: WorkerPart['whenEmpty']): WorkerPart {
  return { size, index, whenEmpty }
}

/** A batch, or a worker's part of it. */
export interface PassedBatch<Batch> {
  readonly batch: Batch
  /** Images of the whole batch, where this is a worker's part of it. */
  readonly ofImages?: number
}

/**
 * One pass over data, of which a worker reads its part of every batch alone; where that is empty, the batch is skipped or its first
 * image taken.
 *
 * @param cut takes the part out of a batch of a stream that yields whole batches all the same, as somebody's own may
 * @throws RangeError when the stream yields neither
 */
export async function* passOf<Batch extends { readonly count: number }>(
  stream: { readonly count: number; batches(pass: StreamPass): AsyncIterable<Batch> },
  pass: StreamPass,
  worker: WorkerPart | undefined,
  cut: (batch: Batch, part: Pick<BatchPart, 'first' | 'end'>) => Batch | Promise<Batch>,
): AsyncGenerator<PassedBatch<Batch>, void, undefined> {
  if (!worker) {
    for await (const batch of stream.batches(pass)) yield { batch }
    return
  }
  const { index, size, whenEmpty } = worker
  const shard = { index, count: size, ...(whenEmpty === 'repeat' && { leastOne: true as const }) }
  const { batchSize, start = 0, end = stream.count } = pass
  const shares = batchShares({ batchSize, start, end, shard })
  let place = start
  for await (const batch of stream.batches({ ...pass, shard })) {
    const { first, count, batchImages: ofImages } = shares.next().value as BatchShare
    if (batch.count !== count && batch.count !== ofImages) {
      throw new RangeError(
        `train: stream must yield ${count} of the ${ofImages} images of a batch, got ${batch.count}`,
      )
    }
    const from = first - place
    if (count > 0) {
      const own = batch.count === count ? batch : await cut(batch, { first: from, end: from + count })
      yield { batch: own, ofImages }
    }
    place += ofImages
  }
}

/** Some consecutive images of a batch. */
export function someImages(batch: ImageBatch, { first, end }: Pick<BatchPart, 'first' | 'end'>): ImageBatch {
  const { images, labels, groups, mixed, count } = batch
  const values = images.length / count
  return {
    images: images.subarray(first * values, end * values),
    labels: labels.subarray(first, end),
    ...(groups && { groups: groups.subarray(first, end) }),
    ...(mixed && {
      mixed: { labels: mixed.labels.subarray(first, end), shares: mixed.shares.subarray(first, end) },
    }),
    count: end - first,
  }
}

/** Some consecutive images of a batch that are read in parts. */
export function someRegions(
  batch: RegionBatch,
  { first, end }: Pick<BatchPart, 'first' | 'end'>,
): RegionBatch {
  const { sources, labels, groups, objects } = batch
  return {
    sources: sources.slice(first, end),
    labels: labels.subarray(first, end),
    ...(groups && { groups: groups.subarray(first, end) }),
    ...(objects && { objects: objects.slice(first, end) }),
    count: end - first,
  }
}

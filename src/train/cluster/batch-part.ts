import type { ImageBatch } from '../../data/image-set.js'
import type { RegionBatch } from '../../data/regions/region-stream.js'
import { type BatchPart, batchParts, type Cluster } from './cluster.js'

/** Which part of every batch of a pass a worker takes. */
export interface WorkerPart extends Pick<Cluster, 'size' | 'index'> {
  /** What a worker does with a batch that has fewer images than there are workers, where it gets none: see {@link BatchPart}. */
  readonly whenEmpty: 'skip' | 'repeat'
}

/** Which part of every batch this worker takes. */
export function workerPart({ size, index }: Cluster, whenEmpty: WorkerPart['whenEmpty']): WorkerPart {
  return { size, index, whenEmpty }
}

/** The images of a batch that a worker takes; undefined where there are none and the batch is skipped. */
export function partOfBatch(images: number, { size, index, whenEmpty }: WorkerPart): BatchPart | undefined {
  const part = batchParts(images, size)[index] as BatchPart
  return part.share === 0 && whenEmpty === 'skip' ? undefined : part
}

/** Some consecutive images of a batch. */
export function someImages(batch: ImageBatch, { first, end }: BatchPart): ImageBatch {
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
export function someRegions(batch: RegionBatch, { first, end }: BatchPart): RegionBatch {
  const { sources, labels, groups, objects } = batch
  return {
    sources: sources.slice(first, end),
    labels: labels.subarray(first, end),
    ...(groups && { groups: groups.subarray(first, end) }),
    ...(objects && { objects: objects.slice(first, end) }),
    count: end - first,
  }
}

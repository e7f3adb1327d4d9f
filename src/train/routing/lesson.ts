import type * as tf from '@tensorflow/tfjs-core'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { RegionBatch } from '../../data/regions/region-stream.js'
import type { PatchExperts } from '../../layers/moe/patch-experts.js'

/** What a router can be taught by: boxes of what counts on some images, or the classes of images alone. */
export const TEACHERS = ['boxes', 'labels'] as const
export type Teacher = (typeof TEACHERS)[number]

/** What a lesson is about. */
export interface LessonOptions {
  readonly layer: PatchExperts
  /** Classes of the images. */
  readonly numClasses: number
  /** Decides what is drawn. */
  readonly seed: number
  /** Cells of an image that each expert looks at in a step, for teacher 'labels'. */
  readonly cells?: number | undefined
}

/** What a batch of images teaches. */
export interface Task {
  /** Images of the batch that teach something. */
  readonly count: number
  /** How far the router is from what it is taught, the mean over these images, in nats; differentiable by `weights` of the lesson. */
  loss(): tf.Scalar
  dispose(): void
}

/** A way of teaching a router. */
export interface Lesson {
  /** What a step changes. */
  readonly weights: readonly tf.Variable[]
  /**
   * Reads what is needed of a batch, with the weights of now.
   *
   * @returns undefined where the batch teaches nothing
   */
  task(batch: RegionBatch): Promise<Task | undefined>
  dispose(): void
}

/** (B,h,w,C) bytes of the views of images, one after the other. */
export async function viewBytes(sources: readonly RegionSource[], viewScale: number): Promise<Uint8Array> {
  return joinedBytes(await Promise.all(sources.map(source => source.view(viewScale))))
}

/** Bytes one after the other. */
export function joinedBytes(parts: readonly Uint8Array[]): Uint8Array {
  const all = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0))
  let offset = 0
  for (const part of parts) {
    all.set(part, offset)
    offset += part.length
  }
  return all
}

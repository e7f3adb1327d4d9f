import * as tf from '@tensorflow/tfjs-core'
import { isPositiveInteger } from '../shapes.js'
import { readWeights, restoreWeights } from './checkpoint.js'
import { type FedModel, networkOf } from './feed.js'
import type { LearningRateSearch } from './find-learning-rate.js'
import { releaseParts } from './frozen/trained-parts.js'
import { withoutSchedule } from './optimizers/schedules.js'
import type { Run } from './run.js'
import { startRun } from './start-run.js'
import { takeStep } from './step.js'

/** What decides a batch size: the options of a training, and the memory that a step may take. */
export interface BatchSizeSearch
  extends Omit<LearningRateSearch, 'batchSize' | 'lowest' | 'highest' | 'steps'> {
  /** Bytes that the tensors of a step may take, above 0. */
  readonly memory: number
  /** Images a step at most; 128 unless given. */
  readonly most?: number
}

/** A batch size, and what it follows from. */
export interface ChosenBatchSize {
  /** Images a step. */
  readonly batchSize: number
  /** Bytes of tensors that a step of so many images takes at its peak, as far as they are known: see {@link automaticBatchSize}. */
  readonly bytes: number
  /** What kept it from being larger. */
  readonly limit: 'memory' | 'images' | 'most'
}

/** An epoch has at least so many steps, where the images allow batches of `leastImages`. */
const stepsOfEpoch = 10
const leastImages = 8

/**
 * The batch size that fits a model and its memory: the largest power of two for which a step's tensors take at most `memory`, that is at
 * most `most`, and of which there are at least 10 in an epoch; the last does not keep it below 8.
 *
 * Two steps are taken, of 2 and of 4 images, whose peak of bytes in tensors is laid on a line; the model gets its weights back. What a
 * backend needs within an operation is not counted, so half of the free memory is a safe limit. The learning rate is not looked at:
 * it should grow and fall with the batch size.
 *
 * @throws RangeError as `train`, or when not even a step of one image takes so little memory
 */
export async function automaticBatchSize(
  model: FedModel,
  { memory, most = 128, ...options }: BatchSizeSearch,
): Promise<ChosenBatchSize> {
  if (!(memory > 0)) throw new RangeError(`automaticBatchSize: memory must be greater than 0, got ${memory}`)
  if (!isPositiveInteger(most)) {
    throw new RangeError(`automaticBatchSize: most must be a positive integer, got ${most}`)
  }
  const { count } = options.train
  const bytesOf = await measuredBytes(model, options)
  const ofImages = Math.max(count / stepsOfEpoch, Math.min(leastImages, count))
  const sizes = Array.from({ length: 31 }, (_, power) => 2 ** power)
  const fitting = sizes.filter(size => bytesOf(size) <= memory)
  const largest = fitting.at(-1)
  if (largest === undefined) {
    throw new RangeError(
      `automaticBatchSize: memory must hold a step of 1 image, ${bytesOf(1)} bytes, got ${memory}`,
    )
  }
  const limits = { memory: largest, images: ofImages, most }
  const batchSize = sizes.filter(size => size <= Math.min(...Object.values(limits))).at(-1) ?? 1
  const limit = (['memory', 'images', 'most'] as const).find(name => limits[name] < 2 * batchSize)
  return { batchSize, bytes: bytesOf(batchSize), limit: limit ?? 'most' }
}

/** The peak of bytes in tensors of a step of so many images. */
async function measuredBytes(
  model: FedModel,
  options: Omit<BatchSizeSearch, 'memory' | 'most'>,
): Promise<(images: number) => number> {
  const run = await startRun(model, {
    ...options,
    optimizer: withoutSchedule(options.optimizer),
    batchSize: 1,
    epochs: 1,
  })
  const network = networkOf(model)
  const before = await readWeights(network)
  try {
    const small = Math.min(2, options.train.count)
    // The first step makes what an optimizer keeps.
    await peakBytes(run, small)
    const [low, high] = [await peakBytes(run, small), await peakBytes(run, 2 * small)]
    const perImage = Math.max(high - low, 0) / small
    return images => Math.ceil(low + perImage * (images - small))
  } finally {
    run.seeds.restore()
    // Before layers are unfrozen: weights that are not trained come last, so that their order changes with it.
    restoreWeights(network, before)
    await releaseParts(run)
  }
}

async function peakBytes({ parts, feed, options: { seed, signal } }: Run, images: number): Promise<number> {
  for await (const batch of feed.batches({ batchSize: images, shuffle: { seed, epoch: 0 } })) {
    signal?.throwIfAborted()
    const { peakBytes: bytes } = await tf.profile(async () => {
      const { tensors } = await batch.inputs()
      const step = takeStep(parts, { inputs: tensors, labels: batch.labels, mixed: batch.mixed })
      for (const tensor of tensors) tensor.dispose()
      await step
    })
    return bytes
  }
  return 0
}

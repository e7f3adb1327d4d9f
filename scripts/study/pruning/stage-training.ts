import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { train } from '../../../src/train/loop.js'
import type { PruningStage } from '../../experiments/pruning-scale.js'

const evaluationBatchSize = 128

/** What a stage of training needs besides its settings. */
export interface StageRun {
  readonly seed: number
  /** Ends the training, with the signal's reason as the error. */
  readonly signal: AbortSignal
}

/**
 * Trains a model in place, by plain SGD.
 *
 * @param images as many as the stage says
 * @throws DivergenceError when the loss or a weight is no longer finite; the reason of the signal when it was aborted
 */
export async function trainStage(
  model: tfl.LayersModel,
  images: ImageSet,
  { epochs, batchSize, learningRate }: PruningStage,
  { seed, signal }: StageRun,
): Promise<void> {
  const optimizer = { name: 'sgd', learningRate } as const
  for await (const _ of train(model, { train: images, epochs, batchSize, optimizer, seed, signal })) {
    // Nothing is shown of single steps.
  }
  signal.throwIfAborted()
}

/** Share of the test images that are right. */
export async function testAccuracy(
  model: tfl.LayersModel,
  test: ImageSet,
  signal: AbortSignal,
): Promise<number> {
  const { accuracy } = await evaluate(model, test, { batchSize: evaluationBatchSize, signal })
  return accuracy
}

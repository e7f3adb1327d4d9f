import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../data/image-set.js'
import { type ImageStream, streamOf } from '../data/image-stream.js'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { layersWithin } from '../layers/layer-paths.js'
import { deriveSeed } from '../random.js'
import { isPositiveInteger } from '../shapes.js'
import { hostTurns } from './host-turn.js'
import { stepSeeds } from './step-seeds.js'
import { checkImageShape, upload } from './upload.js'

/** The images from which the statistics are estimated. */
export interface StatisticsOptions {
  /** Images a batch; the batch size of training gives the statistics that training saw. */
  readonly batchSize: number
  /** Images used at most; 1000 unless given. Whole batches are taken, at least one. */
  readonly examples?: number
  /** Chooses the images and what layers draw; no other random state is touched. */
  readonly seed: number
  /** Ends the work after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal
}

const optionNames = {
  batchSize: true,
  examples: true,
  seed: true,
  signal: true,
} as const satisfies OptionNames<StatisticsOptions>

/**
 * Estimates the population statistics of every batch normalization of a model anew.
 *
 * The moving average of training lags behind in short runs. Here mean and variance become the plain average over
 * batches 0..n-1 of training images, m_i = m_(i-1) i/(i+1) + x_i/(i+1), which a layer computes itself when its
 * momentum is i/(i+1). Earlier statistics do not count; trainable weights are only read, so training goes on as if
 * nothing had happened. Every layer with a number `momentum` and weights `moving_mean` and `moving_variance` takes
 * part, in nested models too, except frozen ones (`trainable` is false), which keep theirs.
 *
 * @param set the training images
 * @returns how many images were used: 0 for a model that keeps no statistics
 * @throws RangeError when batch size or examples are not positive integers, the set is empty or does not fit the model
 */
export async function recomputeStatistics(
  model: tfl.LayersModel,
  set: ImageSet | ImageStream,
  options: StatisticsOptions,
): Promise<number> {
  const where = 'recomputeStatistics'
  checkOptionNames(where, options, optionNames)
  const { batchSize, examples = 1000, seed, signal } = options
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${where}: batchSize must be a positive integer, got ${batchSize}`)
  }
  if (!isPositiveInteger(examples)) {
    throw new RangeError(`${where}: examples must be a positive integer, got ${examples}`)
  }
  if (set.count < 1) throw new RangeError(`${where}: set must hold at least 1 image, got ${set.count}`)
  checkImageShape(model, set.shape, `${where}: set`)
  const layers = layersWithin(model).filter(keepsStatistics)
  if (layers.length === 0) return 0

  const numImages = wholeBatches(Math.min(examples, set.count), batchSize)
  const shuffle = { seed: deriveSeed(seed, 'statistics'), epoch: 0 }
  const momenta = layers.map(layer => layer.momentum)
  const seeds = stepSeeds(model, seed, 'statistics')
  const turn = hostTurns()
  let index = 0
  try {
    for (const layer of layers) clearStatistics(layer)
    for await (const batch of streamOf(set).batches({ batchSize, shuffle, end: numImages })) {
      signal?.throwIfAborted()
      for (const layer of layers) layer.momentum = index / (index + 1)
      seeds.use(index)
      tf.tidy(() => {
        model.apply(upload(batch.images, set.shape), { training: true })
      })
      index++
      await turn()
    }
  } finally {
    for (const [i, layer] of layers.entries()) layer.momentum = momenta[i] as number
    seeds.restore()
  }
  return numImages
}

/** Leaves out a last batch that is not full: its few images would weigh as much as a whole batch. */
function wholeBatches(examples: number, batchSize: number): number {
  return examples < batchSize ? examples : examples - (examples % batchSize)
}

type StatisticsLayer = tfl.layers.Layer & { momentum: number }

function keepsStatistics(layer: tfl.layers.Layer): layer is StatisticsLayer {
  const moving = layer.weights.filter(isMoving)
  return layer.trainable && moving.length >= 2 && 'momentum' in layer && typeof layer.momentum === 'number'
}

/** Sets the statistics to 0, so that nothing remains of the earlier ones, even where these were not finite. */
function clearStatistics(layer: StatisticsLayer): void {
  tf.tidy(() => {
    for (const weight of layer.weights.filter(isMoving)) weight.write(tf.zeros(weight.shape as number[]))
  })
}

function isMoving({ originalName }: { originalName: string }): boolean {
  return /(^|\/)moving_(mean|variance)$/.test(originalName)
}

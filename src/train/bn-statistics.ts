import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { deriveSeed } from '../random.js'
import { isPositiveInteger } from '../shapes.js'
import { workerPart } from './cluster/batch-part.js'
import type { Cluster } from './cluster/cluster.js'
import { onPartOfBatch, type WorkerSteps } from './cluster/worker-step.js'
import { applied, type ComputedModel, feedOf, isRegionModel, networkOf, type TrainingData } from './feed.js'
import { hostTurns } from './host-turn.js'
import { followsStatistics, isMovingStatistic } from './moving-statistics.js'
import { stepSeeds } from './step-seeds.js'
import { checkImageShape } from './upload.js'

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
  /** Who computes the batches together, as in the steps of a training; this process alone unless given. */
  readonly workers?: Pick<WorkerSteps, 'cluster' | 'batchNorm'> | undefined
}

const optionNames = {
  batchSize: true,
  examples: true,
  seed: true,
  signal: true,
  workers: true,
} as const satisfies OptionNames<StatisticsOptions>

/**
 * Estimates the population statistics of every batch normalization of a model anew.
 *
 * The moving average of training lags behind in short runs. Here mean and variance become the plain average over
 * batches 0..n-1 of training images, m_i = m_(i-1) i/(i+1) + x_i/(i+1), which a layer computes itself when its
 * momentum is i/(i+1). Earlier statistics do not count; trainable weights are only read, so training goes on as if
 * nothing had happened. Every layer with a number `momentum` and weights `moving_mean` and `moving_variance` takes
 * part, in nested models and in networks that a layer holds too, except frozen ones (`trainable` is false), which keep
 * theirs. In an expert that some batches did not choose, the average is over the batches that it was applied to; one that
 * none chose keeps its statistics.
 *
 * @param set the training images
 * @returns how many images were used: 0 for a model that keeps no statistics
 * @throws RangeError when batch size or examples are not positive integers, the set is empty or does not fit the model
 */
export async function recomputeStatistics(
  fed: ComputedModel,
  set: TrainingData,
  options: StatisticsOptions,
): Promise<number> {
  const where = 'recomputeStatistics'
  checkOptionNames(where, options, optionNames)
  const { batchSize, examples = 1000, seed, signal, workers } = options
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${where}: batchSize must be a positive integer, got ${batchSize}`)
  }
  if (!isPositiveInteger(examples)) {
    throw new RangeError(`${where}: examples must be a positive integer, got ${examples}`)
  }
  if (set.count < 1) throw new RangeError(`${where}: set must hold at least 1 image, got ${set.count}`)
  const model = networkOf(fed)
  if (!isRegionModel(fed)) checkImageShape(model, set.shape, `${where}: set`)
  const layers = statisticsLayers(model)
  if (layers.length === 0) return 0

  const numImages = wholeBatches(Math.min(examples, set.count), batchSize)
  const shuffle = { seed: deriveSeed(seed, 'statistics'), epoch: 0 }
  const seeds = stepSeeds(model, seed, 'statistics')
  const turn = hostTurns()
  let index = 0
  const averages = layers.map(averageOverCalls)
  try {
    const worker = workers && workerPart(workers.cluster, 'repeat')
    for await (const batch of feedOf(fed, set).batches({ batchSize, shuffle, end: numImages, worker })) {
      signal?.throwIfAborted()
      seeds.use(index)
      const { tensors } = await batch.inputs()
      const compute = () => {
        applied(fed, tensors, true)
      }
      tf.tidy(() => {
        if (workers) onPartOfBatch(workers, batch.ofImages ?? batch.count, compute)
        else compute()
      })
      tf.dispose([...tensors])
      index++
      await turn()
    }
  } finally {
    for (const { restore } of averages) restore()
    seeds.restore()
  }
  if (workers?.batchNorm === 'local') averageOverWorkers(workers.cluster, layers)
  return numImages
}

/** Each worker has estimated statistics of its own parts of the batches: they become the mean of all. */
function averageOverWorkers(cluster: Cluster, layers: readonly StatisticsLayer[]): void {
  const variables = layers.flatMap(({ weights }) =>
    weights.filter(isMovingStatistic).map(weight => weight.read() as tf.Variable),
  )
  tf.tidy(() => {
    const flat = tf.concat1d(variables.map(variable => tf.reshape<tf.Rank.R1>(variable, [variable.size])))
    const means = tf.div(cluster.allReduce(flat), cluster.size)
    const parts = tf.split(
      means,
      variables.map(({ size }) => size),
    )
    for (const [i, variable] of variables.entries())
      variable.assign(tf.reshape(parts[i] as tf.Tensor, variable.shape))
  })
}

/** Leaves out a last batch that is not full: its few images would weigh as much as a whole batch. */
function wholeBatches(examples: number, batchSize: number): number {
  return examples < batchSize ? examples : examples - (examples % batchSize)
}

type StatisticsLayer = tfl.layers.Layer & { momentum: number }

/** The layers that take part, each once. */
function statisticsLayers(model: tfl.LayersModel): readonly StatisticsLayer[] {
  const placed = allPlacedLayers(model).filter(({ holders }) => holders.every(({ trainable }) => trainable))
  return [...new Set(placed.map(({ layer }) => layer))].filter(keepsStatistics)
}

/** Makes the statistics of a layer the plain average over its calls from now on, until they are restored. */
function averageOverCalls(layer: StatisticsLayer): { restore(): void } {
  const { momentum, call } = layer
  const isOwn = Object.hasOwn(layer, 'call')
  let calls = 0
  // A method of this one layer overrides that of its class.
  layer.call = (inputs, kwargs) => {
    if (calls === 0) clearStatistics(layer)
    layer.momentum = calls / (calls + 1)
    calls++
    return call.call(layer, inputs, kwargs)
  }
  return {
    restore: () => {
      layer.momentum = momentum
      if (isOwn) layer.call = call
      else delete (layer as { call?: unknown }).call
    },
  }
}

function keepsStatistics(layer: tfl.layers.Layer): layer is StatisticsLayer {
  return (
    layer.trainable && followsStatistics(layer) && 'momentum' in layer && typeof layer.momentum === 'number'
  )
}

/** Sets the statistics to 0, so that nothing remains of the earlier ones, even where these were not finite. */
function clearStatistics(layer: StatisticsLayer): void {
  tf.tidy(() => {
    for (const weight of layer.weights.filter(isMovingStatistic))
      weight.write(tf.zeros(weight.shape as number[]))
  })
}

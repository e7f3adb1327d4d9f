import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { type DividedBatch, withDividedBatch } from '../../layers/divided-batch.js'
import { withLayerOps } from '../../layers/ops.js'
import { wholeBatchOps } from '../../layers/whole-batch-norm.js'
import { isMovingStatistic } from '../moving-statistics.js'
import { batchParts, type Cluster, gathered, type WireType } from './cluster.js'
import { GradientBuckets } from './gradient-buckets.js'

/**
 * Over what BatchNorm takes its statistics: `synchronised` over the batch of all workers, which gives the numbers of one process;
 * `local` over each worker's part of it, without waiting for the others, with the mean of their moving averages.
 */
export const BATCH_NORMS = ['synchronised', 'local'] as const
export type BatchNormOverWorkers = (typeof BATCH_NORMS)[number]

/** How the steps of a training are shared out. */
export interface WorkerSteps {
  readonly cluster: Cluster
  readonly batchNorm: BatchNormOverWorkers
  readonly wire: WireType
  /** Whether this worker was asked to stop: all stop after the step in which one was. */
  readonly isStopAsked: () => boolean
}

/** What a training says of its workers. */
export interface ClusterOptions {
  /** The processes that take the steps together; this one alone unless given. */
  readonly cluster?: Cluster
  /** Over what BatchNorm takes its statistics in a step of several workers; `synchronised` unless given. */
  readonly clusterBatchNorm?: BatchNormOverWorkers
  /** How gradients travel between workers; float32 unless given. bfloat16 halves the bytes, and keeps 8 bits of each number. */
  readonly clusterWire?: WireType
  /** Asks this worker, and so all, to stop after the running step. */
  readonly signal?: AbortSignal
}

/** How the steps of a training are shared out; undefined where one worker takes them alone. */
export function workerSteps({
  cluster,
  clusterBatchNorm = 'synchronised',
  clusterWire = 'float32',
  signal,
}: ClusterOptions): WorkerSteps | undefined {
  if (!cluster || cluster.size === 1) return undefined
  return {
    cluster,
    batchNorm: clusterBatchNorm,
    wire: clusterWire,
    isStopAsked: () => signal?.aborted ?? false,
  }
}

/** The gradients of a step, and what it measured: the loss, the right predictions, the auxiliary terms. */
export type StepGradients = {
  readonly gradients: tf.NamedTensorMap
  readonly measured: tf.Tensor1D
}

/** What one worker computes of a step, and what becomes of it. */
export class WorkerStep {
  /** This worker's share of the batch: what its loss is multiplied by, so that the losses of all add up to that of the batch. */
  readonly share: number
  private readonly buckets: GradientBuckets
  private readonly batch: DividedBatch
  private readonly steps: WorkerSteps

  /** @param images of the batch, of all workers */
  constructor(steps: WorkerSteps, model: tfl.LayersModel, images: number) {
    const { cluster, wire } = steps
    this.steps = steps
    this.batch = dividedBatchOf(steps, images)
    this.share = this.batch.shares[cluster.index] as number
    const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
    this.buckets = new GradientBuckets(cluster, variables, wire)
  }

  /** Computes something on this worker's part of the batch. */
  during<T>(compute: () => T): T {
    return onPart(this.batch, compute)
  }

  /** Sends gradients while the backward pass computes others; see {@link GradientBuckets.listen}. */
  listen(): void {
    this.buckets.listen()
  }

  /**
   * The gradients and measurements of the whole batch, from those of the parts, in the scope of the caller. Moving statistics become the
   * mean over the workers, where each has its own.
   *
   * @param step of this worker, its loss already multiplied by its share
   * @returns with one number more at the end of the measurements: of how many workers were asked to stop
   */
  summed(model: tfl.LayersModel, { gradients, measured }: StepGradients): StepGradients {
    const { cluster, batchNorm, isStopAsked } = this.steps
    const sums = this.buckets.finish(gradients)
    const counts = this.share > 0 ? 1 : 0
    const terms = new Array<number>(measured.size - 2).fill(this.share)
    const weighted = tf.mul(measured, [1, counts, ...terms])
    const statistics = batchNorm === 'local' ? movingStatistics(model) : []
    const shared = [
      weighted,
      tf.tensor1d([isStopAsked() ? 1 : 0]),
      ...statistics.map(each => tf.mul(flat(each), this.share)),
    ]
    const [numbers, stops, ...means] = tf.split(
      cluster.allReduce(tf.concat1d(shared as tf.Tensor1D[])),
      shared.map(({ size }) => size),
    ) as [tf.Tensor1D, tf.Tensor1D, ...tf.Tensor1D[]]
    for (const [i, variable] of statistics.entries())
      variable.assign(tf.reshape(means[i] as tf.Tensor, variable.shape))
    return { gradients: sums, measured: tf.concat1d([numbers, stops]) }
  }
}

/**
 * Computes something in training mode on one worker's part of a batch, such as a pass that estimates statistics.
 *
 * @param images of the batch, of all workers
 */
export function onPartOfBatch<T>(
  steps: Pick<WorkerSteps, 'cluster' | 'batchNorm'>,
  images: number,
  compute: () => T,
): T {
  return onPart(dividedBatchOf(steps, images), compute)
}

function onPart<T>(batch: DividedBatch, compute: () => T): T {
  return withDividedBatch(batch, () =>
    batch.normalizesWhole ? withLayerOps(wholeBatchOps, compute) : compute(),
  )
}

function dividedBatchOf(
  { cluster, batchNorm }: Pick<WorkerSteps, 'cluster' | 'batchNorm'>,
  images: number,
): DividedBatch {
  const parts = batchParts(images, cluster.size)
  const { first, end } = parts[cluster.index] as (typeof parts)[number]
  return {
    shares: parts.map(({ share }) => share),
    index: cluster.index,
    images,
    imagesHere: end - first,
    normalizesWhole: batchNorm === 'synchronised',
    sum: values => cluster.allReduce(values),
    gather: values => gathered(cluster, values),
  }
}

/** The moving means and variances of a model's normalizations. */
export function movingStatistics(model: tfl.LayersModel): tf.Variable[] {
  return model.weights.filter(isMovingStatistic).map(weight => weight.read() as tf.Variable)
}

function flat(tensor: tf.Tensor): tf.Tensor1D {
  return tf.reshape<tf.Rank.R1>(tensor, [-1])
}

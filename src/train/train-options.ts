import { checkOptionNames, type OptionNames } from '../known-options.js'
import { isPositiveInteger } from '../shapes.js'
import type { PatchAnnealing } from './anneal.js'
import { checkCoefficients, coefficientNames, type TermCoefficients } from './auxiliary-loss.js'
import type { CheckpointStore, TrainState } from './checkpoint.js'
import { WIRE_TYPES } from './cluster/cluster.js'
import { BATCH_NORMS, type ClusterOptions } from './cluster/worker-step.js'
import { checkEarlyStop, type EarlyStopOptions } from './early-stop.js'
import type { TrainingData, WholeImages } from './feed.js'
import type { FeatureStore } from './frozen/features.js'
import { FROZEN_STATISTICS, type FreezeOptions } from './frozen/frozen-part.js'
import type { LossOptions } from './loss.js'
import { checkLossStop, type LossStop } from './loss-stop.js'
import { checkOptimizerOptions, type OptimizerOptions } from './optimizers/optimizer-options.js'
import { checkScheduleFits } from './optimizers/schedules.js'
import { checkTargetOptions, type TargetOptions, targetOptionNames } from './targets.js'

/**
 * What normalization layers use outside training: statistics estimated anew on training images before each evaluation
 * and at the end, or the moving averages of training.
 */
export const BN_STATISTICS = ['recomputed', 'moving'] as const
export type BnStatistics = (typeof BN_STATISTICS)[number]

/** What is trained on, and how. */
export interface TrainOptions<Data extends TrainingData = WholeImages>
  extends LossOptions,
    TargetOptions,
    FreezeOptions,
    TermCoefficients,
    ClusterOptions {
  readonly train: Data
  /** Evaluated as a whole; without it there is no test loss, and no early stop unless there is `validation`. */
  readonly test?: Data
  /**
   * Evaluated instead of `test` during training, and read by an early stop; the run ends with the weights of its best epoch, and
   * `test` is evaluated once, with them. With `stopWhen` it ends with the last ones.
   */
  readonly validation?: Data
  /** Epochs of the whole run, those before a resume included; at least 1. */
  readonly epochs: number
  /** Images a step; the last step of an epoch takes what is left. */
  readonly batchSize: number
  readonly optimizer: OptimizerOptions
  /**
   * Decides the orders of the epochs and what layers draw in training, masks of dropout and routing noise; weights have the
   * model's own seed.
   */
  readonly seed: number
  /** What normalization layers use outside training; `recomputed` unless given. */
  readonly bnStatistics?: BnStatistics
  /**
   * Averages the weights over the steps, as `WeightAverage` says, with this decay in (0, 1): 0.99 for hundreds of steps, 0.999
   * for thousands. The averages are what is evaluated, and what the model has when the run ends; training goes on with the weights
   * themselves. They take as much memory as the weights that are trained, in a checkpoint as well.
   */
  readonly emaDecay?: number
  /** Ends the run when the loss (or accuracy) on `validation`, or without it on `test`, no longer gets better. */
  readonly earlyStop?: EarlyStopOptions
  /**
   * Ends the run by its loss, checked before each step, with batches of the whole training set. The epoch that ends it takes
   * no step: its loss is that of the weights that remain.
   */
  readonly stopWhen?: LossStop
  /**
   * Unfreezes what `freezeUntil` freezes block by block, from the head down, one every so many epochs: gradual unfreezing (Howard and
   * Ruder 2018), as `unfreezingStages` says. With each block the optimizer begins anew.
   */
  readonly unfreezeEvery?: number
  /**
   * Where the features of the body are kept that comes before the lowest weight that is trained: computed once for each set whose images
   * are the same in every epoch, and read instead of computing the body. Without it they are computed in every epoch, without a gradient.
   */
  readonly features?: FeatureStore
  /** Makes every `PatchMoE` keep fewer patches from epoch to epoch; when the run ends it keeps the last number. */
  readonly annealPatches?: PatchAnnealing
  /** Where the newest state is kept, under the name `latestCheckpoint`. */
  readonly checkpoints?: CheckpointStore
  /** Stores the state every so many steps of an epoch; it is always stored at the end of an epoch. */
  readonly checkpointSteps?: number
  /**
   * A state to go on from, as read by `readCheckpoint`: with the same backend and number of its threads the run ends in the same
   * numbers as one never stopped, else its `start` event has a remark.
   */
  readonly resume?: TrainState
  /** Threads that the backend computes with, where that is known: stored with the state, since results depend on it. */
  readonly threads?: number
  /** Identifies the configuration; a state with another is refused. JSON objects are compared entry by entry. */
  readonly configKey?: string
  /**
   * Whether to measure, in each evaluation, where the experts look on the evaluated set, or which experts the samples of
   * this and of the training set choose; false unless given.
   */
  readonly routingMetrics?: boolean
  /** Evaluates every so many epochs; 1 unless given. The last epoch is always evaluated. */
  readonly evaluateEvery?: number
  /** Stops the run after the running step or batch, and stores its state. */
  readonly signal?: AbortSignal
}

const optionNames = {
  train: true,
  validation: true,
  test: true,
  epochs: true,
  batchSize: true,
  optimizer: true,
  seed: true,
  ...coefficientNames,
  bnStatistics: true,
  emaDecay: true,
  earlyStop: true,
  stopWhen: true,
  freeze: true,
  freezeUntil: true,
  trainOnly: true,
  freezeRouters: true,
  frozenStatistics: true,
  unfreezeEvery: true,
  features: true,
  annealPatches: true,
  checkpoints: true,
  checkpointSteps: true,
  resume: true,
  threads: true,
  configKey: true,
  routingMetrics: true,
  evaluateEvery: true,
  signal: true,
  cluster: true,
  clusterBatchNorm: true,
  clusterWire: true,
  threshold: true,
  lossForm: true,
  ...targetOptionNames,
} as const satisfies OptionNames<TrainOptions>

const optionalIntegers = ['checkpointSteps', 'evaluateEvery', 'threads', 'unfreezeEvery'] as const

function checkFreezing({ frozenStatistics, unfreezeEvery, freezeUntil }: TrainOptions<TrainingData>): void {
  if (frozenStatistics !== undefined && !FROZEN_STATISTICS.includes(frozenStatistics)) {
    throw new RangeError(
      `train: frozenStatistics must be ${FROZEN_STATISTICS.join(' or ')}, got ${frozenStatistics}`,
    )
  }
  if (unfreezeEvery === undefined || freezeUntil !== undefined) return
  throw new RangeError(
    `train: unfreezeEvery must come with freezeUntil, got ${unfreezeEvery} without a layer to begin at`,
  )
}

function checkCluster({
  cluster,
  clusterBatchNorm = 'synchronised',
  clusterWire = 'float32',
}: ClusterOptions): void {
  if (!BATCH_NORMS.includes(clusterBatchNorm)) {
    throw new RangeError(
      `train: clusterBatchNorm must be ${BATCH_NORMS.join(' or ')}, got ${clusterBatchNorm}`,
    )
  }
  if (!WIRE_TYPES.includes(clusterWire)) {
    throw new RangeError(`train: clusterWire must be ${WIRE_TYPES.join(' or ')}, got ${clusterWire}`)
  }
  if (!cluster) return
  const { size, index } = cluster
  if (isPositiveInteger(size) && Number.isInteger(index) && index >= 0 && index < size) return
  throw new RangeError(`train: cluster.index must be an integer in [0, ${size}), got ${index}`)
}

/**
 * Checks the names of the options, and the numbers among them.
 *
 * @throws RangeError when an option is unknown or out of range, or an early stop is given without a set to evaluate
 */
export function checkOptions(options: TrainOptions<TrainingData>): void {
  checkOptionNames('train', options, optionNames)
  for (const name of ['epochs', 'batchSize', ...optionalIntegers] as const) {
    const value = options[name]
    if (value === undefined && optionalIntegers.some(optional => optional === name)) continue
    if (!isPositiveInteger(value))
      throw new RangeError(`train: ${name} must be a positive integer, got ${value}`)
  }
  if (!Number.isFinite(options.seed)) throw new RangeError(`train: seed must be finite, got ${options.seed}`)
  checkCoefficients(options)
  const { emaDecay } = options
  if (emaDecay !== undefined && !(emaDecay > 0 && emaDecay < 1)) {
    throw new RangeError(`train: emaDecay must be in (0, 1), got ${emaDecay}`)
  }
  const statistics = options.bnStatistics ?? 'recomputed'
  if (!BN_STATISTICS.includes(statistics)) {
    throw new RangeError(`train: bnStatistics must be ${BN_STATISTICS.join(' or ')}, got ${statistics}`)
  }
  checkCluster(options)
  checkFreezing(options)
  checkTargetOptions(options)
  checkOptimizerOptions(options.optimizer)
  const evaluated = options.test ?? options.validation
  checkScheduleFits(options.optimizer, { epochs: options.epochs, isEvaluated: evaluated !== undefined })
  if (options.routingMetrics && !evaluated) {
    throw new RangeError('train: routingMetrics must come with a test set, got none')
  }
  if (options.stopWhen) checkLossStop(options.stopWhen, Math.ceil(options.train.count / options.batchSize))
  if (!options.earlyStop) return
  checkEarlyStop(options.earlyStop)
  if (!evaluated) throw new RangeError('train: earlyStop must come with a test set, got none')
}

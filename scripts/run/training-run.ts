import type * as tfl from '@tensorflow/tfjs-layers'
import { usePrecision } from '../../src/backend/precision.js'
import { backendThreads } from '../../src/backend/threads.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { recomputeActivations } from '../../src/layers/recomputation.js'
import { configKey, type RunConfig } from '../../src/run/run-config.js'
import type { RunFolder } from '../../src/run/run-folder.js'
import { annealedLayers } from '../../src/train/anneal.js'
import { coefficientsOf } from '../../src/train/auxiliary-loss.js'
import { latestCheckpoint, readCheckpoint, type TrainState } from '../../src/train/checkpoint.js'
import { type Cluster, summed } from '../../src/train/cluster/cluster.js'
import type { EpochMetrics, TrainEvent } from '../../src/train/events.js'
import { type FedModel, isRegionModel, networkOf, type TrainingData } from '../../src/train/feed.js'
import type { LearningRateSearch } from '../../src/train/find-learning-rate.js'
import { train } from '../../src/train/loop.js'
import { createOptimizer, disposeOptimizer } from '../../src/train/optimizers/optimizer.js'
import { checkOptimizerOptions, type OptimizerOptions } from '../../src/train/optimizers/optimizer-options.js'
import { stepFactors } from '../../src/train/optimizers/parameter-groups.js'
import { checkScheduleFits } from '../../src/train/optimizers/schedules.js'
import type { RouterTraining } from '../../src/train/routing/routers.js'
import { trainSeparately } from '../../src/train/routing/separate.js'
import { type RouterTeaching, trainTaught } from '../../src/train/routing/teach.js'
import { type TargetOptions, targetRule } from '../../src/train/targets.js'
import type { TrainOptions } from '../../src/train/train-options.js'
import type { TrainingLog } from '../terminal/training-log.js'
import { movedImages, type RegionData, type RunData } from './run-data.js'
import { checkFrozen, featuresOf, freezingOf } from './training/freezing.js'

/** How a training run ended. */
export interface TrainingOutcome {
  readonly ended: 'complete' | 'early-stop' | 'aborted'
  readonly history: readonly EpochMetrics[]
  /** Time of the training with its evaluations, without pauses. */
  readonly seconds: number
  /** The epoch whose weights are saved, where it was chosen by validation images. */
  readonly keptEpoch?: number
  /** For `aborted`: the last epoch that was worked on, and its steps that are done. */
  readonly at?: { readonly epoch: number; readonly step: number }
}

/** What a run trains, and the log that it reports to. */
export interface TrainingParts {
  readonly run: RunFolder
  readonly model: FedModel
  /** For a model that reads images in parts, such images. */
  readonly data: RunData | RegionData
  readonly log: TrainingLog
  readonly signal?: AbortSignal
  /** The state to go on from. */
  readonly resume?: TrainState | undefined
  /** The workers that train it together; this process alone unless given. */
  readonly cluster?: Cluster | undefined
}

/**
 * Trains the model of a run and keeps metrics, checkpoints and the trained model in its folder.
 *
 * An aborted run keeps its checkpoint and has no new model.
 */
export async function trainRun({
  run,
  model,
  data,
  log,
  signal,
  resume,
  cluster,
}: TrainingParts): Promise<TrainingOutcome> {
  const { config } = run
  await run.restart(resume?.history ?? [])
  let outcome: TrainingOutcome = { ended: 'complete', history: [], seconds: 0 }
  const features = cluster ? undefined : featuresOf(run)
  const options = {
    ...trainOptions(config),
    optimizer: optimizerOf(config),
    configKey: configKey(config),
    checkpoints: run.checkpoints,
    ...(signal && { signal }),
    ...(resume && { resume }),
    threads: backendThreads(),
    ...(cluster && { cluster }),
    ...(features && { features }),
  }
  const events = trainingEvents({ model, data, config }, options)
  for await (const event of events) {
    log.event(event)
    if (event.type === 'start' && event.remark !== undefined) log.note(event.remark)
    if (event.type === 'features') await features?.removeUnused()
    if (event.type === 'epoch') {
      const { type: _, ...metrics } = event
      await run.recordEpoch(metrics)
    } else if (event.type === 'stop') {
      outcome = { ...outcome, ended: event.reason, at: { epoch: event.epoch, step: event.step } }
    } else if (event.type === 'end') {
      const { history, seconds, keptEpoch } = event
      outcome = { ...outcome, history, seconds, ...(keptEpoch !== undefined && { keptEpoch }) }
    }
  }
  if (outcome.ended !== 'aborted') await run.saveModel(networkOf(model))
  // None goes before the chief has saved all: its leaving would look like a failure.
  if (cluster) await summed(cluster, [1])
  return outcome
}

function trainingEvents(
  { model, data, config }: Pick<TrainingParts, 'model' | 'data'> & { readonly config: RunConfig },
  options: Omit<TrainOptions, 'train' | 'test' | 'validation'>,
): AsyncGenerator<TrainEvent> {
  if (isRegionModel(model)) {
    const { train: images, boxed, test, validation } = data as RegionData
    const moved = (stream: RegionStream): RegionStream => movedImages(stream, config, model.viewScale)
    const regions = { ...options, train: moved(images), test, ...(validation && { validation }) }
    const teaching = teachingOf(config, { train: images, ...(boxed && { boxed }) }, moved)
    return teaching ? trainTaught(model, { ...regions, teaching }) : train(model, regions)
  }
  const { train: images, test, validation } = data as RunData
  const whole = { ...options, train: images, test, ...(validation && { validation }) }
  const routers = routersOf(config)
  return routers ? trainSeparately(model, { ...whole, routers }) : train(model, whole)
}

/** How the router of a run is taught; undefined where it is not. */
function teachingOf(
  { training }: RunConfig,
  { train: images, boxed }: Pick<RegionData, 'train' | 'boxed'>,
  moved: (stream: RegionStream) => RegionStream,
): RouterTeaching | undefined {
  const { teachBy = boxed && 'boxes', teachEpochs, learningRate, batchSize } = training
  if (teachBy === 'labels') {
    return { by: teachBy, images: moved(images), epochs: teachEpochs ?? 60, learningRate, batchSize }
  }
  return boxed && { by: 'boxes', images: moved(boxed), epochs: teachEpochs ?? 40, learningRate }
}

/** Applies the run's precision and memory settings to the chosen backend. */
export function useComputeSettings({ precision, memory }: RunConfig): void {
  usePrecision(precision)
  recomputeActivations(memory === 'low')
}

/** The state that a run stored last; undefined when it was stopped before its first checkpoint. */
export async function storedState(run: RunFolder): Promise<TrainState | undefined> {
  const bytes = await run.checkpoints.read(latestCheckpoint)
  return bytes && readCheckpoint(bytes, `${run.directory}/checkpoints/${latestCheckpoint}`)
}

/**
 * Checks what the configuration says of the model's layers, before anything is written.
 *
 * @throws RangeError for layers that the model does not have, or patches that do not fit
 */
export function checkLayers(model: tfl.LayersModel, config: RunConfig): void {
  const { annealPatches, epochs } = config.training
  checkFrozen(model, config)
  disposeOptimizer(createOptimizer(optimizerOf(config), model))
  stepFactors(model, optimizerOf(config))
  if (annealPatches) annealedLayers(model, annealPatches, epochs)
}

/**
 * Checks what the configuration says of the optimizer and its schedule, before anything is written.
 *
 * @throws RangeError for settings that do not fit together
 */
export function checkOptimizer(config: RunConfig): void {
  const optimizer = optimizerOf(config)
  checkOptimizerOptions(optimizer)
  // A run has test images.
  checkScheduleFits(optimizer, { epochs: config.training.epochs, isEvaluated: true })
}

/**
 * Checks what the configuration says of classes, before anything is written.
 *
 * @throws RangeError for weights of a class that there is not, or balanced ones where one has no training images
 */
export async function checkTargets({ training }: RunConfig, images: TrainingData): Promise<void> {
  await targetRule(targetOptionsOf(training), images)
}

/** The options of a run that a search for a learning rate or a batch size takes, besides its images. */
export function searchOptions(config: RunConfig): Omit<LearningRateSearch, 'train'> {
  const { batchSize, lossForm } = config.training
  return {
    batchSize,
    optimizer: optimizerOf(config),
    seed: config.seed,
    ...coefficientsOf(config.training),
    ...freezingOf(config),
    ...(lossForm && { lossForm }),
    ...targetOptionsOf(config.training),
  }
}

/** The options of `train` for a run, besides its images and its optimizer. */
export function trainOptions(config: RunConfig) {
  const { training, seed } = config
  const { epochs, batchSize, bnStatistics, earlyStop, checkpointSteps, routingMetrics } = training
  const { annealPatches, lossForm, stopWhen, emaDecay, unfreezeEvery } = training
  const { clusterBatchNorm, clusterWire } = training
  return {
    epochs,
    batchSize,
    bnStatistics,
    seed,
    ...(earlyStop !== undefined && { earlyStop: { patience: earlyStop } }),
    ...(checkpointSteps !== undefined && { checkpointSteps }),
    ...(routingMetrics && { routingMetrics }),
    ...coefficientsOf(training),
    ...(lossForm && { lossForm }),
    ...targetOptionsOf(training),
    ...(emaDecay !== undefined && { emaDecay }),
    ...(stopWhen && { stopWhen }),
    ...freezingOf(config),
    ...(unfreezeEvery !== undefined && { unfreezeEvery }),
    ...(annealPatches && { annealPatches }),
    ...(clusterBatchNorm && { clusterBatchNorm }),
    ...(clusterWire && { clusterWire }),
  }
}

function targetOptionsOf({ labelSmoothing, classWeights }: RunConfig['training']): TargetOptions {
  return {
    ...(labelSmoothing !== undefined && { labelSmoothing }),
    ...(classWeights !== undefined && { classWeights }),
  }
}

/** How the routers of separate training are trained; undefined for joint training. */
export function routersOf({ training }: RunConfig): RouterTraining | undefined {
  const { routerTraining, routerEpochs, routerBatchSize, routerLearningRate } = training
  if (routerTraining !== 'separate') return undefined
  if (routerEpochs === undefined || routerBatchSize === undefined || routerLearningRate === undefined) {
    throw new RangeError(
      'train: routerTraining separate must come with routerEpochs, routerBatchSize and routerLearningRate, ' +
        `got ${routerEpochs}, ${routerBatchSize} and ${routerLearningRate}`,
    )
  }
  return { epochs: routerEpochs, batchSize: routerBatchSize, learningRate: routerLearningRate }
}

/** The optimizer of a run. */
export function optimizerOf({ training }: RunConfig): OptimizerOptions {
  const {
    optimizer: name,
    learningRate,
    momentum,
    norm,
    l2,
    weightDecay,
    epsilon,
    layerRates,
    clipNorm,
  } = training
  const { schedule, warmupEpochs, decayEpochs, decayRate, patienceEpochs } = training
  return {
    name,
    learningRate,
    ...(momentum !== undefined && { momentum }),
    ...(norm !== undefined && { norm }),
    ...(l2 !== undefined && { l2 }),
    ...(weightDecay !== undefined && { weightDecay }),
    ...(epsilon !== undefined && { epsilon }),
    ...(layerRates && { layerRates }),
    ...(schedule && { schedule }),
    ...(warmupEpochs !== undefined && { warmupEpochs }),
    ...(decayEpochs !== undefined && { decayEpochs }),
    ...(decayRate !== undefined && { decayRate }),
    ...(patienceEpochs !== undefined && { patienceEpochs }),
    ...(clipNorm !== undefined && { clipNorm }),
  }
}

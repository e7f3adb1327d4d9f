import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { untrainableOption } from '../layers/batch-norm.js'
import { allLayersWithin, allPlacedLayers } from '../layers/layer-paths.js'
import { annealedLayers, annealedPatches } from './anneal.js'
import { auxiliaryCoefficients } from './auxiliary-loss.js'
import {
  checkEpochs,
  checkIdentity,
  checkWeights,
  type RunIdentity,
  type RunningEpoch,
  restoreWeights,
  type TrainState,
} from './checkpoint.js'
import { checkFed, type FedModel, feedOf, networkOf, type TrainingData } from './feed.js'
import { type FrozenLayers, freezeLayers } from './frozen-layers.js'
import { hostTurns } from './host-turn.js'
import { lossOf, lossOptions } from './loss.js'
import { setLearningRate } from './optimizers/learning-rate.js'
import { createOptimizer, disposeOptimizer, restoreSlots } from './optimizers/optimizer.js'
import { stepFactors, stepPenalty, weightDecays } from './optimizers/parameter-groups.js'
import { dependsOnEpochs } from './optimizers/schedules.js'
import { readRouters } from './routing/mixture-measures.js'
import { type ProgressLayer, positionOf, type Run, rateAfter, shareDone } from './run.js'
import { stepSeeds } from './step-seeds.js'
import { targetRule } from './targets.js'
import { checkOptions, type TrainOptions } from './train-options.js'
import { WeightAverage } from './weight-average.js'

/** The part of an epoch that is done when it begins. */
export const epochStart: RunningEpoch = { step: 0, lossSum: 0, correct: 0, seconds: 0 }

/**
 * Prepares a run: checks what it is given, freezes layers, creates its optimizer and restores its state.
 *
 * @throws RangeError when options, sets, model or state do not fit together; the model is then as it was
 */
export async function startRun(fed: FedModel, options: TrainOptions<TrainingData>): Promise<Run> {
  checkOptions(options)
  const frozen = freezeLayers(networkOf(fed), options.freeze ?? [])
  try {
    return await preparedRun(fed, options, frozen)
  } catch (error) {
    frozen.restore()
    throw error
  }
}

function checkTrainable(model: tfl.LayersModel): void {
  if (model.trainableWeights.length === 0) {
    throw new RangeError(
      `train: model must have trainable weights, got 0 (of ${model.weights.length} weights)`,
    )
  }
  for (const { path, layer } of allPlacedLayers(model)) {
    const option = layer.trainable && untrainableOption(layer)
    if (!option) continue
    throw new RangeError(
      `train: layers must be such that tfjs can train, got BatchNormalization ${path} with ${option} false ` +
        '(withFasterLayers makes a copy of the model that can be trained)',
    )
  }
}

async function preparedRun(
  fed: FedModel,
  options: TrainOptions<TrainingData>,
  frozen: FrozenLayers,
): Promise<Run> {
  const model = networkOf(fed)
  const { train, optimizer, seed, batchSize, resume, annealPatches } = options
  const { labelSmoothing = 0, classWeights } = options
  const classifier = lossOf(model, lossOptions(options))
  checkSets(fed, classifier.numClasses, options)
  checkTrainable(model)
  const coefficients = auxiliaryCoefficients(model, options)
  const factors = stepFactors(model, optimizer)
  const annealed = annealPatches ? annealedLayers(model, annealPatches, options.epochs) : []
  const progressing = allLayersWithin(model).filter(isProgressing)
  const stepsPerEpoch = Math.ceil(train.count / batchSize)
  const identity = identityOf(options, progressing)
  if (resume) checkResume(resume, identity, stepsPerEpoch)
  const routersAtStart = resume ? (resume.routersAtStart ?? []) : await readRouters(model)
  const targets = await targetRule({ labelSmoothing, ...(classWeights && { classWeights }) }, train)
  const created = createOptimizer(optimizer, model)
  const average = weightAverage(model, options)
  try {
    if (resume) await restore(model, { optimizer: created, average }, resume)
  } catch (error) {
    disposeOptimizer(created)
    average?.dispose()
    throw error
  }
  const running = resume?.running ?? epochStart
  const run: Run = {
    options,
    fed,
    feed: feedOf(fed, train),
    identity,
    parts: {
      model,
      classifier,
      targets,
      optimizer: created,
      stepFactors: factors,
      coefficients,
      l2: stepPenalty(optimizer),
      weightDecays: weightDecays(model, optimizer),
      clipNorm: optimizer.clipNorm,
    },
    average,
    seeds: stepSeeds(model, seed, 'dropout'),
    frozen,
    annealed,
    routersAtStart,
    progressing,
    stepsPerEpoch,
    turn: hostTurns(),
    history: [...(resume?.history ?? [])],
    best: resume?.best,
    running,
    epochBegan: performance.now() - running.seconds * 1000,
    lastLoss: Number.NaN,
    stopped: false,
    ...(resume && { lastCheckpoint: positionOf(resume.history, running, stepsPerEpoch) }),
  }
  anneal(run)
  progress(run, running.step)
  return run
}

function checkSets(
  fed: FedModel,
  numClasses: number,
  { train, test, validation }: TrainOptions<TrainingData>,
): void {
  checkFed(fed, numClasses, train, 'train: training set')
  if (test) checkFed(fed, numClasses, test, 'train: test set')
  if (validation) checkFed(fed, numClasses, validation, 'train: validation set')
}

/** What must be the same in a run that goes on; its number of epochs only where a rate or a layer depends on it. */
function identityOf(
  { train, optimizer, seed, batchSize, epochs, labelSmoothing = 0, ...options }: TrainOptions<TrainingData>,
  progressing: readonly ProgressLayer[],
): RunIdentity {
  const { classWeights, emaDecay, configKey } = options
  const isEpochsPart =
    dependsOnEpochs(optimizer) || progressing.some(({ dependsOnProgress }) => dependsOnProgress)
  return {
    optimizer,
    seed,
    batchSize,
    examples: train.count,
    ...(isEpochsPart && { epochs }),
    ...(labelSmoothing !== 0 && { labelSmoothing }),
    ...(classWeights !== undefined && { classWeights }),
    ...(emaDecay !== undefined && { emaDecay }),
    ...(configKey !== undefined && { configKey }),
  }
}

function isProgressing(layer: tfl.layers.Layer): layer is ProgressLayer {
  return 'useProgress' in layer && typeof layer.useProgress === 'function'
}

/**
 * Sets what depends on how much of the training is done: the learning rate, and what layers do.
 *
 * @param step steps of the running epoch that are done
 */
export function progress(run: Run, step: number): void {
  const share = shareDone(run, step)
  if (share < 1) setLearningRate(run.parts.optimizer, rateAfter(run, step))
  for (const layer of run.progressing) layer.useProgress(share)
}

/** Sets L of the annealed mixtures to that of the running epoch, or of the last one when all are done. */
export function anneal({ annealed, history, options: { annealPatches, epochs } }: Run): void {
  if (!annealPatches) return
  const patches = annealedPatches(annealPatches, Math.min(history.length + 1, epochs))
  for (const layer of annealed) layer.patchesPerExpert = patches
}

function weightAverage(
  model: tfl.LayersModel,
  { emaDecay, bnStatistics = 'recomputed' }: TrainOptions<TrainingData>,
): WeightAverage | undefined {
  if (emaDecay === undefined) return undefined
  return new WeightAverage(model, { decay: emaDecay, movingStatistics: bnStatistics === 'moving' })
}

async function restore(
  model: tfl.LayersModel,
  { optimizer, average }: { readonly optimizer: tf.Optimizer; readonly average: WeightAverage | undefined },
  state: TrainState,
): Promise<void> {
  checkWeights(model, state.weights, 'train')
  if (state.best) checkWeights(model, state.best.weights, 'train: best epoch')
  average?.restore(state.average ?? [], 'train')
  const variables = model.trainableWeights.map(weight => weight.read())
  await restoreSlots(optimizer, state.slots, variables)
  restoreWeights(model, state.weights)
}

function checkResume(state: TrainState, identity: RunIdentity, stepsPerEpoch: number): void {
  if (identity.epochs !== undefined) checkEpochs(state, identity.epochs, 'train')
  checkIdentity(state, identity, 'train')
  const { step } = state.running
  if (step > stepsPerEpoch) {
    throw new RangeError(`train: checkpoint must be at a step in [0, ${stepsPerEpoch}], got ${step}`)
  }
}

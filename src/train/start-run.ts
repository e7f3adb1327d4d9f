import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { streamOf } from '../data/image-stream.js'
import { untrainableOption } from '../layers/batch-norm.js'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { annealedLayers, annealedPatches } from './anneal.js'
import {
  checkIdentity,
  checkWeights,
  type RunIdentity,
  type RunningEpoch,
  restoreWeights,
  type TrainState,
} from './checkpoint.js'
import { type FrozenLayers, freezeLayers } from './frozen-layers.js'
import { hostTurns } from './host-turn.js'
import { lossOf, lossOptions } from './loss.js'
import { createOptimizer, disposeOptimizer, restoreSlots } from './optimizer.js'
import { stepFactors, stepPenalty } from './parameter-groups.js'
import { positionOf, type Run } from './run.js'
import { auxiliaryCoefficients } from './step.js'
import { stepSeeds } from './step-seeds.js'
import { checkOptions, type TrainOptions } from './train-options.js'
import { checkFits } from './upload.js'

/** The part of an epoch that is done when it begins. */
export const epochStart: RunningEpoch = { step: 0, lossSum: 0, correct: 0, seconds: 0 }

/**
 * Prepares a run: checks what it is given, freezes layers, creates its optimizer and restores its state.
 *
 * @throws RangeError when options, sets, model or state do not fit together; the model is then as it was
 */
export async function startRun(model: tfl.LayersModel, options: TrainOptions): Promise<Run> {
  checkOptions(options)
  const frozen = freezeLayers(model, options.freeze ?? [])
  try {
    return await preparedRun(model, options, frozen)
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
  model: tfl.LayersModel,
  options: TrainOptions,
  frozen: FrozenLayers,
): Promise<Run> {
  const { train, test, validation, optimizer, seed, batchSize, configKey, resume, annealPatches } = options
  const classifier = lossOf(model, lossOptions(options))
  checkFits(model, classifier.numClasses, train, 'train: training set')
  if (test) checkFits(model, classifier.numClasses, test, 'train: test set')
  if (validation) checkFits(model, classifier.numClasses, validation, 'train: validation set')
  checkTrainable(model)
  const coefficients = auxiliaryCoefficients(model, options.loadBalance)
  const factors = stepFactors(model, optimizer)
  const annealed = annealPatches ? annealedLayers(model, annealPatches, options.epochs) : []
  const stepsPerEpoch = Math.ceil(train.count / batchSize)
  const identity: RunIdentity = {
    optimizer,
    seed,
    batchSize,
    examples: train.count,
    ...(configKey !== undefined && { configKey }),
  }
  if (resume) checkResume(resume, identity, stepsPerEpoch)
  const created = createOptimizer(optimizer, model)
  try {
    if (resume) await restore(model, created, resume)
  } catch (error) {
    disposeOptimizer(created)
    throw error
  }
  const running = resume?.running ?? epochStart
  const run: Run = {
    options,
    stream: streamOf(train),
    identity,
    parts: {
      model,
      classifier,
      optimizer: created,
      stepFactors: factors,
      coefficients,
      l2: stepPenalty(optimizer),
      shape: train.shape,
    },
    seeds: stepSeeds(model, seed, 'dropout'),
    frozen,
    annealed,
    stepsPerEpoch,
    turn: hostTurns(),
    history: [...(resume?.history ?? [])],
    running,
    epochBegan: performance.now() - running.seconds * 1000,
    lastLoss: Number.NaN,
    stopped: false,
    ...(resume && { lastCheckpoint: positionOf(resume.history, running, stepsPerEpoch) }),
  }
  anneal(run)
  return run
}

/** Sets L of the annealed mixtures to that of the running epoch, or of the last one when all are done. */
export function anneal({ annealed, history, options: { annealPatches, epochs } }: Run): void {
  if (!annealPatches) return
  const patches = annealedPatches(annealPatches, Math.min(history.length + 1, epochs))
  for (const layer of annealed) layer.patchesPerExpert = patches
}

async function restore(model: tfl.LayersModel, optimizer: tf.Optimizer, state: TrainState): Promise<void> {
  checkWeights(model, state.weights, 'train')
  const variables = model.trainableWeights.map(weight => weight.read())
  await restoreSlots(optimizer, state.slots, variables)
  restoreWeights(model, state.weights)
}

function checkResume(state: TrainState, identity: RunIdentity, stepsPerEpoch: number): void {
  checkIdentity(state, identity, 'train')
  const { step } = state.running
  if (step > stepsPerEpoch) {
    throw new RangeError(`train: checkpoint must be at a step in [0, ${stepsPerEpoch}], got ${step}`)
  }
}

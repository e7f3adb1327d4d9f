import type * as tfl from '@tensorflow/tfjs-layers'
import { allLayersWithin } from '../layers/layer-paths.js'
import { annealedLayers, annealedPatches } from './anneal.js'
import {
  checkWeights,
  type RunIdentity,
  type RunningEpoch,
  restoreWeights,
  type TrainState,
} from './checkpoint.js'
import { agreeOnRun } from './cluster/agreement.js'
import { checkFed, type FedModel, networkOf, type TrainingData } from './feed.js'
import { freezeOptions } from './frozen/frozen-part.js'
import { releaseParts, type TrainedParts, trainedParts } from './frozen/trained-parts.js'
import { stageOfEpoch, unfreezingStages } from './frozen/unfreezing.js'
import { hostTurns } from './host-turn.js'
import { lossOf, lossOptions } from './loss.js'
import { setLearningRate } from './optimizers/learning-rate.js'
import { restoreSlots } from './optimizers/optimizer.js'
import { dependsOnEpochs } from './optimizers/schedules.js'
import { readRouters } from './routing/mixture-measures.js'
import { type ProgressLayer, positionOf, type Run, rateAfter, shareDone } from './run.js'
import { stepSeeds } from './step-seeds.js'
import { targetRule } from './targets.js'
import { checkOptions, type TrainOptions } from './train-options.js'

/** The part of an epoch that is done when it begins. */
export const epochStart: RunningEpoch = { step: 0, lossSum: 0, correct: 0, seconds: 0 }

/**
 * Prepares a run: checks what it is given, freezes layers, creates its optimizer and restores its state.
 *
 * @throws RangeError when options, sets, model or state do not fit together; the model is then as it was
 */
export async function startRun(fed: FedModel, options: TrainOptions<TrainingData>): Promise<Run> {
  checkOptions(options)
  const stages = stagesOf(fed, options)
  const model = networkOf(fed)
  const { train, seed, batchSize, resume, annealPatches, labelSmoothing = 0, classWeights } = options
  checkSets(fed, lossOf(model, lossOptions(options)).numClasses, options)
  const annealed = annealPatches ? annealedLayers(model, annealPatches, options.epochs) : []
  const progressing = allLayersWithin(model).filter(isProgressing)
  const stepsPerEpoch = Math.ceil(train.count / batchSize)
  const identity = identityOf(options, progressing)
  if (resume) checkResume(resume, identity, stepsPerEpoch)
  if (options.cluster && options.cluster.size > 1) await agreeOnRun(options.cluster, fed, options)
  const targets = await targetRule({ labelSmoothing, ...(classWeights && { classWeights }) }, train)
  const running = resume?.running ?? epochStart
  const history = [...(resume?.history ?? [])]
  // The state of an optimizer is that of the stage in which it was stored.
  const { epoch } = positionOf(history, running, stepsPerEpoch)
  const stage = stageIn(options, epoch, stages.length)
  const trained = trainedParts({ fed, options, freezeUntil: stages[stage], targets, annealed })
  try {
    const routersAtStart = resume ? (resume.routersAtStart ?? []) : await readRouters(model)
    if (resume) await restore(model, trained, resume)
    const run: Run = {
      ...trained,
      options,
      fed,
      stages,
      stage,
      identity,
      seeds: stepSeeds(model, seed, drawingOf(options)),
      annealed,
      routersAtStart,
      progressing,
      stepsPerEpoch,
      turn: hostTurns(),
      history,
      best: resume?.best,
      running,
      epochBegan: performance.now() - running.seconds * 1000,
      lastLoss: Number.NaN,
      stopped: false,
      isStopAgreed: false,
      ...(resume && { lastCheckpoint: positionOf(resume.history, running, stepsPerEpoch) }),
    }
    anneal(run)
    progress(run, running.step)
    return run
  } catch (error) {
    await releaseParts(trained)
    throw error
  }
}

/** The stream from which layers draw: workers draw for their own images, and must not draw the same. */
function drawingOf({ cluster }: TrainOptions<TrainingData>): string {
  return cluster && cluster.index > 0 ? `dropout of worker ${cluster.index}` : 'dropout'
}

/** What is frozen in the stages of a run, one unless the network is unfrozen gradually. */
function stagesOf(fed: FedModel, { freezeUntil, unfreezeEvery }: TrainOptions<TrainingData>): Run['stages'] {
  if (unfreezeEvery === undefined || freezeUntil === undefined) return [freezeUntil]
  return unfreezingStages(networkOf(fed), freezeUntil)
}

/** The stage that an epoch belongs to. */
export function stageIn(
  { unfreezeEvery }: TrainOptions<TrainingData>,
  epoch: number,
  stages: number,
): number {
  return unfreezeEvery === undefined ? 0 : stageOfEpoch(epoch, unfreezeEvery, stages)
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
  const { classWeights, emaDecay, configKey, unfreezeEvery } = options
  // Earlier versions stored none of `freeze`.
  const { freeze: _, ...part } = freezeOptions(options)
  const frozen = { ...part, ...(unfreezeEvery !== undefined && { unfreezeEvery }) }
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
    ...(Object.keys(frozen).length > 0 && { frozen }),
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

async function restore(
  model: tfl.LayersModel,
  { parts: { optimizer }, average }: TrainedParts,
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

/**
 * Checks that a state belongs to a run.
 *
 * @param where the caller, for errors
 * @throws RangeError naming each setting that differs, with both values; configuration keys that are JSON objects
 * are compared entry by entry
 */
export function checkIdentity(state: RunIdentity, run: RunIdentity, where: string): void {
  const settings = ({ configKey: _, ...rest }: RunIdentity): Record<string, unknown> => ({
    optimizer: rest.optimizer,
    seed: rest.seed,
    batchSize: rest.batchSize,
    examples: rest.examples,
    epochs: rest.epochs,
    labelSmoothing: rest.labelSmoothing,
    classWeights: rest.classWeights,
    emaDecay: rest.emaDecay,
    frozen: rest.frozen,
  })
  const differing = [
    ...differences(configEntries(state.configKey), configEntries(run.configKey)),
    ...differences(settings(state), settings(run)),
  ]
  if (differing.length > 0) {
    throw new RangeError(`${where}: checkpoint must be of this configuration, got ${differing.join('; ')}`)
  }
}

/**
 * Checks that a run may go on with this number of epochs.
 *
 * @throws RangeError when what the run did so far depends on another number
 */
function checkEpochs({ epochs, optimizer }: TrainState, asked: number, where: string): void {
  if (epochs === undefined || epochs === asked) return
  const reason = dependsOnEpochs(optimizer)
    ? `schedule ${optimizer.schedule}`
    : 'layers that change with the share of the training that is done'
  throw new RangeError(
    `${where}: epochs must stay ${epochs} for a run that goes on with ${reason}, got ${asked} ` +
      '(its steps so far follow from them)',
  )
}

function configEntries(key: string | undefined): Record<string, unknown> {
  if (key === undefined) return {}
  try {
    const value: unknown = JSON.parse(key)
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>
  } catch {
    // The key is not JSON: it may be any text.
  }
  return { configKey: key }
}

function differences(stored: Record<string, unknown>, current: Record<string, unknown>): string[] {
  const keys = new Set([...Object.keys(stored), ...Object.keys(current)])
  return [...keys].flatMap(key => {
    const [before, after] = [text(stored[key]), text(current[key])]
    return before === after ? [] : [`${key} ${before} (this run has ${after})`]
  })
}

/** JSON with sorted keys, so that the order of entries does not count. */
function text(value: unknown): string {
  const sorted = (_: string, inner: unknown): unknown =>
    typeof inner === 'object' && inner !== null && !Array.isArray(inner)
      ? Object.fromEntries(Object.entries(inner).sort(([a], [b]) => (a < b ? -1 : 1)))
      : inner
  return JSON.stringify(value, sorted) ?? 'nothing'
}

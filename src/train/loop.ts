import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { streamOf } from '../data/image-stream.js'
import { untrainableOption } from '../layers/batch-norm.js'
import { allPlacedLayers } from '../layers/layer-paths.js'
import { annealedLayers, annealedPatches } from './anneal.js'
import {
  checkIdentity,
  checkWeights,
  latestCheckpoint,
  type RunIdentity,
  type RunningEpoch,
  readWeights,
  restoreWeights,
  type TrainState,
  writeCheckpoint,
} from './checkpoint.js'
import { type Computation, computationRemark } from './computation.js'
import { shouldStop } from './early-stop.js'
import { assess, testAtEnd } from './epoch-evaluation.js'
import {
  type CheckpointEvent,
  DivergenceError,
  type EpochMetrics,
  type StepEvent,
  type TrainEvent,
} from './events.js'
import { type FrozenLayers, freezeLayers } from './frozen-layers.js'
import { hostTurns } from './host-turn.js'
import { lossOf } from './loss.js'
import { createOptimizer, disposeOptimizer, readSlots, restoreSlots } from './optimizer.js'
import { stepFactors, stepPenalty } from './parameter-groups.js'
import { position, positionOf, type Run } from './run.js'
import { auxiliaryCoefficients, type StepNumbers, takeStep } from './step.js'
import { stepSeeds } from './step-seeds.js'
import { checkOptions, type TrainOptions } from './train-options.js'
import { checkFits } from './upload.js'

export type { EpochMetrics, TrainEvent } from './events.js'
export { DivergenceError } from './events.js'
export type { TrainOptions } from './train-options.js'

/**
 * Trains a model on a set of images and yields events that report what happens.
 *
 * Nothing is printed, and the model is trained in place. The same seed on the same backend with the same number of
 * threads gives the same numbers, bit by bit, also when the run was stopped and resumed. The loss is that of `lossOf`,
 * plus the penalties of regularizers and the auxiliary terms of layers that have a coefficient. The numbers of a step are reported while the next one runs.
 *
 * @yields the events of the run; the last is `end`
 * @throws RangeError before the first step when options, sets, model or state do not fit together
 * @throws DivergenceError when the loss or a weight is no longer finite; the last stored state is then still good
 */
export async function* train(model: tfl.LayersModel, options: TrainOptions): AsyncGenerator<TrainEvent> {
  const run = await startRun(model, options)
  try {
    yield startEvent(run)
    yield* runEpochs(run)
    const seconds = run.history.reduce((sum, epoch) => sum + epoch.seconds, elapsed(run))
    yield { type: 'end', history: [...run.history], seconds }
  } finally {
    run.seeds.restore()
    run.frozen.restore()
    disposeOptimizer(run.parts.optimizer)
  }
}

const epochStart: RunningEpoch = { step: 0, lossSum: 0, correct: 0, seconds: 0 }

async function startRun(model: tfl.LayersModel, options: TrainOptions): Promise<Run> {
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
  const { train, test, validation, optimizer, seed, batchSize, configKey, resume, threshold, annealPatches } =
    options
  const classifier = lossOf(model, threshold === undefined ? {} : { threshold })
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
    ...(resume && { lastCheckpoint: positionOf(resume.history, running, stepsPerEpoch) }),
  }
  anneal(run)
  return run
}

/** Sets L of the annealed mixtures to that of the running epoch, or of the last one when all are done. */
function anneal({ annealed, history, options: { annealPatches, epochs } }: Run): void {
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

async function* runEpochs(run: Run): AsyncGenerator<TrainEvent> {
  const { epochs, earlyStop } = run.options
  while (run.history.length < epochs) {
    if (earlyStop && shouldStop(run.history, earlyStop)) {
      yield { type: 'stop', reason: 'early-stop', ...position(run) }
      return
    }
    yield* runSteps(run)
    if (!aborted(run)) yield* finishEpoch(run)
    if (aborted(run) && run.history.length < epochs) {
      yield* abort(run)
      return
    }
  }
}

/** Takes the steps of an epoch that are left; the numbers of each are read while the next one runs. */
async function* runSteps(run: Run): AsyncGenerator<StepEvent | CheckpointEvent> {
  const { batchSize, seed, checkpointSteps } = run.options
  const epoch = run.history.length + 1
  const start = Math.min(run.running.step * batchSize, run.stream.count)
  const rate = rateFrom(run.running.step * batchSize)
  let step = run.running.step
  let pending: Launched | undefined
  if (aborted(run)) return
  anneal(run)
  try {
    const shuffle = { seed, epoch: epoch - 1 }
    for await (const batch of run.stream.batches({ batchSize, shuffle, start })) {
      run.seeds.use((epoch - 1) * run.stepsPerEpoch + step)
      step++
      const launched = { step, count: batch.count, numbers: takeStep(run.parts, batch) }
      const previous = pending
      pending = launched
      if (previous) yield await settle(run, previous, rate)
      await run.turn()
      const due = checkpointSteps !== undefined && step % checkpointSteps === 0 && step < run.stepsPerEpoch
      if (!due && !aborted(run)) continue
      const last = pending
      pending = undefined
      yield await settle(run, last, rate)
      if (aborted(run)) return
      yield* store(run)
    }
    if (pending) yield await settle(run, pending, rate)
  } finally {
    // If the run ends early, the pending numbers are awaited, so that their tensor is freed before it ends.
    await Promise.allSettled([pending?.numbers])
  }
}

interface Launched {
  readonly step: number
  readonly count: number
  readonly numbers: Promise<StepNumbers>
}

async function settle(run: Run, { step, count, numbers }: Launched, rate: RateMeter): Promise<StepEvent> {
  const { loss, correct, terms } = await numbers
  const loadBalance = terms.get('load-balance')
  const epoch = run.history.length + 1
  if (!Number.isFinite(loss)) {
    throw new DivergenceError(`loss must be finite, got ${loss}`, { epoch, step, loss }, run.lastCheckpoint)
  }
  run.lastLoss = loss
  run.running = {
    step,
    lossSum: run.running.lossSum + loss * count,
    correct: run.running.correct + correct,
    ...(loadBalance !== undefined && {
      loadBalanceSum: (run.running.loadBalanceSum ?? 0) + loadBalance * count,
    }),
    seconds: elapsed(run),
  }
  const done = Math.min(step * run.options.batchSize, run.options.train.count)
  return {
    type: 'step',
    epoch,
    step,
    stepsPerEpoch: run.stepsPerEpoch,
    loss,
    ...(loadBalance !== undefined && { loadBalance }),
    examplesPerSecond: rate(done),
  }
}

/** Evaluates, reports and stores an epoch whose steps are done; an abort meanwhile leaves it unfinished. */
async function* finishEpoch(run: Run): AsyncGenerator<TrainEvent> {
  const epoch = run.history.length + 1
  const { train, test, validation, epochs, evaluateEvery = 1, optimizer, annealPatches } = run.options
  await assertFinite(run)
  const due = epoch % evaluateEvery === 0 || epoch === epochs
  if (due && (test || validation)) yield { type: 'evaluate', epoch }
  const evaluation = due ? await assess(run) : {}
  if (!evaluation) return
  const finalTest = due && validation ? await testAtEnd(run, evaluation) : {}
  if (!finalTest) return
  const { lossSum, correct, loadBalanceSum } = run.running
  const metrics: EpochMetrics = {
    epoch,
    trainLoss: lossSum / train.count,
    trainAccuracy: correct / train.count,
    ...(loadBalanceSum !== undefined && { loadBalance: loadBalanceSum / train.count }),
    ...evaluation,
    ...finalTest,
    seconds: elapsed(run),
    learningRate: optimizer.learningRate,
    ...(annealPatches && { patchesPerExpert: annealedPatches(annealPatches, epoch) }),
    steps: epoch * run.stepsPerEpoch,
  }
  run.history.push(metrics)
  run.running = epochStart
  run.epochBegan = performance.now()
  yield { type: 'epoch', ...metrics }
  yield* store(run)
}

async function* abort(run: Run): AsyncGenerator<TrainEvent> {
  const at = position(run)
  const stored = run.lastCheckpoint
  const isStored = stored?.epoch === at.epoch && stored.step === at.step
  if (at.step > 0 && !isStored) yield* store(run)
  yield { type: 'stop', reason: 'aborted', ...at }
}

async function* store(run: Run): AsyncGenerator<CheckpointEvent> {
  const { checkpoints } = run.options
  if (!checkpoints) return
  await assertFinite(run)
  const { model, optimizer } = run.parts
  const state: TrainState = {
    ...run.identity,
    computation: computationOf(run.options),
    weights: await readWeights(model),
    slots: await readSlots(optimizer),
    history: run.history,
    running: run.running,
  }
  await checkpoints.write(latestCheckpoint, writeCheckpoint(state))
  const at = position(run)
  run.lastCheckpoint = at
  yield { type: 'checkpoint', ...at }
}

/** A loss is measured before its step's update; only this check notices an update that overflowed. */
async function assertFinite(run: Run): Promise<void> {
  const finite = tf.tidy(() => {
    const weights = run.parts.model.weights
      .map(weight => weight.read())
      .filter(({ dtype }) => dtype === 'float32')
    return tf.all(tf.stack(weights.map(weight => tf.all(tf.isFinite(weight)))))
  })
  const [all] = await finite.data()
  finite.dispose()
  if (all) return
  throw new DivergenceError(
    'weights must be finite, got NaN or Infinity',
    { ...position(run), loss: run.lastLoss },
    run.lastCheckpoint,
  )
}

function aborted({ options }: Run): boolean {
  return options.signal?.aborted ?? false
}

/** What computes a run. */
function computationOf({ threads }: TrainOptions): Computation {
  return { backend: tf.getBackend(), ...(threads !== undefined && { threads }) }
}

function startEvent({ options, stepsPerEpoch, history, running }: Run): TrainEvent {
  const remark = computationRemark(options.resume?.computation, computationOf(options))
  return {
    type: 'start',
    epochs: options.epochs,
    stepsPerEpoch,
    examples: options.train.count,
    fromEpoch: history.length + 1,
    fromStep: running.step,
    ...(remark !== undefined && { remark }),
  }
}

function elapsed({ epochBegan }: Run): number {
  return (performance.now() - epochBegan) / 1000
}

type RateMeter = (done: number) => number

/** Images a second since now, from the images of the epoch that are done. */
function rateFrom(doneBefore: number): RateMeter {
  const began = performance.now()
  return done => ((done - doneBefore) * 1000) / Math.max(performance.now() - began, 1e-3)
}

function checkResume(state: TrainState, identity: RunIdentity, stepsPerEpoch: number): void {
  checkIdentity(state, identity, 'train')
  const { step } = state.running
  if (step > stepsPerEpoch) {
    throw new RangeError(`train: checkpoint must be at a step in [0, ${stepsPerEpoch}], got ${step}`)
  }
}

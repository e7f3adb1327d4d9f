import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { RegionStream } from '../data/regions/region-stream.js'
import { annealedPatches } from './anneal.js'
import { addTerms, termMeans, termValues } from './auxiliary-loss.js'
import { useBest } from './best-weights.js'
import { latestCheckpoint, readWeights, type TrainState, writeCheckpoint } from './checkpoint.js'
import { type Computation, computationRemark } from './computation.js'
import { shouldStop } from './early-stop.js'
import { type AssessedEpoch, assessEpoch } from './epoch-evaluation.js'
import {
  type CheckpointEvent,
  DivergenceError,
  type EpochMetrics,
  type StepEvent,
  type TrainEvent,
} from './events.js'
import {
  type FedBatch,
  type FedInputs,
  type FedModel,
  isRegionModel,
  type RegionModel,
  type TrainingData,
} from './feed.js'
import { beginEpoch } from './frozen/begin-epoch.js'
import { releaseParts } from './frozen/trained-parts.js'
import { type LossStop, stopsByLoss } from './loss-stop.js'
import { readSlots } from './optimizers/optimizer.js'
import { addKept, keptByWorkers, keptRemark, keptShares, REMARKED_EPOCH } from './routing/kept-cells.js'
import { position, type Run, rateAfter, workerOf } from './run.js'
import { anneal, epochStart, progress, startRun } from './start-run.js'
import { type StepBatch, type StepNumbers, takeStep, takeStepUnless } from './step.js'
import { floorWith } from './targets.js'
import type { TrainOptions } from './train-options.js'

export type { EpochMetrics, TrainEvent } from './events.js'
export { DivergenceError } from './events.js'
export type { TrainOptions } from './train-options.js'

/**
 * Trains a model on a set of images, or on images that are read in parts, and yields events that report what happens.
 *
 * Nothing is printed, and the model is trained in place. The same seed on the same backend with the same number of
 * threads gives the same numbers, bit by bit, also when the run was stopped and resumed. The loss is that of `lossOf`,
 * with the labels smoothed, mixed and weighted as the options and the images say, plus the penalties of regularizers and the
 * auxiliary terms of layers that have a coefficient. The numbers of a step are
 * reported while the next one runs.
 *
 * With `validation` the model has the weights of its best epoch once the `end` event comes, by the metric of `earlyStop` or the loss,
 * of equal ones the first; where the run was aborted, the newest, and without `validation` the last. With `emaDecay` they are the
 * averages of the weights, also where the run was aborted.
 *
 * @yields the events of the run; the last is `end`
 * @throws RangeError before the first step when options, sets, model or state do not fit together
 * @throws DivergenceError when the loss or a weight is no longer finite; the last stored state is then still good
 */
export function train(model: tfl.LayersModel, options: TrainOptions): AsyncGenerator<TrainEvent>
export function train(model: RegionModel, options: TrainOptions<RegionStream>): AsyncGenerator<TrainEvent>
export async function* train(
  model: FedModel,
  options: TrainOptions<TrainingData>,
): AsyncGenerator<TrainEvent> {
  const run = await startRun(model, ofWorker(options))
  try {
    yield startEvent(run)
    const isEnded = yield* runEpochs(run)
    run.average?.exchange()
    const kept = isEnded ? run.best : undefined
    if (kept && kept.epoch !== run.history.length) useBest(run, kept)
    const seconds = run.history.reduce((sum, epoch) => sum + epoch.seconds, elapsed(run))
    yield { type: 'end', history: [...run.history], ...(kept && { keptEpoch: kept.epoch }), seconds }
  } finally {
    run.seeds.restore()
    await releaseParts(run)
  }
}

/** What a worker of a cluster does: only the chief writes. Features of frozen layers are kept by runs of one worker. */
function ofWorker(options: TrainOptions<TrainingData>): TrainOptions<TrainingData> {
  const { cluster, checkpoints, features: _, ...others } = options
  if (!cluster || cluster.size === 1) return options
  return { ...others, cluster, ...(checkpoints && cluster.index === 0 && { checkpoints }) }
}

/** @returns whether the run has ended; it was aborted otherwise */
async function* runEpochs(run: Run): AsyncGenerator<TrainEvent, boolean> {
  const { epochs, stopWhen } = run.options
  while (run.history.length < epochs) {
    if (stopsEarly(run)) {
      yield { type: 'stop', reason: 'early-stop', ...lastEpoch(run) }
      return true
    }
    yield* beginEpoch(run)
    if (!aborted(run)) yield* stopWhen ? runWatchedStep(run, stopWhen) : runSteps(run)
    if (!aborted(run)) yield* finishEpoch(run)
    if (aborted(run) && run.history.length < epochs) {
      yield* abort(run)
      return false
    }
  }
  return true
}

/** The last epoch that was worked on, and its steps: none where its loss ended the run. */
function lastEpoch({ history, stepsPerEpoch }: Run): { epoch: number; step: number } {
  const { epoch = 0, steps = 0 } = history.at(-1) ?? {}
  return { epoch, step: steps - (epoch - 1) * stepsPerEpoch }
}

function stopsEarly({ options: { earlyStop, stopWhen }, history }: Run): boolean {
  if (earlyStop && shouldStop(history, earlyStop)) return true
  return stopWhen !== undefined && stopsByLoss(history, stopWhen)
}

/** Takes the one step of an epoch, unless its loss ends the run. */
async function* runWatchedStep(run: Run, stopWhen: LossStop): AsyncGenerator<StepEvent> {
  const { batchSize, seed } = run.options
  const epoch = run.history.length + 1
  if (aborted(run)) return
  anneal(run)
  const start = Math.min(run.running.step * batchSize, run.feed.count)
  const rate = rateFrom(start)
  const pass = { batchSize, shuffle: { seed, epoch: epoch - 1 }, start, worker: workerOf(run) }
  for await (const batch of run.feed.batches(pass)) {
    run.seeds.use(epoch - 1)
    progress(run, 0)
    const launched = await launch(batch, 1, stepBatch =>
      takeStepUnless(run.parts, stepBatch, loss => {
        run.stopped = stopsByLoss([...run.history, { epoch, trainLoss: loss }], stopWhen)
        return run.stopped
      }),
    )
    const event = await settle(run, launched, rate)
    if (!run.stopped) run.average?.update(epoch)
    await run.turn()
    if (!run.stopped) yield event
  }
}

/** Takes the steps of an epoch that are left; the numbers of each are read while the next one runs. */
async function* runSteps(run: Run): AsyncGenerator<StepEvent | CheckpointEvent> {
  const { batchSize, seed, checkpointSteps } = run.options
  const epoch = run.history.length + 1
  const start = Math.min(run.running.step * batchSize, run.feed.count)
  const rate = rateFrom(run.running.step * batchSize)
  let step = run.running.step
  let pending: Launched | undefined
  if (aborted(run)) return
  anneal(run)
  try {
    const shuffle = { seed, epoch: epoch - 1 }
    for await (const batch of run.feed.batches({ batchSize, shuffle, start, worker: workerOf(run) })) {
      run.seeds.use((epoch - 1) * run.stepsPerEpoch + step)
      progress(run, step)
      step++
      const launched = await launch(batch, step, stepBatch => takeStep(run.parts, stepBatch))
      run.average?.update((epoch - 1) * run.stepsPerEpoch + step)
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
  readonly kept: FedInputs['kept']
}

/** Makes the inputs of a batch and hands its step to the backend, which then needs them no longer. */
async function launch(
  batch: FedBatch,
  step: number,
  take: (batch: StepBatch) => Promise<StepNumbers>,
): Promise<Launched> {
  const { tensors, kept } = await batch.inputs('step')
  try {
    const { labels, mixed, count, ofImages: images = count } = batch
    return { step, count: images, numbers: take({ inputs: tensors, labels, mixed, images }), kept }
  } finally {
    tf.dispose([...tensors])
  }
}

async function settle(run: Run, launched: Launched, rate: RateMeter): Promise<StepEvent> {
  const { step, count, numbers } = launched
  const { loss, correct, terms, isStopAsked } = await numbers
  if (isStopAsked) run.isStopAgreed = true
  const values = termValues(terms)
  const epoch = run.history.length + 1
  if (!Number.isFinite(loss)) {
    throw new DivergenceError(`loss must be finite, got ${loss}`, { epoch, step, loss }, run.lastCheckpoint)
  }
  run.lastLoss = loss
  const kept = addKept(run.running.kept, await keptInStep(run, launched.kept))
  run.running = {
    step,
    lossSum: run.running.lossSum + loss * count,
    correct: run.running.correct + correct,
    ...addTerms(run.running, values, count),
    ...(kept && { kept }),
    seconds: elapsed(run),
  }
  const done = Math.min(step * run.options.batchSize, run.options.train.count)
  return {
    type: 'step',
    epoch,
    step,
    stepsPerEpoch: run.stepsPerEpoch,
    loss,
    ...values,
    examplesPerSecond: rate(done),
  }
}

/** The patches that were kept in a step, by all workers. */
async function keptInStep(
  { fed, parts: { workers } }: Run,
  kept: FedInputs['kept'],
): Promise<FedInputs['kept']> {
  return workers && isRegionModel(fed) ? keptByWorkers(workers.cluster, kept) : kept
}

/** Evaluates, reports and stores an epoch whose steps are done; an abort meanwhile leaves it unfinished. */
async function* finishEpoch(run: Run): AsyncGenerator<TrainEvent> {
  const epoch = run.history.length + 1
  const { train, test, validation, epochs, evaluateEvery = 1, annealPatches } = run.options
  await assertFinite(run)
  if (!run.stopped) progress(run, run.stepsPerEpoch)
  const due = epoch % evaluateEvery === 0 || epoch === epochs || run.stopped
  if (due && (test || validation)) yield { type: 'evaluate', epoch }
  const assessed: AssessedEpoch | undefined = due ? await assessEpoch(run) : { metrics: {}, best: run.best }
  if (!assessed) return
  const { lossSum, correct, kept } = run.running
  const metrics: EpochMetrics = {
    epoch,
    trainLoss: lossSum / train.count,
    trainAccuracy: correct / train.count,
    ...termMeans(run.running, train.count),
    ...assessed.metrics,
    ...(kept && { kept: keptShares(kept) }),
    seconds: elapsed(run),
    learningRate: rateAfter(run, run.stepsPerEpoch - 1),
    ...(annealPatches && { patchesPerExpert: annealedPatches(annealPatches, epoch) }),
    steps: epoch * run.stepsPerEpoch - (run.stopped ? 1 : 0),
  }
  run.history.push(metrics)
  run.best = assessed.best
  run.running = epochStart
  run.epochBegan = performance.now()
  yield { type: 'epoch', ...metrics }
  const remark = epoch === REMARKED_EPOCH && metrics.kept ? keptRemark(metrics.kept) : undefined
  if (remark !== undefined) yield { type: 'remark', epoch, remark }
  for (const sign of metrics.signs ?? []) yield { type: 'remark', epoch, remark: sign.remark }
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
    ...(run.average && { average: await run.average.read() }),
    ...(run.best && { best: run.best }),
    routersAtStart: run.routersAtStart,
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

function aborted({ options, parts, isStopAgreed }: Run): boolean {
  return parts.workers ? isStopAgreed : (options.signal?.aborted ?? false)
}

/** What computes a run. */
function computationOf({ threads }: Pick<TrainOptions, 'threads'>): Computation {
  return { backend: tf.getBackend(), ...(threads !== undefined && { threads }) }
}

function startEvent({ options, parts, stepsPerEpoch, history, running }: Run): TrainEvent {
  const floor = parts.targets ? floorWith(parts.targets, parts.classifier.floor) : parts.classifier.floor
  const remark = computationRemark(options.resume?.computation, computationOf(options))
  return {
    type: 'start',
    epochs: options.epochs,
    stepsPerEpoch,
    examples: options.train.count,
    fromEpoch: history.length + 1,
    fromStep: running.step,
    ...(floor > 0 && { lossFloor: floor }),
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

import type * as tf from '@tensorflow/tfjs'
import { configKey, type RunConfig } from '../../src/files/run-config.js'
import type { RunFolder } from '../../src/files/run-folder.js'
import { latestCheckpoint, readCheckpoint, type TrainState } from '../../src/train/checkpoint.js'
import type { EpochMetrics } from '../../src/train/events.js'
import { train } from '../../src/train/loop.js'
import { createOptimizer, disposeOptimizer, type OptimizerOptions } from '../../src/train/optimizer.js'
import type { TrainingLog } from '../terminal/training-log.js'
import type { RunData } from './run-data.js'

/** How a training run ended. */
export interface TrainingOutcome {
  readonly ended: 'complete' | 'early-stop' | 'aborted'
  readonly history: readonly EpochMetrics[]
  /** Time of the training with its evaluations, without pauses. */
  readonly seconds: number
  /** For `aborted`: the last epoch that was worked on, and its steps that are done. */
  readonly at?: { readonly epoch: number; readonly step: number }
}

/** What a run trains, and where it is told. */
export interface TrainingParts {
  readonly run: RunFolder
  readonly model: tf.LayersModel
  readonly data: RunData
  readonly log: TrainingLog
  readonly signal?: AbortSignal
  /** The state to go on from. */
  readonly resume?: TrainState | undefined
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
}: TrainingParts): Promise<TrainingOutcome> {
  const { config } = run
  await run.restart(resume?.history ?? [])
  let outcome: TrainingOutcome = { ended: 'complete', history: [], seconds: 0 }
  const events = train(model, {
    train: data.train,
    test: data.test,
    ...trainOptions(config),
    optimizer: optimizerOf(config),
    configKey: configKey(config),
    checkpoints: run.checkpoints,
    ...(signal && { signal }),
    ...(resume && { resume }),
  })
  for await (const event of events) {
    log.event(event)
    if (event.type === 'epoch') {
      const { type: _, ...metrics } = event
      await run.recordEpoch(metrics)
    } else if (event.type === 'stop') {
      outcome = { ...outcome, ended: event.reason, at: { epoch: event.epoch, step: event.step } }
    } else if (event.type === 'end') {
      outcome = { ...outcome, history: event.history, seconds: event.seconds }
    }
  }
  if (outcome.ended !== 'aborted') await run.saveModel(model)
  return outcome
}

/** The state that a run stored last; undefined when it was stopped before its first checkpoint. */
export async function storedState(run: RunFolder): Promise<TrainState | undefined> {
  const bytes = await run.checkpoints.read(latestCheckpoint)
  return bytes && readCheckpoint(bytes, `${run.directory}/checkpoints/${latestCheckpoint}`)
}

/**
 * Checks what the configuration says of the optimizer, before anything is written.
 *
 * @throws RangeError for settings that do not fit together
 */
export function checkOptimizer(config: RunConfig): void {
  disposeOptimizer(createOptimizer(optimizerOf(config)))
}

function trainOptions({ training, seed }: RunConfig) {
  const { epochs, batchSize, bnStatistics, earlyStop, checkpointSteps } = training
  return {
    epochs,
    batchSize,
    bnStatistics,
    seed,
    ...(earlyStop !== undefined && { earlyStop: { patience: earlyStop } }),
    ...(checkpointSteps !== undefined && { checkpointSteps }),
  }
}

function optimizerOf({ training: { optimizer: name, learningRate, momentum } }: RunConfig): OptimizerOptions {
  return { name, learningRate, ...(momentum !== undefined && { momentum }) }
}

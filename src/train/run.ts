import type * as tfl from '@tensorflow/tfjs-layers'
import type { PatchMoE } from '../layers/moe/patch-moe.js'
import type { BestEpoch, RunIdentity, RunningEpoch } from './checkpoint.js'
import { type WorkerPart, workerPart } from './cluster/batch-part.js'
import type { EpochMetrics } from './events.js'
import type { FedModel, TrainingData } from './feed.js'
import type { TrainedParts } from './frozen/trained-parts.js'
import { scheduledRate } from './optimizers/schedules.js'
import type { StoredRouters } from './routing/mixture-measures.js'
import type { StepSeeds } from './step-seeds.js'
import type { TrainOptions } from './train-options.js'

/** The moving parts of a run. */
export interface Run extends Mutable<TrainedParts> {
  readonly options: TrainOptions<TrainingData>
  /** The model as it was given; its network is among the parts. */
  readonly fed: FedModel
  readonly identity: RunIdentity
  readonly seeds: StepSeeds
  /** Up to which layer the network is frozen in each stage of gradual unfreezing; one stage without it. */
  readonly stages: readonly (string | undefined)[]
  /** The stage that the parts are those of. */
  stage: number
  /** Mixtures whose L is annealed. */
  readonly annealed: readonly PatchMoE[]
  /** The routers of its layers of experts when the training began. */
  readonly routersAtStart: StoredRouters
  /** Layers that are told how much of the training is done. */
  readonly progressing: readonly ProgressLayer[]
  readonly stepsPerEpoch: number
  readonly turn: () => Promise<void>
  readonly history: EpochMetrics[]
  /** The best epoch so far, where epochs are chosen. */
  best: BestEpoch | undefined
  running: RunningEpoch
  /** When the running epoch would have begun, had it not been interrupted; milliseconds of `performance.now`. */
  epochBegan: number
  lastLoss: number
  /** Whether the loss of the running epoch, or of the last one, ended the run before its step. */
  stopped: boolean
  /** Whether a worker was asked to stop, where there are several: all know it of the same step. */
  isStopAgreed: boolean
  lastCheckpoint?: { epoch: number; step: number }
}

type Mutable<T> = { -readonly [Key in keyof T]: T[Key] }

/** A layer that changes in the course of a training. */
export interface ProgressLayer extends tfl.layers.Layer {
  /** Whether what it does depends on how long the whole training is. */
  readonly dependsOnProgress: boolean
  /**
   * @param share of the training that is done, in [0, 1]
   */
  useProgress(share: number): void
}

/**
 * The share of the steps of the whole training that are done, in [0, 1].
 *
 * @param step steps of the running epoch that are done
 */
export function shareDone({ history, stepsPerEpoch, options: { epochs } }: Run, step: number): number {
  return (history.length * stepsPerEpoch + step) / (epochs * stepsPerEpoch)
}

/**
 * The learning rate of the step after so many of the running epoch.
 *
 * @param step steps of the running epoch that are done
 */
export function rateAfter({ history, stepsPerEpoch, options }: Run, step: number): number {
  const { epochs, optimizer } = options
  return scheduledRate(optimizer, {
    step: history.length * stepsPerEpoch + step,
    stepsPerEpoch,
    epochs,
    history,
  })
}

/** Which part of every batch this worker takes in a step; undefined where it takes all. */
export function workerOf({ parts: { workers } }: Pick<Run, 'parts'>): WorkerPart | undefined {
  return workers && workerPart(workers.cluster, 'repeat')
}

/** What ends an evaluation that is under way; workers of a cluster end theirs together. */
export function cancelOf({ options: { signal }, parts: { workers } }: Run): {
  readonly signal?: AbortSignal
} {
  return signal && !workers ? { signal } : {}
}

/** The epoch that a run is in, and the steps of it that are done. */
export function position({ history, running, stepsPerEpoch }: Run): { epoch: number; step: number } {
  return positionOf(history, running, stepsPerEpoch)
}

/** Between two epochs the position is the end of the first. */
export function positionOf(
  { length: done }: readonly EpochMetrics[],
  { step }: RunningEpoch,
  stepsPerEpoch: number,
): { epoch: number; step: number } {
  return step === 0 && done > 0 ? { epoch: done, step: stepsPerEpoch } : { epoch: done + 1, step }
}

import type { ImageStream } from '../data/image-stream.js'
import type { PatchMoE } from '../layers/moe/patch-moe.js'
import type { RunIdentity, RunningEpoch } from './checkpoint.js'
import type { EpochMetrics } from './events.js'
import type { FrozenLayers } from './frozen-layers.js'
import type { StepParts } from './step.js'
import type { StepSeeds } from './step-seeds.js'
import type { TrainOptions } from './train-options.js'

/** The moving parts of a run. */
export interface Run {
  readonly options: TrainOptions
  readonly stream: ImageStream
  readonly identity: RunIdentity
  readonly parts: StepParts
  readonly seeds: StepSeeds
  readonly frozen: FrozenLayers
  /** Mixtures whose L is annealed. */
  readonly annealed: readonly PatchMoE[]
  readonly stepsPerEpoch: number
  readonly turn: () => Promise<void>
  readonly history: EpochMetrics[]
  running: RunningEpoch
  /** When the running epoch would have begun, had it not been interrupted; milliseconds of `performance.now`. */
  epochBegan: number
  lastLoss: number
  /** Whether the loss of the running epoch, or of the last one, ended the run before its step. */
  stopped: boolean
  lastCheckpoint?: { epoch: number; step: number }
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

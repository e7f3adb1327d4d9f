import type { KeptShares } from './routing/kept-cells.js'
import type { RoutingSummary } from './routing/routing-summary.js'
import type { SampleRoutingSummary } from './routing/sample-routing-metrics.js'
import type { SignOfLife } from './routing/signs-of-life.js'

/** What one epoch measured. */
export interface EpochMetrics {
  /** Number of the epoch, from 1. */
  readonly epoch: number
  /**
   * Mean over the epoch's images of the loss that was minimised, in nats: with smoothed, mixed and weighted labels, penalties of
   * regularizers and auxiliary terms times their coefficients included.
   */
  readonly trainLoss: number
  /**
   * Share of the epoch's images that were classified rightly in their training step, in [0, 1]; mixed images as the label that they
   * have most of.
   */
  readonly trainAccuracy: number
  /**
   * Mean over the epoch's images of the balance loss, without its coefficient, summed over the layers; where it has a
   * coefficient. 1 where the load is even: of the experts, M^2 mean over the M of them of (share of the samples x mean score), or
   * of the positions, where experts choose patches.
   */
  readonly loadBalance?: number
  /**
   * Mean over the epoch's images of the overlap of the routers, in [0, 1] a layer, without its coefficient, summed over the layers;
   * where it has a coefficient.
   */
  readonly diversity?: number
  /** Mean cross-entropy over the validation set in nats, and the share that is classified rightly; if there is one. */
  readonly validationLoss?: number
  readonly validationAccuracy?: number
  /**
   * The best epoch so far by the validation set: the one whose weights the run ends with, should no later one be better. Of epochs
   * with equal values the first.
   */
  readonly bestEpoch?: number
  /**
   * Mean cross-entropy over the test set in nats; in evaluated epochs, with a validation set only in the last epoch, with the weights
   * of the best one.
   */
  readonly testLoss?: number
  /** Share of the test set that is classified rightly, in [0, 1]; in the same epochs. */
  readonly testAccuracy?: number
  /** The lowest accuracy of the test set's groups, in [0, 1]; in the same epochs, if the set has groups. */
  readonly testWorstGroup?: number
  /**
   * Where the experts looked on the validation set, or without one on the test set; in evaluated epochs of models that
   * choose patches, if requested.
   */
  readonly routing?: RoutingSummary
  /** Which experts the samples chose; in evaluated epochs of models that send whole samples to experts, if requested. */
  readonly sampleRouting?: SampleRoutingSummary
  /** What was found wrong with layers of experts for the first time; only where something was. */
  readonly signs?: readonly SignOfLife[]
  /** The patches that were kept of the epoch's training images, where images are read in parts. */
  readonly kept?: KeptShares
  /** The same of the validation set, or without one of the test set; in evaluated epochs. */
  readonly evaluatedKept?: KeptShares
  /** Time of the epoch with its evaluation; pauses between a stop and a resume do not count. */
  readonly seconds: number
  /** That of the epoch's last step. */
  readonly learningRate: number
  /** L of this epoch, where it is annealed. */
  readonly patchesPerExpert?: number
  /** Steps since the start of the run. */
  readonly steps: number
}

/** What happens in a training run, in order; epochs and steps count from 1. */
export type TrainEvent =
  | {
      readonly type: 'start'
      /** Epochs of the whole run. */
      readonly epochs: number
      readonly stepsPerEpoch: number
      /** Images of one epoch. */
      readonly examples: number
      /** The epoch that begins or goes on; `epochs + 1` when all are done. */
      readonly fromEpoch: number
      /** Steps of it that are done already. */
      readonly fromStep: number
      /** The least value that the loss can have, in nats, where it is above 0. */
      readonly lossFloor?: number
      /** One line, where a run goes on with another backend or number of threads than it was computed with before. */
      readonly remark?: string
    }
  | StepEvent
  | FeaturesEvent
  | { readonly type: 'evaluate'; readonly epoch: number }
  | RouterEvent
  | ({ readonly type: 'epoch' } & EpochMetrics)
  | CheckpointEvent
  | RemarkEvent
  | {
      readonly type: 'stop'
      readonly reason: 'early-stop' | 'aborted'
      /** The last epoch that was worked on. */
      readonly epoch: number
      /** Steps of it that are done. */
      readonly step: number
    }
  | {
      /** Always the last event. */
      readonly type: 'end'
      readonly history: readonly EpochMetrics[]
      /** The epoch whose weights the model has now, where it was chosen by a validation set. */
      readonly keptEpoch?: number
      /** Time of the whole run, without the pauses between a stop and a resume. */
      readonly seconds: number
    }

/** One step was taken. It is reported one step late, so that the backend need not wait. */
export interface StepEvent {
  readonly type: 'step'
  readonly epoch: number
  readonly step: number
  readonly stepsPerEpoch: number
  /** The loss that was minimised, mean over the batch, in nats. */
  readonly loss: number
  /** The auxiliary terms of the batch without their coefficients, where they have one. */
  readonly loadBalance?: number
  readonly diversity?: number
  /** Mean rate since the epoch began or went on. */
  readonly examplesPerSecond: number
}

/** The features of a frozen body are kept from now on: they were computed, or found; before the first step of an epoch. */
export interface FeaturesEvent {
  readonly type: 'features'
  readonly epoch: number
  /** Path of the last layer of the body. */
  readonly path: string
  /** Images of all sets whose features are kept, and the bytes that they take. */
  readonly images: number
  readonly bytes: number
  /** Images whose features were computed now, and the time that this took together with reading the others. */
  readonly computed: number
  readonly seconds: number
  /** One sentence for each set whose stored features could not be used, or whose images vary. */
  readonly remarks: readonly string[]
}

/** An epoch of the routers alone has ended, in separate training; it comes before `start`. */
export interface RouterEvent {
  readonly type: 'routers'
  /** Epoch of the routers, from 1, and how many there are. */
  readonly epoch: number
  readonly epochs: number
  /** Mean over the epoch of eq. (6), which has no lower bound, or of what a lesson minimises. */
  readonly loss: number
  readonly seconds: number
}

/** Something that a person should know before more time is spent; each is said once in a training. */
export interface RemarkEvent {
  readonly type: 'remark'
  /** The epoch that showed it. */
  readonly epoch: number
  /** One or two sentences. */
  readonly remark: string
}

/** The state of the run was stored. */
export interface CheckpointEvent {
  readonly type: 'checkpoint'
  readonly epoch: number
  /** Steps of the epoch that are done. */
  readonly step: number
}

/** The loss, or a weight, is no longer a finite number. */
export class DivergenceError extends Error {
  override readonly name = 'DivergenceError'
  readonly epoch: number
  readonly step: number
  /** The loss of that step; finite when it was the step's update that overflowed. */
  readonly loss: number
  /** The last stored state, which is good; undefined when none was stored. */
  readonly lastCheckpoint: { readonly epoch: number; readonly step: number } | undefined

  /** @param what the number that is not finite, and its value */
  constructor(
    what: string,
    at: { readonly epoch: number; readonly step: number; readonly loss: number },
    lastCheckpoint?: { readonly epoch: number; readonly step: number },
  ) {
    const checkpointNote = lastCheckpoint
      ? `the last good checkpoint is of epoch ${lastCheckpoint.epoch}, step ${lastCheckpoint.step}`
      : 'no checkpoint was stored'
    super(
      `train: ${what} (epoch ${at.epoch}, step ${at.step}, loss ${at.loss}; ${checkpointNote}; a smaller learning rate may help)`,
    )
    this.epoch = at.epoch
    this.step = at.step
    this.loss = at.loss
    this.lastCheckpoint = lastCheckpoint
  }
}

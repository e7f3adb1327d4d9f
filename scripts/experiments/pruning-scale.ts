/** How a network is trained in one stage of a pruning experiment: plain SGD on a fixed number of epochs. */
export interface PruningStage {
  /** Training images. */
  readonly samples: number
  readonly epochs: number
  readonly batchSize: number
  readonly learningRate: number
}

/** Pruning where the truth is known: patterns of the theory, of which few tell the classes of the new task. */
export interface PatternPruning {
  /** c of the first task; the new one has the first two of them. */
  readonly numClasses: number
  /** K */
  readonly experts: number
  /** L */
  readonly patchesPerExpert: number
  /** m, neurons of all experts. */
  readonly hiddenUnits: number
  readonly testSamples: number
  readonly pretraining: PruningStage
  readonly fineTuning: PruningStage
}

/** Pruning of a wide network: clothes are learned first, then accessories. */
export interface PhotographPruning {
  /** K */
  readonly experts: number
  /** L of the 16 patches of the last map. */
  readonly patchesPerExpert: number
  readonly widen: number
  readonly pretraining: PruningStage
  readonly fineTuning: PruningStage
  /** After pruning, on the images of fine-tuning. */
  readonly afterwards: PruningStage
  readonly testSamples: number
  /** Numbers of experts that are left, the first one K. */
  readonly kept: readonly number[]
  /** Random choices of each seed. */
  readonly randomDraws: number
}

/** How large an experiment on pruning is. */
export interface PruningScale {
  readonly seeds: number
  /** The criteria that are compared. */
  readonly criteria: readonly string[]
  readonly patterns: PatternPruning
  readonly photographs: PhotographPruning
  /** Passes whose median is the latency. */
  readonly latencyRounds: number
}

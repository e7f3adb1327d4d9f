import { checkOptionNames, type OptionNames } from '../known-options.js'
import { isPositiveInteger } from '../shapes.js'
import { coefficientNames, type TermCoefficients } from './auxiliary-loss.js'
import { readWeights, restoreWeights } from './checkpoint.js'
import { type FedModel, networkOf, type TrainingData } from './feed.js'
import type { FreezeOptions } from './frozen/frozen-part.js'
import { releaseParts } from './frozen/trained-parts.js'
import { setLearningRate } from './optimizers/learning-rate.js'
import { withoutSchedule } from './optimizers/schedules.js'
import type { Run } from './run.js'
import { startRun } from './start-run.js'
import { takeStep } from './step.js'
import type { TrainOptions } from './train-options.js'

/** How a training is tried with growing learning rates: its own options, and the range. */
export interface LearningRateSearch
  extends Pick<
    TrainOptions<TrainingData>,
    | 'train'
    | 'batchSize'
    | 'optimizer'
    | 'seed'
    | keyof TermCoefficients
    | keyof FreezeOptions
    | 'threshold'
    | 'lossForm'
    | 'labelSmoothing'
    | 'classWeights'
    | 'signal'
  > {
  /** The rate of the first step, above 0; 1e-6 unless given. */
  readonly lowest?: number
  /** The rate of the last step, above `lowest`; 10 unless given. */
  readonly highest?: number
  /** Steps, at least 10; 100 unless given. */
  readonly steps?: number
}

const optionNames = {
  train: true,
  batchSize: true,
  optimizer: true,
  seed: true,
  ...coefficientNames,
  freeze: true,
  freezeUntil: true,
  trainOnly: true,
  freezeRouters: true,
  frozenStatistics: true,
  threshold: true,
  lossForm: true,
  labelSmoothing: true,
  classWeights: true,
  signal: true,
  lowest: true,
  highest: true,
  steps: true,
} as const satisfies OptionNames<LearningRateSearch>

/** One step of the search. */
export interface TriedRate {
  readonly learningRate: number
  /** The loss before the step, in nats. */
  readonly loss: number
  /** The mean of the losses up to here, in which each earlier one counts 0.9 of the next. */
  readonly smoothed: number
}

/** What the loss does as the learning rate grows. */
export interface LearningRateCurve {
  /** The steps in their order; fewer than were asked for where the loss ran away. */
  readonly tried: readonly TriedRate[]
  /** A tenth of the rate at which the smoothed loss was least; undefined where it fell by less than 1 %. */
  readonly suggestion: number | undefined
}

/** The share of the smoothed loss that stays in each step. */
const smoothing = 0.9

/** What is left of the smoothed loss where it has fallen, and not just trembled. */
const leastFall = 0.99

/** The search ends where the smoothed loss is so many times the least one. */
const runawayFactor = 4

/** Steps over which the smoothed loss is too uncertain to say that the loss fell or ran away. */
const firstSteps = 5

/**
 * Trains a model for some steps with a learning rate that grows exponentially from step to step (Smith 2017), and gives it its
 * weights back.
 *
 * The rate of the optimizer and its schedule do not count; rates of layers keep their ratio to it.
 *
 * @throws RangeError as `train`, or when the range is empty or the steps are fewer than 10; the reason of the signal when aborted
 */
export async function findLearningRate(
  model: FedModel,
  search: LearningRateSearch,
): Promise<LearningRateCurve> {
  checkOptionNames('findLearningRate', search, optionNames)
  const { lowest = 1e-6, highest = 10, steps = 100, optimizer, ...options } = search
  checkRange(lowest, highest, steps)
  const run = await startRun(model, { ...options, optimizer: withoutSchedule(optimizer), epochs: steps })
  const network = networkOf(model)
  const before = await readWeights(network)
  try {
    const tried = await triedRates(run, i => lowest * (highest / lowest) ** (i / (steps - 1)), steps)
    return { tried, suggestion: suggestionOf(tried) }
  } finally {
    run.seeds.restore()
    // Before layers are unfrozen: weights that are not trained come last, so that their order changes with it.
    restoreWeights(network, before)
    await releaseParts(run)
  }
}

function checkRange(lowest: number, highest: number, steps: number): void {
  if (!(lowest > 0 && lowest < Infinity)) {
    throw new RangeError(`findLearningRate: lowest must be greater than 0, got ${lowest}`)
  }
  if (!(highest > lowest && highest < Infinity)) {
    throw new RangeError(
      `findLearningRate: highest must be greater than lowest, got ${highest} (lowest ${lowest})`,
    )
  }
  if (!isPositiveInteger(steps) || steps < 10) {
    throw new RangeError(`findLearningRate: steps must be an integer of at least 10, got ${steps}`)
  }
}

async function triedRates(
  { parts, feed, seeds, turn, options: { batchSize, seed, signal } }: Run,
  rateOf: (step: number) => number,
  steps: number,
): Promise<readonly TriedRate[]> {
  const tried: TriedRate[] = []
  let sum = 0
  let least = Infinity
  for (let epoch = 0; tried.length < steps; epoch++) {
    for await (const batch of feed.batches({ batchSize, shuffle: { seed, epoch } })) {
      signal?.throwIfAborted()
      const learningRate = rateOf(tried.length)
      setLearningRate(parts.optimizer, learningRate)
      seeds.use(tried.length)
      const { tensors } = await batch.inputs()
      const step = takeStep(parts, { inputs: tensors, labels: batch.labels, mixed: batch.mixed })
      for (const tensor of tensors) tensor.dispose()
      const { loss } = await step
      await turn()
      if (!Number.isFinite(loss)) return tried
      sum = smoothing * sum + (1 - smoothing) * loss
      const smoothed = sum / (1 - smoothing ** (tried.length + 1))
      tried.push({ learningRate, loss, smoothed })
      least = Math.min(least, smoothed)
      const isRunaway = tried.length > firstSteps && smoothed > runawayFactor * least
      if (isRunaway || tried.length === steps) return tried
    }
  }
  return tried
}

function suggestionOf(tried: readonly TriedRate[]): number | undefined {
  const [first, ...later] = tried.slice(firstSteps)
  if (!first) return undefined
  const best = later.reduce((least, each) => (each.smoothed < least.smoothed ? each : least), first)
  return best.smoothed < leastFall * first.smoothed ? best.learningRate / 10 : undefined
}

import type { EpochMetrics } from '../events.js'

/** How the learning rate changes during training; what each does, {@link ScheduleOptions} says. */
export const SCHEDULES = ['constant', 'cosine', 'step', 'one-cycle', 'plateau'] as const
export type Schedule = (typeof SCHEDULES)[number]

/** How the learning rate changes during training, layer rates with it. */
export interface ScheduleOptions {
  /**
   * What the learning rate is multiplied by, after the warm-up; `constant` unless given, always 1.
   *
   * - `cosine`: (1 + cos(pi share)) / 2, from 1 in the first step to almost 0 in the last (Loshchilov and Hutter 2017, without
   *   restarts), where share of the steps are done
   * - `step`: `decayRate` to the power of how many times `decayEpochs` have passed
   * - `one-cycle`: from 1/25 to 1 in the first 30 % of the steps, then down to 1/250,000, both half a wave of a cosine (Smith and
   *   Topin 2018); momentum stays as it is
   * - `plateau`: `decayRate` once more whenever `patienceEpochs` have passed without a lower loss on the validation set, or
   *   without one on the test set
   */
  readonly schedule?: Schedule
  /**
   * Epochs, also a part of one, in which the rate rises in equal parts to where the schedule begins; the schedule has the rest of
   * the run. At least 0 and less than the epochs of the run; 0 unless given.
   */
  readonly warmupEpochs?: number
  /** For `step`: epochs between two falls, a positive integer; a third of the epochs after the warm-up unless given. */
  readonly decayEpochs?: number
  /** For `step` and `plateau`: what the rate is multiplied by when it falls, in (0, 1); 0.1 unless given. */
  readonly decayRate?: number
  /** For `plateau`: epochs without a lower loss after which the rate falls, a positive integer; 5 unless given. */
  readonly patienceEpochs?: number
}

/** The metrics of an epoch that a schedule reads. */
type WatchedEpoch = Pick<EpochMetrics, 'epoch' | 'validationLoss' | 'testLoss'>

/** Where a training is. */
export interface SchedulePoint {
  /** Steps of the whole run that are done. */
  readonly step: number
  readonly stepsPerEpoch: number
  /** Epochs of the whole run. */
  readonly epochs: number
  /** The epochs that are done. */
  readonly history: readonly WatchedEpoch[]
}

/** Where a training is after its warm-up, which is left out of all numbers but those of epochs in `history`. */
interface PointAfterWarmup {
  /** Of all steps, how many are done, in [0, 1). */
  readonly share: number
  /** Epochs that are done, the part of the running one included. */
  readonly done: number
  /** Epochs of the whole run. */
  readonly epochs: number
  readonly history: readonly WatchedEpoch[]
}

type OwnOption = 'decayEpochs' | 'decayRate' | 'patienceEpochs'

/** One schedule. */
interface ScheduleKind {
  /** The options that only some schedules have. */
  readonly options: readonly OwnOption[]
  /** Whether the rate of a step depends on how many epochs the whole run has. */
  dependsOnEpochs(options: ScheduleOptions): boolean
  /** Epochs, and the option that says so, which must pass before anything happens; for schedules that may be too long for a run. */
  firstChange?(options: ScheduleOptions): { readonly name: OwnOption; readonly epochs: number } | undefined
  /** What the learning rate is multiplied by. */
  factor(point: PointAfterWarmup, options: ScheduleOptions): number
}

const defaultDecayRate = 0.1
const defaultPatience = 5
const riseShare = 0.3
const cycleStart = 1 / 25
const cycleEnd = 1 / 250_000

const kinds: Readonly<Record<Schedule, ScheduleKind>> = {
  constant: { options: [], dependsOnEpochs: () => false, factor: () => 1 },
  cosine: {
    options: [],
    dependsOnEpochs: () => true,
    factor: ({ share }) => (1 + Math.cos(Math.PI * share)) / 2,
  },
  step: {
    options: ['decayEpochs', 'decayRate'],
    dependsOnEpochs: ({ decayEpochs }) => decayEpochs === undefined,
    firstChange: ({ decayEpochs }) =>
      decayEpochs === undefined ? undefined : { name: 'decayEpochs', epochs: decayEpochs },
    factor: ({ done, epochs }, { decayEpochs = Math.ceil(epochs / 3), decayRate = defaultDecayRate }) =>
      decayRate ** Math.floor(done / decayEpochs),
  },
  'one-cycle': {
    options: [],
    dependsOnEpochs: () => true,
    factor: ({ share }) =>
      share < riseShare
        ? halfWave(cycleStart, 1, share / riseShare)
        : halfWave(1, cycleEnd, (share - riseShare) / (1 - riseShare)),
  },
  plateau: {
    options: ['patienceEpochs', 'decayRate'],
    dependsOnEpochs: () => false,
    firstChange: ({ patienceEpochs = defaultPatience }) => ({
      name: 'patienceEpochs',
      epochs: patienceEpochs,
    }),
    factor: ({ history }, { patienceEpochs = defaultPatience, decayRate = defaultDecayRate }) =>
      decayRate ** plateaus(history, patienceEpochs),
  },
}

/** From one number to another along half a wave of a cosine, for a share in [0, 1]. */
function halfWave(from: number, to: number, share: number): number {
  return to + ((from - to) * (1 + Math.cos(Math.PI * share))) / 2
}

/** How many times so many epochs passed without a loss below all before; after each the count begins anew. */
function plateaus(history: readonly WatchedEpoch[], patience: number): number {
  let count = 0
  let best = Infinity
  let countedFrom = 0
  for (const { epoch, validationLoss, testLoss } of history) {
    const loss = validationLoss ?? testLoss
    if (loss === undefined) continue
    if (loss < best) {
      best = loss
      countedFrom = epoch
    } else if (epoch - countedFrom >= patience) {
      count++
      countedFrom = epoch
    }
  }
  return count
}

/**
 * The learning rate of the next step.
 *
 * In step k, from 0, of a warm-up of w steps it is (k + 1) / w times where the schedule begins.
 */
export function scheduledRate(
  options: ScheduleOptions & { readonly learningRate: number },
  { step, stepsPerEpoch, epochs, history }: SchedulePoint,
): number {
  const { learningRate, schedule = 'constant', warmupEpochs = 0 } = options
  const steps = epochs * stepsPerEpoch
  // A warm-up that rounds to the whole run leaves its last step to the schedule.
  const warmup = Math.min(Math.round(warmupEpochs * stepsPerEpoch), steps - 1)
  const after = Math.max(step - warmup, 0)
  const factor = kinds[schedule].factor(
    {
      share: after / (steps - warmup),
      done: after / stepsPerEpoch,
      epochs: epochs - warmupEpochs,
      history: history.filter(({ epoch }) => epoch > warmupEpochs),
    },
    options,
  )
  return learningRate * factor * (step < warmup ? (step + 1) / warmup : 1)
}

/** Whether the learning rate of a step depends on how many epochs the whole run has. */
export function dependsOnEpochs(options: ScheduleOptions): boolean {
  return kinds[options.schedule ?? 'constant'].dependsOnEpochs(options)
}

/** The same options without a schedule and a warm-up. */
export function withoutSchedule<Options extends ScheduleOptions>(
  options: Options,
): Omit<Options, keyof ScheduleOptions> {
  const {
    schedule: _,
    warmupEpochs: __,
    decayEpochs: ___,
    decayRate: ____,
    patienceEpochs: _____,
    ...rest
  } = options
  return rest
}

/**
 * Checks the settings of a schedule, as far as they do not depend on a run.
 *
 * @throws RangeError when the name is unknown, a number is out of its range, or an option is given to a schedule that does not
 *   have it
 */
export function checkScheduleOptions(options: ScheduleOptions): void {
  const { schedule = 'constant', warmupEpochs = 0, decayRate } = options
  if (!SCHEDULES.includes(schedule)) {
    throw new RangeError(
      `optimizer: schedule must be one of ${SCHEDULES.join(', ')}, got ${schedule as string}`,
    )
  }
  for (const name of ['decayEpochs', 'decayRate', 'patienceEpochs'] as const) {
    if (options[name] === undefined || kinds[schedule].options.includes(name)) continue
    throw new RangeError(`optimizer: ${name} must be left out for schedule ${schedule}, got ${options[name]}`)
  }
  if (!(warmupEpochs >= 0 && warmupEpochs < Infinity)) {
    throw new RangeError(`optimizer: warmupEpochs must be a number of at least 0, got ${warmupEpochs}`)
  }
  if (decayRate !== undefined && !(decayRate > 0 && decayRate < 1)) {
    throw new RangeError(`optimizer: decayRate must be in (0, 1), got ${decayRate}`)
  }
  for (const name of ['decayEpochs', 'patienceEpochs'] as const) {
    const value = options[name]
    if (value === undefined || (Number.isInteger(value) && value >= 1)) continue
    throw new RangeError(`optimizer: ${name} must be a positive integer, got ${value}`)
  }
}

/** The run that a schedule is for. */
export interface ScheduledRun {
  /** Epochs of the whole run. */
  readonly epochs: number
  /** Whether a validation or test set is evaluated. */
  readonly isEvaluated: boolean
}

/**
 * Checks that a schedule fits a run.
 *
 * @param options that `checkScheduleOptions` accepts
 * @throws RangeError when the warm-up is as long as the run, when the rest is too short for the schedule to change anything, or
 *   when the schedule needs a loss that is not measured
 */
export function checkScheduleFits(options: ScheduleOptions, { epochs, isEvaluated }: ScheduledRun): void {
  const { schedule = 'constant', warmupEpochs = 0 } = options
  if (warmupEpochs >= epochs) {
    throw new RangeError(
      `train: warmupEpochs must be less than epochs, got ${warmupEpochs} (epochs ${epochs})`,
    )
  }
  const first = kinds[schedule].firstChange?.(options)
  if (first && first.epochs >= epochs - warmupEpochs) {
    const warmup = warmupEpochs > 0 ? `, warmupEpochs ${warmupEpochs}` : ''
    throw new RangeError(
      `train: ${first.name} must be less than epochs${warmup && ' after the warm-up'}, got ${first.epochs} ` +
        `(schedule ${schedule}, epochs ${epochs}${warmup})`,
    )
  }
  if (schedule === 'plateau' && !isEvaluated) {
    throw new RangeError('train: schedule plateau must come with a validation or test set, got none')
  }
}

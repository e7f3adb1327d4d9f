import { checkOptionNames, type OptionNames } from '../known-options.js'
import type { EpochMetrics } from './events.js'

/**
 * When a run whose steps each take the whole training set ends by its loss, checked before each step. Published code of
 * sample-level mixtures stops at a loss of at most 0.314 or of more than 0.02 above the least before.
 */
export interface LossStop {
  /** Ends the run where the loss is at most this many nats. */
  readonly lossAtMost?: number
  /** Ends the run where the loss is more than this many nats above the least of the epochs before. */
  readonly lossAboveBest?: number
  /** The last epoch of which `lossAboveBest` is not asked; 0 unless given. */
  readonly afterEpoch?: number
}

const optionNames = {
  lossAtMost: true,
  lossAboveBest: true,
  afterEpoch: true,
} as const satisfies OptionNames<LossStop>

/**
 * Checks when a run ends by its loss.
 *
 * @param stepsPerEpoch must be 1: the loss of a part of the images says little of the others
 * @throws RangeError when a number is out of its range, neither limit is given, or an epoch has several steps
 */
export function checkLossStop(options: LossStop, stepsPerEpoch: number): void {
  checkOptionNames('train: stopWhen', options, optionNames)
  const { lossAtMost, lossAboveBest, afterEpoch } = options
  if (lossAtMost === undefined && lossAboveBest === undefined) {
    throw new RangeError('train: stopWhen must have lossAtMost or lossAboveBest, got neither')
  }
  for (const [name, value] of Object.entries({ lossAtMost, lossAboveBest })) {
    if (value === undefined || (value >= 0 && value < Infinity)) continue
    throw new RangeError(`train: stopWhen.${name} must be a number of at least 0, got ${value}`)
  }
  if (afterEpoch !== undefined && !(Number.isInteger(afterEpoch) && afterEpoch >= 0)) {
    throw new RangeError(`train: stopWhen.afterEpoch must be an integer of at least 0, got ${afterEpoch}`)
  }
  if (afterEpoch !== undefined && lossAboveBest === undefined) {
    throw new RangeError(`train: stopWhen.afterEpoch must come with lossAboveBest, got ${afterEpoch} alone`)
  }
  if (stepsPerEpoch !== 1) {
    throw new RangeError(
      `train: stopWhen must be for a batch of all training images, got ${stepsPerEpoch} steps an epoch`,
    )
  }
}

/**
 * Whether the loss of the last epoch ends the run.
 *
 * @param history the epochs so far; the last one's loss may have been measured without its step
 */
export function stopsByLoss(
  history: readonly Pick<EpochMetrics, 'epoch' | 'trainLoss'>[],
  { lossAtMost, lossAboveBest, afterEpoch = 0 }: LossStop,
): boolean {
  const last = history.at(-1)
  if (!last) return false
  if (lossAtMost !== undefined && last.trainLoss <= lossAtMost) return true
  if (lossAboveBest === undefined || last.epoch <= afterEpoch) return false
  const best = history.slice(0, -1).reduce((least, { trainLoss }) => Math.min(least, trainLoss), Infinity)
  return last.trainLoss > best + lossAboveBest
}

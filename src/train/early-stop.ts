import { checkOptionNames, type OptionNames } from '../known-options.js'
import { isPositiveInteger } from '../shapes.js'
import type { EpochMetrics } from './events.js'

/** When a run may end before its last epoch. */
export interface EarlyStopOptions {
  /** Epochs without a better value after which the run ends; at least 1. */
  readonly patience: number
  /** What must get better: the test loss unless given. It is measured on the validation set if there is one. */
  readonly metric?: 'testLoss' | 'testAccuracy'
}

const optionNames = {
  patience: true,
  metric: true,
} as const satisfies OptionNames<EarlyStopOptions>

/**
 * Checks the settings of an early stop.
 *
 * @throws RangeError when patience is not a positive integer or the metric unknown
 */
export function checkEarlyStop(options: EarlyStopOptions): void {
  checkOptionNames('train: earlyStop', options, optionNames)
  const { patience, metric = 'testLoss' } = options
  if (!isPositiveInteger(patience)) {
    throw new RangeError(`train: earlyStop.patience must be a positive integer, got ${patience}`)
  }
  if (metric !== 'testLoss' && metric !== 'testAccuracy') {
    throw new RangeError(`train: earlyStop.metric must be testLoss or testAccuracy, got ${metric as string}`)
  }
}

/** The metrics of an epoch that an early stop reads. */
type WatchedEpoch = Pick<
  EpochMetrics,
  'epoch' | 'validationLoss' | 'validationAccuracy' | 'testLoss' | 'testAccuracy'
>

/**
 * Whether a run should end: its best value is at least `patience` epochs old. An equal value is not better.
 *
 * @param history the epochs so far; epochs without the metric are ignored
 */
export function shouldStop(
  history: readonly WatchedEpoch[],
  { patience, metric }: EarlyStopOptions,
): boolean {
  const lastEpoch = history.findLast(epoch => watchedValue(epoch, metric) !== undefined)?.epoch ?? 0
  return lastEpoch - (bestEpoch(history, metric) ?? 0) >= patience
}

/**
 * The number of the epoch with the best value, of equal ones the first; undefined where no epoch has the metric.
 *
 * @param metric what is compared: the loss unless given, on the validation set if there is one
 */
export function bestEpoch(
  history: readonly WatchedEpoch[],
  metric: EarlyStopOptions['metric'] = 'testLoss',
): number | undefined {
  const sign = metric === 'testLoss' ? -1 : 1
  let best: { readonly epoch: number; readonly value: number } | undefined
  for (const metrics of history) {
    const value = watchedValue(metrics, metric)
    if (value === undefined || (best && sign * value <= sign * best.value)) continue
    best = { epoch: metrics.epoch, value }
  }
  return best?.epoch
}

function watchedValue(
  metrics: WatchedEpoch,
  metric: EarlyStopOptions['metric'] = 'testLoss',
): number | undefined {
  const watched = metric === 'testLoss' ? 'validationLoss' : 'validationAccuracy'
  return metrics[watched] ?? metrics[metric]
}

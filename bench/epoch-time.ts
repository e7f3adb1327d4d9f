import { median } from '../scripts/run/measuring/statistics.js'
import type { TrainEvent } from '../src/train/loop.js'

/** Seconds that an epoch takes: by the clock, and of the processors, which other programs disturb less. */
export interface EpochTime {
  readonly clock: number
  readonly processor: number
}

/** What the epochs of a training took. */
export interface EpochTimes {
  /** The first, with what a backend does once and features that are computed before it. */
  readonly first: EpochTime
  /** The median of the others; of a training of one epoch, that. */
  readonly typical: EpochTime
  /** Of the last epoch, in nats. */
  readonly trainLoss: number
}

/** Runs a training to its end and measures its epochs. */
export async function epochTimes(events: AsyncIterable<TrainEvent>): Promise<EpochTimes> {
  const times: EpochTime[] = []
  let trainLoss = Number.NaN
  let before = process.cpuUsage()
  for await (const event of events) {
    if (event.type !== 'epoch') continue
    const { user, system } = process.cpuUsage(before)
    times.push({ clock: event.seconds, processor: (user + system) / 1e6 })
    before = process.cpuUsage()
    trainLoss = event.trainLoss
  }
  const [first, ...others] = times
  if (!first) throw new RangeError('epochTimes: training must have at least 1 epoch, got 0')
  return { first, typical: others.length > 0 ? medianTime(others) : first, trainLoss }
}

/** The medians of both times. */
export function medianTime(times: readonly EpochTime[]): EpochTime {
  return {
    clock: median(times.map(({ clock }) => clock)),
    processor: median(times.map(({ processor }) => processor)),
  }
}

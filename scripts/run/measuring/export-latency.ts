import type { FeedingOptions } from '../../../src/export/feeding.js'
import type { Numbers, Runtime } from '../export-formats/model-runtime.js'
import { asFloats, fed, repeated } from '../export-parity.js'
import { median } from './statistics.js'
import { timedInTurn } from './timed-in-turn.js'

/** Median times of one batch in milliseconds: the model in this process, and its export. */
export interface Latency {
  readonly batch: number
  readonly original: number
  readonly exported: number
}

const pace = { warmUp: 1, runs: 7, leastRuns: 3, seconds: 4 } as const

/**
 * Measures how long a batch takes, the model and its export in turn, reading of the outputs included.
 *
 * @param signal ends the measurement between two batches, with its reason as the error
 */
export async function latency(
  original: Runtime,
  exported: Runtime,
  inputs: readonly Numbers[],
  feeding: FeedingOptions,
  batch: number,
  signal: AbortSignal,
): Promise<Latency> {
  const bytes = inputs.map(input => repeated(input, batch))
  const [own, other] = [bytes.map(asFloats), bytes.map(input => fed(input, feeding))]
  const times = await timedInTurn([() => original.run(own), () => exported.run(other)], pace, { signal })
  const [originalMs = 0, exportedMs = 0] = times.map(seconds => 1000 * median(seconds))
  return { batch, original: originalMs, exported: exportedMs }
}

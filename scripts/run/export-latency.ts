import type { FeedingOptions } from '../../src/export/feeding.js'
import { median } from '../../src/statistics/descriptive.js'
import type { Numbers, Runtime } from './export-formats/model-runtime.js'
import { asFloats, fed, repeated } from './export-parity.js'

/** Median times of one batch in milliseconds: the model in this process, and its export. */
export interface Latency {
  readonly batch: number
  readonly original: number
  readonly exported: number
}

const ROUNDS = 7
const MIN_ROUNDS = 3
const MAX_MS = 4000

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
  const sides = [
    { runtime: original, inputs: bytes.map(asFloats), times: [] as number[] },
    { runtime: exported, inputs: bytes.map(input => fed(input, feeding)), times: [] as number[] },
  ]
  for (const side of sides) await side.runtime.run(side.inputs)
  const start = performance.now()
  for (let round = 0; round < ROUNDS; round++) {
    if (round >= MIN_ROUNDS && performance.now() - start > MAX_MS) break
    for (const side of sides) {
      signal.throwIfAborted()
      const before = performance.now()
      await side.runtime.run(side.inputs)
      side.times.push(performance.now() - before)
    }
  }
  const [originalMs = 0, exportedMs = 0] = sides.map(({ times }) => median(times))
  return { batch, original: originalMs, exported: exportedMs }
}

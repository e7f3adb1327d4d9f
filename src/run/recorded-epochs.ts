import * as z from 'zod'
import { epochMetricsShape } from '../train/checkpoint.js'
import type { EpochMetrics } from '../train/events.js'
import { epochScalars, scalarEvents } from '../train/tensorboard.js'

const epochMetrics = z.object({ ...epochMetricsShape, wallTime: z.number() })

/** One line of `metrics.jsonl`: what an epoch measured, and when it ended, in seconds since 1970. */
export type RecordedEpoch = EpochMetrics & { readonly wallTime: number }

/**
 * Reads the text of `metrics.jsonl`.
 *
 * @throws Error naming the path, the line and what is wrong
 */
export function parseMetrics(text: string, path: string): RecordedEpoch[] {
  const lines = text.split('\n')
  // Whole lines end in a newline: what follows the last newline was cut off in writing.
  lines.pop()
  let offset = 0
  return lines.map((line, i) => {
    const start = offset
    offset += Buffer.byteLength(line) + 1
    try {
      return epochMetrics.parse(JSON.parse(line)) as RecordedEpoch
    } catch (cause) {
      const why = cause instanceof z.ZodError ? issuesOf(cause) : (cause as Error).message
      throw new Error(`${path}: line ${i + 1} must be the metrics of an epoch, got ${why} (byte ${start})`, {
        cause,
      })
    }
  })
}

function issuesOf(error: z.ZodError): string {
  return error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`).join('; ')
}

/** One line of `metrics.jsonl`. */
export function jsonLine(epoch: RecordedEpoch): string {
  return `${JSON.stringify(epoch)}\n`
}

/** The bytes of TensorBoard events that show the same epochs. */
export function eventsOf(epochs: readonly RecordedEpoch[]): Uint8Array {
  return scalarEvents(epochs.flatMap(epoch => epochScalars(epoch, epoch.wallTime)))
}

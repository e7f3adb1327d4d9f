import * as z from 'zod'

const schema = z.object({
  /** What computed: 'TensorFlow 2.21.0 (tensorflow)', 'PyTorch 2.13.0'. */
  software: z.string().min(1),
  /** Seconds of every timed run, by what was timed, in the order of the rounds. */
  seconds: z.record(z.string(), z.array(z.number().positive()).min(1)),
  /** Single numbers, by name: counts, FLOP, bytes. */
  facts: z.record(z.string(), z.number()),
})

/** What a measuring process prints as its last line, ours and the peers' alike. */
export type ChildReport = z.infer<typeof schema>

/**
 * Reads the report of a measuring process: the last line that it printed.
 *
 * @param output what it printed
 * @param who names the process in errors
 * @throws Error when the line is no report, with what is wrong
 */
export function parseChildReport(output: string, who: string): ChildReport {
  const line = output.trimEnd().split('\n').at(-1) ?? ''
  let value: unknown
  try {
    value = JSON.parse(line)
  } catch (cause) {
    throw new Error(
      `${who}: the last line must be a JSON report, got ${JSON.stringify(line.slice(0, 200))}`,
      {
        cause,
      },
    )
  }
  const parsed = schema.safeParse(value)
  if (parsed.success) return parsed.data
  const [issue] = parsed.error.issues
  throw new Error(
    `${who}: the report must hold software, seconds and facts, got ${issue?.message} at ${issue?.path.join('.') || 'its root'}`,
  )
}

/** The seconds of one thing that the process timed. */
export function secondsOf(report: ChildReport, name: string): readonly number[] {
  return entry(report.seconds, name, 'seconds')
}

/** A single number of the report. */
export function factOf(report: ChildReport, name: string): number {
  return entry(report.facts, name, 'facts')
}

function entry<T>(entries: Readonly<Record<string, T>>, name: string, of: string): T {
  const value = entries[name]
  if (value !== undefined) return value
  throw new Error(
    `Child report: ${of} must have ${JSON.stringify(name)}, got ${Object.keys(entries).join(', ') || 'none'}`,
  )
}

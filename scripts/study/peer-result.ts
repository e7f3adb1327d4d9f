import * as z from 'zod'

const count = z.int().min(0)
const number = z.number()

const schema = z.strictObject({
  /** What tables and figures call it. */
  variant: z.string().min(1),
  /** The program that computed it: `PyTorch 2.9.0`. */
  program: z.string().min(1),
  setting: z.string().min(1),
  samples: count,
  seed: count,
  /** Shares in [0, 1]. */
  testAccuracy: number,
  trainAccuracy: number,
  /** Nats. */
  trainLoss: number,
  recall: number,
  /** Recall on the training images of each epoch. */
  recalls: z.array(number),
  epochs: count,
  steps: count,
  /** Of the training, without the evaluation. */
  seconds: number,
  parameters: count,
  /** Of one forward pass over one image. */
  multiplyAdds: number,
})

/** What another program reached on large images of a study: a line of `peers.jsonl`. */
export type PeerResult = Readonly<Omit<z.infer<typeof schema>, 'recalls'>> & {
  readonly recalls: readonly number[]
}

/**
 * Reads the text of a `peers.jsonl`; of several lines for the same run the last one counts.
 *
 * @throws Error naming the path, the line and what is wrong
 */
export function parsePeerResults(text: string, path: string): PeerResult[] {
  const runs = new Map<string, PeerResult>()
  for (const [i, line] of text.split('\n').entries()) {
    if (line.trim() === '') continue
    const result = parseLine(line, `${path}: line ${i + 1}`)
    const { variant, setting, samples, seed } = result
    runs.set([variant, setting, samples, seed].join('|'), result)
  }
  return [...runs.values()]
}

function parseLine(line: string, where: string): PeerResult {
  let json: unknown
  try {
    json = JSON.parse(line)
  } catch (cause) {
    throw new Error(`${where}: must be JSON, got ${line.length} characters that are not`, { cause })
  }
  const result = schema.safeParse(json)
  if (result.success) return result.data
  const issues = result.error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`)
  throw new RangeError(`${where}: must be the result of a run, got ${issues.join('; ')}`, {
    cause: result.error,
  })
}

import * as z from 'zod'

const count = z.int().min(0)
const number = z.number()

const cell = z.strictObject({
  index: count,
  seed: count,
  variant: z.string(),
  setting: z.string().exactOptional(),
  samples: count.exactOptional(),
  patchesPerExpert: count.exactOptional(),
  experts: count.exactOptional(),
  sparse: z.strictObject({ active: count, experts: count }).exactOptional(),
  cost: z.strictObject({ letter: z.enum(['l', 'k', 'n']), value: number }).exactOptional(),
})

/** What the routers of a trained mixture do with the test images; shares in [0, 1]. */
const routing = z.strictObject({
  uncovered: number,
  /** Mean over experts and images of the largest gate's share. */
  largestShare: number,
  fixedExperts: count,
  /** (L) share of images of which an expert has a true patch among its r best. */
  recall: z.array(number).exactOptional(),
  /** (L) the same share for the expert that has the number of the image's class. */
  ownRecall: z.array(number).exactOptional(),
  /** (classes) the best expert of each class, and the share of the class's images whose true patch it ranks first. */
  largestGate: z.array(z.strictObject({ expert: count, share: number.nullable() })).exactOptional(),
  /** (classes, K) the same share of every expert. */
  bestShares: z.array(z.array(number.nullable())).exactOptional(),
  deadExperts: count.exactOptional(),
})

const trained = z.strictObject({
  /** Share of the test images that are right. */
  testAccuracy: number,
  /** Nats. */
  testLoss: number,
  /** The lowest accuracy of the test set's groups. */
  worstGroup: number.exactOptional(),
  trainAccuracy: number,
  trainLoss: number,
  epochs: count,
  steps: count,
  /** Of the training, without the evaluation. */
  seconds: number,
  /** The first epoch in which 99 % of the training images were right, and the training until then. */
  converged: z.strictObject({ epoch: count, seconds: number }).exactOptional(),
  parameters: count,
  /** Of one forward pass over one image. */
  multiplyAdds: number,
  routing: routing.exactOptional(),
})

const measured = z.strictObject({
  /** Median of a forward and backward pass, in seconds. */
  seconds: number,
  /** This median divided by that of the base, measured in turn with it. */
  ratio: number,
  /** The median of the CNN of the same size that sees every patch, divided by that of the base. */
  cnnRatio: number,
  /** Multiply-adds of a pass over the batch. */
  multiplyAdds: number,
  /** These multiply-adds divided by those of the base. */
  multiplyAddsRatio: number,
})

/** Losses in [0, 1]. */
const losses = z.strictObject({ ramp: number, zeroOne: number })

const bounded = z.strictObject({
  train: losses,
  test: losses,
  /** The terms of the bound, its constant set to 1. */
  expertTerm: number,
  routerTerm: number,
  exactRouterTerm: number,
  /** sqrt(k (1 + ln(T/k)) / m). */
  sparsity: number,
  /** Of the expert where it is largest. */
  spectralNorm: number,
  /** The largest slope of the experts' activation met on the training samples. */
  slope: number,
  steps: count,
  trainLoss: number,
  /** Of the training, without the evaluation. */
  seconds: number,
})

/** What a cell gave, by the kind of its experiment. */
const outcomes = {
  trained: trained.exactOptional(),
  measured: measured.exactOptional(),
  bounded: bounded.exactOptional(),
}

const resultSchema = z.discriminatedUnion('status', [
  z.strictObject({
    status: z.literal('done'),
    cell,
    ...outcomes,
    /** Seconds of the whole cell, loading and evaluation included. */
    took: number,
    /** When it ended, ISO 8601. */
    ended: z.string(),
  }),
  z.strictObject({
    status: z.literal('failed'),
    cell,
    reason: z.enum(['diverged', 'error', 'crashed']),
    message: z.string(),
    took: number,
    ended: z.string(),
  }),
])

type Immutable<T> = T extends object ? { readonly [Key in keyof T]: Immutable<T[Key]> } : T

/** What became of a cell: `result.json` of its folder. */
export type CellResult = Immutable<z.infer<typeof resultSchema>>
/** A cell that ended as it should. */
export type DoneCell = CellResult & { readonly status: 'done' }
/** The numbers of a cell: the entry of its kind of experiment. */
export type Outcome = Pick<DoneCell, keyof typeof outcomes>
export type FailedCell = CellResult & { readonly status: 'failed' }
/** What a run of training gave. */
export type Trained = Immutable<z.infer<typeof trained>>
/** What a measurement of cost gave. */
export type Measured = Immutable<z.infer<typeof measured>>
/** What the bound of a trained mixture is, and what was measured. */
export type Bounded = Immutable<z.infer<typeof bounded>>
/** What was measured of a routing. */
export type CellRouting = Immutable<z.infer<typeof routing>>

/**
 * Reads the text of a `result.json`.
 *
 * @throws Error naming the path and what is wrong
 */
export function parseCellResult(text: string, path: string): CellResult {
  let json: unknown
  try {
    json = JSON.parse(text)
  } catch (cause) {
    throw new Error(`${path}: must be JSON, got ${text.length} characters that are not`, { cause })
  }
  const result = resultSchema.safeParse(json)
  if (result.success) return result.data as CellResult
  const issues = result.error.issues.map(issue => `${issue.path.join('.') || 'the whole'}: ${issue.message}`)
  throw new RangeError(`${path}: must be the result of a cell, got ${issues.join('; ')}`, {
    cause: result.error,
  })
}

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

/** What the experts of a trained mixture do with up to 128 test images. */
const signs = z.strictObject({
  /** Mean over pairs of experts of the share of kept patches that both keep, in [0, 1]. */
  samePatches: number,
  /** Mean over pairs of how much what they add differs, as a share of the larger. */
  difference: number,
  /** Experts that add nothing, that keep nothing but background, that do what another does. */
  deadExperts: count,
  blankExperts: count,
  identicalExperts: count,
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
  signs: signs.exactOptional(),
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

/** What a routing of samples did with a set; the entropy in nats. */
const sampleRouting = z.strictObject({
  entropy: number,
  /** (clusters, M) samples of each cluster that were sent to each expert. */
  counts: z.array(z.array(count)),
  deadExperts: count,
  /** Share of the samples whose gate is below 0. */
  negativeGates: number,
})

const clustered = z.strictObject({
  /** Share of the test samples that are right, without noise in the routing. */
  testAccuracy: number,
  /** With the noise of training in the routing. */
  noisyAccuracy: number.exactOptional(),
  /** Of the last step. */
  trainAccuracy: number,
  trainLoss: number,
  steps: count,
  /** Of the training, without the evaluation. */
  seconds: number,
  parameters: count,
  /** Of the test samples, without noise and with it; and of the training samples with it, as was published. */
  routing: sampleRouting.exactOptional(),
  noisyRouting: sampleRouting.exactOptional(),
  trainRouting: sampleRouting.exactOptional(),
  /** Of the test samples, without noise, after so many steps. */
  entropies: z.array(z.strictObject({ step: count, entropy: number })).exactOptional(),
})

/** The scores of one criterion. */
const panelEntry = z.strictObject({
  criterion: z.string(),
  /** Of the random choices, from 1. */
  draw: count.exactOptional(),
  /** (K) small goes first. */
  scores: z.array(number),
})

/** What pruning a network of a known truth gave. */
const patternPruning = z.strictObject({
  /** Test accuracies: on the first task, and on the new one before anything was pruned. */
  pretrainedAccuracy: number,
  accuracy: number,
  /** Experts whose best pattern tells the classes of the new task. */
  relevant: z.array(count),
  criteria: z.array(
    panelEntry.extend({
      /** How well the scores tell relevant experts from others; null where all or none are relevant. */
      areaUnderCurve: number.nullable(),
      /** Share of the relevant experts among as many that are kept. */
      overlap: number.nullable(),
      /** Test accuracies with K, K - 1 .. 1 experts. */
      accuracies: z.array(number),
    }),
  ),
})

/** What pruning a wide network gave. */
const photographPruning = z.strictObject({
  pretrainedAccuracy: number,
  /** On the new task before anything was pruned. */
  accuracy: number,
  panel: z.array(panelEntry),
  /** One for each criterion, draw and number of experts that are left. */
  cuts: z.array(
    z.strictObject({
      criterion: z.string(),
      draw: count.exactOptional(),
      keep: count,
      kept: z.array(count),
      /** Test accuracies before and after the training that follows. */
      before: number,
      after: number,
      parameters: count,
      /** Of one forward pass over one image. */
      multiplyAdds: number,
      /** Largest difference of the outputs to the unpruned network with the same channels masked. */
      difference: number,
    }),
  ),
})

const pruned = z.strictObject({
  patterns: patternPruning.exactOptional(),
  photographs: photographPruning.exactOptional(),
  /** A network that had so many experts from the start. */
  fromStart: z.strictObject({ accuracy: number, parameters: count, multiplyAdds: number }).exactOptional(),
  /** Medians of a forward pass, in milliseconds. */
  latencies: z.array(z.strictObject({ keep: count, batch: count, milliseconds: number })).exactOptional(),
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

/** What a network learned on large images; shares in [0, 1]. */
const onLargeImages = z.strictObject({
  testAccuracy: number,
  trainAccuracy: number,
  /** Nats. */
  trainLoss: number,
  epochs: count,
  steps: count,
  /** Of the training, without the evaluation. */
  seconds: number,
  parameters: count,
  /** Of one forward pass over one image. */
  multiplyAdds: number,
  /** Of the patches that were kept of test images: the things that count of which enough lies in one, and blank patches. */
  recall: number.exactOptional(),
  blank: number.exactOptional(),
  /** The same recall on the training images of each epoch. */
  recalls: z.array(number).exactOptional(),
})

/** What a training step takes, by network. */
const largeImageTimes = z.array(
  z.strictObject({
    variant: z.string(),
    /** Of one forward pass over one image. */
    multiplyAdds: number,
    /** Median of a step, divided by its images. */
    milliseconds: number,
  }),
)

/** How often the strongest point lies on a thing that decides the class, by method; shares in [0, 1]. */
const pointing = z.array(
  z.strictObject({
    method: z.string(),
    /** The point lies in the box of such a thing. */
    inside: number,
    /** It lies in the box or at most half a cell outside. */
    near: number,
  }),
)

const localised = z.strictObject({
  testAccuracy: number,
  /** Images with something to be found. */
  images: count,
  pointing,
})

/** What layers on the maps of one network learned from images of one kind; shares in [0, 1]. */
const transferred = z.strictObject({
  /** The last part of the folder of the pretrained network, where one was named. */
  network: z.string().exactOptional(),
  /** Side of the images in pixels. */
  imageSide: count,
  layers: z.array(
    z.strictObject({
      /** Side of the map, the layer that computes it, and its channels. */
      map: count,
      after: z.string(),
      channels: count,
      /** Pixels of the image that a cell of the map sees along one side. */
      field: count.exactOptional(),
      /** Of a mixture: the percentage of the patches that an expert keeps, their side in cells, and their number. */
      kept: number.exactOptional(),
      patchSize: count.exactOptional(),
      patches: count.exactOptional(),
      testAccuracy: number,
      trainAccuracy: number,
      /** Nats. */
      trainLoss: number,
      steps: count,
      /** Of the training, without the evaluation and without computing maps that are computed once. */
      seconds: number,
      /** Of one forward pass over one image: the whole network, and what stands on the map. */
      multiplyAdds: number,
      layerMultiplyAdds: number,
    }),
  ),
})

/** What a cell gave, by the kind of its experiment. */
const outcomes = {
  trained: trained.exactOptional(),
  measured: measured.exactOptional(),
  clustered: clustered.exactOptional(),
  pruned: pruned.exactOptional(),
  bounded: bounded.exactOptional(),
  onLargeImages: onLargeImages.exactOptional(),
  largeImageTimes: largeImageTimes.exactOptional(),
  localised: localised.exactOptional(),
  transferred: transferred.exactOptional(),
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
/** What training on clusters gave. */
export type Clustered = Immutable<z.infer<typeof clustered>>
/** What a routing of samples did. */
export type ClusterRouting = Immutable<z.infer<typeof sampleRouting>>
/** What pruning gave. */
export type Pruned = Immutable<z.infer<typeof pruned>>
export type PatternPruned = NonNullable<Pruned['patterns']>
export type PhotographPruned = NonNullable<Pruned['photographs']>
/** What the bound of a trained mixture is, and what was measured. */
export type Bounded = Immutable<z.infer<typeof bounded>>
/** What a network learned on large images. */
export type OnLargeImages = Immutable<z.infer<typeof onLargeImages>>
/** What training steps on large images took. */
export type LargeImageTimes = Immutable<z.infer<typeof largeImageTimes>>
/** Where a network looked. */
export type Localised = Immutable<z.infer<typeof localised>>
/** What layers on the maps of a network learned. */
export type Transferred = Immutable<z.infer<typeof transferred>>
/** What the experts of a trained mixture do. */
export type CellSigns = Immutable<z.infer<typeof signs>>
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

/** Whether the layers before the compared one were trained before, and are frozen, or start with it. */
export const bodyOrigins = ['pretrained', 'from scratch'] as const
export type BodyOrigin = (typeof bodyOrigins)[number]

/** How long and how fast a network is trained. */
export interface TransferTraining {
  /** Steps, whatever the number of images, and the epochs that it has at least. */
  readonly steps: number
  readonly leastEpochs: number
  /** Images a step, at most. */
  readonly batchSize: number
  /** Of Adam, falling to 0 by a cosine. */
  readonly learningRate: number
}

/** How the networks of one origin are trained: alike but for the rate, which was chosen for each on images of training. */
export interface ComparedTraining extends Omit<TransferTraining, 'learningRate'> {
  readonly learningRates: { readonly dense: number; readonly mixture: number }
}

/** A block of settings, every combination of which is compared. */
export interface TransferPart {
  readonly body: BodyOrigin
  /** Percent of the image's area that the object fills, in (0, 100]. */
  readonly shares: readonly number[]
  /** Training images. */
  readonly samples: readonly number[]
  /** Sides of the maps at which the layer stands. */
  readonly maps: readonly number[]
  /** Percent of a map's patches that each expert keeps, in (0, 100]; each is compared with the dense layer. */
  readonly kept: readonly number[]
}

/** How large an experiment on transfer is. */
export interface TransferScale {
  readonly seeds: number
  readonly parts: readonly TransferPart[]
  readonly testSamples: number
  readonly training: Readonly<Record<BodyOrigin, ComparedTraining>>
  /** Of the network that takes the place of a published one where none is named. */
  readonly pretraining: TransferTraining & { readonly samples: number }
}

/** One layer, dense or a mixture, on maps of several sizes, behind trained and untrained networks. */
export interface TransferExperiment {
  readonly kind: 'transfer'
  readonly name: string
  readonly title: string
  readonly paper: string
  readonly claim: string
  /** What the images are; a sentence. */
  readonly data: string
  /** What is pretrained where no network is named; a sentence. */
  readonly ownNetwork: string
  readonly scales: Readonly<Record<'full' | 'small', TransferScale>>
}

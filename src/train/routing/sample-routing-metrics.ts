import type * as tfl from '@tensorflow/tfjs-layers'
import * as z from 'zod'
import type { ImageBatch, ImageSet } from '../../data/image-set.js'
import { type ImageStream, streamOf } from '../../data/image-stream.js'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import type { SampleRoutingLayer } from '../../layers/moe/routing-layers.js'
import { isPositiveInteger } from '../../shapes.js'
import { hostTurns } from '../host-turn.js'
import { upload } from '../upload.js'
import { type DispatchMetrics, dispatchMetrics } from './dispatch-metrics.js'
import { choicesOf, measuredLayers, type ReadChoices, readChoices } from './sample-choices.js'

/** Where a layer sent the samples of a set. */
export interface SampleDispatchMetrics {
  /** Which experts the samples of each part of the set chose; each of k choices of a sample counts. */
  readonly dispatch: DispatchMetrics
  /** Numbers of the experts that no sample chose. */
  readonly deadExperts: readonly number[]
  /** Share of the choices whose gate is below 0, in [0, 1]: such a gate turns what its expert says round. */
  readonly negativeGates: number
}

/** What was measured of a layer that sends whole samples to experts. */
export interface SampleRoutingMetrics extends SampleDispatchMetrics {
  /** Name of the layer. */
  readonly layer: string
  readonly images: number
  /** (M) names of the experts. */
  readonly expertNames: readonly string[]
  /** (parts) names of the set's groups, or without groups of its classes: the rows of the counts. */
  readonly partNames: readonly string[]
  /** Whether the parts are groups or classes. */
  readonly parts: 'groups' | 'classes'
  /** The same with the noise of training added to the scores, if requested. */
  readonly noise?: SampleDispatchMetrics
}

/** How the routing of samples is measured. */
export interface SampleRoutingOptions {
  /** Images computed at a time; 128 unless given. */
  readonly batchSize?: number
  /** Whether to measure with the noise of training as well; false unless given. */
  readonly routingNoise?: boolean
  /** Seed of that noise; 0 unless given. */
  readonly seed?: number
  /** Ends the measurement after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal
}

const optionNames = {
  batchSize: true,
  routingNoise: true,
  seed: true,
  signal: true,
} as const satisfies OptionNames<SampleRoutingOptions>

/**
 * Measures which experts the samples of a set choose, in inference, for each layer of a model that sends whole samples to one
 * of several experts.
 *
 * @returns one entry a layer, in the order of the model; none for a model without such a layer
 * @throws RangeError when the batch size is not a positive integer
 */
export async function measureSampleRouting(
  model: tfl.LayersModel,
  set: ImageSet | ImageStream,
  options: SampleRoutingOptions = {},
): Promise<readonly SampleRoutingMetrics[]> {
  const where = 'measureSampleRouting'
  checkOptionNames(where, options, optionNames)
  const { batchSize = 128, routingNoise = false, seed = 0, signal } = options
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${where}: batchSize must be a positive integer, got ${batchSize}`)
  }
  const layers = measuredLayers(model)
  if (layers.length === 0) return []
  const tallies = [new RoutingTally(layers, set), ...(routingNoise ? [new RoutingTally(layers, set)] : [])]
  const turn = hostTurns()
  let index = 0
  for await (const batch of streamOf(set).batches({ batchSize })) {
    for (const [pass, tally] of tallies.entries()) {
      signal?.throwIfAborted()
      const noise = pass === 1 ? { seed, batch: index } : undefined
      const x = upload(batch.images, set.shape)
      const choices = choicesOf(model, layers, x, noise)
      x.dispose()
      tally.count(batch, await readChoices(choices))
    }
    index++
    await turn()
  }
  const [quiet, noisy] = tallies as [RoutingTally, RoutingTally?]
  return quiet.metrics(noisy)
}

/** Counts the choices of a set, batch by batch. */
export class RoutingTally {
  /** Whether the parts of the set are groups or classes. */
  private readonly parts: 'groups' | 'classes'
  private readonly partNames: readonly string[]
  private readonly ofLayers: readonly LayerTally[]
  private images = 0

  constructor(layers: readonly SampleRoutingLayer[], set: Pick<ImageStream, 'groupNames' | 'classNames'>) {
    this.parts = set.groupNames ? 'groups' : 'classes'
    const partNames = set.groupNames ?? set.classNames
    this.partNames = partNames
    this.ofLayers = layers.map(layer => ({
      layer,
      counts: partNames.map(() => new Array<number>(layer.numExperts).fill(0)),
      choices: 0,
      negative: 0,
    }))
  }

  /** @param choices one entry a layer */
  count({ labels, groups, count }: Omit<ImageBatch, 'images'>, choices: readonly ReadChoices[]): void {
    const partOf = (this.parts === 'groups' ? groups : labels) ?? labels
    this.images += count
    for (const [i, tally] of this.ofLayers.entries()) {
      const { indices, gates } = choices[i] as ReadChoices
      const perSample = indices.length / count
      tally.choices += indices.length
      for (let choice = 0; choice < indices.length; choice++) {
        const row = tally.counts[partOf[Math.floor(choice / perSample)]!]!
        row[indices[choice]!]!++
        if (gates[choice]! < 0) tally.negative++
      }
    }
  }

  /** @param noisy the counts of the same images with noise */
  metrics(noisy?: RoutingTally): readonly SampleRoutingMetrics[] {
    return this.ofLayers.map((tally, i) => {
      const withNoise = noisy?.ofLayers[i]
      return {
        layer: tally.layer.name,
        images: this.images,
        expertNames: tally.layer.expertNames,
        partNames: this.partNames,
        parts: this.parts,
        ...dispatchOf(tally),
        ...(withNoise && { noise: dispatchOf(withNoise) }),
      }
    })
  }
}

interface LayerTally {
  readonly layer: SampleRoutingLayer
  /** n_{k,m} (parts, M). */
  readonly counts: number[][]
  choices: number
  negative: number
}

function dispatchOf({ counts, choices, negative }: LayerTally): SampleDispatchMetrics {
  const dispatch = dispatchMetrics(counts)
  const experts = [...dispatch.classShares.keys()]
  return {
    dispatch,
    deadExperts: experts.filter(expert => counts.every(row => row[expert] === 0)),
    negativeGates: negative / choices,
  }
}

/** The routing of an epoch in a few numbers: means over the layers that send samples to experts. */
export interface SampleRoutingSummary {
  /** Dispatch entropy of the training set, in nats; `testEntropy` that of the set that was evaluated. */
  readonly trainEntropy: number
  readonly testEntropy: number
  /** Experts of all layers that no sample of the evaluated set chose. */
  readonly deadExperts: number
  /** Share of the choices of the evaluated set whose gate is below 0, in [0, 1]. */
  readonly negativeGates: number
}

/** The few numbers that are kept for each epoch. */
export function summarizeSampleRouting(
  train: readonly SampleRoutingMetrics[],
  test: readonly SampleRoutingMetrics[],
): SampleRoutingSummary {
  const mean = (layers: readonly SampleRoutingMetrics[], value: (layer: SampleRoutingMetrics) => number) =>
    layers.reduce((sum, layer) => sum + value(layer), 0) / layers.length
  return {
    trainEntropy: mean(train, ({ dispatch }) => dispatch.entropy),
    testEntropy: mean(test, ({ dispatch }) => dispatch.entropy),
    deadExperts: test.reduce((sum, { deadExperts }) => sum + deadExperts.length, 0),
    negativeGates: mean(test, ({ negativeGates }) => negativeGates),
  }
}

/** The stored form of a {@link SampleRoutingSummary}. */
export const sampleRoutingSummarySchema = z.strictObject({
  trainEntropy: z.number(),
  testEntropy: z.number(),
  deadExperts: z.int().nonnegative(),
  negativeGates: z.number(),
})

import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { batchShares, placesOf } from '../../data/batch-shares.js'
import type { ImageBatch, ImageSet } from '../../data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../../data/image-stream.js'
import { type AuxiliaryTerm, isAuxiliary } from '../../layers/auxiliary-terms.js'
import { fixInput } from '../../layers/fixed-inputs.js'
import { frugalForward } from '../../layers/frugal-forward.js'
import { isNestedModel } from '../../layers/layer-paths.js'
import { isSampleRouting } from '../../layers/moe/routing-layers.js'
import { shapeSize } from '../../shapes.js'
import { followsStatistics } from '../moving-statistics.js'
import { upload } from '../upload.js'
import type { FeatureStore, StoredFeatures, UnkeptFeatures } from './features.js'
import { innerLayers } from './frozen-part.js'
import { type CutPoint, cutPoints, type SplitModel, splitAt } from './split-model.js'

/** What decides whether layers that are not trained give the same in every epoch. */
export interface BodyConditions {
  /** Layers that compute in training what they compute in an evaluation. */
  readonly evaluated: ReadonlySet<tfl.layers.Layer>
  /** Auxiliary terms that are part of the loss: layers that add them must take part in training. */
  readonly terms: ReadonlySet<AuxiliaryTerm>
  /** Layers that change from epoch to epoch although nothing of them is trained. */
  readonly changing: readonly tfl.layers.Layer[]
}

/**
 * The deepest place where a network can be cut such that nothing before it is trained, and what comes before it gives the same for an
 * image in every epoch. Layers without weights that follow the frozen ones belong to the body, up to the first that draws random
 * numbers.
 *
 * @returns undefined where the first layers with weights are trained
 */
export function frozenSplit(model: tfl.LayersModel, conditions: BodyConditions): SplitModel | undefined {
  let deepest: CutPoint | undefined
  for (const cut of cutPoints(model)) {
    if (!cut.steps.every(({ layer }) => innerLayers(layer).every(each => isFixed(each, conditions)))) break
    const lastFrozen = cut.steps.findLastIndex(({ layer }) => isFrozen(layer, conditions))
    if (lastFrozen < 0) continue
    if (cut.steps.slice(lastFrozen + 1).some(({ layer }) => drawsNumbers(layer))) break
    deepest = cut
  }
  return deepest && splitAt(model, deepest.tensor)
}

function isFrozen(layer: tfl.layers.Layer, { evaluated }: BodyConditions): boolean {
  return layer.weights.length > 0 || innerLayers(layer).some(each => evaluated.has(each))
}

function isFixed(layer: tfl.layers.Layer, { terms, changing }: BodyConditions): boolean {
  if (layer.trainableWeights.length > 0 || changing.includes(layer)) return false
  // Of layers that send samples to experts, evaluations measure the choices.
  if (isSampleRouting(layer)) return false
  if (isAuxiliary(layer) && layer.auxiliaryTerms.some(term => terms.has(term))) return false
  return !followsStatistics(layer) || !layer.trainable
}

const RANDOM_LAYERS = new Set([
  'Dropout',
  'SpatialDropout1D',
  'GaussianNoise',
  'GaussianDropout',
  'AlphaDropout',
  'RandomWidth',
])

function drawsNumbers(layer: tfl.layers.Layer): boolean {
  return innerLayers(layer).some(each => RANDOM_LAYERS.has(each.getClassName()) || 'useStepSeed' in each)
}

/** Features of one set, and what else its batches have. */
interface CachedSet {
  readonly stored: StoredFeatures
  readonly stream: ImageStream
  readonly labels: Int32Array
  readonly groups: Int32Array | undefined
}

/** A batch of features. */
export interface FeatureBatch extends Omit<ImageBatch, 'images'> {
  /** (count, ...featureShape) float32, disposed by the caller. */
  features(): tf.Tensor
}

/** How the features of a set are computed and kept. */
export interface FeatureCaching {
  readonly store: FeatureStore
  /** Images computed at a time. */
  readonly batchSize: number
  /** What computes besides the backend, as its number of threads: features of others are not used. */
  readonly computedBy: string
  /** Ends the work after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal | undefined
}

/**
 * A network whose body is not trained: steps and evaluations compute its head on the body's features, which are read where they are
 * cached, and computed without a gradient otherwise.
 */
export class FrozenBody {
  readonly split: SplitModel
  /** Whether the features of all sets are kept that can be. */
  isPrepared = false
  private readonly forward: ReturnType<typeof frugalForward>
  private readonly sets = new Map<object, CachedSet>()

  constructor(split: SplitModel) {
    this.split = split
    // From its input on, so that maps inside nested models are freed early, too.
    this.forward = frugalForward(split.body, split.body.inputs[0])
  }

  /**
   * The features of images.
   *
   * @param x (B,H,W,C), which is disposed
   * @returns (B, ...featureShape) float32, disposed by the caller
   */
  features(x: tf.Tensor): tf.Tensor {
    try {
      return fixInput(tf.tidy(() => this.forward(x, false)))
    } finally {
      x.dispose()
    }
  }

  /**
   * Computes the features of a set once, or finds them where they are kept; from then on {@link batches} reads them.
   *
   * @param isShuffled whether passes of it are shuffled: a stream whose images vary from epoch to epoch has no features to keep then
   * @returns what is kept, or why nothing is
   * @throws the reason of the signal when aborted, after which nothing is kept
   */
  async cache(
    set: ImageSet | ImageStream,
    isShuffled: boolean,
    caching: FeatureCaching,
  ): Promise<StoredFeatures | UnkeptFeatures> {
    const stream = streamOf(set)
    if (isShuffled && !stream.orderOf) return { reason: 'they vary from epoch to epoch' }
    const { store, batchSize, computedBy, signal } = caching
    const labels = new Int32Array(stream.count)
    const groups = stream.groupNames && new Int32Array(stream.count)
    const network = await bodyPieces(this.split.body)
    const key = await store.key(
      (async function* () {
        yield* [tf.version_core, tf.getBackend(), computedBy]
        yield* network
        let first = 0
        for await (const batch of stream.batches({ batchSize })) {
          signal?.throwIfAborted()
          labels.set(batch.labels, first)
          if (batch.groups) groups?.set(batch.groups, first)
          first += batch.count
          yield* [batch.images.constructor.name, stream.shape.join('x'), bytesOf(batch.images)]
        }
      })(),
    )
    const size = shapeSize(this.split.featureShape)
    const stored = await store.open(key, { count: stream.count, size }, () => this.computed(stream, caching))
    if ('reason' in stored) return stored
    this.sets.set(set, { stored, stream, labels, groups })
    return stored
  }

  /** Whether the features of a set are kept. */
  isCached(set: object): boolean {
    return this.sets.has(set)
  }

  /** One pass over a set whose features are kept; the next batch is read while one is used. */
  async *batches(
    set: ImageSet | ImageStream,
    { batchSize, shuffle, start = 0, end = set.count, shard }: StreamPass,
  ): AsyncGenerator<FeatureBatch> {
    const { stored, stream, labels, groups } = this.sets.get(set) as CachedSet
    const order = (shuffle && stream.orderOf?.(shuffle)) ?? Int32Array.from({ length: end }, (_, at) => at)
    const shares = batchShares({ batchSize, start, end, shard })
    const read = () => {
      const { value: share } = shares.next()
      if (!share) return undefined
      const positions = placesOf(share).map(place => order[place] as number)
      const reading = stored.read(positions)
      // A consumer that stops early never awaits this read: without a handler its failure would end the process.
      reading.catch(() => undefined)
      return { positions, reading }
    }
    let next = read()
    while (next) {
      const { positions } = next
      const values = await next.reading
      next = read()
      yield {
        count: positions.length,
        labels: positions.map(at => labels[at] as number),
        ...(groups && { groups: positions.map(at => groups[at] as number) }),
        features: () =>
          fixInput(tf.tensor(values, [positions.length, ...this.split.featureShape], 'float32')),
      }
    }
  }

  /** Ends the use of features that are kept. */
  async close(): Promise<void> {
    await Promise.all([...this.sets.values()].map(({ stored }) => stored.close()))
    this.sets.clear()
  }

  private async *computed(
    stream: ImageStream,
    { batchSize, signal }: FeatureCaching,
  ): AsyncGenerator<Float32Array> {
    for await (const { images } of stream.batches({ batchSize })) {
      signal?.throwIfAborted()
      const features = this.features(upload(images, stream.shape))
      try {
        yield (await features.data()) as Float32Array
      } finally {
        features.dispose()
      }
    }
  }
}

/** What decides the features of a body besides its input: its layers, and its weights in order. */
async function bodyPieces(body: tfl.LayersModel): Promise<readonly (string | Uint8Array)[]> {
  const weights: Uint8Array[] = []
  for (const weight of body.weights) weights.push(bytesOf(await weight.read().data()))
  return [configurationOf(body), ...weights]
}

/** The configuration of a model with numbers in the place of the names of its layers, which tfjs counts on in each process. */
function configurationOf(model: tfl.LayersModel): string {
  const names = [model, ...model.layers.flatMap(withModels)].map(({ name }) => name)
  return JSON.stringify(model.getConfig(), (_, value: unknown) => {
    const index = typeof value === 'string' ? names.indexOf(value) : -1
    return index < 0 ? value : `layer ${index}`
  })
}

function withModels(layer: tfl.layers.Layer): readonly tfl.layers.Layer[] {
  return isNestedModel(layer) ? [layer, ...layer.layers.flatMap(withModels)] : innerLayers(layer)
}

function bytesOf({ buffer, byteOffset, byteLength }: ArrayBufferView): Uint8Array {
  return new Uint8Array(buffer, byteOffset, byteLength)
}

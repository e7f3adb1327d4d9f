import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet, MixedLabels } from '../data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../data/image-stream.js'
import type { RegionSource } from '../data/regions/region-source.js'
import type { RegionBatch, RegionStream } from '../data/regions/region-stream.js'
import { fixInput } from '../layers/fixed-inputs.js'
import { checkOneTensorFlow } from '../layers/validation.js'
import type { ImageShape } from '../shapes.js'
import { type PassedBatch, passOf, someImages, someRegions, type WorkerPart } from './cluster/batch-part.js'
import { FrozenBody } from './frozen/frozen-body.js'
import { nextTurn } from './host-turn.js'
import { type ClassifierLoss, type LossOptions, lossOf } from './loss.js'
import { countKept, type KeptCells, type KeptPatches } from './routing/kept-cells.js'
import { checkClasses, checkFits, upload } from './upload.js'

/** Labelled images that are read whole. */
export type WholeImages = ImageSet | ImageStream

/** What a model can be trained or evaluated on. */
export type TrainingData = WholeImages | RegionStream

/** A model for images that are read in parts, such as that of `routedModel`. */
export interface RegionModel {
  /** The network that is trained; its inputs are what `regionInputs` makes. */
  readonly model: tfl.LayersModel
  /** Height, width and channels of an image. */
  readonly imageShape: ImageShape
  /** Pixels of an image that one pixel of the view stands for, along each side. */
  readonly viewScale: number
  /**
   * Chooses patches of images and cuts them out.
   *
   * @param views of each image, where they were read already
   * @param use as for `FedBatch.inputs`
   * @returns the inputs of the network, disposed by the caller, and which patches they hold
   */
  regionInputs(
    sources: readonly RegionSource[],
    views?: readonly Uint8Array[],
    use?: 'step',
  ): Promise<{ readonly tensors: readonly tf.Tensor[]; readonly kept: KeptPatches }>
}

/** What `train` and `evaluate` take. */
export type FedModel = tfl.LayersModel | RegionModel

/** What is computed in a training: the model, or its head where its body is frozen. */
export type ComputedModel = FedModel | FrozenBody

/** The inputs of a network for one batch. */
export interface FedInputs {
  /** In the order of the network's inputs, or the features that its head takes; disposed by the caller. */
  readonly tensors: readonly tf.Tensor[]
  /** The patches that were kept, of images that are read in parts. */
  readonly kept?: KeptCells
}

/** One batch on its way into a network. */
export interface FedBatch {
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** (count) group numbers, where the images have groups. */
  readonly groups?: Int32Array
  /** Where images are mixed with others: whose labels they have besides their own. */
  readonly mixed?: MixedLabels
  readonly count: number
  /** Images of the whole batch, where this is a worker's part of it. */
  readonly ofImages?: number
  /**
   * Makes the inputs, with the network's weights of now.
   *
   * @param use 'step' where a step of training on these inputs comes next, so that what they have in common is computed once
   */
  inputs(use?: 'step'): FedInputs | Promise<FedInputs>
}

/** Data as a network takes them: how a batch becomes inputs is the only thing in which kinds of data differ. */
export interface Feed {
  readonly count: number
  readonly classNames: readonly string[]
  readonly groupNames?: readonly string[]
  /** One pass over the data, as of an `ImageStream`. */
  batches(pass: FeedPass): AsyncIterable<FedBatch>
}

/** A pass over data, of which several workers may have a part of every batch each. */
export interface FeedPass extends StreamPass {
  /** Which part is this worker's; all unless given. */
  readonly worker?: WorkerPart | undefined
}

/** Whether a model reads images in parts. */
export function isRegionModel<Model extends RegionModel>(
  model: tfl.LayersModel | FrozenBody | Model,
): model is Model {
  return 'regionInputs' in model
}

/** The network of a model. */
export function networkOf(model: ComputedModel): tfl.LayersModel {
  if (model instanceof FrozenBody) return model.split.model
  return isRegionModel(model) ? model.model : model
}

/** The loss of a model, computed from what its feed gives. */
export function classifierOf(model: ComputedModel, options?: LossOptions): ClassifierLoss {
  return lossOf(networkOf(model), options, model instanceof FrozenBody ? model.split.tensor : undefined)
}

/**
 * Applies a model to what its feed gives.
 *
 * @returns the output of its network; the caller disposes it
 */
export function applied(model: ComputedModel, tensors: readonly tf.Tensor[], training: boolean): tf.Tensor {
  const [first] = tensors as readonly [tf.Tensor]
  if (model instanceof FrozenBody) return model.split.head(first, training)
  return networkOf(model).apply(tensors.length === 1 ? first : [...tensors], { training }) as tf.Tensor
}

/** Data as the network of a model takes them. */
export function feedOf(model: ComputedModel, data: TrainingData): Feed {
  if (model instanceof FrozenBody) return featureFeed(model, data as WholeImages)
  return isRegionModel(model) ? regionFeed(model, data as RegionStream) : imageFeed(data as WholeImages)
}

/**
 * Checks that a model can take data, and that it tells their classes apart.
 *
 * @param numClasses how many classes the model's outputs stand for
 * @param where the caller and the name of the data, for errors: `train: test set`
 * @throws RangeError, TypeError as `checkFits`; RangeError when images that are read in parts are of another shape than the model's
 */
export function checkFed(model: ComputedModel, numClasses: number, data: TrainingData, where: string): void {
  if (!isRegionModel(model)) {
    checkFits(networkOf(model), numClasses, data as WholeImages, where)
    return
  }
  checkOneTensorFlow(model.model.outputs[0], where)
  if ('images' in data) {
    throw new TypeError(
      `${where} must be a stream of images that are read in parts, got a set of whole images`,
    )
  }
  checkClasses(numClasses, data, where)
  if (data.shape.join() === model.imageShape.join()) return
  throw new RangeError(
    `${where} must have images of the model's shape [${model.imageShape.join(', ')}], got [${data.shape.join(', ')}]`,
  )
}

function imageFeed(data: WholeImages): Feed {
  const { shape, count, classNames, groupNames } = data
  const stream = streamOf(data)
  return {
    count,
    classNames,
    ...(groupNames && { groupNames }),
    async *batches({ worker, ...pass }) {
      for await (const { batch: passed, ofImages } of passOf(stream, pass, worker, someImages)) {
        const { images, ...batch } = passed
        yield {
          ...batch,
          ...(ofImages !== undefined && { ofImages }),
          inputs: () => ({ tensors: [fixInput(upload(images, shape))] }),
        }
      }
    },
  }
}

/** Features of a frozen body: read where they are kept, else computed from the images. */
function featureFeed(body: FrozenBody, data: WholeImages): Feed {
  const { count, classNames, groupNames } = data
  const images = imageFeed(data)
  return {
    count,
    classNames,
    ...(groupNames && { groupNames }),
    async *batches({ worker, ...pass }) {
      if (body.isCached(data)) {
        const cached = { count, batches: (own: StreamPass) => body.batches(data, own) }
        for await (const { batch: passed, ofImages } of passOf(cached, pass, worker, whole => whole)) {
          const { features, ...batch } = passed
          yield {
            ...batch,
            ...(ofImages !== undefined && { ofImages }),
            inputs: () => ({ tensors: [features()] }),
          }
        }
        return
      }
      for await (const { inputs, ...batch } of images.batches({ ...pass, worker })) {
        yield {
          ...batch,
          inputs: async () => {
            const { tensors } = await inputs()
            return { tensors: tensors.map(x => body.features(x)) }
          },
        }
      }
    },
  }
}

/** Batches whose views are read while another one is computed. */
const BATCHES_AHEAD = 2

/** The views of batches are read while those before them are computed; patches cannot be, they depend on the weights. */
function regionFeed(model: RegionModel, stream: RegionStream): Feed {
  const { count, classNames, groupNames } = stream
  return {
    count,
    classNames,
    ...(groupNames && { groupNames }),
    async *batches({ worker, ...pass }) {
      const batches = passOf(stream, pass, worker, onlyRegions)
      const ahead: Promise<ViewedBatch | undefined>[] = []
      const readAhead = () => {
        const next = withViews(batches, model)
        // What fails ahead is thrown when its turn comes.
        next.catch(() => undefined)
        ahead.push(next)
      }
      try {
        readAhead()
        for (;;) {
          while (ahead.length <= BATCHES_AHEAD) readAhead()
          const current = await (ahead.shift() as Promise<ViewedBatch | undefined>)
          if (!current) return
          await startedReading(ahead)
          yield fedRegions(model, current)
        }
      } finally {
        const unused = await Promise.allSettled(ahead)
        await Promise.allSettled(
          unused.map(one => one.status === 'fulfilled' && closeAll(one.value?.batch.sources)),
        )
        await batches.return?.()
      }
    },
  }
}

/** Turns of the event loop that reading takes until threads decode: to find the file, open it, and read its header. */
const TURNS_TO_START = 4

/**
 * Gives the event loop its turns until what is to be read ahead has begun, or is there: a backend that computes in the same thread
 * would keep it from beginning until the step has ended.
 */
async function startedReading(ahead: readonly Promise<unknown>[]): Promise<void> {
  let isRead = false
  void Promise.allSettled(ahead).then(() => {
    isRead = true
  })
  await Promise.resolve()
  for (let turn = 0; turn < TURNS_TO_START && !isRead; turn++) await nextTurn()
}

interface ViewedBatch extends PassedBatch<RegionBatch> {
  readonly views: readonly Uint8Array[]
}

/** The next batch with its views; undefined at the end. */
async function withViews(
  batches: AsyncIterator<PassedBatch<RegionBatch>, void>,
  { viewScale }: RegionModel,
): Promise<ViewedBatch | undefined> {
  const { done, value: passed } = await batches.next()
  if (done) return undefined
  const { sources } = passed.batch
  if (!sources)
    throw new TypeError('train: stream must yield images that are read in parts, got whole images')
  return { ...passed, views: await Promise.all(sources.map(source => source.view(viewScale))) }
}

/** Some consecutive images of a batch; the others are closed. */
async function onlyRegions(
  batch: RegionBatch,
  part: Parameters<typeof someRegions>[1],
): Promise<RegionBatch> {
  const some = someRegions(batch, part)
  await closeAll(batch.sources.filter(source => !some.sources.includes(source)))
  return some
}

async function closeAll(sources: readonly RegionSource[] = []): Promise<void> {
  await Promise.all(sources.map(source => source.close?.()))
}

function fedRegions(model: RegionModel, { batch, ofImages, views }: ViewedBatch): FedBatch {
  const { sources, labels, groups, count, objects } = batch
  return {
    labels,
    count,
    ...(ofImages !== undefined && { ofImages }),
    ...(groups && { groups }),
    inputs: async use => {
      try {
        const { tensors, kept } = await model.regionInputs(sources, views, use)
        return { tensors, kept: countKept(kept, objects) }
      } finally {
        await closeAll(sources)
      }
    },
  }
}

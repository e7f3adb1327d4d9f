import type * as tfl from '@tensorflow/tfjs-layers'
import { sampleRoutingLayers } from '../../../src/layers/moe/routing-layers.js'
import { type ModelCost, modelCost } from '../../../src/models/cost.js'
import { openRun } from '../../../src/run/run-folder.js'
import type { ImageShape } from '../../../src/shapes.js'
import { type Evaluation, evaluate } from '../../../src/train/evaluate.js'
import { type FedModel, networkOf, type TrainingData, type WholeImages } from '../../../src/train/feed.js'
import { lossOf } from '../../../src/train/loss.js'
import {
  type MixtureMeasures,
  measureMixtures,
  type StoredRouters,
} from '../../../src/train/routing/mixture-measures.js'
import { type SignOfLife, signsOfLife } from '../../../src/train/routing/signs-of-life.js'
import { UsageError } from '../../terminal/usage-error.js'
import { frozenWhereFaster } from '../frozen-model.js'
import { keepPatches, type OpenedModel } from '../opened-model.js'
import { AnySizeModel } from '../regions/region-answers.js'
import { askedModel, type PlainModelRequest } from '../transfer/plain-model.js'

/** What a model is asked with. */
export interface ModelRequest extends PlainModelRequest {
  /** Whether each image is seen mirrored as well. */
  readonly testFlips?: boolean
  /** L, in the place of that of training. */
  readonly patchesPerExpert?: number
  /** Whether it is asked for images of its own, which a saved model has not. */
  readonly needsImages?: boolean
}

/** How a set is evaluated. */
export interface SetRequest {
  readonly predictions: boolean
  readonly routingNoise?: boolean
  readonly signal?: AbortSignal
}

/** What is measured of the mixtures of a network, layer by layer, and what is wrong with them. */
export interface MixtureLife {
  readonly mixtures: readonly MixtureMeasures[]
  readonly signs: readonly SignOfLife[]
}

/** Images computed at a time by a model that no run says it of. */
const BATCH = 32

/** A trained model of any kind, of a run or of a saved model, that is evaluated on labelled images. */
export class EvaluatedModel {
  readonly opened: OpenedModel
  /** In the order of the model's outputs. */
  readonly classNames: readonly string[]
  /** The model for images of any size, of a run whose images are read in parts. */
  private readonly anySize: AnySizeModel | undefined

  private readonly testFlips: boolean

  private constructor(
    opened: OpenedModel,
    { testFlips = false }: ModelRequest,
    classNames: readonly string[],
    anySize: AnySizeModel | undefined,
  ) {
    this.opened = opened
    this.testFlips = testFlips
    this.classNames = classNames
    this.anySize = anySize
  }

  /**
   * Opens a run or a saved model on the current backend.
   *
   * @throws UsageError when the request does not fit the model; Error when it cannot be opened
   */
  static async open(path: string, request: ModelRequest): Promise<EvaluatedModel> {
    const opened = await askedModel(path, 'evaluate', request)
    if (request.needsImages && !opened.config) {
      throw new UsageError(
        'evaluate: a folder of images, one folder a class, must be given with a saved model, got none',
      )
    }
    const options = opened.config?.model.options
    if (options?.kind !== 'routed') keepPatches(opened.model, 'evaluate', request)
    const anySize =
      options?.kind === 'routed' ? new AnySizeModel(opened, options, 'evaluate', request) : undefined
    if (request.testFlips) checkFlips(opened, anySize)
    return new EvaluatedModel(opened, request, classNamesOf(opened), anySize)
  }

  /** What people call it. */
  get name(): string {
    return this.opened.config?.model.name ?? this.opened.model.name
  }

  /** Height, width and channels of the images of a run that reads them in parts; undefined where they are read whole. */
  get canvas(): ImageShape | undefined {
    return this.anySize?.canvas
  }

  /** The least value that its loss can have, in nats. */
  get lossFloor(): number {
    return lossOf(this.opened.model, this.loss).floor
  }

  /** What it costs for images of a set. */
  cost(set: TrainingData): ModelCost {
    return modelCost(networkOf(this.fed(set)))
  }

  /** Evaluates it on a set. */
  async evaluate(set: TrainingData, { predictions, routingNoise, signal }: SetRequest): Promise<Evaluation> {
    const { model, config } = this.opened
    // What samples choose is measured in the layers.
    const isFreezable = !this.anySize && sampleRoutingLayers(model).length === 0
    const frozen = isFreezable ? await frozenWhereFaster(model, { images: set.count }) : undefined
    try {
      return await evaluate(this.fed(set), set, {
        batchSize: config?.training.batchSize ?? BATCH,
        frozen,
        ...this.loss,
        predictions,
        testFlips: this.testFlips,
        ...(routingNoise && { routingNoise: true, seed: config?.seed ?? 0 }),
        ...(signal && { signal }),
      })
    } finally {
      frozen?.dispose()
    }
  }

  /**
   * What the experts of its mixtures do with up to 128 images of a set, where experts choose patches of whole images, and what is
   * wrong with them; that of the routers against their start where the run holds it.
   */
  async lifeOn(set: TrainingData): Promise<MixtureLife> {
    const { model, config, directory } = this.opened
    if (this.anySize) return { mixtures: [], signs: [] }
    const mixtures = await measureMixtures(model, set as WholeImages, {
      seed: config?.seed ?? 0,
      ...(config && { routersAtStart: await storedStart(directory) }),
    })
    const isAnnealed = config?.training.annealPatches !== undefined
    return { mixtures, signs: mixtures.flatMap(measures => signsOfLife(measures, { isAnnealed })) }
  }

  private get loss(): { readonly lossForm: 'cross-entropy' | 'cross-entropy-of-probabilities' } {
    return { lossForm: this.opened.config?.training.lossForm ?? 'cross-entropy' }
  }

  private fed(set: TrainingData): FedModel {
    return this.anySize?.modelFor(set.shape) ?? this.opened.model
  }
}

/** The routers of a run before its first step, by the paths of their layers. */
async function storedStart(directory: string): Promise<StoredRouters> {
  const routers = await (await openRun(directory)).startingRouters()
  return [...(routers ?? [])].map(([name, router]) => [name.slice(0, name.lastIndexOf('/')), router] as const)
}

/**
 * The classes that a model tells apart.
 *
 * @throws UsageError when they are neither stored nor given, or it is no classifier
 */
function classNamesOf({ model, directory, config, classNames }: OpenedModel): readonly string[] {
  if (config) return config.dataset.classNames
  const count = numClassesOf(model, directory)
  if (classNames?.length === count) return classNames
  throw new UsageError(
    `evaluate: --class-names must name the ${count} classes of ${directory} in the order of its outputs, got none`,
  )
}

function numClassesOf(model: tfl.LayersModel, directory: string): number {
  try {
    return lossOf(model).numClasses
  } catch (error) {
    throw error instanceof RangeError
      ? new UsageError(`evaluate: ${directory} must be a classifier: ${error.message}`, { cause: error })
      : error
  }
}

/** @throws UsageError when what a model keeps or chooses is measured in its layers, once an image */
function checkFlips({ model }: OpenedModel, anySize: AnySizeModel | undefined): void {
  if (!anySize && sampleRoutingLayers(model).length === 0) return
  const kind = anySize ? 'reads images in parts' : 'sends whole samples to experts'
  throw new UsageError(
    `evaluate: --test-flips must be left out for a model that ${kind}, got it with ${model.name}`,
  )
}

import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { boxAt } from '../../data/compose/object-box.js'
import type { RegionBatch, RegionObjects, RegionStream } from '../../data/regions/region-stream.js'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { layersWithin } from '../../layers/layer-paths.js'
import { type CellGrid, patchBoxes } from '../../layers/moe/cells.js'
import { PatchExperts } from '../../layers/moe/patch-experts.js'
import { pixelTensor } from '../../layers/pixels.js'
import { deriveSeed } from '../../random.js'
import { isPositiveInteger, viewSize } from '../../shapes.js'
import { DivergenceError, type RouterEvent, type TrainEvent } from '../events.js'
import { checkFed, type RegionModel } from '../feed.js'
import { hostTurns } from '../host-turn.js'
import { train } from '../loop.js'
import { lossOf } from '../loss.js'
import { clippedByNorm, setLearningRate } from '../optimizers/learning-rate.js'
import { createOptimizer } from '../optimizers/optimizer.js'
import { scheduledRate } from '../optimizers/schedules.js'
import { checkOptions, type TrainOptions } from '../train-options.js'
import { ENOUGH, sharedWithEach } from './kept-cells.js'

/** How a router is taught where things lie, before it is trained with the experts. */
export interface RouterTeaching {
  /** Images of which it is known where the things are that decide their classes; few are enough. */
  readonly images: RegionStream
  /** Passes over these images, at least 1. */
  readonly epochs: number
  /** Images a step; 8 unless given. The last step of an epoch takes what is left. */
  readonly batchSize?: number
  /** Of Adam in the first step, above 0; it falls along a cosine, and gradients are clipped at a norm of 1. */
  readonly learningRate: number
}

/** How a router is taught, and when that ends. */
export interface TeachRouterOptions extends RouterTeaching {
  /** Decides the orders of the epochs. */
  readonly seed: number
  /** Ends the teaching after the running step. */
  readonly signal?: AbortSignal
}

const WHERE = 'teachRouter'

const optionNames = {
  images: true,
  epochs: true,
  batchSize: true,
  learningRate: true,
} as const satisfies OptionNames<RouterTeaching>

const defaultBatch = 8

/**
 * Teaches the router of a model that reads images in parts where to look: Adam minimises, over the images on which something is that
 * decides the class,
 *
 *     -sum_j t_j log softmax(g)_j,
 *
 * with g the scores of an image's cells, prior included, and t spread evenly over its things and, for each thing, over its
 * cells ({@link cellsOf}). All experts are taught the same. A click is a box of one pixel. The weights of experts stay as they are, and
 * the router is trained on with them afterwards.
 *
 * @param model with one `PatchExperts`, such as that of `routedModel`
 * @yields an event at the end of each epoch, the loss being the mean over its images; none after an abort
 * @throws RangeError when an option is out of range, the model has no such layer, the images do not fit it, or nothing on them
 *   decides a class; TypeError when it is not known what is on them; DivergenceError when the loss is no longer finite
 */
export async function* teachRouter(
  model: RegionModel,
  { seed, signal, ...teaching }: TeachRouterOptions,
): AsyncGenerator<RouterEvent, void> {
  checkTeaching(teaching)
  const { images, epochs, batchSize = defaultBatch } = teaching
  const layer = layerOf(model.model)
  checkFed(model, lossOf(model.model).numClasses, images, `${WHERE}: images`)
  const lesson = new Lesson(layer, model, teaching)
  const turn = hostTurns()
  try {
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const began = performance.now()
      const shuffle = { seed: deriveSeed(seed, 'taught router'), epoch: epoch - 1 }
      for await (const batch of images.batches({ batchSize, shuffle })) {
        await lesson.step(batch, epoch)
        if (signal?.aborted) return
        await turn()
      }
      yield {
        type: 'routers',
        epoch,
        epochs,
        loss: lesson.endEpoch(),
        seconds: (performance.now() - began) / 1000,
      }
    }
  } finally {
    lesson.dispose()
  }
}

/**
 * Checks the numbers of a teaching.
 *
 * @throws RangeError when one is out of range
 */
export function checkTeaching(teaching: RouterTeaching): void {
  checkOptionNames(WHERE, teaching, optionNames)
  const { epochs, batchSize = defaultBatch, learningRate } = teaching
  for (const [name, value] of Object.entries({ epochs, batchSize })) {
    if (isPositiveInteger(value)) continue
    throw new RangeError(`${WHERE}: ${name} must be a positive integer, got ${value}`)
  }
  if (!(learningRate > 0 && learningRate < Infinity)) {
    throw new RangeError(`${WHERE}: learningRate must be above 0, got ${learningRate}`)
  }
}

function layerOf(model: tfl.LayersModel): PatchExperts {
  const layers = layersWithin(model).filter(layer => layer instanceof PatchExperts)
  const [layer] = layers
  if (layers.length === 1 && layer) return layer
  throw new RangeError(`${WHERE}: model must have 1 layer of PatchExperts, got ${layers.length}`)
}

/** The steps of a teaching, and the loss of the running epoch. */
class Lesson {
  private readonly layer: PatchExperts
  private readonly viewScale: number
  private readonly teaching: RouterTeaching
  private readonly optimizer: tf.Optimizer
  private readonly stepsPerEpoch: number
  private done = 0
  private lossSum = 0
  private taught = 0

  constructor(layer: PatchExperts, { viewScale }: RegionModel, teaching: RouterTeaching) {
    const { images, batchSize = defaultBatch, learningRate } = teaching
    this.layer = layer
    this.viewScale = viewScale
    this.teaching = teaching
    this.optimizer = createOptimizer({ name: 'adam', learningRate })
    this.stepsPerEpoch = Math.ceil(images.count / batchSize)
  }

  async step({ sources, objects, count }: RegionBatch, epoch: number): Promise<void> {
    if (!objects) {
      throw new TypeError(`${WHERE}: images must have boxes of what is on them, got a stream without objects`)
    }
    const { layer, viewScale, teaching } = this
    const rate = { name: 'adam', learningRate: teaching.learningRate, schedule: 'cosine' } as const
    const point = {
      step: this.done++,
      stepsPerEpoch: this.stepsPerEpoch,
      epochs: teaching.epochs,
      history: [],
    }
    setLearningRate(this.optimizer, scheduledRate(rate, point))
    const shares = objects.map(things => cellShares(layer.grid, things))
    const taught = shares.flatMap((own, i) => (own ? [i] : []))
    try {
      if (taught.length === 0) return
      const views = await Promise.all(taught.map(i => sources[i]!.view(viewScale)))
      const loss = this.descend(
        views,
        taught.map(i => shares[i]!),
      )
      const [value = Number.NaN] = await loss.data()
      loss.dispose()
      if (!Number.isFinite(value)) {
        throw new DivergenceError(`loss of the taught router must be finite, got ${value}`, {
          epoch,
          step: this.done,
          loss: value,
        })
      }
      this.lossSum += value * taught.length
      this.taught += taught.length
    } finally {
      await Promise.all(sources.slice(0, count).map(source => source.close?.()))
    }
  }

  /** Takes a step; the loss is that before it. */
  private descend(views: readonly Uint8Array[], shares: readonly Float32Array[]): tf.Scalar {
    const { layer, viewScale, teaching, optimizer } = this
    const [height, width, channels] = teaching.images.shape
    const size = [...viewSize([height, width], viewScale), channels] as const
    const weights = (layer.networks.get('router') as tfl.LayersModel).trainableWeights
    if (weights.length === 0) {
      throw new RangeError(`${WHERE}: router must have trainable weights, got 0 (layer ${layer.name})`)
    }
    const variables = weights.map(weight => weight.read() as tf.Variable)
    return tf.tidy(() => {
      const view = tf.stack(views.map(bytes => pixelTensor(bytes, [...size]))) as tf.Tensor4D
      const targets = tf.expandDims(tf.stack(shares.map(own => tf.tensor1d(own))), 1)
      const { value, grads } = tf.variableGrads(() => {
        const likelihood = tf.sum(tf.mul(targets, tf.logSoftmax(layer.scores(view, true))), 2)
        return tf.neg(tf.mean(likelihood)) as tf.Scalar
      }, variables)
      const gradients = clippedByNorm(grads, 1)
      optimizer.applyGradients(variables.map(({ name }) => ({ name, tensor: gradients[name] as tf.Tensor })))
      return value
    })
  }

  /** The mean loss of the images since the last call. */
  endEpoch(): number {
    const { lossSum, taught, teaching } = this
    if (taught === 0) {
      throw new RangeError(
        `${WHERE}: images must show something that decides a class, got ${teaching.images.count} without`,
      )
    }
    this.lossSum = 0
    this.taught = 0
    return lossSum / taught
  }

  dispose(): void {
    this.optimizer.dispose()
  }
}

/** (N) the share of a look that each cell of an image is worth, 1 in all; undefined where nothing is that decides the class. */
function cellShares(grid: CellGrid, { boxes, relevant }: RegionObjects): Float32Array | undefined {
  const cells = Array.from(relevant, (decides, thing) =>
    decides ? cellsOf(grid, boxes.subarray(4 * thing, 4 * thing + 4)) : [],
  ).filter(own => own.length > 0)
  if (cells.length === 0) return undefined
  const shares = new Float32Array(grid.count)
  for (const own of cells) {
    for (const cell of own) shares[cell] = (shares[cell] as number) + 1 / (cells.length * own.length)
  }
  return shares
}

/**
 * The cells from which a thing is seen: those whose patch holds 70 % of its box, or, of a box larger than a cell, of so many pixels
 * as a cell has; where there is none, the one whose patch holds most of it.
 *
 * @param box (4) top, left, height and width in pixels
 * @returns ascending; none for a box outside of the image
 */
export function cellsOf(grid: CellGrid, box: Int32Array): readonly number[] {
  const thing = boxAt(box, 0)
  const shared = sharedWithEach(thing, patchBoxes(grid))
  const most = Math.max(...shared)
  if (most === 0) return []
  const enough = ENOUGH * Math.min(thing[2] * thing[3], grid.cell[0] * grid.cell[1])
  if (most < enough) return [shared.indexOf(most)]
  return shared.flatMap((pixels, cell) => (pixels >= enough ? [cell] : []))
}

/** What is trained after its router was taught, and how. */
export interface TaughtTrainOptions extends TrainOptions<RegionStream> {
  readonly teaching: RouterTeaching
}

/**
 * Teaches the router of a model by `teachRouter`, and trains all of the model by `train`.
 *
 * The teaching has no checkpoints of its own: a run that was stopped before its first checkpoint begins anew and gets the same
 * router; a run that resumes has it in its state.
 *
 * @yields a `routers` event for each epoch of the teaching, then the events of `train`; a run that is aborted in the teaching ends
 *   with `stop` (epoch 1, step 0) and `end`
 * @throws as `teachRouter` and `train`
 */
export async function* trainTaught(
  model: RegionModel,
  { teaching, ...options }: TaughtTrainOptions,
): AsyncGenerator<TrainEvent> {
  checkOptions(options)
  checkTeaching(teaching)
  const { seed, signal, resume } = options
  if (!resume) {
    let [seconds, epochsDone] = [0, 0]
    for await (const event of teachRouter(model, { ...teaching, seed, ...(signal && { signal }) })) {
      seconds += event.seconds
      epochsDone = event.epoch
      yield event
    }
    if (epochsDone < teaching.epochs) {
      yield { type: 'stop', reason: 'aborted', epoch: 1, step: 0 }
      yield { type: 'end', history: [], seconds }
      return
    }
  }
  yield* train(model, options)
}

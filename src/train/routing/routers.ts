import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { epochOrder } from '../../data/batches.js'
import type { ImageBatch, ImageSet } from '../../data/image-set.js'
import { type ImageStream, streamOf } from '../../data/image-stream.js'
import { valueDivisor } from '../../data/image-values.js'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { layersWithin } from '../../layers/layer-paths.js'
import { PatchMoE } from '../../layers/moe/patch-moe.js'
import { TwoLayerExperts } from '../../layers/moe/two-layer-experts.js'
import { deriveSeed } from '../../random.js'
import { type ImageShape, isPositiveInteger, type Size2D } from '../../shapes.js'
import type { RouterEvent } from '../events.js'
import { hostTurns } from '../host-turn.js'
import { lossOf } from '../loss.js'
import { checkFits, upload } from '../upload.js'

/** When routers are trained: with the experts, or before them and then frozen. */
export const ROUTER_TRAININGS = ['joint', 'separate'] as const

/** How routers are trained before the experts. */
export interface RouterTraining {
  /** Passes over the training images, at least 1. */
  readonly epochs: number
  /** B_r: images of a pair of classes that a step takes; the last step of an epoch takes what is left. */
  readonly batchSize: number
  /** eta_r, above 0. */
  readonly learningRate: number
}

/** What routers are trained on. */
export interface RouterTrainingOptions extends RouterTraining {
  readonly train: ImageSet | ImageStream
  /** Decides the orders of the epochs. */
  readonly seed: number
  /** Ends the training after the running batch, with the routers as they were. */
  readonly signal?: AbortSignal
}

const optionNames = {
  epochs: true,
  batchSize: true,
  learningRate: true,
} as const satisfies OptionNames<RouterTraining>

type ExpertsLayer = TwoLayerExperts | PatchMoE

/**
 * Trains the routers of separate training, and freezes them: step 2 of Algorithm 1 (Chowdhury et al., ICML 2023,
 * appendix B), for several classes as in appendix M.
 *
 * Classes are paired (0, 1), (2, 3), ...; on the images of a pair, its first class being y = +1 and its second -1, SGD
 * minimises eq. (6),
 *
 *     l_r(w_1, w_2) = -(1/N_r) sum_i y_i <w_1 - w_2, sum_j x_i^(j)>,
 *
 * so that router s comes to rank the patches of class s highest: there are as many experts as classes, two for a model
 * of one logit. The objective is linear: a step adds eta_r times the mean of y_i sum_j x_i^(j), whatever the routers
 * are. It is computed here in double precision, so that every backend gets the same routers.
 *
 * The patches are those of the map that enters the layer of experts. Layers below it must not be trained: the routers
 * would be frozen on maps that go on changing. A wide residual network therefore needs a trained and frozen body;
 * from scratch it is trained jointly.
 *
 * @param model with one layer of experts, `TwoLayerExperts` or `PatchMoE`
 * @yields an event at the end of each epoch; none after an abort
 * @throws RangeError when the options are out of range, the model has no such layer or another number of experts than
 *   classes, the classes are odd in number, layers below the experts are trained, or the images do not fit the model
 */
export async function* trainRouters(
  model: tfl.LayersModel,
  options: RouterTrainingOptions,
): AsyncGenerator<RouterEvent, void> {
  const { train: _, seed: __, signal: ___, ...training } = options
  checkRouterTraining(training)
  const layer = expertsLayer(model)
  const classes = lossOf(model).numClasses
  checkFits(model, classes, options.train, 'trainRouters: training set')
  checkPairs(layer, classes)
  const router = routerOf(layer)
  const vectors = new RouterVectors(await values(router), layer.numExperts, options)
  const pass = await imagePasses(patchSums(model, layer), vectors.size, options)
  for (let epoch = 1; epoch <= options.epochs; epoch++) {
    const began = performance.now()
    await pass(epoch, (label, patches) => vectors.add(label, patches))
    if (options.signal?.aborted) return
    const loss = vectors.endEpoch()
    const seconds = (performance.now() - began) / 1000
    if (epoch === options.epochs) write(router, vectors.weights)
    yield { type: 'routers', epoch, epochs: options.epochs, loss, seconds }
  }
  freezeRouters(model)
}

/**
 * Takes the routers of a model out of what is trained; their weights stay.
 *
 * @throws RangeError when the model has no layer of experts, or several
 */
export function freezeRouters(model: tfl.LayersModel): void {
  routerOf(expertsLayer(model)).trainable = false
}

/**
 * Checks the numbers of a router training.
 *
 * @throws RangeError when one is out of range
 */
export function checkRouterTraining(training: RouterTraining): void {
  checkOptionNames('trainRouters', training, optionNames)
  const { epochs, batchSize, learningRate } = training
  for (const [name, value] of Object.entries({ epochs, batchSize })) {
    if (!isPositiveInteger(value)) {
      throw new RangeError(`trainRouters: ${name} must be a positive integer, got ${value}`)
    }
  }
  if (!(learningRate > 0 && learningRate < Infinity)) {
    throw new RangeError(`trainRouters: learningRate must be above 0, got ${learningRate}`)
  }
}

/** The vectors w_s, and the batch of each pair of classes that is being gathered. */
class RouterVectors {
  /** (d,K) */
  readonly weights: Float64Array
  /** d, numbers of a patch. */
  readonly size: number
  private readonly pairs: { readonly sum: Float64Array; count: number }[]
  private readonly experts: number
  private readonly settings: RouterTraining
  private lossSum = 0
  private images = 0

  constructor(initial: ArrayLike<number>, experts: number, settings: RouterTraining) {
    this.experts = experts
    this.settings = settings
    this.weights = Float64Array.from(initial)
    this.size = this.weights.length / experts
    this.pairs = Array.from({ length: experts / 2 }, () => ({
      sum: new Float64Array(this.size),
      count: 0,
    }))
  }

  /** @param patches (d) sum_j x^(j) of one image */
  add(label: number, patches: ArrayLike<number>): void {
    const pair = this.pairs[label >> 1]!
    const y = label % 2 === 0 ? 1 : -1
    for (let i = 0; i < pair.sum.length; i++) pair.sum[i]! += y * patches[i]!
    pair.count++
    if (pair.count === this.settings.batchSize) this.step(label >> 1)
  }

  /**
   * Takes a step on the images that are left of every pair.
   *
   * @returns the mean of eq. (6) over the epoch, each batch before its step
   */
  endEpoch(): number {
    for (const [index, { count }] of this.pairs.entries()) if (count > 0) this.step(index)
    const loss = this.lossSum / this.images
    this.lossSum = 0
    this.images = 0
    return loss
  }

  private step(index: number): void {
    const pair = this.pairs[index]!
    const rate = this.settings.learningRate / pair.count
    const [first, second] = [2 * index, 2 * index + 1]
    for (let i = 0; i < pair.sum.length; i++) {
      const [row, value] = [i * this.experts, pair.sum[i]!]
      this.lossSum -= (this.weights[row + first]! - this.weights[row + second]!) * value
      this.weights[row + first]! += rate * value
      this.weights[row + second]! -= rate * value
    }
    this.images += pair.count
    pair.sum.fill(0)
    pair.count = 0
  }
}

/** Visits every image in the order of an epoch, with its label and its (d) sum_j x^(j); stops early on an abort. */
type ImagePass = (epoch: number, visit: (label: number, patches: ArrayLike<number>) => void) => Promise<void>

/** Patch sums of up to this many numbers are stored: 128 MB. */
const maxStored = 2 ** 24

/** Patch sums do not change: those of images in memory are computed once, those of a stream in every epoch. */
async function imagePasses(
  sums: PatchSums,
  size: number,
  { train, seed, batchSize, signal }: RouterTrainingOptions,
): Promise<ImagePass> {
  const shuffleSeed = deriveSeed(seed, 'routers')
  const stream = streamOf(train)
  const turn = hostTurns()
  if (!('images' in train) || train.count * size > maxStored) {
    return async (epoch, visit) => {
      const shuffle = { seed: shuffleSeed, epoch: epoch - 1 }
      for await (const batch of stream.batches({ batchSize, shuffle })) {
        if (signal?.aborted) return
        const all = await sums(batch, stream.shape)
        for (const [i, label] of batch.labels.entries()) visit(label, all.subarray(i * size, (i + 1) * size))
        await turn()
      }
    }
  }
  const stored = new Float64Array(train.count * size)
  let offset = 0
  for await (const batch of stream.batches({ batchSize })) {
    if (signal?.aborted) break
    stored.set(await sums(batch, stream.shape), offset)
    offset += batch.count * size
    await turn()
  }
  return async (epoch, visit) => {
    for (const i of epochOrder(train.count, shuffleSeed, epoch - 1)) {
      if (signal?.aborted) return
      visit(train.labels[i]!, stored.subarray(i * size, (i + 1) * size))
      await turn()
    }
  }
}

/** (count,d) sum_j x^(j) of every image of a batch. */
type PatchSums = (batch: ImageBatch, shape: ImageShape) => Promise<Float32Array> | Float64Array

function patchSums(model: tfl.LayersModel, layer: ExpertsLayer): PatchSums {
  const map = layer.input as tfl.SymbolicTensor
  if (model.inputs.includes(map)) return (batch, shape) => pixelSums(batch, shape, layer.patchSize)
  const below = tfl.model({ inputs: model.inputs, outputs: map })
  const trained = below.trainableWeights.length
  if (trained > 0) {
    throw new RangeError(
      `trainRouters: layers below ${layer.name} must not be trained, got ${trained} trainable weights ` +
        '(set trainable = false on a trained body, or train jointly)',
    )
  }
  return async (batch, shape) => {
    const sums = tf.tidy(() => {
      const x = below.apply(upload(batch.images, shape), { training: false }) as tf.Tensor4D
      const [count, height, width, channels] = x.shape
      const [h, w] = layer.patchSize
      return tf.sum(tf.reshape(x, [count, height / h, h, width / w, w * channels]), [1, 3])
    })
    try {
      return (await sums.data()) as Float32Array
    } finally {
      sums.dispose()
    }
  }
}

/** (count,h,w,C) patch sums of a layer that routes the image itself, of what networks see. */
function pixelSums(
  { images, count }: ImageBatch,
  [height, width, channels]: ImageShape,
  [h, w]: Size2D,
): Float64Array {
  const size = h * w * channels
  const sums = new Float64Array(count * size)
  const row = w * channels
  const divisor = valueDivisor(images)
  let from = 0
  for (let i = 0; i < count; i++) {
    for (let y = 0; y < height; y++) {
      const to = i * size + (y % h) * row
      for (let x = 0; x < width * channels; x++) sums[to + (x % row)]! += images[from++]! / divisor
    }
  }
  return sums
}

function expertsLayer(model: tfl.LayersModel): ExpertsLayer {
  const layers = layersWithin(model).filter(
    layer => layer instanceof TwoLayerExperts || layer instanceof PatchMoE,
  )
  const [layer] = layers
  if (layers.length === 1 && layer) return layer
  throw new RangeError(`trainRouters: model must have 1 layer of experts, got ${layers.length}`)
}

function checkPairs({ numExperts, name }: ExpertsLayer, classes: number): void {
  if (classes % 2 !== 0) {
    throw new RangeError(`trainRouters: classes must be even in number, as they are paired, got ${classes}`)
  }
  if (numExperts !== classes) {
    throw new RangeError(
      `trainRouters: numExperts must be the number of classes, ${classes}, got ${numExperts} (layer ${name})`,
    )
  }
}

function routerOf(layer: ExpertsLayer): tfl.LayerVariable {
  const router = layer.weights[0]
  if (router) return router
  throw new Error(`trainRouters: layer ${layer.name} must be built, got one without weights`)
}

async function values(router: tfl.LayerVariable): Promise<ArrayLike<number>> {
  return router.read().data()
}

function write(router: tfl.LayerVariable, weights: Float64Array): void {
  tf.tidy(() => {
    router.write(tf.tensor(Float32Array.from(weights), router.shape as number[]))
  })
}

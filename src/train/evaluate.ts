import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { checkOptionNames, type OptionNames } from '../known-options.js'
import type { SampleRoutingLayer } from '../layers/moe/routing-layers.js'
import { type ImageShape, isPositiveInteger } from '../shapes.js'
import { workerPart } from './cluster/batch-part.js'
import type { Cluster } from './cluster/cluster.js'
import { sumOverWorkers, Tally } from './cluster/tally.js'
import {
  type ComputedModel,
  checkFed,
  classifierOf,
  type FedBatch,
  feedOf,
  isRegionModel,
  networkOf,
  type TrainingData,
} from './feed.js'
import { hostTurns } from './host-turn.js'
import { type ClassifierLoss, type LossOptions, lossOf } from './loss.js'
import { addKept, type KeptCells, type KeptShares, keptByWorkers, keptShares } from './routing/kept-cells.js'
import {
  type BatchNoise,
  type Choices,
  measuredLayers,
  type ReadChoices,
  withChoices,
} from './routing/sample-choices.js'
import { RoutingTally, type SampleRoutingMetrics } from './routing/sample-routing-metrics.js'
import { withTestFlips } from './test-flips.js'
import { checkImages, type ImageValues, upload } from './upload.js'

/** How a model is evaluated. */
export interface EvaluateOptions extends LossOptions {
  /** Images computed at a time. */
  readonly batchSize: number
  /**
   * Whether to evaluate once more with the noise of training added to the scores by which samples choose experts; false
   * unless given.
   */
  readonly routingNoise?: boolean
  /** Seed of that noise; 0 unless given. */
  readonly seed?: number
  /**
   * Computes the logits in the place of the model, as `frozenClassifier` does it faster; not for a model that sends whole
   * samples to experts, whose choices `evaluate` measures in its layers.
   */
  readonly frozen?: FrozenLogits | undefined
  /**
   * Whether to compute each image mirrored left to right as well, and to take the mean of both probabilities; false unless
   * given. For images that are read whole.
   */
  readonly testFlips?: boolean
  /** Whether to keep what the model says of every image; false unless given. */
  readonly predictions?: boolean
  /** Ends the evaluation after the running batch, with the signal's reason as the error. */
  readonly signal?: AbortSignal
  /**
   * Who evaluates a part of every batch each; this process alone unless given. Models that send whole samples to experts are evaluated
   * by every worker as a whole.
   */
  readonly cluster?: Cluster | undefined
}

/** The logits of a model in inference mode, computed by something else than its layers. */
export interface FrozenLogits {
  /**
   * @param x (B,H,W,C) float32
   * @returns (B, outputs) float32, a new tensor
   */
  logits(x: tf.Tensor): tf.Tensor2D
}

const optionNames = {
  batchSize: true,
  routingNoise: true,
  seed: true,
  frozen: true,
  testFlips: true,
  predictions: true,
  signal: true,
  cluster: true,
  threshold: true,
  lossForm: true,
} as const satisfies OptionNames<EvaluateOptions>

/** Loss and accuracy over a whole set. */
export interface Scores {
  /** Mean loss in nats, in the form of the options, without penalties of regularizers. */
  readonly loss: number
  /** Share of images whose predicted class is their label, in [0, 1]. */
  readonly accuracy: number
  /** Accuracy over the images of each class; NaN for a class without images. */
  readonly perClass: readonly number[]
  /** Accuracy over the images of each group, where the set has groups; NaN for a group without images. */
  readonly perGroup?: readonly number[]
  /** The lowest accuracy of the groups that have images. */
  readonly worstGroup?: number
}

/** What a model says of the images of a set, in their order. */
export interface ImagePredictions {
  /** (count) the classes that the images have. */
  readonly labels: Int32Array
  /** (count) the classes that the model predicts. */
  readonly predicted: Int32Array
  /** (count, numClasses) natural logarithms of the probabilities, row by row; NaN where the model's outputs are. */
  readonly logProbabilities: Float32Array
  readonly numClasses: number
}

/** What was measured of a model over a whole set. */
export interface Evaluation extends Scores {
  /** Images in the set. */
  readonly count: number
  /** Which experts the samples chose, one entry for each layer that sends whole samples to one of several experts. */
  readonly routing?: readonly SampleRoutingMetrics[]
  /** Which patches were kept, where images are read in parts. */
  readonly kept?: KeptShares
  /** Loss and accuracy with the noise of training added to the scores of these layers, if requested. */
  readonly withNoise?: Scores
  /** What the model says of every image, if requested. */
  readonly predictions?: ImagePredictions
}

/**
 * Loss and accuracy of a model over a whole set, with the layers in inference mode; for a model that sends whole samples to
 * experts also which experts they choose, and for one that reads images in parts which parts.
 *
 * @param set images, or for a model that reads images in parts a stream of these
 * @throws RangeError when the set does not fit the model, the batch size is not a positive integer, or routing noise is asked
 *   of a model that does not send samples to experts, or `frozen` or `testFlips` for one that does or that reads images in parts
 */
export async function evaluate(
  fed: ComputedModel,
  set: TrainingData,
  options: EvaluateOptions,
): Promise<Evaluation> {
  const model = networkOf(fed)
  checkOptionNames('evaluate', options, optionNames)
  const { batchSize, signal, routingNoise = false, seed = 0, ...others } = options
  const { frozen, testFlips = false, predictions, cluster, ...lossOptions } = others
  if (predictions && cluster) {
    throw new RangeError(
      'evaluate: predictions must be left out with a cluster, whose workers have a part of them each',
    )
  }
  checkBatchSize('evaluate', batchSize)
  const classifier = computedBy({ frozen, testFlips }, classifierOf(fed, lossOptions))
  checkFed(fed, classifier.numClasses, set, 'evaluate: set')
  const layers = measuredLayers(model)
  if (routingNoise && layers.length === 0) {
    throw new RangeError('evaluate: routingNoise must be for a model that sends samples to experts, got none')
  }
  if (frozen) checkPlain('frozen', fed, layers)
  if (testFlips) checkPlain('testFlips', fed, layers)
  const shared = layers.length === 0 ? cluster : undefined
  const pass = { fed, classifier, layers, batchSize, ...(signal && { signal }), cluster: shared }
  const record = predictions ? new PredictionRecord(set.count, classifier.numClasses) : undefined
  const { scores, routing, kept } = await evaluated(set, { ...pass, ...(record && { record }) })
  const noisy = routingNoise ? await evaluated(set, { ...pass, seed }) : undefined
  return {
    ...scores,
    count: set.count,
    ...(layers.length > 0 && { routing: routing.metrics(noisy?.routing) }),
    ...(kept && { kept: keptShares(kept) }),
    ...(noisy && { withNoise: noisy.scores }),
    ...(record && { predictions: record.predictions }),
  }
}

/** @throws RangeError when an option is not for the model: what it keeps or chooses is measured in its layers, once an image */
function checkPlain(option: string, fed: ComputedModel, layers: readonly SampleRoutingLayer[]): void {
  const where = `evaluate: ${option} must be left out for a model`
  const { name } = networkOf(fed)
  if (isRegionModel(fed)) throw new RangeError(`${where} that reads images in parts, got one for ${name}`)
  if (layers.length === 0) return
  const names = layers.map(layer => layer.name).join(', ')
  throw new RangeError(`${where} whose samples choose experts, got one for ${name} (${names})`)
}

/** A classifier whose logits something else computes in inference mode, or that sees images mirrored as well. */
function computedBy(
  { frozen, testFlips }: Pick<EvaluateOptions, 'frozen' | 'testFlips'>,
  classifier: ClassifierLoss,
): ClassifierLoss {
  const computed: ClassifierLoss = frozen
    ? { ...classifier, logits: x => frozen.logits(Array.isArray(x) ? (x[0] as tf.Tensor) : x) }
    : classifier
  return testFlips ? withTestFlips(computed) : computed
}

/** One pass over a set. */
interface EvaluationPass {
  readonly fed: ComputedModel
  readonly classifier: ClassifierLoss
  readonly layers: readonly SampleRoutingLayer[]
  readonly batchSize: number
  /** Of the noise that is added to the scores of `layers`; none unless given. */
  readonly seed?: number
  /** Gets what the model says of every image. */
  readonly record?: PredictionRecord
  readonly signal?: AbortSignal
  readonly cluster?: Cluster | undefined
}

/** What a model says of the images of a set, batch by batch. */
class PredictionRecord {
  readonly predictions: ImagePredictions
  private recorded = 0

  constructor(count: number, numClasses: number) {
    const [labels, predicted] = [new Int32Array(count), new Int32Array(count)]
    this.predictions = {
      labels,
      predicted,
      logProbabilities: new Float32Array(count * numClasses),
      numClasses,
    }
  }

  add(labels: Int32Array, predicted: Float32Array, logProbabilities: Float32Array): void {
    const { predictions, recorded } = this
    predictions.labels.set(labels, recorded)
    predictions.predicted.set(predicted, recorded)
    predictions.logProbabilities.set(logProbabilities, recorded * predictions.numClasses)
    this.recorded += labels.length
  }
}

async function evaluated(
  set: TrainingData,
  { fed, classifier, layers, batchSize, seed, record, signal, cluster }: EvaluationPass,
): Promise<{ readonly scores: Scores; readonly routing: RoutingTally; readonly kept?: KeptCells }> {
  const classes = new Tally(classifier.numClasses)
  const groups = set.groupNames && new Tally(set.groupNames.length)
  const routing = new RoutingTally(layers, set)
  let lossSum = 0
  let index = 0
  let kept: KeptCells | undefined
  const turn = hostTurns()
  const worker = cluster && workerPart(cluster, 'skip')
  for await (const batch of feedOf(fed, set).batches({ batchSize, worker })) {
    signal?.throwIfAborted()
    const noise = seed === undefined ? undefined : { seed, batch: index++ }
    const result = await evaluateBatch({ classifier, layers, noise, isRecorded: record !== undefined }, batch)
    const { loss, predictions, choices } = result
    record?.add(batch.labels, predictions, result.logProbabilities)
    kept = addKept(kept, result.kept)
    lossSum += loss * batch.count
    for (const [i, label] of batch.labels.entries()) {
      const isRight = predictions[i] === label
      classes.count(label, isRight)
      groups?.count(batch.groups?.[i] ?? 0, isRight)
    }
    routing.count(batch, choices)
    await turn()
  }
  if (cluster) {
    lossSum = await sumOverWorkers(cluster, lossSum, [classes, ...(groups ? [groups] : [])])
    if (isRegionModel(fed)) kept = await keptByWorkers(cluster, kept)
  }
  const scores = {
    loss: lossSum / set.count,
    accuracy: classes.right / set.count,
    perClass: classes.shares(),
    ...(groups && { perGroup: groups.shares(), worstGroup: groups.worst() }),
  }
  return { scores, routing, ...(kept && { kept }) }
}

/** How a model predicts. */
export interface PredictionOptions extends Pick<EvaluateOptions, 'frozen' | 'testFlips'> {
  /** Images computed at a time; 32 unless given. */
  readonly batchSize?: number
}

/**
 * Probability of every class for each image.
 *
 * @param images pixels 0..255, or values as they are in a Float32Array; (count, height, width, channels), row-major
 * @param shape height, width and channels of every image
 * @returns one array of numClasses probabilities for each image; for a model of one logit [1 - p, p]
 * @throws RangeError when the pixels are not whole images of this shape or not finite, or do not fit the model
 */
export async function predictProbabilities(
  model: tfl.LayersModel,
  images: ImageValues,
  shape: ImageShape,
  { batchSize = 32, frozen, testFlips = false }: PredictionOptions = {},
): Promise<Float32Array[]> {
  const where = 'predictProbabilities'
  checkBatchSize(where, batchSize)
  checkImages(model, images, shape, `${where}: images`)
  const pixels = shape[0] * shape[1] * shape[2]
  const classifier = computedBy({ frozen, testFlips }, lossOf(model))
  const turn = hostTurns()
  const rows: Float32Array[] = []
  for (let first = 0; first < images.length; first += batchSize * pixels) {
    const batch = images.subarray(first, first + batchSize * pixels)
    const values = await read(() => classifier.probabilities(classifier.logits(upload(batch, shape), false)))
    for (let row = 0; row < values.length; row += classifier.numClasses) {
      rows.push(values.slice(row, row + classifier.numClasses))
    }
    await turn()
  }
  return rows
}

async function evaluateBatch(
  {
    classifier,
    layers,
    noise,
    isRecorded,
  }: Pick<EvaluationPass, 'classifier' | 'layers'> & { noise: BatchNoise | undefined; isRecorded: boolean },
  batch: FedBatch,
): Promise<{
  loss: number
  predictions: Float32Array
  /** Empty unless recorded. */
  logProbabilities: Float32Array
  choices: readonly ReadChoices[]
  kept: KeptCells | undefined
}> {
  const { labels } = batch
  const { tensors, kept } = await batch.inputs()
  const sizes: number[] = []
  const compute = () => {
    const x = tensors.length === 1 ? (tensors[0] as tf.Tensor) : [...tensors]
    const { result: logits, choices } = withChoices(layers, noise, () => classifier.logits(x, false))
    const loss = classifier.loss(logits, tf.tensor1d(labels, 'int32'))
    const predictions = tf.cast(classifier.predictions(logits), 'float32')
    sizes.push(...choices.map(({ indices }) => indices.size))
    const logs = isRecorded ? [tf.reshape(classifier.logProbabilities(logits), [-1])] : []
    return tf.concat([tf.reshape(loss, [1]), predictions, ...choices.flatMap(inOneRow), ...logs])
  }
  const values = await read(compute).finally(() => tf.dispose([...tensors]))
  let offset = 1 + labels.length
  const next = (size: number) => {
    offset += size
    return values.subarray(offset - size, offset)
  }
  const choices = sizes.map(size => ({ indices: next(size), gates: next(size) }))
  return {
    loss: values[0] ?? Number.NaN,
    predictions: values.subarray(1, 1 + labels.length),
    logProbabilities: values.subarray(offset),
    choices,
    kept,
  }
}

/** Indices and gates as rows of floats. */
function inOneRow({ indices, gates }: Choices): tf.Tensor1D[] {
  const rows = [tf.cast(tf.reshape(indices, [-1]), 'float32'), tf.reshape(gates, [-1])] as tf.Tensor1D[]
  tf.dispose([indices, gates])
  return rows
}

/** Everything that a batch yields is read at once, because each read waits for the backend. */
async function read(compute: () => tf.Tensor): Promise<Float32Array> {
  const tensor = tf.tidy(compute)
  try {
    return (await tensor.data<'float32'>()).slice()
  } finally {
    tensor.dispose()
  }
}

function checkBatchSize(where: string, batchSize: number): void {
  if (!isPositiveInteger(batchSize)) {
    throw new RangeError(`${where}: batchSize must be a positive integer, got ${batchSize}`)
  }
}

import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import type { RegionBatch, RegionStream } from '../../data/regions/region-stream.js'
import { checkOptionNames, type OptionNames } from '../../known-options.js'
import { layersWithin } from '../../layers/layer-paths.js'
import { PatchExperts } from '../../layers/moe/patch-experts.js'
import { deriveSeed } from '../../random.js'
import { isPositiveInteger } from '../../shapes.js'
import { DivergenceError, type RouterEvent, type TrainEvent } from '../events.js'
import { checkFed, type RegionModel } from '../feed.js'
import { hostTurns } from '../host-turn.js'
import { train } from '../loop.js'
import { lossOf } from '../loss.js'
import { clippedByNorm, setLearningRate } from '../optimizers/learning-rate.js'
import { createOptimizer, disposeOptimizer } from '../optimizers/optimizer.js'
import { scheduledRate } from '../optimizers/schedules.js'
import { checkOptions, type TrainOptions } from '../train-options.js'
import { boxLesson } from './box-lesson.js'
import { labelLesson } from './label-lesson.js'
import { type Lesson, type Task, TEACHERS, type Teacher } from './lesson.js'

/** How a router is taught where to look, before it is trained with the experts. */
export interface RouterTeaching {
  /**
   * `boxes`: images of which it is known where the things are that decide their classes; few are enough. `labels`: the training
   * images, by their classes alone; the experts learn as well. `boxes` unless given.
   */
  readonly by?: Teacher
  readonly images: RegionStream
  /** Passes over these images, at least 1. */
  readonly epochs: number
  /** Images a step; 8 unless given. The last step of an epoch takes what is left. */
  readonly batchSize?: number
  /** Of Adam in the first step, above 0; it falls along a cosine, and gradients are clipped at a norm of 1. */
  readonly learningRate: number
  /** For `labels`: cells of an image that each expert looks at in a step, at most N; 16 unless given. */
  readonly cells?: number
}

/** How a router is taught, and when that ends. */
export interface TeachRouterOptions extends RouterTeaching {
  /** Decides the orders of the epochs, and what is drawn. */
  readonly seed: number
  /** Ends the teaching after the running step. */
  readonly signal?: AbortSignal
}

const WHERE = 'teachRouter'

const optionNames = {
  by: true,
  images: true,
  epochs: true,
  batchSize: true,
  learningRate: true,
  cells: true,
} as const satisfies OptionNames<RouterTeaching>

const lessons = { boxes: boxLesson, labels: labelLesson } as const satisfies Record<Teacher, unknown>

const defaultBatch = 8

/**
 * Teaches the router of a model that reads images in parts where to look, by `boxLesson` or `labelLesson`, with Adam. All experts are
 * taught the same; a click is a box of one pixel. The router is trained on with the experts afterwards, by `train`.
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
  const { by = 'boxes', images, epochs, batchSize = defaultBatch, cells } = teaching
  const layer = layerOf(model.model)
  const { numClasses } = lossOf(model.model)
  checkFed(model, numClasses, images, `${WHERE}: images`)
  const ownSeed = deriveSeed(seed, 'taught router')
  const course = new Course(lessons[by]({ layer, numClasses, seed: ownSeed, cells }), teaching)
  const turn = hostTurns()
  try {
    for (let epoch = 1; epoch <= epochs; epoch++) {
      const began = performance.now()
      for await (const batch of images.batches({ batchSize, shuffle: { seed: ownSeed, epoch: epoch - 1 } })) {
        await course.step(batch, epoch)
        if (signal?.aborted) return
        await turn()
      }
      const loss = course.endEpoch()
      yield { type: 'routers', epoch, epochs, loss, seconds: (performance.now() - began) / 1000 }
    }
  } finally {
    course.dispose()
  }
}

/**
 * Checks the numbers of a teaching.
 *
 * @throws RangeError when one is out of range
 */
export function checkTeaching(teaching: RouterTeaching): void {
  checkOptionNames(WHERE, teaching, optionNames)
  const { by = 'boxes', epochs, batchSize = defaultBatch, learningRate, cells = 1 } = teaching
  if (!TEACHERS.includes(by)) {
    throw new RangeError(`${WHERE}: by must be ${TEACHERS.join(' or ')}, got ${by as string}`)
  }
  for (const [name, value] of Object.entries({ epochs, batchSize, cells })) {
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
  if (layers.length !== 1 || !layer) {
    throw new RangeError(`${WHERE}: model must have 1 layer of PatchExperts, got ${layers.length}`)
  }
  if (layer.networks.get('router')?.trainableWeights.length) return layer
  throw new RangeError(`${WHERE}: router must have trainable weights, got 0 (layer ${layer.name})`)
}

/** The steps of a teaching, and the loss of the running epoch. */
class Course {
  private readonly lesson: Lesson
  private readonly teaching: RouterTeaching
  private readonly optimizer: tf.Optimizer
  private done = 0
  private lossSum = 0
  private taught = 0

  constructor(lesson: Lesson, teaching: RouterTeaching) {
    this.lesson = lesson
    this.teaching = teaching
    this.optimizer = createOptimizer({ name: 'adam', learningRate: teaching.learningRate })
  }

  async step(batch: RegionBatch, epoch: number): Promise<void> {
    try {
      this.setRate()
      const task = await this.lesson.task(batch)
      if (!task) return
      const loss = this.descend(task)
      const [value = Number.NaN] = await loss.data()
      loss.dispose()
      if (!Number.isFinite(value)) {
        const at = { epoch, step: this.done, loss: value }
        throw new DivergenceError(`loss of the taught router must be finite, got ${value}`, at)
      }
      this.lossSum += value * task.count
      this.taught += task.count
    } finally {
      await Promise.all(batch.sources.map(source => source.close?.()))
    }
  }

  private setRate(): void {
    const { images, epochs, batchSize = defaultBatch, learningRate } = this.teaching
    const point = {
      step: this.done++,
      stepsPerEpoch: Math.ceil(images.count / batchSize),
      epochs,
      history: [],
    }
    setLearningRate(this.optimizer, scheduledRate({ learningRate, schedule: 'cosine' }, point))
  }

  /** Takes a step; the loss is that before it. */
  private descend(task: Task): tf.Scalar {
    const { weights } = this.lesson
    try {
      return tf.tidy(() => {
        const { value, grads } = tf.variableGrads(() => task.loss(), [...weights])
        const gradients = clippedByNorm(grads, 1)
        this.optimizer.applyGradients(
          weights.map(({ name }) => ({ name, tensor: gradients[name] as tf.Tensor })),
        )
        return value
      })
    } finally {
      task.dispose()
    }
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
    this.lesson.dispose()
    disposeOptimizer(this.optimizer)
  }
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

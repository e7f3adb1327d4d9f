import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../../src/data/image-stream.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { withFasterLayers } from '../../../src/models/faster-layers.js'
import { withImageSize } from '../../../src/models/image-size.js'
import { withInputScaling } from '../../../src/models/input-scaling.js'
import { type InsertedPatchMoE, insertPatchMoE } from '../../../src/models/insert-patch-moe.js'
import { withNewHead } from '../../../src/models/new-head.js'
import { savedShare } from '../../../src/models/plan-patch-moe.js'
import { deriveSeed } from '../../../src/random.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import type { Size2D } from '../../../src/shapes.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { percent } from '../../terminal/training-log.js'
import { asUsage, asUsageLater, UsageError } from '../../terminal/usage-error.js'
import type { OpenedModel } from '../opened-model.js'
import { namingFlags } from '../train-settings.js'
import { chosenScaling } from './input-scaling.js'

/** The options of a run for a network that was trained before. */
export type InitialOptions = Extract<RunConfig['model']['options'], { kind: 'init' }>

/** A network to be trained further. */
export interface InitialNetwork {
  readonly model: tfl.LayersModel
  /** What was kept and what is new, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Height and width of the images that a network takes; undefined where it takes any.
 *
 * @throws Error when it does not take images
 */
export function imageSizeOf({ model, directory }: OpenedModel): Size2D | undefined {
  const shape = model.inputs[0]?.shape ?? []
  const [, height, width, channels] = shape
  if (model.inputs.length !== 1 || shape.length !== 4 || !channels) {
    const shapes = model.inputs.map(input => `[${input.shape.map(side => side ?? 'null').join(', ')}]`)
    throw new Error(`${directory}: model must take images of one size, got inputs ${shapes.join(' and ')}`)
  }
  return height && width ? [height, width] : undefined
}

/**
 * Makes the network that a run begins with, out of one that was trained before: for images of another size, with the
 * scaling of pixels that it was trained on in front, a new head unless its classes are those of the images, and a mixture in
 * the place of a convolution where one is asked for.
 *
 * @param opened its model is disposed
 * @throws UsageError when the images do not fit, or no mixture or head can be made or kept as asked for
 */
export async function initialNetwork(
  opened: OpenedModel,
  options: InitialOptions,
  images: ImageSet | ImageStream,
  seed: number,
): Promise<InitialNetwork> {
  const network = new ChangingNetwork(opened.model)
  network.become(forImages(opened, images.shape))
  network.become(forPixels(network.model, opened, options))
  network.become(await withHead(network.model, opened, options, images, seed))
  network.become(await withMixture(network.model, options, seed))
  network.become({ model: withFasterLayers(network.model) })
  return network
}

/** What one step makes of a network, where it changes it, and what there is to say of it. */
interface Step {
  readonly model?: tfl.LayersModel | undefined
  readonly note?: string | undefined
}

/** A network between the steps that it goes through; those that it was are disposed. */
class ChangingNetwork implements InitialNetwork {
  model: tfl.LayersModel
  readonly notes: string[] = []

  constructor(model: tfl.LayersModel) {
    this.model = model
  }

  become({ model, note }: Step): void {
    if (note !== undefined) this.notes.push(note)
    if (!model) return
    disposeModel(this.model)
    this.model = model
  }
}

/** For the size of the images, where the network was for another one or any. */
function forImages({ model, directory }: OpenedModel, shape: readonly number[]): Step {
  const [height = 0, width = 0, channels] = shape
  const expected = (model.inputs[0]?.shape ?? []).slice(1)
  const [was = null, , other] = expected
  if (expected.join() === shape.join()) return {}
  const text = expected.map(side => side ?? 'any').join('x')
  const requirement = `train: images must be ${text} for the model of ${directory}, got ${shape.join('x')}`
  if (other !== channels) throw new UsageError(requirement)
  try {
    const note = was === null ? undefined : `Takes images of ${height}x${width} instead of ${text}.`
    return { model: withImageSize(model, [height, width]), note }
  } catch (error) {
    if (!(error instanceof Error)) throw error
    throw new UsageError(`${requirement}: ${error.message}`, { cause: error })
  }
}

/** With the scaling of pixels in front that it was trained on. */
function forPixels(model: tfl.LayersModel, opened: OpenedModel, { inputScaling }: InitialOptions): Step {
  const { scaling, isMissing, note } = chosenScaling({ ...opened, model }, 'train', inputScaling)
  return { note, ...(isMissing && { model: asUsage(() => withInputScaling(model, scaling)) }) }
}

async function withHead(
  model: tfl.LayersModel,
  opened: OpenedModel,
  options: InitialOptions,
  images: ImageSet | ImageStream,
  seed: number,
): Promise<Step> {
  const { isNew, reason } = await headChoice({ ...opened, model }, options, images, seed)
  if (!isNew) return { note: `Kept the head of ${opened.directory}${reason && `: ${reason}`}.` }
  const head = asUsage(() => withNewHead(model, images.classNames.length, deriveSeed(seed, 'head')))
  return {
    model: head.model,
    note: `New head ${head.path} with ${images.classNames.length} outputs: ${reason}.`,
  }
}

async function withMixture(model: tfl.LayersModel, { insert }: InitialOptions, seed: number): Promise<Step> {
  if (!insert) return {}
  const inserted = await asUsageLater(
    () => insertPatchMoE(model, { patchSize: 1, seed, ...insert }),
    namingFlags('init'),
  )
  const saved = savedShare(inserted.replaced, modelCost(model).multiplyAdds.forward)
  return { model: inserted.model, note: insertionNote(inserted, saved) }
}

/** The network that a run began with, from the folder of the run. */
export async function storedInitial(run: RunFolder): Promise<tfl.LayersModel> {
  return fasterInPlace(await run.loadInitial())
}

function fasterInPlace(model: tfl.LayersModel): tfl.LayersModel {
  const faster = withFasterLayers(model)
  disposeModel(model)
  return faster
}

function insertionNote({ replaced, difference, change, magnitude }: InsertedPatchMoE, saved: number): string {
  const { path, mixture } = replaced
  const { numExperts, patches, patchesPerExpert } = mixture
  return (
    `${numExperts} experts in the place of ${path}: with all ${patches} patches outputs differ by ` +
    `${short(difference)} at most, with ${patchesPerExpert} by ${short(change)} before training ` +
    `(outputs up to ${short(magnitude)}). ${savingText(saved)}`
  )
}

/** What the mixture in this place saves; it may save more in another. */
function savingText(saved: number): string {
  if (saved <= 0) return `They take ${percent(-saved)} more multiply-adds than the model did.`
  return `They save ${percent(saved)} of the model's multiply-adds.`
}

function short(value: number): string {
  return String(Number(value.toPrecision(2)))
}

/** Whether a network gets a new head, and why; no reason where there is nothing to say. */
interface HeadChoice {
  readonly isNew: boolean
  readonly reason: string
}

async function headChoice(
  opened: OpenedModel,
  { head }: InitialOptions,
  images: ImageSet | ImageStream,
  seed: number,
): Promise<HeadChoice> {
  const { model, classNames: modelClasses } = opened
  const { classNames } = images
  const outputs = model.outputs[0]?.shape.at(-1) ?? 0
  const classes = outputs === 1 ? 2 : outputs
  if (head === 'new') return { isNew: true, reason: 'as asked for by --new-head' }
  if (classes !== classNames.length) {
    const reason = `the model tells ${classes} classes apart, the images have ${classNames.length}`
    if (head === 'keep') throw new UsageError(`train: --keep-head must be left out where ${reason}`)
    return { isNew: true, reason }
  }
  if (head === 'keep') return { isNew: false, reason: 'as asked for by --keep-head' }
  if (!modelClasses) return { isNew: true, reason: await unknownClasses(opened, images, seed) }
  if (modelClasses.join('\n') === classNames.join('\n')) return { isNew: false, reason: '' }
  return {
    isNew: true,
    reason: `the model knows ${modelClasses.join(', ')}, the images are ${classNames.join(', ')}`,
  }
}

const headCheckImages = 64

/**
 * Says that a model does not say its classes, and how to keep its head. As many classes need not be the same, nor in this
 * order; how well it answers is a hint, no more.
 */
async function unknownClasses(
  { model }: OpenedModel,
  images: ImageSet | ImageStream,
  seed: number,
): Promise<string> {
  const stream = streamOf(images)
  const count = Math.min(headCheckImages, stream.count)
  const shuffle = { seed: deriveSeed(seed, 'head'), epoch: 0 }
  const firstOfStream: ImageStream = {
    ...stream,
    count,
    batches: ({ batchSize }) => stream.batches({ batchSize, shuffle, end: count }),
  }
  const { accuracy } = await evaluate(model, firstOfStream, { batchSize: 16 })
  return (
    'the model does not say which classes it knows (--keep-head keeps the old one, ' +
    `which is right on ${percent(accuracy)} of ${count} images)`
  )
}

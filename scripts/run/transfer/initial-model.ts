import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageSet } from '../../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../../src/data/image-stream.js'
import { modelCost } from '../../../src/models/cost.js'
import { disposeModel } from '../../../src/models/dispose-model.js'
import { withFasterLayers } from '../../../src/models/faster-layers.js'
import {
  type InsertedPatchMoE,
  type InsertPatchMoEOptions,
  insertPatchMoE,
} from '../../../src/models/insert-patch-moe.js'
import { withNewHead } from '../../../src/models/new-head.js'
import { savedShare } from '../../../src/models/plan-patch-moe.js'
import { deriveSeed } from '../../../src/random.js'
import type { RunConfig } from '../../../src/run/run-config.js'
import type { RunFolder } from '../../../src/run/run-folder.js'
import type { Size2D } from '../../../src/shapes.js'
import { evaluate } from '../../../src/train/evaluate.js'
import { percent } from '../../terminal/training-log.js'
import { asUsage, UsageError } from '../../terminal/usage-error.js'
import type { OpenedModel } from '../opened-model.js'

/** The options of a run for a network that was trained before. */
export type InitialOptions = Extract<RunConfig['model']['options'], { kind: 'init' }>

/** A network to be trained further. */
export interface InitialNetwork {
  readonly model: tfl.LayersModel
  /** What was kept and what is new, a sentence each. */
  readonly notes: readonly string[]
}

/**
 * Height and width of the images that a network takes.
 *
 * @throws Error when it does not take images of one size
 */
export function imageSizeOf({ model, directory }: OpenedModel): Size2D {
  const [, height, width, channels] = model.inputs[0]?.shape ?? []
  if (model.inputs.length !== 1 || !height || !width || !channels) {
    const shapes = model.inputs.map(({ shape }) => `[${shape.map(side => side ?? 'null').join(', ')}]`)
    throw new Error(`${directory}: model must take images of one size, got inputs ${shapes.join(' and ')}`)
  }
  return [height, width]
}

/**
 * Makes the network that a run begins with, out of one that was trained before: a new head where the classes are
 * others, a mixture in the place of a convolution where one is asked for.
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
  checkImages(opened, images.shape)
  const notes: string[] = []
  let { model } = opened
  const { isNew, reason } = await headChoice(opened, options, images, seed)
  if (isNew) {
    const head = asUsage(() => withNewHead(model, images.classNames.length, deriveSeed(seed, 'head')))
    notes.push(`New head ${head.path} with ${images.classNames.length} outputs: ${reason}.`)
    disposeModel(model)
    model = head.model
  } else notes.push(`Kept the head of ${opened.directory}${reason && `: ${reason}`}.`)
  if (options.insert) {
    const inserted = await inserting(model, { patchSize: 1, seed, ...options.insert })
    const saved = savedShare(inserted.replaced, modelCost(model).multiplyAdds.forward)
    notes.push(insertionNote(inserted, saved))
    disposeModel(model)
    model = inserted.model
  }
  return { model: fasterInPlace(model), notes }
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

async function inserting(model: tfl.LayersModel, options: InsertPatchMoEOptions): Promise<InsertedPatchMoE> {
  try {
    return await insertPatchMoE(model, options)
  } catch (error) {
    throw error instanceof RangeError ? new UsageError(error.message, { cause: error }) : error
  }
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

function checkImages({ model, directory }: OpenedModel, shape: readonly number[]): void {
  const expected = model.inputs[0]?.shape.slice(1) ?? []
  if (expected.join() === shape.join()) return
  throw new UsageError(
    `train: images must be ${expected.join('x')} for the model of ${directory}, got ${shape.join('x')}`,
  )
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
  if (!modelClasses) return headByAnswers(opened, images, seed)
  if (modelClasses.join('\n') === classNames.join('\n')) return { isNew: false, reason: '' }
  return {
    isNew: true,
    reason: `the model knows ${modelClasses.join(', ')}, the images are ${classNames.join(', ')}`,
  }
}

const headCheckImages = 64

/** Decides by the answers of a model whose classes are unknown: it keeps its head unless they are worse than guesses. */
async function headByAnswers(
  { model }: OpenedModel,
  images: ImageSet | ImageStream,
  seed: number,
): Promise<HeadChoice> {
  const stream = streamOf(images)
  const count = Math.min(headCheckImages, stream.count)
  const shuffle = { seed: deriveSeed(seed, 'head'), epoch: 0 }
  const firstOfStream: ImageStream = {
    ...stream,
    count,
    batches: ({ batchSize }) => stream.batches({ batchSize, shuffle, end: count }),
  }
  const { loss, accuracy } = await evaluate(model, firstOfStream, { batchSize: 16 })
  const classes = images.classNames.length
  // A high loss is not enough: a network that is mostly right but overconfident has one too.
  const isNew = loss > 1.25 * Math.log(classes) && accuracy < (1 + 1 / classes) / 2
  const answers = `on ${count} of the images its loss is ${short(loss)}, that of guessing ${short(Math.log(classes))}`
  const other = isNew ? '--keep-head keeps the old one' : '--new-head starts it anew'
  return { isNew, reason: `the model does not say which classes it knows; ${answers} (${other})` }
}

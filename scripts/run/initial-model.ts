import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageStream } from '../../src/data/image-stream.js'
import type { RunConfig } from '../../src/files/run-config.js'
import type { RunFolder } from '../../src/files/run-folder.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { withFasterLayers } from '../../src/models/faster-layers.js'
import {
  type InsertedPatchMoE,
  type InsertPatchMoEOptions,
  insertPatchMoE,
} from '../../src/models/insert-patch-moe.js'
import { withNewHead } from '../../src/models/new-head.js'
import { deriveSeed } from '../../src/random.js'
import type { Size2D } from '../../src/shapes.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import type { OpenedModel } from './opened-model.js'

/** What a run says of a network that was trained before. */
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
 * @throws UsageError when the images do not fit, or no mixture or head can be made as asked for
 */
export async function initialNetwork(
  opened: OpenedModel,
  options: InitialOptions,
  images: Pick<ImageStream, 'shape' | 'classNames'>,
  seed: number,
): Promise<InitialNetwork> {
  checkImages(opened, images.shape)
  const notes: string[] = []
  let { model } = opened
  const reason = reasonForNewHead(opened, images.classNames)
  if (reason !== undefined) {
    const head = asUsage(() => withNewHead(model, images.classNames.length, deriveSeed(seed, 'head')))
    notes.push(`New head ${head.path} with ${images.classNames.length} outputs: ${reason}.`)
    disposeModel(model)
    model = head.model
  } else notes.push(`Kept the head of ${opened.directory}.`)
  if (options.insert) {
    const inserted = await inserting(model, { patchSize: 1, seed, ...options.insert })
    notes.push(insertionNote(inserted))
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

function insertionNote({ replaced, difference, change, magnitude }: InsertedPatchMoE): string {
  const { path, mixture } = replaced
  const { numExperts, patches, patchesPerExpert } = mixture
  return (
    `${numExperts} experts in the place of ${path}: with all ${patches} patches outputs differ by ` +
    `${short(difference)} at most, with ${patchesPerExpert} by ${short(change)} before training ` +
    `(outputs up to ${short(magnitude)}).`
  )
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

/** Undefined where the model's outputs stand for these classes, as far as anybody knows. */
function reasonForNewHead({ model, config }: OpenedModel, classNames: readonly string[]): string | undefined {
  const outputs = model.outputs[0]?.shape.at(-1) ?? 0
  const classes = outputs === 1 ? 2 : outputs
  if (classes !== classNames.length) {
    return `the model tells ${classes} classes apart, the images have ${classNames.length}`
  }
  const known = config?.dataset.classNames
  if (!known || known.join('\n') === classNames.join('\n')) return undefined
  return `the model knows ${known.join(', ')}, the images are ${classNames.join(', ')}`
}

import * as tf from '@tensorflow/tfjs-core'
import { placedSource } from '../../../src/data/regions/placed-source.js'
import type { RegionSource } from '../../../src/data/regions/region-source.js'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import type { UnreadableImage } from '../../../src/data/unreadable-images.js'
import { openRegions } from '../../../src/files/regions/open-regions.js'
import type { RoutedModel } from '../../../src/models/routed-model.js'
import { type ImageShape, type Size2D, shapeSize } from '../../../src/shapes.js'
import { UsageError } from '../../terminal/usage-error.js'
import { buildRouted, type RoutedOptions } from '../network.js'
import type { OpenedModel } from '../opened-model.js'

/** What a model that reads images in parts says of one image file, and what it has seen of it. */
export interface RegionAnswer {
  readonly path: string
  readonly source: RegionSource
  /** (classes) in [0, 1]. */
  readonly probabilities: Float32Array
  /** Rows and columns of cells. */
  readonly grid: Size2D
  readonly experts: readonly KeptBoxes[]
}

/** The patches that one expert kept of an image; those of the largest gates first. */
export interface KeptBoxes {
  /** Numbers of the cells, row by row. */
  readonly patches: readonly number[]
  readonly gates: readonly number[]
  /** Top, left, height and width of each patch in pixels of the image; they may reach past it. */
  readonly boxes: readonly (readonly number[])[]
  /** (height, width, channels) of each patch, 0..255. */
  readonly crops: readonly Uint8Array[]
}

/** What is lost without one patch. */
export interface PatchLoss {
  /** Of the predicted class's probability; negative where it grows. */
  readonly lost: number
  readonly box: readonly number[]
}

/** The model of a run that reads images in parts, for images of any size: its router has a score for each cell, of any number. */
export class AnySizeModel {
  /** Height, width and channels that all images of the run have. */
  readonly canvas: ImageShape
  private readonly opened: OpenedModel
  private readonly options: RoutedOptions
  private current: RoutedModel | undefined

  /**
   * @param request.patchesPerExpert L, in the place of that of training
   * @throws UsageError when the run's images have fewer cells
   */
  constructor(
    opened: OpenedModel,
    options: RoutedOptions,
    command: string,
    { patchesPerExpert = options.patchesPerExpert }: { readonly patchesPerExpert?: number } = {},
  ) {
    this.opened = opened
    this.options = { ...options, patchesPerExpert }
    this.canvas = options.imageShape
    if (patchesPerExpert === options.patchesPerExpert) return
    const { count } = this.modelFor(this.canvas, options).layer.grid
    if (patchesPerExpert <= count) return
    this.dispose()
    throw new UsageError(
      `${command}: --patches-per-expert must be an integer in [1, ${count}], got ${patchesPerExpert}`,
    )
  }

  /** The model with the grid of images of a shape; it is good until the next call. */
  modelFor(shape: ImageShape, options = this.options): RoutedModel {
    const { current, opened } = this
    const isSame = current?.imageShape.join() === shape.join()
    if (current && isSame && current.layer.patchesPerExpert === options.patchesPerExpert) return current
    const { classNames = [], seed = 0 } = { ...opened.config, ...opened.config?.dataset }
    const model = buildRouted(options, { shape, classNames }, seed)
    const weights = tf.tidy(() => opened.model.getWeights().map(weight => tf.clone(weight)))
    model.model.setWeights(weights)
    tf.dispose(weights)
    current?.dispose()
    this.current = model
    return model
  }

  /** Disposes the copy of the weights; the model of the run is left as it is. */
  dispose(): void {
    this.current?.dispose()
    this.current = undefined
  }

  /**
   * An image as the model takes it: on the canvas of the run, as in training. One that is higher or wider has a canvas and a grid of
   * its own, which is no smaller, so that there are always as many cells as experts keep.
   */
  placed(source: RegionSource, name: string): RegionSource {
    const [height, width] = this.canvas
    const canvas: Size2D = [Math.max(source.height, height), Math.max(source.width, width)]
    if (canvas[0] === source.height && canvas[1] === source.width) return source
    return placedSource(source, { canvas, top: 0, left: 0, surround: 'edges' }, name)
  }

  /**
   * Asks the model about one image.
   *
   * @throws Error naming the file when it cannot be read
   */
  async answer(path: string, source: RegionSource): Promise<RegionAnswer> {
    const placed = this.placed(source, path)
    const model = this.modelFor([placed.height, placed.width, placed.channels])
    const { tensors, kept } = await model.regionInputs([placed])
    const [view, patches] = tensors
    const outputs = tf.tidy(() => {
      const { gates } = model.layer.route(view, () => patches)
      const probabilities = probabilitiesOf(model, tensors)
      return [probabilities, gates, tf.cast(tf.round(tf.mul(patches, 255)), 'int32')] as const
    })
    const indices = await tensors[2].data<'int32'>()
    const [probabilities, gates, bytes] = await Promise.all(outputs.map(tensor => tensor.data()))
    tf.dispose([...tensors, ...outputs])
    const experts = keptBoxes(model, {
      indices: Array.from(indices),
      gates: Array.from(gates as Float32Array),
      boxes: kept.boxes,
      bytes: Uint8Array.from(bytes as Int32Array),
    })
    return {
      path,
      source,
      probabilities: (probabilities as Float32Array).slice(),
      grid: model.layer.grid.cells,
      experts,
    }
  }

  /**
   * What the probability of the predicted class loses without each kept patch: it is covered with its mean colour, and the choice of
   * patches stays as it is.
   *
   * @returns expert after expert, each patch with its box: top, left, height and width in pixels
   * @throws Error as `answer`
   */
  async losses(path: string, source: RegionSource): Promise<readonly PatchLoss[]> {
    const placed = this.placed(source, path)
    const model = this.modelFor([placed.height, placed.width, placed.channels])
    const { tensors, kept } = await model.regionInputs([placed])
    const [view, patches, indices] = tensors
    const { numExperts, patchesPerExpert } = model.layer
    const [, , , ...size] = patches.shape
    const means = tf.tidy(() => tf.tile(tf.mean(patches, [3, 4], true), [1, 1, 1, ...size.slice(0, 2), 1]))
    const rows: Float32Array[] = []
    for (let patch = -1; patch < numExperts * patchesPerExpert; patch++) {
      const row = tf.tidy(() => {
        if (patch < 0) return probabilitiesOf(model, tensors)
        const chosen = tf.oneHot(tf.scalar(patch, 'int32'), numExperts * patchesPerExpert)
        const isCovered = tf.reshape(chosen, [1, numExperts, patchesPerExpert, 1, 1, 1])
        return probabilitiesOf(model, [view, tf.where(tf.cast(isCovered, 'bool'), means, patches), indices])
      })
      rows.push((await row.data<'float32'>()).slice())
      row.dispose()
    }
    tf.dispose([means, ...tensors])
    const [whole, ...without] = rows as [Float32Array, ...Float32Array[]]
    const predicted = whole.indexOf(Math.max(...whole))
    return without.map((row, i) => ({
      lost: (whole[predicted] as number) - (row[predicted] as number),
      box: Array.from(kept.boxes.subarray(4 * i, 4 * i + 4)),
    }))
  }
}

/** (B, classes) of the inputs of a network. */
function probabilitiesOf({ model }: RoutedModel, inputs: readonly tf.Tensor[]): tf.Tensor2D {
  const values = model.predict([...inputs]) as tf.Tensor2D
  return values.shape[1] === 1 ? tf.concat([tf.sigmoid(tf.neg(values)), tf.sigmoid(values)], 1) : values
}

interface KeptNumbers {
  readonly indices: readonly number[]
  readonly gates: readonly number[]
  readonly boxes: Int32Array
  readonly bytes: Uint8Array
}

function keptBoxes({ layer }: RoutedModel, { indices, gates, boxes, bytes }: KeptNumbers): KeptBoxes[] {
  const { numExperts, patchesPerExpert, patchShape } = layer
  const perPatch = shapeSize(patchShape)
  return Array.from({ length: numExperts }, (_, expert) => {
    const first = expert * patchesPerExpert
    const positions = Array.from({ length: patchesPerExpert }, (_, i) => first + i)
    positions.sort((a, b) => (gates[b] as number) - (gates[a] as number))
    return {
      patches: positions.map(position => indices[position] as number),
      gates: positions.map(position => gates[position] as number),
      boxes: positions.map(position => Array.from(boxes.subarray(4 * position, 4 * position + 4))),
      crops: positions.map(position => bytes.subarray(position * perPatch, (position + 1) * perPatch)),
    }
  })
}

/** Image files whose headers are read ahead of the one that is asked about. */
const readAhead = 2

/** An image that a person asks about. */
export interface AskedImage {
  /** Its path, or its name. */
  readonly path: string
  open(): Promise<RegionSource>
}

/**
 * Image files as a model is asked about them.
 *
 * @param decoding.whiteLevel see `ImageDecoding`
 */
export function imageFiles(
  { canvas }: AnySizeModel,
  paths: readonly string[],
  { whiteLevel }: { readonly whiteLevel?: number },
): readonly AskedImage[] {
  const decoding = {
    channels: canvas[2] === 1 ? 1 : 3,
    ...(whiteLevel !== undefined && { whiteLevel }),
  } as const
  return paths.map(path => ({ path, open: () => openRegions(path, decoding) }))
}

/** The first images of a stream, as a model is asked about them. */
export async function firstImages(
  { count, batches }: RegionStream,
  most: number,
): Promise<readonly AskedImage[]> {
  const images: AskedImage[] = []
  for await (const { sources } of batches({ batchSize: most, end: Math.min(count, most) })) {
    for (const source of sources) images.push({ path: `test-${images.length + 1}`, open: async () => source })
  }
  return images
}

/**
 * Asks a model about images, in their order; those that cannot be read are left out.
 *
 * @param unreadable gets those that cannot
 */
export async function* regionAnswers(
  model: AnySizeModel,
  images: readonly AskedImage[],
  unreadable: UnreadableImage[],
): AsyncGenerator<RegionAnswer> {
  const open = async (image: AskedImage) => image.open().catch((error: Error) => error)
  const opened = images.slice(0, readAhead).map(open)
  for (const [i, { path }] of images.entries()) {
    const source = await (opened[i] as ReturnType<typeof open>)
    const next = images[i + readAhead]
    if (next !== undefined) opened.push(open(next))
    try {
      if (source instanceof Error) throw source
      try {
        yield await model.answer(path, source)
      } finally {
        await source.close?.()
      }
    } catch (error) {
      unreadable.push({ name: path, reason: (error as Error).message })
    }
  }
}

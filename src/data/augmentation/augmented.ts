import { deriveSeed, random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import type { ImageBatch } from '../image-set.js'
import type { ImageStream } from '../image-stream.js'
import { type ImageValues, zerosLike } from '../image-values.js'

/** How training images are varied. */
export interface Augmentation {
  /** Mirrors every other image, left to right, at random; off by default. */
  readonly flip?: boolean
  /**
   * Pads images by this many pixels of value 0 on all sides, then cuts a window of the original size at a uniformly drawn
   * position; less than the shorter side of the images; 0 by default.
   */
  readonly padCrop?: number
  /** Decides, together with the epoch and the image's position in the epoch's order, how each image is varied. */
  readonly seed: number
}

/**
 * Varies the images of a stream's shuffled passes; a pass without `shuffle`, as evaluations use, yields them unchanged.
 *
 * What happens to an image is a function of seed, epoch and place in the epoch's order, so that a resumed run goes on
 * exactly where it stopped.
 *
 * @throws RangeError when `padCrop` is not an integer of at least 0 and below the shorter side of the images
 */
export function augmented(
  stream: ImageStream,
  { flip = false, padCrop = 0, seed }: Augmentation,
): ImageStream {
  const most = Math.min(stream.shape[0], stream.shape[1]) - 1
  if (!Number.isInteger(padCrop) || padCrop < 0 || padCrop > most) {
    throw new RangeError(`augmented: padCrop must be an integer in [0, ${most}], got ${padCrop}`)
  }
  if (!flip && padCrop === 0) return stream
  const vary = (batch: ImageBatch, first: number, epochSeed: number): ImageBatch => {
    const images = zerosLike(batch.images, batch.images.length)
    const values = images.length / batch.count
    for (let i = 0; i < batch.count; i++) {
      const chance = random(deriveSeed(epochSeed, `image ${first + i}`))
      const mirrored = flip && chance.below(2) === 1
      const top = chance.below(2 * padCrop + 1) - padCrop
      const left = chance.below(2 * padCrop + 1) - padCrop
      const from = batch.images.subarray(i * values, (i + 1) * values)
      cutWindow(from, images.subarray(i * values, (i + 1) * values), stream.shape, { top, left, mirrored })
    }
    return { ...batch, images }
  }
  return {
    ...stream,
    async *batches(pass) {
      const { shuffle, start = 0 } = pass
      if (!shuffle) return yield* stream.batches(pass)
      const epochSeed = deriveSeed(seed, `augmentation of epoch ${shuffle.epoch}`)
      let first = start
      for await (const batch of stream.batches(pass)) {
        yield vary(batch, first, epochSeed)
        first += batch.count
      }
    },
  }
}

/** Where a window of an image's own size lies in it, in pixels, and whether the image is mirrored first. */
interface Window {
  readonly top: number
  readonly left: number
  readonly mirrored: boolean
}

/** Copies a window; what lies outside of the image stays 0. */
function cutWindow(
  from: ImageValues,
  to: ImageValues,
  [height, width, channels]: ImageShape,
  { top, left, mirrored }: Window,
): void {
  const firstColumn = Math.max(0, -left)
  const endColumn = Math.min(width, width - left)
  for (let row = Math.max(0, -top); row < Math.min(height, height - top); row++) {
    const source = (row + top) * width
    const target = row * width
    if (!mirrored) {
      const start = (source + firstColumn + left) * channels
      to.set(
        from.subarray(start, start + (endColumn - firstColumn) * channels),
        (target + firstColumn) * channels,
      )
      continue
    }
    for (let column = firstColumn; column < endColumn; column++) {
      const pixel = (source + width - 1 - (column + left)) * channels
      for (let c = 0; c < channels; c++) to[(target + column) * channels + c] = from[pixel + c] as number
    }
  }
}

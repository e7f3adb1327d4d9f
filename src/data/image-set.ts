import { deriveSeed, permutation, random } from '../random.js'
import type { ImageShape, Size2D } from '../shapes.js'
import type { ImageValues } from './image-values.js'

/**
 * Labelled images in memory, as they are handed to training: whole arrays of bytes, scaled later on the backend, or of
 * floats.
 */
export interface ImageSet<Values extends ImageValues = ImageValues> {
  /** Pixels 0..255 or values as they are, (count, height, width, channels), row-major. */
  readonly images: Values
  /** Class of each image, (count), integers in [0, classNames.length). */
  readonly labels: Int32Array
  readonly count: number
  /** Height, width and channels of every image. */
  readonly shape: ImageShape
  readonly classNames: readonly string[]
  /** Names of the groups that accuracy is reported for, besides the classes: `Smiling with Black_Hair`. */
  readonly groupNames?: readonly string[]
  /** Group of each image, (count), integers in [0, groupNames.length). */
  readonly groups?: Int32Array
  /** (count) name of each image, for people, such as the path of its file; absent where they have none. */
  readonly names?: readonly string[]
  /** For composed images: the grid of cells that each image was composed of, [rows, columns]. */
  readonly cells?: Size2D
  /** For composed images: the number of the cell that shows the labelled class, (count), row by row. */
  readonly trueCell?: Int32Array
  /** For images on backgrounds: where the labelled object lies, (count, 4): top, left, height and width in pixels. */
  readonly objectBox?: Int32Array
}

/** A set of pixels. */
export type PixelSet = ImageSet<Uint8Array>

/** One batch: consecutive images and the labels that belong to them. */
export interface ImageBatch {
  /** Pixels 0..255 or values as they are, (count, height, width, channels). */
  readonly images: ImageValues
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** (count) group numbers, where the images have groups. */
  readonly groups?: Int32Array
  /** Where images are mixed with others: whose labels they have besides their own. */
  readonly mixed?: MixedLabels
  readonly count: number
}

/** The other labels of images that are mixed: image i is `shares[i]` of its own label and the rest of `labels[i]`. */
export interface MixedLabels {
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** (count) shares of the images' own labels, in (0, 1]. */
  readonly shares: Float32Array
}

/** The positions of the images of one class in the set, ascending. */
export function imagesOfClass(set: Pick<ImageSet, 'labels'>, label: number): Int32Array {
  const positions: number[] = []
  set.labels.forEach((imageLabel, position) => {
    if (imageLabel === label) positions.push(position)
  })
  return Int32Array.from(positions)
}

/**
 * The positions of the images of one class in the set, in the one order that the seed gives them: smaller and
 * larger training sets of one seed take from its start, and so are nested.
 */
export function classOrder(set: Pick<ImageSet, 'labels'>, label: number, seed: number): Int32Array {
  const positions = imagesOfClass(set, label)
  const order = permutation(positions.length, random(deriveSeed(seed, 'class order'), `class ${label}`))
  return order.map(index => positions[index] as number)
}

import type { ImageShape } from '../shapes.js'
import type { ImageDecoding } from './image-decoding.js'

/**
 * Which labelled image files a dataset has, before any of them is decoded: what `pmoe data prepare` works through.
 */
export interface ImageCatalog {
  readonly train: CatalogHalf
  /** For early stopping and choosing, where the dataset has such a half besides the one that is reported. */
  readonly validation?: CatalogHalf
  readonly test: CatalogHalf
  /** What was found and what was left out, a sentence each. */
  readonly notes?: readonly string[]
  readonly classNames: readonly string[]
  readonly groupNames?: readonly string[]
  /** How its images are decoded. */
  readonly decoding: ImageDecoding & { readonly shape: ImageShape }
}

/** What an image of a half is called in results: the path of its file where it has one. */
export function imageName(half: CatalogHalf, position: number): string {
  return half.path?.(position) ?? half.name(position)
}

/** The training or the test images of a catalog, in the order in which smaller sets are the beginning of larger ones. */
export interface CatalogHalf {
  readonly count: number
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** (count) group numbers, where the dataset has groups. */
  readonly groups?: Int32Array
  /** Name of an image for people, as errors quote it. */
  name(position: number): string
  /** Path of an image file relative to the dataset's source, where each image is a file of its own. */
  path?(position: number): string
  /** The bytes of an image file, not yet decoded. */
  encoded(position: number): Promise<Uint8Array>
}

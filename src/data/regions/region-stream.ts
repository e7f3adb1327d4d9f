import type { ImageShape } from '../../shapes.js'
import type { StreamPass } from '../image-stream.js'
import type { RegionSource } from './region-source.js'

/** Labelled images that are read in parts, in batches: what an image stream is to images that are read whole. */
export interface RegionStream {
  readonly count: number
  /** Height, width and channels of every image. */
  readonly shape: ImageShape
  readonly classNames: readonly string[]
  /** Names of the groups that accuracy is reported for, where the images have groups. */
  readonly groupNames?: readonly string[]
  /** (count) name of each image in the stored order, where they have names. */
  readonly names?: readonly string[]
  /** (count) class numbers in the stored order, where they are known before images are opened. */
  readonly labels?: Int32Array
  /** The images at some positions as a stream of their own, where the stream can be parted. */
  some?(positions: Int32Array): RegionStream
  /**
   * One pass over the images: a function of its arguments alone, as of an `ImageStream`.
   *
   * @throws RangeError when an option is out of range; Error naming the image that cannot be opened
   */
  batches(pass: StreamPass): AsyncIterable<RegionBatch>
}

/** One batch: images that are read in parts and the labels that belong to them. */
export interface RegionBatch {
  /** (count) images, all of the shape of the stream. */
  readonly sources: readonly RegionSource[]
  /** (count) class numbers. */
  readonly labels: Int32Array
  /** (count) group numbers, where the images have groups. */
  readonly groups?: Int32Array
  readonly count: number
  /** (count) what is in each image, where that is known. */
  readonly objects?: readonly RegionObjects[]
}

/** The things in one image, m of them. */
export interface RegionObjects {
  /** (m, 4) top, left, height and width in pixels. */
  readonly boxes: Int32Array
  /** (m) 1 for those that decide the class, 0 for the others. */
  readonly relevant: Uint8Array
}

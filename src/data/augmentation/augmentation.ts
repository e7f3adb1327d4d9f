import type { ColorJitter } from './colour.js'
import type { Mixing } from './mixing.js'
import type { RandAugmentOptions } from './policies.js'

/** How training images are varied; what is left out, false or 0 is off. They are varied in this order. */
export interface Augmentation extends Mixing {
  /** Cuts a window out, of at least this share of the area, and stretches it to the image's size; (0, 1]. */
  readonly randomCrop?: number
  /** Mirrors every other image, left to right, at random. */
  readonly flip?: boolean
  /**
   * Pads images by this many pixels of value 0 on all sides, then cuts a window of the original size at a uniformly drawn
   * position; less than the shorter side of the images.
   */
  readonly padCrop?: number
  /** Mirrors every other image, top to bottom, at random. */
  readonly verticalFlip?: boolean
  /** Turns images by an angle uniform on [-rotate, rotate], in degrees; at most 180. What comes in is 0. */
  readonly rotate?: number
  /** One change of each image out of fourteen, of any strength. Pixels alone. */
  readonly trivialAugment?: boolean
  /** Some changes of each image out of fourteen, all of one strength. Pixels alone. */
  readonly randAugment?: RandAugmentOptions
  /** Varies brightness, contrast, saturation and hue, in an order drawn for each image. Pixels alone. */
  readonly jitter?: ColorJitter
  /** Probability that an image loses its colours, [0, 1]. Pixels alone. */
  readonly grey?: number
  /** Probability that an image is blurred, with a standard deviation uniform on [0.1, 2] pixels; [0, 1]. */
  readonly blur?: number
  /** Probability that a box of an image becomes 0, [0, 1]. */
  readonly erase?: number
  /** Decides, together with the epoch and the image's position in the epoch's order, how each image is varied. */
  readonly seed: number
}

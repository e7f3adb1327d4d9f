import type { ImageShape } from '../shapes.js'
import type { ImageValues } from './image-values.js'

/** Images as pixels that a picture can show. */
export interface ViewableImages {
  /** 0..255, (count, height, width, channels), row-major. */
  readonly pixels: Uint8Array
  /** Of every image. */
  readonly shape: readonly [height: number, width: number, channels: 1 | 3]
}

/**
 * Makes images visible: pixels of 1 or 3 channels as they are, other numbers of channels in grey, side by side at each
 * position, so that a row of the image stays a row of the picture. Of floats 0 is middle grey, the largest magnitude
 * among all images black or white.
 *
 * @param images (count, height, width, channels), row-major
 */
export function viewableImages(images: ImageValues, [height, width, channels]: ImageShape): ViewableImages {
  const isPicture = channels === 1 || channels === 3
  const shape: ViewableImages['shape'] = isPicture ? [height, width, channels] : [height, width * channels, 1]
  if (!(images instanceof Float32Array)) return { pixels: images, shape }
  const largest = images.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1
  return { pixels: Uint8Array.from(images, value => Math.round(127.5 + (127.5 * value) / largest)), shape }
}

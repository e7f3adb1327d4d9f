import type { ImageShape } from '../shapes.js'
import { type ImageValues, zerosLike } from './image-values.js'

/** Images as pixels that a picture can show. */
export interface ViewableImages {
  /** 0..255, (count, height, width, channels), row-major. */
  readonly pixels: Uint8Array
  /** Of every image. */
  readonly shape: readonly [height: number, width: number, channels: 1 | 3]
}

/**
 * Makes images visible: pixels of 1 or 3 channels as they are. Other numbers of channels are shown in grey, side by side at
 * each position, and every row several times, so that the picture is about as high as wide. Of floats 0 is middle grey,
 * the largest magnitude among all images black or white.
 *
 * @param images (count, height, width, channels), row-major
 */
export function viewableImages(images: ImageValues, [height, width, channels]: ImageShape): ViewableImages {
  if (channels === 1 || channels === 3)
    return { pixels: greyScaled(images), shape: [height, width, channels] }
  const rowLength = width * channels
  const times = Math.max(1, Math.floor(rowLength / height))
  const tall = zerosLike(images, images.length * times)
  for (let row = 0; row * rowLength < images.length; row++) {
    const values = images.subarray(row * rowLength, (row + 1) * rowLength)
    for (let i = 0; i < times; i++) tall.set(values, (row * times + i) * rowLength)
  }
  return { pixels: greyScaled(tall), shape: [height * times, rowLength, 1] }
}

function greyScaled(images: ImageValues): Uint8Array {
  if (!(images instanceof Float32Array)) return images
  const largest = images.reduce((most, value) => Math.max(most, Math.abs(value)), 0) || 1
  return Uint8Array.from(images, value => Math.round(127.5 + (127.5 * value) / largest))
}

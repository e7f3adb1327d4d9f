import type { ImageShape } from '../shapes.js'

/** How an encoded image becomes the pixels that a network takes. */
export interface ImageDecoding {
  /** Height and width in pixels, and 1 (grey) or 3 (RGB) channels. */
  readonly shape: ImageShape
  /** Side in pixels of the square that is cut out of the middle before the image is resized; all of it without. */
  readonly cropSide?: number
}

/**
 * Decodes one encoded image: JPEG, PNG, WebP and what else the decoder knows.
 *
 * @param bytes of the image file
 * @param name of the image, for errors
 * @returns pixels 0..255, (height, width, channels), row-major
 * @throws Error naming the image when it is empty, corrupt, cut short, or not an image
 */
export type DecodeImage = (bytes: Uint8Array, decoding: ImageDecoding, name: string) => Promise<Uint8Array>

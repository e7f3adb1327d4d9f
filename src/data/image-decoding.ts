import type { ImageShape } from '../shapes.js'

/** How an encoded image becomes the pixels that a network takes. */
export interface ImageDecoding {
  /** Height and width in pixels, and 1 (grey) or 3 (RGB) channels. */
  readonly shape: ImageShape
  /**
   * Side in pixels of the square that is cut out of the middle before the image is resized; without it the whole image
   * is taken.
   */
  readonly cropSide?: number
  /**
   * The sample value that becomes 255, for images of more than 8 bits: 4095 for 12 bits. Without it 65535; 4095 where no
   * sample is larger; for floating-point samples 1, or 255 where one is larger than 1.
   */
  readonly whiteLevel?: number
}

/**
 * Decodes one encoded image: JPEG, PNG, WebP and what else the decoder knows.
 *
 * @param bytes of the image file
 * @param name of the image, for errors
 * @param note told what was done to the image that its owner may not expect, in words without the name
 * @returns pixels 0..255, (height, width, channels), row-major
 * @throws Error naming the image when it is empty, corrupt, cut short, or not an image
 */
export type DecodeImage = (
  bytes: Uint8Array,
  decoding: ImageDecoding,
  name: string,
  note?: (text: string) => void,
) => Promise<Uint8Array>

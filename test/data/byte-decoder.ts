import type { DecodeImage } from '../../src/data/image-decoding.js'

/** Decodes a file of one byte to an image of which every pixel is that byte; a file of none is no image. */
export const decodeByte: DecodeImage = async (bytes, { shape: [height, width, channels] }, name) => {
  const [value] = bytes
  if (value === undefined) throw new Error(`${name}: file must hold an image, got 0 bytes`)
  return new Uint8Array(height * width * channels).fill(value)
}

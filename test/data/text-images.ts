import type { DecodeImage } from '../../src/data/image-decoding.js'

/** The grey that {@link decodeText} makes of an image file whose text ends in a number. */
export function greyOf(text: string): number {
  return Number(/(\d+)\D*$/.exec(text)?.[1]) % 256
}

/** Decodes an image file that is a text into pixels of one grey: the last number of the text, modulo 256. */
export const decodeText: DecodeImage = async (bytes, { shape: [height, width, channels] }) => {
  const grey = greyOf(new TextDecoder().decode(bytes))
  return new Uint8Array(height * width * channels).fill(grey)
}

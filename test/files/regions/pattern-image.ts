import sharp, { type Sharp } from 'sharp'
import type { ImageShape } from '../../../src/shapes.js'

/** Pixels that differ from each other nearly everywhere, or smoothly where JPEG is to keep them. */
export function patternPixels([height, width, channels]: ImageShape, smooth = false): Uint8Array {
  return Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const y = Math.floor(i / (width * channels))
    const x = Math.floor((i % (width * channels)) / channels)
    const c = i % channels
    if (smooth) return Math.round(127 + 60 * Math.sin(y / 17 + c / 9) + 60 * Math.cos(x / 13 + y / 29))
    return (y * 7 + x * 13 + c * 71 + ((y * x) >> 2)) % 256
  })
}

/** A pattern as an image of sharp. */
export function patternImage(shape: ImageShape, smooth = false): Sharp {
  const [height, width, channels] = shape
  return sharp(patternPixels(shape, smooth), { raw: { height, width, channels: channels as 1 | 2 | 3 | 4 } })
}

/** Boxes of 9x14 all over an image, across its edges and corners too. */
export function boxesAcross(height: number, width: number): number[] {
  const tops = [-4, 0, 5, Math.floor(height / 2), height - 9, height - 3]
  const lefts = [-13, 0, 3, Math.floor(width / 2), width - 14, width - 1]
  return tops.flatMap(top => lefts.flatMap(left => [top, left, 9, 14]))
}

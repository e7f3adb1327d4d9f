import type { Random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import type { PixelBox } from '../compose/resize.js'
import { between, type Variation } from './variation.js'

/** The share of the image that a box covers, and its height to width, as `RandomErasing` of torchvision. */
const SHARES = [0.02, 0.33] as const
const PROPORTIONS = [0.3, 3.3] as const
/** Draws after which nothing is erased. */
const ATTEMPTS = 10

/**
 * Draws the box of a random erasing: its share of the area uniform on [0.02, 0.33], height to width log-uniform on [0.3,
 * 3.3], its place uniform.
 *
 * @returns undefined when none of ten boxes is smaller than the image on both sides
 */
export function randomBox(chance: Random, [height, width]: ImageShape): PixelBox | undefined {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const area = height * width * between(chance, ...SHARES)
    const proportion = Math.exp(between(chance, Math.log(PROPORTIONS[0]), Math.log(PROPORTIONS[1])))
    const rows = Math.round(Math.sqrt(area * proportion))
    const columns = Math.round(Math.sqrt(area / proportion))
    if (rows < 1 || columns < 1 || rows >= height || columns >= width) continue
    const top = chance.below(height - rows + 1)
    return { top, left: chance.below(width - columns + 1), height: rows, width: columns }
  }
  return undefined
}

/** Makes a box of an image 0. */
export function erase({ top, left, height, width }: PixelBox): Variation {
  return (from, to, [, columns, channels]) => {
    to.set(from)
    for (let row = top; row < top + height; row++) {
      const start = (row * columns + left) * channels
      to.fill(0, start, start + width * channels)
    }
  }
}

import type { ImageShape } from '../../shapes.js'
import type { ImageValues } from '../image-values.js'
import { roundingOf, type Variation } from './variation.js'

/**
 * Where a place of the result comes from: (x, y) -> (a x + b y + c, d x + e y + f), in pixels from the upper left corner,
 * the centre of the first pixel at (1/2, 1/2).
 */
type Affine = readonly [a: number, b: number, c: number, d: number, e: number, f: number]

/**
 * Turns an image about its centre, counter-clockwise for positive degrees.
 *
 * Bilinear; what comes in from outside is 0, as with `rotate` of Pillow and torchvision.
 */
export function rotate(degrees: number): Variation {
  const angle = (degrees * Math.PI) / 180
  const [cos, sin] = [Math.cos(angle), Math.sin(angle)]
  return (from, to, shape) => {
    const [y, x] = [shape[0] / 2, shape[1] / 2]
    warp(from, to, shape, [cos, -sin, x - cos * x + sin * y, sin, cos, y - sin * x - cos * y])
  }
}

/** Moves each row to the right by `factor` times its distance from the upper edge; bilinear, 0 comes in. */
export function shearX(factor: number): Variation {
  return (from, to, shape) => warp(from, to, shape, [1, -factor, 0, 0, 1, 0])
}

/** Moves each column down by `factor` times its distance from the left edge; bilinear, 0 comes in. */
export function shearY(factor: number): Variation {
  return (from, to, shape) => warp(from, to, shape, [1, 0, 0, -factor, 1, 0])
}

function warp(from: ImageValues, to: ImageValues, shape: ImageShape, affine: Affine): void {
  const [height, width, channels] = shape
  const [a, b, c, d, e, f] = affine
  const half = roundingOf(to)
  let at = 0
  for (let row = 0; row < height; row++) {
    for (let column = 0; column < width; column++, at += channels) {
      const x = a * (column + 0.5) + b * (row + 0.5) + c
      const y = d * (column + 0.5) + e * (row + 0.5) + f
      if (x < 0 || x >= width || y < 0 || y >= height) to.fill(0, at, at + channels)
      else mixPixel(from, to, shape, { x: x - 0.5, y: y - 0.5, at, half })
    }
  }
}

/** Writes the pixel at a place between pixel centres; beyond the outer centres those of the edge go on. */
function mixPixel(
  from: ImageValues,
  to: ImageValues,
  [height, width, channels]: ImageShape,
  { x, y, at, half }: { readonly x: number; readonly y: number; readonly at: number; readonly half: number },
): void {
  const left = Math.floor(x)
  const top = Math.floor(y)
  const right = x - left
  const down = y - top
  const upper = Math.max(top, 0) * width
  const lower = Math.min(top + 1, height - 1) * width
  const upper0 = (upper + Math.max(left, 0)) * channels
  const upper1 = (upper + Math.min(left + 1, width - 1)) * channels
  const lower0 = upper0 + (lower - upper) * channels
  const lower1 = upper1 + (lower - upper) * channels
  for (let c = 0; c < channels; c++) {
    const upperLeft = from[upper0 + c] as number
    const above = upperLeft + right * ((from[upper1 + c] as number) - upperLeft)
    const lowerLeft = from[lower0 + c] as number
    const below = lowerLeft + right * ((from[lower1 + c] as number) - lowerLeft)
    to[at + c] = above + down * (below - above) + half
  }
}

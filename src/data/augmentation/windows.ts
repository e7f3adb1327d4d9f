import type { Random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import type { PixelBox } from '../compose/resize.js'
import type { ImageValues } from '../image-values.js'
import { between, roundingOf, type Variation } from './variation.js'

/** Where a window of an image's own size lies in it, in pixels, and whether the image is mirrored first. */
interface Window {
  readonly top: number
  readonly left: number
  /** Left to right. */
  readonly mirrored: boolean
}

/** Copies a window; what lies outside of the image is 0. */
export function cutWindow({ top, left, mirrored }: Window): Variation {
  return (from, to, [height, width, channels]) => {
    to.fill(0)
    const firstColumn = Math.max(0, -left)
    const endColumn = Math.min(width, width - left)
    for (let row = Math.max(0, -top); row < Math.min(height, height - top); row++) {
      const source = (row + top) * width
      const target = row * width
      if (!mirrored) {
        const start = (source + firstColumn + left) * channels
        to.set(
          from.subarray(start, start + (endColumn - firstColumn) * channels),
          (target + firstColumn) * channels,
        )
        continue
      }
      for (let column = firstColumn; column < endColumn; column++) {
        const pixel = (source + width - 1 - (column + left)) * channels
        for (let c = 0; c < channels; c++) to[(target + column) * channels + c] = from[pixel + c] as number
      }
    }
  }
}

/** Mirrors an image left to right. */
export const mirror: Variation = cutWindow({ top: 0, left: 0, mirrored: true })

/** Mirrors an image top to bottom. */
export const mirrorVertically: Variation = (from, to, [height, width, channels]) => {
  const rowLength = width * channels
  for (let row = 0; row < height; row++) {
    to.set(from.subarray(row * rowLength, (row + 1) * rowLength), (height - 1 - row) * rowLength)
  }
}

/** The most by which a random window is wider or higher than the image's own proportions. */
const MOST_STRETCH = 4 / 3
/** Draws after which the whole image is taken. */
const ATTEMPTS = 10

/**
 * Draws the window of a random resized crop: its share of the area uniform on [leastShare, 1], its proportions, relative to
 * those of the image, log-uniform on [3/4, 4/3], its place uniform in whole pixels; after ten draws that do not fit, the
 * whole image.
 *
 * As `RandomResizedCrop` of torchvision, whose proportions are absolute; for square images they are the same.
 */
export function randomWindow(chance: Random, [height, width]: ImageShape, leastShare: number): PixelBox {
  for (let attempt = 0; attempt < ATTEMPTS; attempt++) {
    const share = between(chance, leastShare, 1)
    const stretch = Math.exp(between(chance, -Math.log(MOST_STRETCH), Math.log(MOST_STRETCH)))
    const rows = Math.round(height * Math.sqrt(share / stretch))
    const columns = Math.round(width * Math.sqrt(share * stretch))
    if (rows < 1 || columns < 1 || rows > height || columns > width) continue
    const top = chance.below(height - rows + 1)
    return { top, left: chance.below(width - columns + 1), height: rows, width: columns }
  }
  return { top: 0, left: 0, height, width }
}

/**
 * Stretches a window of an image to the image's size: bilinear between pixel centres, at the window's edges the pixels of
 * the edge go on.
 *
 * @param window whole pixels within the image
 */
export function stretchWindow(window: PixelBox): Variation {
  return (from, to, [height, width, channels]) => {
    const rows = lineTaps(window.top, window.height, height)
    const columns = lineTaps(window.left, window.width, width)
    const half = roundingOf(to)
    for (let y = 0; y < height; y++) {
      const above = (rows.first[y] as number) * width
      const below = (rows.second[y] as number) * width
      const down = rows.weight[y] as number
      mixRow(from, to, { above, below, down, columns, channels, half, target: y * width * channels })
    }
  }
}

/** For each pixel of a line the two between which it lies, and the weight of the second. */
interface LineTaps {
  readonly first: Int32Array
  readonly second: Int32Array
  readonly weight: Float64Array
}

/** What is needed to mix one row out of two. */
interface RowMix {
  /** The first pixel of the rows between which it lies, and the weight of the lower one. */
  readonly above: number
  readonly below: number
  readonly down: number
  readonly columns: LineTaps
  readonly channels: number
  readonly half: number
  /** The first value of the row in the result. */
  readonly target: number
}

function mixRow(
  from: ImageValues,
  to: ImageValues,
  { above, below, down, columns: { first, second, weight }, channels, half, target }: RowMix,
): void {
  let at = target
  for (let x = 0; x < first.length; x++) {
    const right = weight[x] as number
    const upper0 = (above + (first[x] as number)) * channels
    const upper1 = (above + (second[x] as number)) * channels
    const lower0 = upper0 + (below - above) * channels
    const lower1 = upper1 + (below - above) * channels
    for (let c = 0; c < channels; c++, at++) {
      const upperLeft = from[upper0 + c] as number
      const upper = upperLeft + right * ((from[upper1 + c] as number) - upperLeft)
      const lowerLeft = from[lower0 + c] as number
      const lower = lowerLeft + right * ((from[lower1 + c] as number) - lowerLeft)
      to[at] = upper + down * (lower - upper) + half
    }
  }
}

function lineTaps(start: number, length: number, size: number): LineTaps {
  const first = new Int32Array(size)
  const second = new Int32Array(size)
  const weight = new Float64Array(size)
  for (let i = 0; i < size; i++) {
    const centre = Math.max(0, ((i + 0.5) * length) / size - 0.5)
    const before = Math.min(Math.floor(centre), length - 1)
    first[i] = start + before
    second[i] = start + Math.min(before + 1, length - 1)
    weight[i] = centre - before
  }
  return { first, second, weight }
}

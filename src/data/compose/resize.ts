import type { ImageShape, Size2D } from '../../shapes.js'

/** A part of an image, in pixels from its upper left corner; its sides may lie within pixels. */
export interface PixelBox {
  readonly top: number
  readonly left: number
  readonly height: number
  readonly width: number
}

/** Which pixels one pixel of a resized line is the weighted mean of, for all pixels of that line. */
interface Taps {
  /** (length) the first pixel of each. */
  readonly first: Int32Array
  /** (length) how many pixels from there on. */
  readonly count: Int32Array
  /** (length, most) their weights, which sum to 1. */
  readonly weights: Float32Array
  /** The stride of `weights`. */
  readonly most: number
}

/**
 * Resizes an image, or the part of it in a box: bilinear, and as wide as the step between pixels where it shrinks, so
 * that no pixel is left out (anti-aliasing).
 *
 * Weight of a pixel at distance d from the centre of the new one: max(0, 1 - d/max(step, 1)).
 *
 * @param pixels 0..255, (height, width, channels)
 * @param size height and width of the result
 * @param box the part to resize, within the image; all of it by default
 * @returns pixels 0..255, (size, channels), in memory of their own
 */
export function resizePixels(
  pixels: Uint8Array,
  [height, width, channels]: ImageShape,
  size: Size2D,
  box: PixelBox = { top: 0, left: 0, height, width },
): Uint8Array {
  const rows = lineTaps(height, box.top, box.height, size[0])
  const columns = lineTaps(width, box.left, box.width, size[1])
  const rowLength = width * channels
  const row = new Float32Array(rowLength)
  const resized = new Uint8Array(size[0] * size[1] * channels)
  for (let y = 0; y < size[0]; y++) {
    mixRows(pixels, rowLength, rows, y, row)
    const to = y * size[1] * channels
    if (channels === 3) mixRgbColumns(row, columns, resized, to)
    else mixColumns(row, channels, columns, resized, to)
  }
  return resized
}

/** One row of the result, at the old width: the weighted mean of rows, four at a time. */
function mixRows(pixels: Uint8Array, rowLength: number, rows: Taps, y: number, row: Float32Array): void {
  const count = rows.count[y] as number
  row.fill(0)
  for (let tap = 0; tap < count; tap += 4) {
    // Past the last tap the weights are 0: any row will do.
    const at = ((rows.first[y] as number) + tap) * rowLength
    const last = at + (count - tap - 1) * rowLength
    const second = Math.min(at + rowLength, last)
    const third = Math.min(second + rowLength, last)
    const fourth = Math.min(third + rowLength, last)
    const firstWeight = y * rows.most + tap
    mixFourRows(pixels, [at, second, third, fourth], rows.weights.subarray(firstWeight, firstWeight + 4), row)
  }
}

function mixFourRows(
  pixels: Uint8Array,
  [at, second, third, fourth]: readonly [number, number, number, number],
  weights: Float32Array,
  row: Float32Array,
): void {
  const w0 = weights[0] as number
  const w1 = weights[1] as number
  const w2 = weights[2] as number
  const w3 = weights[3] as number
  for (let x = 0; x < row.length; x++) {
    row[x] =
      (row[x] as number) +
      w0 * (pixels[at + x] as number) +
      w1 * (pixels[second + x] as number) +
      w2 * (pixels[third + x] as number) +
      w3 * (pixels[fourth + x] as number)
  }
}

/** One row of the result at its new width: the weighted mean of columns. */
function mixColumns(
  row: Float32Array,
  channels: number,
  columns: Taps,
  resized: Uint8Array,
  to: number,
): void {
  const { first, count, weights, most } = columns
  for (let x = 0; x < first.length; x++) {
    for (let c = 0; c < channels; c++) {
      // Weights are positive and sum to 1: the mean needs no clamping.
      let sum = 0.5
      let at = (first[x] as number) * channels + c
      const end = x * most + (count[x] as number)
      for (let tap = x * most; tap < end; tap++, at += channels) {
        sum += (weights[tap] as number) * (row[at] as number)
      }
      resized[to + x * channels + c] = sum
    }
  }
}

/** The same for three channels at a time, which takes half as long. */
function mixRgbColumns(
  row: Float32Array,
  { first, count, weights, most }: Taps,
  resized: Uint8Array,
  to: number,
): void {
  let target = to
  for (let x = 0; x < first.length; x++) {
    let red = 0.5
    let green = 0.5
    let blue = 0.5
    let at = (first[x] as number) * 3
    const end = x * most + (count[x] as number)
    for (let tap = x * most; tap < end; tap++, at += 3) {
      const weight = weights[tap] as number
      red += weight * (row[at] as number)
      green += weight * (row[at + 1] as number)
      blue += weight * (row[at + 2] as number)
    }
    resized[target] = red
    resized[target + 1] = green
    resized[target + 2] = blue
    target += 3
  }
}

const cachedTaps = new Map<string, Taps>()
const mostCachedTaps = 64

/** The taps of a line of `length` pixels, of which `span` pixels from `start` become `size`; kept for the next image. */
function lineTaps(length: number, start: number, span: number, size: number): Taps {
  const key = `${length} ${start} ${span} ${size}`
  const cached = cachedTaps.get(key)
  if (cached) return cached
  const taps = makeTaps(length, start, span, size)
  if (cachedTaps.size >= mostCachedTaps) cachedTaps.clear()
  cachedTaps.set(key, taps)
  return taps
}

function makeTaps(length: number, start: number, span: number, size: number): Taps {
  const step = span / size
  const reach = Math.max(step, 1)
  // A multiple of four; taps beyond the last one have weight 0.
  const most = 4 * Math.ceil((2 * reach + 2) / 4)
  const first = new Int32Array(size)
  const count = new Int32Array(size)
  const weights = new Float32Array(size * most)
  for (let i = 0; i < size; i++) {
    const centre = start + (i + 0.5) * step
    const from = Math.max(0, Math.floor(centre - reach))
    const to = Math.min(length, Math.ceil(centre + reach))
    const line = Array.from({ length: to - from }, (_, tap) =>
      Math.max(0, 1 - Math.abs(from + tap + 0.5 - centre) / reach),
    )
    const sum = line.reduce((total, weight) => total + weight, 0)
    first[i] = from
    count[i] = line.length
    weights.set(
      line.map(weight => weight / sum),
      i * most,
    )
  }
  return { first, count, weights, most }
}

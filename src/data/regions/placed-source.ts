import { type ImageShape, type Size2D, viewSize } from '../../shapes.js'
import { checkScale } from './block-means.js'
import { meets, regionSize } from './region-boxes.js'
import type { RegionSource } from './region-source.js'

/** Where an image lies on a canvas of zeros; what lies outside of the canvas is cut off. */
export interface Placement {
  /** Height and width of the canvas, in pixels. */
  readonly canvas: Size2D
  /** Row of the canvas that the image's first row takes; may be negative. */
  readonly top: number
  readonly left: number
  /**
   * What the view shows outside of the image: zeros unless given, or its outermost pixels, the smoother the farther away, so that
   * neither the edge of an image that is not black nor what is outside of it stands out. Regions are 0 there all the same.
   */
  readonly surround?: Surround
}

/** What a view shows outside of an image. */
export type Surround = 'zeros' | 'edges'

/**
 * An image on a canvas of zeros.
 *
 * Its view is made of the image's own view, so that nothing more is decoded: `scale` has to divide `top` and `left`. A
 * block that the lower or right edge of the canvas cuts shows the mean of the whole block; all others are exact, but
 * for rounding twice where the image ends within a block.
 *
 * @param name of the image, for errors
 */
export function placedSource(
  source: RegionSource,
  { canvas, top, left, surround = 'zeros' }: Placement,
  name = 'placedSource',
): RegionSource {
  const { channels } = source
  const [height, width] = canvas
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, name)
      if (top % scale !== 0 || left % scale !== 0) {
        throw new RangeError(`${name}: scale must divide the shift ${top}, ${left}, got ${scale}`)
      }
      const inner = await source.view(scale)
      const [innerHeight, innerWidth] = viewSize([source.height, source.width], scale)
      return surround === 'edges'
        ? extended(inner, [innerHeight, innerWidth, channels], viewSize(canvas, scale), [
            top / scale,
            left / scale,
          ])
        : placedView(inner, source, { canvas, top, left }, scale)
    },
    regions: boxes => placedRegions(source, boxes, { canvas, top, left }, name),
    ...(source.close && { close: () => source.close?.() ?? Promise.resolve() }),
  }
}

type Place = Omit<Placement, 'surround'>

/** A view on a canvas of zeros: blocks that the canvas does not fill are as much darker. */
function placedView(
  inner: Uint8Array,
  { height, width, channels }: RegionSource,
  { canvas, top, left }: Place,
  scale: number,
): Uint8Array {
  const rows = blockShares(height, canvas[0], top, scale)
  const columns = blockShares(width, canvas[1], left, scale)
  const [viewHeight, viewWidth] = viewSize(canvas, scale)
  const [, innerWidth] = viewSize([height, width], scale)
  const view = new Uint8Array(viewHeight * viewWidth * channels)
  for (const { from, to, share: rowShare } of rows) {
    for (const { from: fromColumn, to: toColumn, share } of columns) {
      const start = (from * innerWidth + fromColumn) * channels
      const target = (to * viewWidth + toColumn) * channels
      for (let c = 0; c < channels; c++) {
        view[target + c] = Math.floor((inner[start + c] as number) * rowShare * share + 0.5)
      }
    }
  }
  return view
}

/** Parts of the canvas: those of the image are read, all others are 0. */
async function placedRegions(
  source: RegionSource,
  boxes: Int32Array,
  { canvas, top, left }: Place,
  name: string,
): Promise<Uint8Array> {
  const { count, height, width } = regionSize(boxes, canvas, name)
  const image = [top, left, source.height, source.width] as const
  const numbers = Array.from({ length: count }, (_, number) => number).filter(number =>
    meets([boxes[4 * number]!, boxes[4 * number + 1]!, height, width], image),
  )
  const inner = Int32Array.from(
    numbers.flatMap(number => [boxes[4 * number]! - top, boxes[4 * number + 1]! - left, height, width]),
  )
  const boxBytes = height * width * source.channels
  const pixels = new Uint8Array(count * boxBytes)
  if (numbers.length === 0) return pixels
  const read = await source.regions(inner)
  numbers.forEach((number, i) => {
    const region = pixels.subarray(number * boxBytes, (number + 1) * boxBytes)
    region.set(read.subarray(i * boxBytes, (i + 1) * boxBytes))
    clearOutside(region, [boxes[4 * number]!, boxes[4 * number + 1]!, height, width], canvas)
  })
  return pixels
}

/**
 * A view that is moved by whole pixels, with its outermost pixels around it: at a distance of d pixels the mean of the 2 d + 1
 * nearest of them, so that what is around is the smoother, the farther away, and no edge stands out there.
 */
function extended(
  inner: Uint8Array,
  [innerHeight, innerWidth, channels]: ImageShape,
  [height, width]: Size2D,
  [down, right]: Size2D,
): Uint8Array {
  const widened = new Uint8Array(innerHeight * width * channels)
  for (let x = 0; x < width; x++) {
    const [nearest, distance] = nearestInside(x - right, innerWidth)
    const from = { values: inner, first: nearest * channels, step: innerWidth * channels }
    smooth(from, innerHeight, channels, distance, (y, c, value) => {
      widened[(y * width + x) * channels + c] = value
    })
  }
  const view = new Uint8Array(height * width * channels)
  for (let y = 0; y < height; y++) {
    const [nearest, distance] = nearestInside(y - down, innerHeight)
    const row = nearest * width * channels
    const target = y * width * channels
    if (distance === 0) {
      view.set(widened.subarray(row, row + width * channels), target)
      continue
    }
    smooth({ values: widened, first: row, step: channels }, width, channels, distance, (x, c, value) => {
      view[target + x * channels + c] = value
    })
  }
  return view
}

/** The position nearest to one that may lie outside of [0, length), and how far away it is. */
function nearestInside(position: number, length: number): Size2D {
  const nearest = Math.min(Math.max(position, 0), length - 1)
  return [nearest, Math.abs(position - nearest)]
}

/** A row or a column of pixels: where its first value stands, and how far apart its pixels are. */
interface Line {
  readonly values: Uint8Array
  readonly first: number
  readonly step: number
}

/** The mean over up to `reach` pixels on each side of every pixel of a line, as far as it goes. */
function smooth(
  { values, first, step }: Line,
  length: number,
  channels: number,
  reach: number,
  put: (position: number, channel: number, value: number) => void,
): void {
  for (let c = 0; c < channels; c++) {
    const at = (i: number): number => values[first + i * step + c] as number
    let sum = 0
    for (let i = 0; i < Math.min(reach, length); i++) sum += at(i)
    for (let i = 0; i < length; i++) {
      if (i + reach < length) sum += at(i + reach)
      if (i - reach > 0) sum -= at(i - reach - 1)
      const count = Math.min(i + reach, length - 1) - Math.max(i - reach, 0) + 1
      put(i, c, Math.floor(sum / count + 0.5))
    }
  }
}

/** A block of the image, the block of the canvas that it becomes, and the share of that block that it fills. */
interface BlockShare {
  readonly from: number
  readonly to: number
  readonly share: number
}

function blockShares(length: number, canvasLength: number, start: number, scale: number): BlockShare[] {
  const shift = start / scale
  const shares: BlockShare[] = []
  for (let from = 0; from * scale < length; from++) {
    const to = from + shift
    if (to < 0 || to * scale >= canvasLength) continue
    const has = Math.min(scale, length - from * scale)
    const takes = Math.min(scale, canvasLength - to * scale)
    shares.push({ from, to, share: Math.min(has, takes) / takes })
  }
  return shares
}

/** Sets the pixels of a region to 0 that lie outside of the canvas: the image may go on there. */
function clearOutside(
  region: Uint8Array,
  [top, left, height, width]: readonly [number, number, number, number],
  canvas: Size2D,
): void {
  const firstRow = Math.max(0, -top)
  const endRow = Math.min(height, canvas[0] - top)
  const firstColumn = Math.max(0, -left)
  const endColumn = Math.min(width, canvas[1] - left)
  if (firstRow === 0 && firstColumn === 0 && endRow === height && endColumn === width) return
  const channels = region.length / (height * width)
  const rowBytes = width * channels
  region.fill(0, 0, firstRow * rowBytes)
  region.fill(0, endRow * rowBytes)
  for (let row = firstRow; row < endRow; row++) {
    region.fill(0, row * rowBytes, row * rowBytes + firstColumn * channels)
    region.fill(0, row * rowBytes + endColumn * channels, (row + 1) * rowBytes)
  }
}

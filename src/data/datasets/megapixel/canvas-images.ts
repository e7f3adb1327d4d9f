import { deriveSeed, type Random, random } from '../../../random.js'
import type { ImageShape } from '../../../shapes.js'
import { arraySource } from '../../regions/array-source.js'
import type { RegionRecords } from '../../regions/region-records.js'
import type { RegionSource } from '../../regions/region-source.js'
import type { RegionObjects } from '../../regions/region-stream.js'
import {
  type CanvasContents,
  type CanvasPlan,
  canvasClasses,
  canvasPlans,
  type PlacedItem,
  strokePatterns,
} from './canvas-plan.js'

/** What lies behind items and strokes: nothing, or noise, uniform on 0..51 (a fifth of the brightest). */
export const CANVAS_GROUNDS = ['black', 'noise'] as const
export type CanvasGround = (typeof CANVAS_GROUNDS)[number]

/** A set of large images that are drawn when they are asked for. */
export interface CanvasImagesOptions extends CanvasContents {
  readonly background: CanvasGround
  /** What the values of items are multiplied by, in (0, 1]. */
  readonly itemBrightness: number
  readonly count: number
  /** The same seed and number give the same image; fewer images are the first of more. */
  readonly seed: number
}

const mostNoise = 52

/**
 * Large grey images with items of a pool on them, each drawn when it is opened and held until it is closed. Items never
 * overlap; they are pasted by maximum over strokes, which are patterns of two lines.
 *
 * @returns images with the boxes of their items, those that show the class being relevant
 */
export function canvasImages(options: CanvasImagesOptions): RegionRecords {
  const { pool, size, count } = options
  const shape = [size[0], size[1], 1] as const
  const classNames = canvasClasses(options)
  const plan = canvasPlans(options, options.seed)
  const paint = painter(options)
  const name = (position: number): string => `image ${position}`
  const [side] = pool.shape
  return {
    count,
    shape,
    labels: Int32Array.from({ length: count }, (_, image) => image % classNames.length),
    classNames,
    name,
    open: async position => drawnSource(() => paint(plan(position), position), shape, name(position)),
    objects: position => objectsOf(plan(position), side),
  }
}

/** An image that is drawn when it is first read. */
function drawnSource(draw: () => Uint8Array, shape: ImageShape, name: string): RegionSource {
  let drawn: RegionSource | undefined
  const source = (): RegionSource => {
    drawn ??= arraySource(draw(), shape, name)
    return drawn
  }
  return {
    height: shape[0],
    width: shape[1],
    channels: shape[2],
    view: async scale => source().view(scale),
    regions: async boxes => source().regions(boxes),
    async close() {
      drawn = undefined
    },
  }
}

function objectsOf({ items, relevant }: CanvasPlan, side: number): RegionObjects {
  return {
    boxes: Int32Array.from(items.flatMap(({ top, left }) => [top, left, side, side])),
    relevant: Uint8Array.from(items, (_, i) => Number(i < relevant)),
  }
}

/** Draws images by their plans. */
function painter({ pool, size, background, itemBrightness, seed }: CanvasImagesOptions) {
  const [side] = pool.shape
  const [height, width] = size
  const patterns = drawPatterns(side)
  return (plan: CanvasPlan, image: number): Uint8Array => {
    const pixels = new Uint8Array(height * width)
    if (background === 'noise') fillNoise(pixels, random(deriveSeed(seed, `noise ${image}`)))
    const paste = (images: Uint8Array, { source, top, left }: PlacedItem, brightness: number): void => {
      for (let y = 0; y < side; y++) {
        const from = (source * side + y) * side
        const to = (top + y) * width + left
        for (let x = 0; x < side; x++) {
          const value = Math.round((images[from + x] as number) * brightness)
          if (value > (pixels[to + x] as number)) pixels[to + x] = value
        }
      }
    }
    for (const stroke of plan.strokes) paste(patterns, stroke, stroke.brightness)
    for (const item of plan.items) paste(pool.images, item, itemBrightness)
    return pixels
  }
}

/** Four bytes of noise from each random number. */
function fillNoise(pixels: Uint8Array, chance: Random): void {
  for (let i = 0; i < pixels.length; i += 4) {
    const bits = chance.next() * 2 ** 32
    for (let byte = 0; byte < 4 && i + byte < pixels.length; byte++) {
      pixels[i + byte] = (((bits >>> (8 * byte)) & 255) * mostNoise) >> 8
    }
  }
}

/** Thickness of a line, as a share of the side of an item; never thinner than a pixel. */
const thickness = 1 / 14

/** The stroke patterns, (patterns, side, side): always the same ones, two straight lines each. */
function drawPatterns(side: number): Uint8Array {
  const patterns = new Uint8Array(strokePatterns * side * side)
  for (let pattern = 0; pattern < strokePatterns; pattern++) {
    const chance = random(0, `stroke pattern ${pattern}`)
    const lines = [drawLine(side, chance), drawLine(side, chance)]
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const distance = Math.min(...lines.map(line => distanceTo(line, y, x)))
        const cover = Math.max(0.5, (side * thickness) / 2) + 0.5 - distance
        patterns[(pattern * side + y) * side + x] = Math.round(255 * Math.min(1, Math.max(0, cover)))
      }
    }
  }
  return patterns
}

/** Ends of a line: row and column of each. */
type Line = readonly [number, number, number, number]

/** A line of at least half of the side. */
function drawLine(side: number, chance: Random): Line {
  const last = side - 1
  for (;;) {
    const line: Line = [
      last * chance.next(),
      last * chance.next(),
      last * chance.next(),
      last * chance.next(),
    ]
    if (Math.hypot(line[2] - line[0], line[3] - line[1]) >= last / 2) return line
  }
}

function distanceTo([y0, x0, y1, x1]: Line, y: number, x: number): number {
  const length = (y1 - y0) ** 2 + (x1 - x0) ** 2
  const along = length === 0 ? 0 : ((y - y0) * (y1 - y0) + (x - x0) * (x1 - x0)) / length
  const share = Math.min(1, Math.max(0, along))
  return Math.hypot(y - y0 - share * (y1 - y0), x - x0 - share * (x1 - x0))
}

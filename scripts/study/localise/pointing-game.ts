import type { RegionObjects } from '../../../src/data/regions/region-stream.js'
import type { Size2D } from '../../../src/shapes.js'

/** A point of an image: from its top and from its left, in pixels. */
export type Point = readonly [y: number, x: number]

/** Whether a point lies on something that decides the class. */
export interface Hit {
  /** In the box of such a thing. */
  readonly inside: number
  /** In the box, or at most a tolerance outside. */
  readonly near: number
}

/**
 * Whether a point lies on something that decides the class; 1 or 0.
 *
 * @param tolerance in pixels
 */
export function hit([y, x]: Point, { boxes, relevant }: RegionObjects, tolerance: number): Hit {
  const isIn = (reach: number): boolean =>
    relevant.some((decides, thing) => {
      const [top = 0, left = 0, height = 0, width = 0] = boxes.subarray(4 * thing, 4 * thing + 4)
      const isInRows = y >= top - reach && y < top + height + reach
      return decides === 1 && isInRows && x >= left - reach && x < left + width + reach
    })
  return { inside: Number(isIn(0)), near: Number(isIn(tolerance)) }
}

/** The mean of several hits. */
export function meanHit(hits: readonly Hit[]): Hit {
  const mean = (of: (each: Hit) => number) => hits.reduce((sum, each) => sum + of(each), 0) / hits.length
  return { inside: mean(({ inside }) => inside), near: mean(({ near }) => near) }
}

/** The centre of one cell of a map, of the image that the map stands for. */
export function centreOf(cell: number, map: Size2D, image: Size2D): Point {
  const [rows, columns] = map
  const row = Math.floor(cell / columns)
  return [((row + 0.5) * image[0]) / rows, (((cell % columns) + 0.5) * image[1]) / columns]
}

/** The position of the largest number; the first of several. */
export function strongest(values: ArrayLike<number>): number {
  let best = 0
  for (let i = 1; i < values.length; i++) if ((values[i] as number) > (values[best] as number)) best = i
  return best
}

import type { Random } from '../../random.js'
import type { ImageShape } from '../../shapes.js'
import type { ImageValues } from '../image-values.js'

/**
 * One change of one image, with everything that chance decides already drawn.
 *
 * @param from values of the image, (height, width, channels), row-major; only read
 * @param to as many values of the same kind, all of which it writes; never the same memory as `from`
 */
export type Variation = (from: ImageValues, to: ImageValues, shape: ImageShape) => void

/** Draws the change of one image; undefined leaves it as it is. */
export type DrawVariation = (chance: Random) => Variation | undefined

/**
 * What is added to a value before it is stored, so that bytes, which are cut off behind the point, are rounded to the
 * nearest.
 */
export function roundingOf(values: ImageValues): number {
  return values instanceof Float32Array ? 0 : 0.5
}

/** A number drawn uniformly from [from, to). */
export function between(chance: Random, from: number, to: number): number {
  return from + (to - from) * chance.next()
}

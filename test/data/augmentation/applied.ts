import type { Variation } from '../../../src/data/augmentation/variation.js'
import { type ImageValues, zerosLike } from '../../../src/data/image-values.js'
import { random } from '../../../src/random.js'
import type { ImageShape } from '../../../src/shapes.js'

/** What a variation makes of an image. What it leaves unwritten shows: memory is not 0 before. */
export function applied<Values extends ImageValues>(
  variation: Variation,
  values: Values,
  shape: ImageShape,
): Values {
  const before = values.slice()
  const to = zerosLike(values, values.length).fill(99) as Values
  variation(values, to, shape)
  if (values.some((value, i) => value !== before[i])) throw new Error('a variation must not change its image')
  return to
}

/** Random pixels. */
export function noise([height, width, channels]: ImageShape, seed = 1): Uint8Array {
  const chance = random(seed, 'pixels')
  return Uint8Array.from({ length: height * width * channels }, () => chance.below(256))
}

/** The greatest difference of two images. */
export function farthest(one: ImageValues, other: ImageValues): number {
  return Math.max(...Array.from(one, (value, i) => Math.abs(value - (other[i] as number))))
}

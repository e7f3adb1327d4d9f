import type { ImageShape } from '../shapes.js'

/**
 * The values of images: bytes are pixels 0..255, of which networks see value / 255; floats are any finite numbers, which
 * networks see as they are.
 */
export type ImageValues = Uint8Array | Float32Array

/** What networks see of a value, as a divisor of it: pixels are scaled to [0, 1], floats are not scaled. */
export function valueDivisor(images: ImageValues): number {
  return images instanceof Float32Array ? 1 : 255
}

/** What a value is, for errors: `Float64Array`. */
export function arrayKind(value: unknown): string {
  return Object.prototype.toString.call(value).slice('[object '.length, -1)
}

/** Zeros, as an array of the kind of others. */
export function zerosLike<Values extends ImageValues>(images: Values, length: number): Values
export function zerosLike(images: ImageValues, length: number): ImageValues {
  return images instanceof Float32Array ? new Float32Array(length) : new Uint8Array(length)
}

/**
 * The values of several images, one after the other.
 *
 * @param images at least 1, all of one kind and one length
 */
export function joinedValues(images: readonly ImageValues[]): ImageValues {
  const [first] = images as [ImageValues]
  const all = zerosLike(first, first.length * images.length)
  for (const [i, image] of images.entries()) all.set(image, i * first.length)
  return all
}

/**
 * Checks the values of images where they enter.
 *
 * @param shape height, width and channels of every image
 * @param where the caller and the name of the images, for errors
 * @throws TypeError when they are neither bytes nor floats of 32 bits; RangeError naming the first value that is not
 *   finite
 */
export function checkValues(images: ImageValues, shape: ImageShape, where: string): void {
  if (images instanceof Uint8Array || images instanceof Uint8ClampedArray) return
  if (!(images instanceof Float32Array)) {
    throw new TypeError(
      `${where} must hold images in a Uint8Array or a Float32Array, got ${arrayKind(images)}`,
    )
  }
  // A plain loop: a set of 16,000 x 200 values takes 3 ms.
  for (let i = 0; i < images.length; i++) {
    const value = images[i] as number
    if (Number.isFinite(value)) continue
    const values = shape[0] * shape[1] * shape[2]
    throw new RangeError(
      `${where} must hold finite values, got ${value} (image ${Math.floor(i / values)}, value ${i % values})`,
    )
  }
}

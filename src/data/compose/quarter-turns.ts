import type { PixelSet } from '../image-set.js'

/**
 * Turns each image by a multiple of 90 degrees, counter-clockwise.
 *
 * @param turns (count) quarter turns of each image, 0 to 3
 * @throws RangeError when the images are not square, or a number of turns is out of range
 */
export function turnImages(set: PixelSet, turns: Int32Array): PixelSet {
  const [side, width, channels] = set.shape
  if (side !== width) throw new RangeError(`turnImages: images must be square, got ${side}x${width}`)
  if (turns.length !== set.count || turns.some(turn => !(turn >= 0 && turn <= 3))) {
    throw new RangeError(
      `turnImages: turns must be ${set.count} numbers in [0, 3], got ${turns.length} ` +
        `(the largest ${Math.max(...turns)})`,
    )
  }
  const images = new Uint8Array(set.images.length)
  const size = side * side * channels
  for (const [image, turn] of turns.entries()) {
    const pixels = set.images.subarray(image * size, (image + 1) * size)
    for (let y = 0; y < side; y++) {
      for (let x = 0; x < side; x++) {
        const source = sourceOf(turn, y, x, side - 1) * channels
        const target = image * size + (y * side + x) * channels
        images.set(pixels.subarray(source, source + channels), target)
      }
    }
  }
  return { ...set, images }
}

/** Number of the pixel that comes to (y, x); `last` is the highest row and column. */
function sourceOf(turns: number, y: number, x: number, last: number): number {
  const side = last + 1
  if (turns === 0) return y * side + x
  if (turns === 1) return x * side + last - y
  if (turns === 2) return (last - y) * side + last - x
  return (last - x) * side + y
}

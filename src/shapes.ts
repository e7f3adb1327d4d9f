/**
 * The axis legend of the whole project, and the small shape arithmetic that everybody shares.
 *
 * | letter | axis |
 * |---|---|
 * | B | images of a batch |
 * | H, W, C | height, width and channels of a feature map |
 * | h, w | height and width of one patch, in pixels of the map |
 * | N | patches of a map, numbered row by row: N = (H/h)(W/w) |
 * | K | experts |
 * | L | patches that each expert keeps |
 * | F | output channels of one expert |
 * | M | patches that one expert keeps in a whole batch: M = B L |
 * | P | rows of F numbers that one expert outputs: P = M h w, one a pixel, or P = M, one a patch |
 * | R | rows of a window, when the map is viewed as rows of neighbouring pixels |
 * | kh, kw | height and width of a kernel |
 * | H', W' | height and width of a convolution's output |
 */

/** Height and width, in pixels. */
export type Size2D = readonly [height: number, width: number]

/** Height, width and channels of an image or a feature map. */
export type ImageShape = readonly [height: number, width: number, channels: number]

/**
 * Reads a size that may be given as one number for both sides.
 *
 * @param size positive integer, or [height, width] of positive integers
 * @param where the name of the caller and the option, for the error: `PatchMoE: patchSize`
 * @throws RangeError when a side is not a positive integer
 */
export function size2D(size: number | readonly number[], where: string): Size2D {
  const sides = typeof size === 'number' ? [size, size] : size
  const [height, width] = sides
  if (sides.length !== 2 || !isPositiveInteger(height) || !isPositiveInteger(width)) {
    throw new RangeError(
      `${where} must be a positive integer or [height, width] of them, got ${JSON.stringify(size)}`,
    )
  }
  return [height, width]
}

/** Whether `value` is an integer of at least 1. */
export function isPositiveInteger(value: unknown): value is number {
  return Number.isInteger(value) && (value as number) >= 1
}

/** Height and width of the small view of an image, each of whose pixels stands for a square block of the image. */
export function viewSize([height, width]: Size2D, scale: number): Size2D {
  return [Math.ceil(height / scale), Math.ceil(width / scale)]
}

/** How many numbers a shape holds: the product of its sides, 1 for no sides. */
export function shapeSize(shape: readonly number[]): number {
  return shape.reduce((size, side) => size * side, 1)
}

import type { Size2D } from '../../shapes.js'

/** Where an object lies in an image, in whole pixels. */
export type ObjectBox = readonly [top: number, left: number, height: number, width: number]

/**
 * The box of one image.
 *
 * @param boxes (count, 4) top, left, height and width in pixels
 * @param image in [0, count)
 */
export function boxAt(boxes: Int32Array, image: number): ObjectBox {
  const [top, left, height, width] = boxes.subarray(4 * image, 4 * image + 4)
  return [top as number, left as number, height as number, width as number]
}

/** How many pixels two boxes have in common. */
export function sharedPixels(a: ObjectBox, b: ObjectBox): number {
  return sharedLength(a[0], a[2], b[0], b[2]) * sharedLength(a[1], a[3], b[1], b[3])
}

function sharedLength(first: number, length: number, otherFirst: number, otherLength: number): number {
  return Math.max(0, Math.min(first + length, otherFirst + otherLength) - Math.max(first, otherFirst))
}

/**
 * The boxes of some images, copied.
 *
 * @param boxes (count, 4)
 * @param positions of the images, integers in [0, count)
 * @returns (positions, 4)
 */
export function pickBoxes(boxes: Int32Array, positions: Int32Array): Int32Array {
  return Int32Array.from({ length: 4 * positions.length }, (_, i) => {
    const position = positions[i >> 2] as number
    return boxes[4 * position + (i & 3)] as number
  })
}

/**
 * Checks that every box has sides of at least a pixel and lies within its image.
 *
 * @param boxes (count, 4)
 * @param size height and width of the images, in pixels
 * @param where the name of the caller or the file, for the error
 * @param describe names an image by its number, for the error
 * @throws RangeError with the first box that does not
 */
export function checkBoxes(
  boxes: Int32Array,
  size: Size2D,
  where: string,
  describe: (image: number) => string,
): void {
  for (let image = 0; 4 * image < boxes.length; image++) {
    const box = boxAt(boxes, image)
    const [top, left, height, width] = box
    const within = top >= 0 && left >= 0 && top + height <= size[0] && left + width <= size[1]
    if (within && height >= 1 && width >= 1) continue
    throw new RangeError(
      `${where}: objectBox (top, left, height, width) must lie within ${size[0]}x${size[1]} pixels, ` +
        `got ${box.join(', ')} (${describe(image)})`,
    )
  }
}

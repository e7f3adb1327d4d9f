import type { Size2D } from '../../shapes.js'
import type { ObjectBox } from '../compose/object-box.js'
import { boxAt } from '../compose/object-box.js'

/** How many boxes there are, and the size in pixels that all of them have. */
export interface RegionSize {
  readonly count: number
  readonly height: number
  readonly width: number
}

/**
 * Checks boxes that are asked of an image: all of one size, each with at least a pixel in the image.
 *
 * @param boxes (count, 4) top, left, height and width in pixels
 * @param size of the image
 * @param where the image, for errors
 * @throws RangeError naming the first box that is empty, of another size, or outside of the image
 */
export function regionSize(boxes: Int32Array, size: Size2D, where: string): RegionSize {
  if (boxes.length % 4 !== 0) {
    throw new RangeError(`${where}: boxes must be four numbers each, got ${boxes.length} numbers`)
  }
  const count = boxes.length / 4
  if (count === 0) return { count, height: 0, width: 0 }
  const [, , height, width] = boxAt(boxes, 0)
  if (height < 1 || width < 1) {
    throw new RangeError(`${where}: boxes must be at least 1x1, got ${height}x${width} (box 0)`)
  }
  for (let number = 0; number < count; number++) {
    const box = boxAt(boxes, number)
    if (box[2] !== height || box[3] !== width) {
      throw new RangeError(
        `${where}: boxes must be of one size, ${height}x${width}, got ${box[2]}x${box[3]} (box ${number})`,
      )
    }
    if (meets(box, [0, 0, ...size])) continue
    throw new RangeError(
      `${where}: boxes (top, left, height, width) must have a pixel in the image of ${size[0]}x${size[1]}, ` +
        `got ${box.join(', ')} (box ${number})`,
    )
  }
  return { count, height, width }
}

/** Whether two boxes have a pixel in common. */
export function meets(a: ObjectBox, b: ObjectBox): boolean {
  return a[0] < b[0] + b[2] && b[0] < a[0] + a[2] && a[1] < b[1] + b[3] && b[1] < a[1] + a[3]
}

/** A part of an image: where it lies, and its pixels (height, width, channels). */
export interface ImagePart {
  readonly box: ObjectBox
  readonly pixels: Uint8Array
}

/**
 * Copies what two parts of an image have in common, from one to the other.
 *
 * @param channels of both
 */
export function copyPart(from: ImagePart, to: ImagePart, channels: number): void {
  const [top, left, height, width] = from.box
  const [toTop, toLeft, toHeight, toWidth] = to.box
  const firstColumn = Math.max(left, toLeft)
  const rowBytes = (Math.min(left + width, toLeft + toWidth) - firstColumn) * channels
  if (rowBytes <= 0) return
  const endRow = Math.min(top + height, toTop + toHeight)
  for (let row = Math.max(top, toTop); row < endRow; row++) {
    const start = ((row - top) * width + firstColumn - left) * channels
    const target = ((row - toTop) * toWidth + firstColumn - toLeft) * channels
    to.pixels.set(from.pixels.subarray(start, start + rowBytes), target)
  }
}

/** Zeros for all boxes, and the part of them that each box is. */
export function emptyRegions(
  boxes: Int32Array,
  { count, height, width }: RegionSize,
  channels: number,
): { readonly pixels: Uint8Array<ArrayBuffer>; readonly parts: readonly ImagePart[] } {
  const boxBytes = height * width * channels
  const pixels = new Uint8Array(count * boxBytes)
  const parts = Array.from({ length: count }, (_, number) => ({
    box: boxAt(boxes, number),
    pixels: pixels.subarray(number * boxBytes, (number + 1) * boxBytes),
  }))
  return { pixels, parts }
}

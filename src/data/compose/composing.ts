import { classOrder, type PixelSet } from '../image-set.js'
import { arrayKind } from '../image-values.js'

/** Images that others are made of: those of a set, or backgrounds. */
export type ImagePool = Pick<PixelSet, 'images' | 'count' | 'shape'>

/**
 * Checks that classes belong to the pool, differ, and have images.
 *
 * @param where the composer and the option, for the error: `composeGrid: targets`
 * @throws RangeError naming the class that is not in the pool, comes twice, or has no images
 */
export function checkClasses(where: string, classes: readonly number[], pool: PixelSet): void {
  if (classes.length === 0) throw new RangeError(`${where} must name a class, got none`)
  for (const [position, label] of classes.entries()) {
    const name = pool.classNames[label]
    if (name === undefined) {
      throw new RangeError(`${where} must be classes in [0, ${pool.classNames.length - 1}], got ${label}`)
    }
    if (classes.indexOf(label) !== position) {
      throw new RangeError(`${where} must differ from each other, got class ${label} "${name}" twice`)
    }
    if (!pool.labels.includes(label)) {
      throw new RangeError(
        `${where} must have images in the pool, got 0 of class ${label} "${name}" (${pool.count} images)`,
      )
    }
  }
}

/**
 * Checks how many images are to be composed.
 *
 * @throws RangeError when it is not an integer of at least 0
 */
export function checkCount(where: string, count: number): void {
  if (Number.isSafeInteger(count) && count >= 0) return
  throw new RangeError(`${where}: count must be an integer of at least 0, got ${count}`)
}

/**
 * Checks that images are made of pixels.
 *
 * @param where the composer and the option, for the error: `composeGrid: pool`
 * @throws TypeError for floats
 */
export function checkPixels(where: string, { images }: { readonly images: unknown }): void {
  if (images instanceof Uint8Array || images instanceof Uint8ClampedArray) return
  throw new TypeError(`${where} must hold pixels in a Uint8Array, got ${arrayKind(images)}`)
}

/**
 * Allocates the pixels of composed images.
 *
 * @throws RangeError when they do not fit in memory
 */
export function allocateImages(where: string, count: number, imageBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(count * imageBytes)
  } catch (cause) {
    throw new RangeError(
      `${where}: count must be of images that fit in memory, got ${count} (${imageBytes} bytes each)`,
      { cause },
    )
  }
}

/** Which image of the pool a composed image shows, and its label. */
export interface Turn {
  readonly label: number
  /** Position in the pool. */
  readonly source: number
}

/**
 * Which image each composed image shows: the targets take turns, so that classes are balanced; the images of a target
 * class are taken in one seeded order, again from its start when it is through.
 *
 * @returns the turn of composed image 0, 1, 2, ...; its label is the position among the targets
 */
export function targetTurns(
  pool: PixelSet,
  targets: readonly number[],
  seed: number,
): (image: number) => Turn {
  const orders = targets.map(target => classOrder(pool, target, seed))
  return image => {
    const label = image % targets.length
    const order = orders[label] as Int32Array
    return { label, source: order[Math.floor(image / targets.length) % order.length] as number }
  }
}

/** How many balanced images can be composed without showing one of the targets' images twice. */
export function eachOnce(pool: Pick<PixelSet, 'labels'>, targets: readonly number[]): number {
  const counts = targets.map(() => 0)
  for (const label of pool.labels) {
    const position = targets.indexOf(label)
    if (position >= 0) counts[position] = (counts[position] as number) + 1
  }
  return targets.length * Math.min(...counts)
}

/** Images that are being composed, and their width in bytes. */
export interface Canvas {
  readonly images: Uint8Array
  readonly rowBytes: number
}

/**
 * Copies image `source` of a pool onto the canvas.
 *
 * @param start the byte of the canvas that its first pixel takes
 */
export function paste(pool: ImagePool, source: number, { images, rowBytes }: Canvas, start: number): void {
  const [height, width, channels] = pool.shape
  const sourceRow = width * channels
  let from = source * height * sourceRow
  let to = start
  for (let y = 0; y < height; y++) {
    // Rows are short: a plain loop is faster than set(subarray()).
    for (let x = 0; x < sourceRow; x++) images[to + x] = pool.images[from + x] as number
    from += sourceRow
    to += rowBytes
  }
}

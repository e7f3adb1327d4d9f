import type { CatalogHalf } from '../data/image-catalog.js'
import type { Size2D } from '../shapes.js'

/** Sizes of image files, in pixels. */
export interface ImageSizes {
  /** Files that were looked at. */
  readonly examined: number
  /** By number of pixels. */
  readonly smallest: Size2D
  readonly median: Size2D
  readonly largest: Size2D
}

/**
 * Looks at the headers of some image files, spread evenly over all of them.
 *
 * @param most files that are looked at
 * @returns their sizes as they are seen, after the camera's rotation; undefined where no header could be read
 */
export async function imageSizes(half: CatalogHalf, most: number): Promise<ImageSizes | undefined> {
  const { default: sharp } = await import('sharp')
  const examined = Math.min(most, half.count)
  const sizes: Size2D[] = []
  for (let i = 0; i < examined; i++) {
    const bytes = await half.encoded(Math.floor((i * half.count) / examined))
    const header = await sharp(bytes, { limitInputPixels: false })
      .metadata()
      .catch(() => undefined)
    if (header) sizes.push([header.autoOrient.height, header.autoOrient.width])
  }
  sizes.sort((a, b) => a[0] * a[1] - b[0] * b[1])
  const [smallest, median, largest] = [sizes[0], sizes[sizes.length >> 1], sizes.at(-1)]
  return smallest && median && largest && { examined: sizes.length, smallest, median, largest }
}

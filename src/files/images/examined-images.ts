import type { CatalogHalf } from '../../data/image-catalog.js'
import type { ImageDecoding } from '../../data/image-decoding.js'
import { ImageNotes } from '../../data/image-notes.js'
import type { UnreadableImage } from '../../data/unreadable-images.js'
import type { Size2D } from '../../shapes.js'
import { decodeImage } from './image-files.js'

/** Sizes of image files, in pixels. */
export interface ImageSizes {
  /** Files that were looked at and have a size. */
  readonly examined: number
  /** By number of pixels. */
  readonly smallest: Size2D
  readonly median: Size2D
  readonly largest: Size2D
}

/** What was found out about some image files of a dataset. */
export interface ExaminedImages {
  /** Files that were looked at. */
  readonly examined: number
  /** Those of them that cannot be read or decoded. */
  readonly unreadable: readonly UnreadableImage[]
  /** What decoding does to them that their owner may not expect, a sentence each. */
  readonly notes: readonly string[]
  /** Their sizes as they are seen, after the camera's rotation; undefined where no file has one. */
  readonly sizes?: ImageSizes | undefined
}

/** Files of more pixels are not decoded: only their headers are looked at. */
const mostDecoded = 2 ** 22

/**
 * Looks at some image files, spread evenly over all of the halves: at their headers, and at their pixels where they are
 * not many.
 *
 * @param most files that are looked at
 */
export async function examineImages(
  halves: readonly CatalogHalf[],
  decoding: ImageDecoding,
  most: number,
): Promise<ExaminedImages> {
  const count = halves.reduce((sum, half) => sum + half.count, 0)
  const examined = Math.min(most, count)
  const sizes: Size2D[] = []
  const unreadable: UnreadableImage[] = []
  const notes = new ImageNotes()
  const decode = notes.listen(decodeImage)
  for (let i = 0; i < examined; i++) {
    const { half, position } = imageAt(halves, Math.floor((i * count) / examined))
    const name = half.name(position)
    try {
      const bytes = await half.encoded(position)
      const size = await sizeOf(bytes)
      if (size) sizes.push(size)
      if (!size || size[0] * size[1] <= mostDecoded) await decode(bytes, decoding, name)
    } catch (error) {
      unreadable.push({ name, reason: error instanceof Error ? error.message : String(error) })
    }
  }
  unreadable.sort((a, b) => (a.name < b.name ? -1 : 1))
  return { examined, unreadable, notes: notes.lines, sizes: summaryOf(sizes) }
}

/** The image of a number counted through all halves, one half after the other. */
function imageAt(halves: readonly CatalogHalf[], number: number): { half: CatalogHalf; position: number } {
  let position = number
  for (const half of halves) {
    if (position < half.count) return { half, position }
    position -= half.count
  }
  throw new RangeError(`examineImages: image must be one of the halves, got number ${number}`)
}

/** Height and width in pixels; undefined for what has no header of an image. */
async function sizeOf(bytes: Uint8Array): Promise<Size2D | undefined> {
  if (bytes.length === 0) return undefined
  const { default: sharp } = await import('sharp')
  const header = await sharp(bytes, { limitInputPixels: false })
    .metadata()
    .catch(() => undefined)
  return header && [header.autoOrient.height, header.autoOrient.width]
}

function summaryOf(sizes: Size2D[]): ImageSizes | undefined {
  sizes.sort((a, b) => a[0] * a[1] - b[0] * b[1])
  const [smallest, median, largest] = [sizes[0], sizes[sizes.length >> 1], sizes.at(-1)]
  return smallest && median && largest && { examined: sizes.length, smallest, median, largest }
}

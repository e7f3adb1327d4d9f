import type { ObjectBox } from '../../data/compose/object-box.js'
import { BlockMeans, checkScale } from '../../data/regions/block-means.js'
import { copyPart, emptyRegions, type ImagePart, regionSize } from '../../data/regions/region-boxes.js'
import type { RegionSource } from '../../data/regions/region-source.js'
import type { Size2D } from '../../shapes.js'
import { HeldPixels } from './held-pixels.js'
import { ImageFile, type RegionDecoding } from './image-file.js'
import { seenPixels, storedBox } from './stored-turn.js'

/**
 * An image file (JPEG, PNG, WebP, GIF, AVIF, TIFF) as an image that is read in parts, in the threads of sharp.
 *
 * Such files are decoded from the top. Where that is done for a view, the pixels are held for regions until the source is closed,
 * 256 MiB of all images together. Otherwise all boxes that are asked for at once cost one decoding of the part of the image that they
 * lie in, and three bytes a pixel of that part; of a part of more than 2^25 pixels one decoding for each group of boxes that lie in
 * fewer. All decodings together take 256 MiB, or one part. Large JPEG files (see `decodedWhole`) whose sides are multiples of 2, 4 or 8
 * decode their views at that part of their size: such a view differs from block means by less than 2 of 255 on average where
 * brightness changes slowly, by more at sharp edges. All other views are exact.
 *
 * Rotation, transparency, CMYK and depth are treated as by `decodeImage`.
 *
 * @throws RangeError and Error as `ImageFile.open`
 */
export async function sharpSource(path: string, decoding: RegionDecoding = {}): Promise<RegionSource> {
  const file = await ImageFile.open(path, decoding)
  return fileSource(file)
}

/** The source of an opened file. */
export function fileSource(file: ImageFile): RegionSource {
  const { path, channels, stored, turn } = file
  const [height, width] = file.size
  const image = new HeldPixels(height * width * channels, () => file.decode())
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, path)
      const shrink = shrinkOf(file, scale)
      const size = [Math.ceil(stored[0] / shrink), Math.ceil(stored[1] / shrink)] as const
      const blocks = scale / shrink
      const missing = [
        turn.rowsReversed ? missingOf(size[0], blocks) : 0,
        turn.columnsReversed ? missingOf(size[1], blocks) : 0,
      ] as const
      if (image.held) await file.check()
      const decoded = await (shrink === 1 ? image.whole() : file.decode({ shrink }))
      // A block of one pixel is its mean; what is held stays with the image.
      if (blocks === 1) return seenPixels(decoded.slice(), [...size, channels], turn)
      const means = new BlockMeans([...size, channels], blocks, missing)
      means.add(decoded)
      const storedView = [Math.ceil(size[0] / blocks), Math.ceil(size[1] / blocks), channels] as const
      return seenPixels(means.view, storedView, turn)
    },
    async regions(boxes) {
      const size = regionSize(boxes, [height, width], path)
      if (size.count === 0) return new Uint8Array()
      const regions = emptyRegions(boxes, size, channels)
      const storedBoxes = regions.parts.map(({ box }) => storedBox(box, stored, turn))
      for (const { numbers, box } of boxGroups(storedBoxes, stored)) {
        const decoded = await decodedPart(file, image, box)
        for (const number of numbers) {
          const part = storedBoxes[number] as ObjectBox
          const pixels = new Uint8Array(part[2] * part[3] * channels)
          copyPart(decoded, { box: part, pixels }, channels)
          regions.parts[number]?.pixels.set(seenPixels(pixels, [part[2], part[3], channels], turn))
        }
      }
      return regions.pixels
    },
    async close() {
      image.release()
    },
  }
}

/** The part of the image that boxes lie in, or all of it where it is held since its view was read. */
async function decodedPart(file: ImageFile, image: HeldPixels, box: ObjectBox): Promise<ImagePart> {
  const held = image.held
  if (!held) return { box, pixels: await file.decode({ box }) }
  await file.check()
  return { box: [0, 0, ...file.stored], pixels: await held }
}

/** How far a large JPEG file is decoded small for a view; of other sides sharp would move the blocks. */
function shrinkOf({ about, stored, isSmall }: ImageFile, scale: number): number {
  if (about.format !== 'jpeg' || isSmall) return 1
  const divides = (shrink: number): boolean => stored.every(side => side % shrink === 0)
  return [8, 4, 2].find(shrink => scale % shrink === 0 && divides(shrink)) ?? 1
}

/** What the last block lacks. */
function missingOf(length: number, scale: number): number {
  return (scale - (length % scale)) % scale
}

/** Pixels of a part that is decoded at once, unless a single box has more. */
const mostPixels = 2 ** 25

/** Boxes that are decoded together: their numbers, and the smallest box around them. */
export interface BoxGroup {
  readonly numbers: readonly number[]
  readonly box: ObjectBox
}

/**
 * Parts boxes into groups, from the top of the image to its end, so that what lies around those of one group has no more than some
 * pixels; boxes that lie far apart would else take the memory of all that is between them.
 *
 * @param size height and width of the image
 * @param most pixels around a group, unless it is a single box
 */
export function boxGroups(boxes: readonly ObjectBox[], size: Size2D, most = mostPixels): readonly BoxGroup[] {
  const order = Array.from(boxes.keys()).sort((a, b) => (boxes[a]?.[0] ?? 0) - (boxes[b]?.[0] ?? 0))
  const groups: BoxGroup[] = []
  for (const number of order) {
    const last = groups.at(-1)
    const numbers = [...(last?.numbers ?? []), number]
    const box = boundingBox(
      numbers.map(each => boxes[each] as ObjectBox),
      size,
    )
    if (last && box[2] * box[3] <= most) groups[groups.length - 1] = { numbers, box }
    else groups.push({ numbers: [number], box: boundingBox([boxes[number] as ObjectBox], size) })
  }
  return groups
}

/** The smallest box around boxes, within an image. */
function boundingBox(boxes: readonly ObjectBox[], [height, width]: Size2D): ObjectBox {
  const top = Math.max(0, Math.min(...boxes.map(box => box[0])))
  const left = Math.max(0, Math.min(...boxes.map(box => box[1])))
  const bottom = Math.min(height, Math.max(...boxes.map(box => box[0] + box[2])))
  const right = Math.min(width, Math.max(...boxes.map(box => box[1] + box[3])))
  return [top, left, bottom - top, right - left]
}

import { basename, join, relative, resolve, sep } from 'node:path'
import sharp from 'sharp'
import type { ImageDecoding } from '../../../src/data/image-decoding.js'
import { streamOf } from '../../../src/data/image-stream.js'
import type { RegionSource } from '../../../src/data/regions/region-source.js'
import type { RegionStream } from '../../../src/data/regions/region-stream.js'
import { viewableImages } from '../../../src/data/viewable-images.js'
import type { ImageEntry } from '../../../src/explore/description.js'
import { labelOfPath } from '../../../src/explore/label-of-path.js'
import { readImage } from '../../../src/files/images/image-files.js'
import { openRegions } from '../../../src/files/regions/open-regions.js'
import { shapeSize } from '../../../src/shapes.js'
import type { WholeImages } from '../../../src/train/feed.js'
import type { ImageValues } from '../../../src/train/upload.js'
import { seenPixels } from '../explained-images.js'
import { pictureOfRegions } from '../regions/explained-regions.js'

/** An encoded picture. */
export interface Picture {
  readonly bytes: Buffer
  readonly type: string
}

/** How a network takes images: whole, decoded to its input, or in parts. */
export type Taking =
  | { readonly whole: ImageDecoding }
  | { readonly parts: { readonly channels: 1 | 3; readonly whiteLevel?: number } }

/** An image that networks can be asked about. */
export interface ExploredImage {
  readonly entry: ImageEntry
  /** Its values, as a network takes it whole. */
  values(decoding: ImageDecoding): Promise<ImageValues>
  /** The image, as a network reads it in parts. */
  regions(decoding: { readonly channels: 1 | 3; readonly whiteLevel?: number }): Promise<RegionSource>
  /** What a network sees of it, as a picture of no more than about `longest` pixels along its longer side. */
  picture(taking: Taking, longest: number): Promise<Picture>
}

/** Most images of a run that are shown; `pmoe evaluate` takes all. */
export const MOST_OF_RUN = 2000
/** Most values of them that are kept in memory. */
const MOST_VALUES = 2 ** 28

/**
 * An image file.
 *
 * @param above the folder that its name is relative to; the name of that folder may be the class, too
 */
export function imageFile(path: string, above: string, classNames: readonly string[]): ExploredImage {
  const inside = relative(above, path)
  const isInside = inside !== '' && !inside.startsWith('..')
  const label = labelOfPath(join(basename(resolve(above)), isInside ? inside : basename(path)), classNames)
  return {
    entry: {
      name: isInside ? inside.split(sep).join('/') : basename(path),
      ...(label !== undefined && { label }),
    },
    values: decoding => readImage(path, decoding),
    regions: decoding => openRegions(path, decoding),
    picture: async (taking, longest) => {
      if ('parts' in taking) return partsPicture(await openRegions(path, taking.parts), longest)
      const { pixels, size } = await seenPixels(path, taking.whole, longest)
      return rawPicture(pixels, { height: size[0], width: size[1], channels: 3 }, longest)
    },
  }
}

/** Positions of at most so many images, evenly out of all. */
function evenly(count: number, most: number): readonly number[] {
  const taken = Math.min(count, Math.max(1, most))
  return Array.from({ length: taken }, (_, i) => Math.floor((i * count) / taken))
}

function nameOf({ names }: { readonly names?: readonly string[] }, position: number): string {
  return names?.[position] ?? `test image ${position + 1}`
}

/**
 * The test images of a run that reads them whole, as many as fit: they stay in memory as networks take them. At most
 * {@link MOST_OF_RUN}, evenly out of all.
 */
export async function wholeTestImages(set: WholeImages): Promise<readonly ExploredImage[]> {
  const stream = streamOf(set)
  const size = shapeSize(stream.shape)
  const wanted = new Set(evenly(stream.count, Math.min(MOST_OF_RUN, Math.floor(MOST_VALUES / size))))
  const images: ExploredImage[] = []
  let position = 0
  for await (const batch of stream.batches({ batchSize: 64 })) {
    for (const [i, label] of batch.labels.entries()) {
      if (!wanted.has(position++)) continue
      const values = batch.images.slice(i * size, (i + 1) * size)
      const entry = { name: nameOf(stream, position - 1), label: stream.classNames[label] ?? String(label) }
      images.push({
        entry,
        values: async () => values,
        regions: async () => {
          throw new Error(
            `${entry.name}: image must be one that is read in parts, got one that is read whole`,
          )
        },
        picture: async (_, longest) => {
          const { pixels, shape } = viewableImages(values, stream.shape)
          const [height, width, channels] = shape
          return rawPicture(pixels, { height, width, channels }, longest)
        },
      })
    }
  }
  return images
}

/** The test images of a run that reads them in parts: at most {@link MOST_OF_RUN}, evenly out of all. */
export function regionTestImages(stream: RegionStream): readonly ExploredImage[] {
  const open = async (position: number): Promise<RegionSource> => {
    for await (const { sources } of stream.batches({ batchSize: 1, start: position, end: position + 1 })) {
      if (sources[0]) return sources[0]
    }
    throw new RangeError(`explore: images must hold position ${position}, got ${stream.count} images`)
  }
  return evenly(stream.count, MOST_OF_RUN).map(position => {
    const label = stream.labels?.[position]
    const name = label === undefined ? undefined : stream.classNames[label]
    return {
      entry: { name: nameOf(stream, position), ...(name !== undefined && { label: name }) },
      values: async () => {
        throw new Error(
          `${nameOf(stream, position)}: image must be one that is read whole, got one that is read in parts`,
        )
      },
      regions: () => open(position),
      picture: async (_, longest) => partsPicture(await open(position), longest),
    }
  })
}

async function partsPicture(source: RegionSource, longest: number): Promise<Picture> {
  try {
    return await pictureOfRegions(source, longest)
  } finally {
    await source.close?.()
  }
}

/** Photographs as JPEG, small pictures pixel by pixel. */
async function rawPicture(
  pixels: Uint8Array,
  raw: { readonly height: number; readonly width: number; readonly channels: 1 | 3 },
  longest: number,
): Promise<Picture> {
  const image = sharp(pixels, { raw }).resize(longest, longest, { fit: 'inside', withoutEnlargement: true })
  const isPhotograph = Math.max(raw.height, raw.width) > 128
  return isPhotograph
    ? { bytes: await image.jpeg({ quality: 88 }).toBuffer(), type: 'image/jpeg' }
    : { bytes: await image.png().toBuffer(), type: 'image/png' }
}

import type { Dataset, DatasetOptions } from './datasets/dataset.js'
import { eachInParallel } from './each-in-parallel.js'
import { type CatalogHalf, type ImageCatalog, imageName } from './image-catalog.js'
import type { DecodeImage, ImageDecoding } from './image-decoding.js'
import { ImageNotes } from './image-notes.js'
import type { ImageSet } from './image-set.js'
import { UnreadableImages, unreadableText } from './unreadable-images.js'

/**
 * Decodes all images of a catalog into memory; those that cannot be read or decoded are left out, up to a limit.
 *
 * @param name of the dataset
 * @param options.decode the decoder of image files; the command line brings one
 * @param options.maxUnreadable see {@link UnreadableImages}
 * @throws TypeError without a decoder; RangeError when the images do not fit in memory; Error naming the images when too
 *   many are unreadable, or the class of which no image can be read
 */
export async function loadCatalog(
  name: string,
  catalog: ImageCatalog,
  { decode, maxUnreadable }: Pick<DatasetOptions, 'decode' | 'maxUnreadable'>,
): Promise<Dataset> {
  if (!decode) throw new TypeError(`${name}: decode must be a decoder of image files, got none`)
  const notes = new ImageNotes()
  const { train, validation, test } = catalog
  const total = train.count + (validation?.count ?? 0) + test.count
  const unreadable = new UnreadableImages(name, total, maxUnreadable)
  const listening = notes.listen(decode)
  const load = (half: CatalogHalf): Promise<ImageSet> => loadHalf(name, catalog, half, listening, unreadable)
  return {
    name,
    train: await load(train),
    ...(validation && { validation: await load(validation) }),
    test: await load(test),
    notes: [...(catalog.notes ?? []), ...notes.lines],
    unreadable: unreadable.images,
  }
}

/**
 * Decodes the images of one half of a catalog into memory; those that cannot be read or decoded are left out.
 *
 * @param name of the dataset
 * @param unreadable gets those that are left out
 * @throws as {@link loadCatalog}
 */
export async function loadHalf(
  name: string,
  { decoding, classNames, groupNames }: Pick<ImageCatalog, 'decoding' | 'classNames' | 'groupNames'>,
  half: CatalogHalf,
  decode: DecodeImage,
  unreadable: UnreadableImages,
): Promise<ImageSet> {
  const { shape } = decoding
  const memory = allocate(name, half.count, shape[0] * shape[1] * shape[2])
  const { images, positions } = await decodeReadable(half, { decode, decoding, unreadable, memory })
  const labels = positions.map(position => half.labels[position] as number)
  checkClasses(name, classNames, [half.labels, labels], unreadable)
  const { groups } = half
  return {
    images,
    labels,
    count: positions.length,
    shape,
    classNames,
    names: Array.from(positions, position => imageName(half, position)),
    ...(groupNames &&
      groups && { groupNames, groups: positions.map(position => groups[position] as number) }),
  }
}

/** How images are decoded, and where their pixels go. */
export interface ReadableDecoding {
  readonly decode: DecodeImage
  readonly decoding: ImageDecoding
  /** Gets the images that are left out. */
  readonly unreadable: UnreadableImages
  /** Bytes for all images. */
  readonly memory: Uint8Array<ArrayBuffer>
}

/**
 * Decodes images several at a time, and leaves out those that cannot be read or decoded.
 *
 * @returns the pixels of those that can be read, one image after another, and their positions in ascending order
 * @throws Error naming the first of the unreadable images when there are more than allowed; always the same ones
 */
export async function decodeReadable(
  files: Pick<CatalogHalf, 'count' | 'name' | 'encoded'>,
  { decode, decoding, unreadable, memory }: ReadableDecoding,
): Promise<{ images: Uint8Array<ArrayBuffer>; positions: Int32Array }> {
  const { count } = files
  const imageBytes = decoding.shape[0] * decoding.shape[1] * decoding.shape[2]
  const room = unreadable.allowed - unreadable.images.length
  const failures = new Map<number, unknown>()
  await eachInParallel(count, async position => {
    // After one failure too many nothing more is decoded; images under way still end, so that the error always names
    // the same ones.
    if (failures.size > room) return
    try {
      const pixels = await decode(await files.encoded(position), decoding, files.name(position))
      memory.set(pixels, position * imageBytes)
    } catch (error) {
      failures.set(position, error)
    }
  })
  const failed = [...failures.keys()].sort((a, b) => a - b).slice(0, room + 1)
  for (const position of failed) unreadable.add(files.name(position), failures.get(position))
  unreadable.check()
  if (failed.length === 0) {
    return { images: memory, positions: Int32Array.from({ length: count }, (_, i) => i) }
  }
  const leftOut = new Set(failed)
  const positions = Int32Array.from(Array.from({ length: count }, (_, i) => i).filter(i => !leftOut.has(i)))
  positions.forEach((position, slot) => {
    memory.copyWithin(slot * imageBytes, position * imageBytes, (position + 1) * imageBytes)
  })
  return { images: memory.subarray(0, positions.length * imageBytes), positions }
}

/** A class whose images are all unreadable would be trained, or tested, on nothing. */
export function checkClasses(
  name: string,
  classNames: readonly string[],
  [before, after]: readonly [before: Int32Array, after: Int32Array],
  unreadable: UnreadableImages,
): void {
  const [had, has] = [new Set(before), new Set(after)]
  const label = classNames.findIndex((_, i) => had.has(i) && !has.has(i))
  if (label < 0) return
  const images = before.filter(value => value === label).length
  const reasons = unreadable.images.slice(0, 5).map(unreadableText)
  throw new Error(
    `${name}: class ${label} "${classNames[label]}" must have an image that can be read, got 0 of ${images}:\n  ${reasons.join('\n  ')}`,
  )
}

function allocate(name: string, count: number, imageBytes: number): Uint8Array<ArrayBuffer> {
  try {
    return new Uint8Array(count * imageBytes)
  } catch (cause) {
    throw new RangeError(
      `${name}: images must fit in memory, got ${count} of ${imageBytes} bytes each (ask for fewer samples, or ` +
        'prepare them once and train from files)',
      { cause },
    )
  }
}

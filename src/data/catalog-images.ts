import type { Dataset } from './dataset.js'
import { eachInParallel } from './each-in-parallel.js'
import type { CatalogHalf, ImageCatalog } from './image-catalog.js'
import type { DecodeImage } from './image-decoding.js'
import type { ImageSet } from './image-set.js'

/**
 * Decodes all images of a catalog into memory.
 *
 * @param name of the dataset
 * @param decode the decoder of image files; the command line brings one
 * @throws TypeError without a decoder; RangeError when the images do not fit in memory; Error naming the image that
 *   cannot be read or decoded
 */
export async function loadCatalog(
  name: string,
  catalog: ImageCatalog,
  decode: DecodeImage | undefined,
): Promise<Dataset> {
  if (!decode) throw new TypeError(`${name}: decode must be a decoder of image files, got none`)
  const load = (half: CatalogHalf): Promise<ImageSet> => decodedHalf(name, catalog, half, decode)
  return { name, train: await load(catalog.train), test: await load(catalog.test) }
}

async function decodedHalf(
  name: string,
  { decoding, classNames, groupNames }: ImageCatalog,
  half: CatalogHalf,
  decode: DecodeImage,
): Promise<ImageSet> {
  const { count, labels, groups } = half
  const [height, width, channels] = decoding.shape
  const imageBytes = height * width * channels
  const images = allocate(name, count, imageBytes)
  await eachInParallel(count, async position => {
    const pixels = await decode(await half.encoded(position), decoding, half.name(position))
    images.set(pixels, position * imageBytes)
  })
  return {
    images,
    labels,
    count,
    shape: decoding.shape,
    classNames,
    ...(groupNames && groups && { groupNames, groups }),
  }
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

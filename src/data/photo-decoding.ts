import { type ImageShape, size2D } from '../shapes.js'
import type { CropName, DatasetOptions } from './datasets/dataset.js'
import type { ImageDecoding } from './image-decoding.js'

/** Height and width of the paper's faces, in pixels. */
const defaultSide = 64

/**
 * How the photographs of a dataset are decoded by its options: 64x64 RGB, the whole image, unless told otherwise.
 *
 * @param dataset its name, for errors
 * @throws RangeError when `imageSize` is out of range or `crop` is unknown
 */
export function photoDecoding(
  dataset: string,
  { imageSize = [defaultSide, defaultSide], crop = 'none', whiteLevel }: DatasetOptions,
): ImageDecoding & { readonly shape: ImageShape } {
  const [height, width] = size2D(imageSize, `${dataset}: imageSize`)
  if (!Object.hasOwn(cropSides, crop)) {
    const names = Object.keys(cropSides).join(', ')
    throw new RangeError(`${dataset}: crop must be one of ${names}, got ${crop}`)
  }
  return { shape: [height, width, 3], ...cropping(crop), ...(whiteLevel !== undefined && { whiteLevel }) }
}

/** The options of decoding that a crop stands for. */
export function cropping(crop: CropName): Pick<ImageDecoding, 'cropSide'> {
  const cropSide = cropSides[crop]
  return cropSide === undefined ? {} : { cropSide }
}

const cropSides: Readonly<Record<CropName, number | undefined>> = {
  none: undefined,
  center178: 178,
  center148: 148,
  center108: 108,
}

/** What can be cut out of the middle of a photograph before it is resized. */
export const CROPS = Object.keys(cropSides) as readonly CropName[]

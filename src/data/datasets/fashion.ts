import { greyToRgb, halveImages, padImages } from '../compose/resample.js'
import type { DataSource } from '../data-source.js'
import { loadIdx } from '../formats/idx.js'
import type { PixelSet } from '../image-set.js'

/** The classes of Fashion-MNIST. */
export const articles: readonly string[] = [
  'T-shirt',
  'trouser',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'ankle boot',
]

/** The accessories of Fashion-MNIST, which are to be recognised, and its clothes, which are not. */
export const fashionRoles = { targets: [5, 7, 8, 9], distractors: [0, 1, 2, 3, 4, 6] } as const

/**
 * Loads Fashion-MNIST as parts of composed images: 28x28 grey -> 32x32 -> 16x16 -> RGB.
 *
 * @param name of the dataset, for errors
 * @throws RangeError when the images are not 28x28
 */
export async function loadSmallFashion(
  name: string,
  source: DataSource,
  half: 'train' | 't10k',
): Promise<PixelSet> {
  const pool = await loadIdx(source, half, articles)
  const [height, width] = pool.shape
  if (height !== 28 || width !== 28) {
    throw new RangeError(
      `${name}: images must be 28x28, got ${height}x${width} (${half} half of ${source.describe('')})`,
    )
  }
  return greyToRgb(halveImages(padImages(pool, 2)))
}

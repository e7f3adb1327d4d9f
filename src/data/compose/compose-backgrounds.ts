import { random } from '../../random.js'
import type { PixelSet } from '../image-set.js'
import {
  allocateImages,
  checkClasses,
  checkCount,
  checkPixels,
  type ImagePool,
  paste,
  targetTurns,
} from './composing.js'

/** What composed images are made of. */
export interface OnBackgroundsOptions {
  /** The images that are to be recognised. */
  readonly pool: PixelSet
  /** Classes of the pool that are shown; the composed label is the position in this list. */
  readonly targets: readonly number[]
  /** What lies behind: images of the size of the composed ones, not smaller than those of the pool. */
  readonly backgrounds: ImagePool
  /** How many images to compose; the pool does not bound it. */
  readonly count: number
  /** The same seed gives the same bytes; fewer images are the first of more. */
  readonly seed: number
}

/**
 * Composes images that show an image of the pool on a background: the background is drawn uniformly with replacement,
 * and so is the place, among all integer offsets at which the image lies within it.
 *
 * The targets take turns, and the images of each in one seeded order, as in `composeGrid`. With CIFAR-10 at half size
 * on 32x32 photographs of plants these are the images of the paper's figure 15, with 17x17 offsets.
 *
 * @returns images of the size of the backgrounds, with `objectBox`
 * @throws RangeError when an option is out of range, a class has no images, there is no background, or the images of
 *   the pool and the backgrounds do not fit together
 */
export function composeOnBackgrounds(options: OnBackgroundsOptions): PixelSet {
  checkOptions(options)
  const { pool, targets, backgrounds, count, seed } = options
  const [height, width, channels] = backgrounds.shape
  const [objectHeight, objectWidth] = pool.shape
  const turnOf = targetTurns(pool, targets, seed)
  const chance = random(seed, 'backgrounds')

  const rowBytes = width * channels
  const imageBytes = height * rowBytes
  const images = allocateImages('composeOnBackgrounds', count, imageBytes)
  const labels = new Int32Array(count)
  const objectBox = new Int32Array(4 * count)
  for (let i = 0; i < count; i++) {
    const { label, source } = turnOf(i)
    const backgroundStart = chance.below(backgrounds.count) * imageBytes
    const top = chance.below(height - objectHeight + 1)
    const left = chance.below(width - objectWidth + 1)
    labels[i] = label
    images.set(backgrounds.images.subarray(backgroundStart, backgroundStart + imageBytes), i * imageBytes)
    paste(pool, source, { images, rowBytes }, i * imageBytes + top * rowBytes + left * channels)
    objectBox.set([top, left, objectHeight, objectWidth], 4 * i)
  }
  return {
    images,
    labels,
    count,
    shape: backgrounds.shape,
    classNames: targets.map(target => pool.classNames[target] as string),
    objectBox,
  }
}

function checkOptions({ pool, targets, backgrounds, count }: OnBackgroundsOptions): void {
  checkCount('composeOnBackgrounds', count)
  checkPixels('composeOnBackgrounds: pool', pool)
  checkPixels('composeOnBackgrounds: backgrounds', backgrounds)
  checkClasses('composeOnBackgrounds: targets', targets, pool)
  if (backgrounds.count === 0) {
    throw new RangeError('composeOnBackgrounds: backgrounds must hold an image, got none')
  }
  const [height, width, channels] = backgrounds.shape
  const [objectHeight, objectWidth, objectChannels] = pool.shape
  if (height < objectHeight || width < objectWidth || channels !== objectChannels) {
    throw new RangeError(
      `composeOnBackgrounds: backgrounds must be at least ${objectHeight}x${objectWidth} with ${objectChannels} ` +
        `channels, as the pool, got ${height}x${width} with ${channels}`,
    )
  }
}

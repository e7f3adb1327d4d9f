import { isPositiveInteger, type Size2D, size2D } from '../../../shapes.js'
import { allocateImages, checkClasses } from '../../compose/composing.js'
import { resizePixels } from '../../compose/resize.js'
import type { DataSource } from '../../data-source.js'
import { loadIdx } from '../../formats/idx.js'
import type { PixelSet } from '../../image-set.js'
import { type RegionRecords, regionStream, someRegions } from '../../regions/region-records.js'
import {
  checkSamples,
  type DatasetEntry,
  type DatasetOptions,
  type FolderFormat,
  testSeed,
} from '../dataset.js'
import { cosineAdam, type RoutedNetworkRecipe, sgd } from '../dataset-recipe.js'
import { articles } from '../fashion.js'
import { digitsIdx, fashionIdx } from '../folder-formats.js'
import { type CanvasImagesOptions, canvasImages } from './canvas-images.js'

const defaultSamples = 1000
const defaultTestSamples = 1000
/** Most bytes of a half that is drawn whole. */
const mostBytes = 2 ** 31

/** What differs between the two datasets. */
interface MegapixelKind {
  readonly name: string
  readonly title: string
  readonly description: string
  readonly licence: string
  readonly homepage: string
  readonly sampleFolder: string
  readonly format: FolderFormat
  /** Names of the classes of its items. */
  readonly itemClasses: readonly string[]
  /** Height and width of its images, in pixels. */
  readonly imageSize: Size2D
  /** The cells in which networks look that read its images in parts, and the scale of their view. */
  readonly cells: Pick<RoutedNetworkRecipe, 'cellSize' | 'margin' | 'viewScale'>
}

/** Handwritten digits, small, on an image on which most is empty or strokes: which comes most often, or is one there. */
export const megapixelDigits = megapixel({
  name: 'megapixel-digits',
  title: 'Digits on large images',
  description: 'Five digits, three of them the same, among 20 strokes on 128x128 pixels or more; grey.',
  licence: 'CC BY 4.0 (samples)',
  homepage: 'https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits',
  sampleFolder: 'digits8',
  format: digitsIdx,
  itemClasses: Array.from({ length: 10 }, (_, digit) => String(digit)),
  imageSize: [128, 128],
  cells: { cellSize: 8, margin: 4, viewScale: 2 },
})

/** Clothes of Fashion-MNIST on a large image: which comes most often, or is one there. */
export const megapixelFashion = megapixel({
  name: 'megapixel-fashion',
  title: 'Fashion on large images',
  description: 'Five articles, three of them the same, among 20 strokes on 512x512 pixels or more; grey.',
  licence: 'MIT',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  sampleFolder: 'fashion-mini',
  format: fashionIdx,
  itemClasses: articles,
  imageSize: [512, 512],
  cells: { cellSize: 32, margin: 8, viewScale: 4 },
})

/**
 * Large images with small items of an IDX dataset on them, after the megapixel MNIST of attention sampling; images are drawn from
 * seed and number when they are asked for. Training images show training items only.
 */
function megapixel(kind: MegapixelKind): DatasetEntry & Required<Pick<DatasetEntry, 'regions'>> {
  const { itemClasses: _, imageSize: __, cells, ...described } = kind
  return {
    ...described,
    source: 'samples',
    defaultSamples,
    settings: [
      'imageSize',
      'itemSide',
      'itemBrightness',
      'items',
      'same',
      'strokes',
      'background',
      'task',
      'boxedImages',
      'targets',
      'distractors',
    ],
    recipe: {
      suggested: 'routed',
      wide: {
        widenFactor: 1,
        mixture: { numExperts: 4, patchesPerExpert: 64, patchSize: 1, kernelSize: 1 },
        training: sgd(defaultSamples, 30, 32, 0.05),
      },
      routed: { ...cells, training: cosineAdam(defaultSamples, 30) },
    },
    async load(source, options) {
      const { train, test } = await halves(kind, source, options)
      return { name: kind.name, train: await whole(kind.name, train), test: await whole(kind.name, test) }
    },
    async regions(source, options) {
      const { train, test } = await halves(kind, source, options)
      const { boxedImages } = options
      checkBoxedImages(kind.name, boxedImages, train.count)
      const boxedPositions =
        boxedImages === undefined ? undefined : Int32Array.from({ length: boxedImages }, (_, i) => i)
      return {
        name: kind.name,
        train: regionStream(train),
        ...(boxedPositions && {
          boxed: regionStream(someRegions(train, boxedPositions)),
          boxedPositions,
        }),
        test: regionStream(test),
      }
    },
  }
}

function checkBoxedImages(name: string, boxedImages: number | undefined, count: number): void {
  if (boxedImages === undefined || (isPositiveInteger(boxedImages) && boxedImages <= count)) return
  throw new RangeError(
    `${name}: boxedImages must be an integer in [1, ${count}], the training images, got ${boxedImages}`,
  )
}

async function halves(
  kind: MegapixelKind,
  source: DataSource,
  options: DatasetOptions,
): Promise<{ readonly train: RegionRecords; readonly test: RegionRecords }> {
  checkSamples(kind.name, options)
  const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
  const half = async (part: 'train' | 't10k', count: number, ofSeed: number): Promise<RegionRecords> => {
    const pool = await loadIdx(source, part, kind.itemClasses)
    return canvasImages({ ...contentsOf(kind, pool, options), count, seed: ofSeed })
  }
  return { train: await half('train', samples, seed), test: await half('t10k', testSamples, testSeed) }
}

/** What lies on the images, as the options say, checked. */
function contentsOf(
  kind: MegapixelKind,
  pool: PixelSet,
  options: DatasetOptions,
): Omit<CanvasImagesOptions, 'count' | 'seed'> {
  const { name } = kind
  const { task = 'majority', imageSize = kind.imageSize, itemSide = Math.max(...pool.shape) } = options
  const isMajority = task === 'majority'
  const { items = isMajority ? 5 : 3, same = isMajority ? Math.ceil((items + 1) / 2) : 1 } = options
  const { strokes = isMajority ? 20 : 6, background = isMajority ? 'black' : 'noise' } = options
  const all = kind.itemClasses.map((_, label) => label)
  const { targets = isMajority ? all : [0] } = options
  const { distractors = isMajority ? all : all.filter(label => !targets.includes(label)) } = options
  const size = size2D(imageSize, `${name}: imageSize`)
  for (const [option, value] of Object.entries({ itemSide, items, same })) {
    if (isPositiveInteger(value)) continue
    throw new RangeError(`${name}: ${option} must be a positive integer, got ${value}`)
  }
  if (!Number.isInteger(strokes) || strokes < 0) {
    throw new RangeError(`${name}: strokes must be an integer of at least 0, got ${strokes}`)
  }
  const { itemBrightness = 1 } = options
  if (!(itemBrightness > 0 && itemBrightness <= 1)) {
    throw new RangeError(`${name}: itemBrightness must be in (0, 1], got ${itemBrightness}`)
  }
  if (same > items) {
    throw new RangeError(`${name}: same must be at most the ${items} items, got ${same}`)
  }
  const room = Math.floor(size[0] / itemSide) * Math.floor(size[1] / itemSide)
  if (room < items) {
    throw new RangeError(
      `${name}: imageSize must have room for ${items} items of ${itemSide}x${itemSide}, ` +
        `got ${size[0]}x${size[1]} (room for ${room})`,
    )
  }
  checkClasses(`${name}: targets`, targets, pool)
  if (items > same || !isMajority) checkClasses(`${name}: distractors`, distractors, pool)
  const contents = { task, size, items, same, strokes, background, itemBrightness, targets, distractors }
  checkOthers(name, contents)
  return { ...contents, pool: resized(pool, itemSide) }
}

/** Checks that the other items cannot be taken for the class. */
function checkOthers(
  name: string,
  { task, items, same, targets, distractors }: Omit<CanvasImagesOptions, 'pool' | 'count' | 'seed'>,
): void {
  if (task === 'present') {
    const both = distractors.find(label => targets.includes(label))
    if (both === undefined) return
    throw new RangeError(`${name}: distractors must not be targets, got class ${both} (task present)`)
  }
  const others = Math.min(...targets.map(target => distractors.filter(label => label !== target).length))
  const most = others * (same - 1)
  if (items - same <= most) return
  throw new RangeError(
    `${name}: items must be at most ${same + most}, so that ${same} of a class are the most, got ${items} ` +
      `(${others} other classes, each up to ${same - 1} times)`,
  )
}

function resized(pool: PixelSet, side: number): PixelSet {
  const [height, width] = pool.shape
  if (height === side && width === side) return pool
  const images = new Uint8Array(pool.count * side * side)
  for (let image = 0; image < pool.count; image++) {
    const pixels = pool.images.subarray(image * height * width, (image + 1) * height * width)
    images.set(resizePixels(pixels, pool.shape, [side, side]), image * side * side)
  }
  return { ...pool, images, shape: [side, side, 1] }
}

/** Draws all of the images into memory. */
async function whole(name: string, records: RegionRecords): Promise<PixelSet> {
  const { count, shape, labels, classNames } = records
  const imageBytes = shape[0] * shape[1]
  if (count * imageBytes > mostBytes) {
    throw new RangeError(
      `${name}: whole images of a half must be at most ${mostBytes} bytes, got ${count * imageBytes} ` +
        `(${count} of ${shape[0]}x${shape[1]}; ask for fewer, or read them in parts)`,
    )
  }
  const images = allocateImages(name, count, imageBytes)
  for (let position = 0; position < count; position++) {
    images.set(await (await records.open(position)).view(1), position * imageBytes)
  }
  return { images, labels, count, shape, classNames }
}

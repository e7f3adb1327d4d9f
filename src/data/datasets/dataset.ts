import { deriveSeed } from '../../random.js'
import { isPositiveInteger, type Size2D } from '../../shapes.js'
import type { TaskBound } from '../augmentation/presets.js'
import type { DataSource } from '../data-source.js'
import type { ImageCatalog } from '../image-catalog.js'
import type { DecodeImage } from '../image-decoding.js'
import type { ImageSet } from '../image-set.js'
import type { OpenRegions } from '../regions/region-source.js'
import type { RegionStream } from '../regions/region-stream.js'
import type { UnreadableImage, UnreadableLimit } from '../unreadable-images.js'
import type { ClusterSetting } from './cluster-samples.js'
import type { DatasetRecipe } from './dataset-recipe.js'
import type { CanvasGround } from './megapixel/canvas-images.js'
import type { CanvasTask } from './megapixel/canvas-plan.js'
import type { TheoryOptions } from './theory-patterns.js'

/** How much of a dataset to load. */
export interface DatasetOptions {
  /** Training images; the dataset's own number by default. */
  readonly samples?: number
  /** Test images; the dataset's own number by default. */
  readonly testSamples?: number
  /**
   * Chooses or composes the training images. The test images do not depend on it, so that runs of different seeds are
   * compared on the same ones; in `theory-clusters` alone they do, as they share the basis of the training samples.
   */
  readonly seed: number
  /** Height and width of the images in pixels, for datasets that name it among their `settings`. */
  readonly imageSize?: Size2D
  /** What is cut out of an image before it is resized. */
  readonly crop?: CropName
  /** The sample value that becomes 255, of images of more than 8 bits; see `ImageDecoding`. */
  readonly whiteLevel?: number
  /** Cells on a side of a patch grid. */
  readonly gridSide?: number
  /** Class numbers of the pool that are to be recognised. */
  readonly targets?: readonly number[]
  /** Class numbers of the pool that fill the other cells. */
  readonly distractors?: readonly number[]
  /** Images that lie behind others: a folder of images, or an ImageNet root. */
  readonly backgrounds?: DataSource
  /** Which of the published settings of clustered samples to draw. */
  readonly setting?: ClusterSetting
  /** Geometry of drawn patterns, where it differs from the dataset's own. */
  readonly theory?: Partial<TheoryOptions>
  /** Side in pixels that the small images of a pool get, where they are items on large ones. */
  readonly itemSide?: number
  /** What the values of items on a large image are multiplied by, in (0, 1]; strokes keep theirs. 1 by default. */
  readonly itemBrightness?: number
  /** Items on a large image. */
  readonly items?: number
  /** How many of the items show the class. */
  readonly same?: number
  /** Stroke patterns on a large image. */
  readonly strokes?: number
  /** What lies behind the items of a large image. */
  readonly background?: CanvasGround
  /** What names the class of a large image. */
  readonly task?: CanvasTask
  /** How many training images, the first ones, are handed out with the boxes of their items as well. */
  readonly boxedImages?: number
  /** The table of boxes among the files of the dataset; see `parseBoxTable`. */
  readonly boxes?: string
  /** Opens image files to be read in parts, for datasets that have any. */
  readonly openRegions?: OpenRegions
  /** Decodes the image files of datasets that have any. */
  readonly decode?: DecodeImage
  /** Images that may be unreadable and are then left out: a number, or a share of all; `'1%'` by default. */
  readonly maxUnreadable?: UnreadableLimit
}

/** What is cut out of the middle of an image: all of it, or a square of so many pixels. */
export type CropName = 'none' | 'center178' | 'center148' | 'center108'

/** Options that some datasets have and others do not. */
export type DatasetSetting =
  | 'imageSize'
  | 'crop'
  | 'whiteLevel'
  | 'gridSide'
  | 'targets'
  | 'distractors'
  | 'backgrounds'
  | 'setting'
  | 'theory'
  | 'itemSide'
  | 'itemBrightness'
  | 'items'
  | 'same'
  | 'strokes'
  | 'background'
  | 'task'
  | 'boxedImages'
  | 'boxes'

/** What images are for: training; early stopping and choosing; the number that is reported. */
export type HalfName = 'train' | 'validation' | 'test'

/** A dataset, loaded. */
export interface Dataset {
  readonly name: string
  readonly train: ImageSet
  /** For early stopping and choosing, where the dataset has such a half besides the one that is reported. */
  readonly validation?: ImageSet
  readonly test: ImageSet
  /** What was found, left out or changed, a sentence each. */
  readonly notes?: readonly string[]
  /** Images that were left out because they could not be read. */
  readonly unreadable?: readonly UnreadableImage[]
}

/** A dataset of which images are read in parts. */
export interface RegionDataset {
  readonly name: string
  readonly train: RegionStream
  /** Training images of which it is known where the things are that decide their classes, where boxes are asked for. */
  readonly boxed?: RegionStream
  /** (boxed.count) which of the training images they are; with `boxed`. */
  readonly boxedPositions?: Int32Array
  readonly validation?: RegionStream
  readonly test: RegionStream
  /** What was found, left out or changed, a sentence each. */
  readonly notes?: readonly string[]
  /** Images that were left out because they could not be read. */
  readonly unreadable?: readonly UnreadableImage[]
}

/** What a folder can hold. Datasets that read the same files share one value. */
export interface FolderFormat {
  readonly title: string
  /** Name for `pmoe data fetch`, where it can be downloaded. */
  readonly published?: string
  /** Whether a source has it; looks at names alone. */
  isIn(source: DataSource): Promise<boolean>
}

/** A dataset that can be loaded and prepared, whether it is in the table of datasets or somebody's own. */
export interface ImageDataset {
  /** Name on the command line. */
  readonly name: string
  /** Name in reports. */
  readonly title: string
  /** Where its files are: among the samples of the package, or in a folder of the user's; `generated` has none. */
  readonly source: 'samples' | 'folder' | 'generated'
  /** For `samples`: the folder among them. */
  readonly sampleFolder?: string
  /** For images on backgrounds that come with the package: the folder of the backgrounds among the samples. */
  readonly sampleBackgrounds?: string
  /** What its images hold: pixels unless given, or floats, which networks see as they are. */
  readonly values?: 'pixels' | 'floats'
  /** What varied training images would no longer show their class by. */
  readonly taskForbids?: readonly TaskBound[]
  /** One sentence. */
  readonly description: string
  readonly licence: string
  readonly homepage: string
  /** Training images when no number is requested; all images where it is not stated. */
  readonly defaultSamples?: number
  /** The options that it takes besides `samples`, `testSamples` and `seed`. */
  readonly settings?: readonly DatasetSetting[]
  /**
   * Which image files there are, for datasets of image files; with the checks of `load`.
   */
  catalog?(source: DataSource, options: DatasetOptions): Promise<ImageCatalog>
  /**
   * Loads or composes the images.
   *
   * @throws RangeError when `samples` or `testSamples` is not a positive integer or more than there are
   * @throws Error when a file is missing or damaged
   */
  load(source: DataSource, options: DatasetOptions): Promise<Dataset>
  /**
   * The images as ones that are read in parts, of any size, for datasets that have such.
   *
   * @throws as `load`
   */
  regions?(source: DataSource, options: DatasetOptions): Promise<RegionDataset>
}

/** One line of the table of datasets. */
export interface DatasetEntry extends ImageDataset {
  /** What its folder holds; none where it is `generated`. */
  readonly format?: FolderFormat
  /** The networks and the training that suit it. */
  readonly recipe: DatasetRecipe
}

/** The seed of every test set; derived, so that it differs from the seeds that people give. */
export const testSeed = deriveSeed(0, 'test images')

/**
 * Checks the numbers of images asked for.
 *
 * @param name of the dataset, for errors
 * @throws RangeError when one is given and not a positive integer
 */
export function checkSamples(name: string, { samples, testSamples }: DatasetOptions): void {
  for (const [option, value] of Object.entries({ samples, testSamples })) {
    if (value === undefined || isPositiveInteger(value)) continue
    throw new RangeError(`${name}: ${option} must be a positive integer, got ${value}`)
  }
}

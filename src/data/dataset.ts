import { deriveSeed } from '../random.js'
import { isPositiveInteger } from '../shapes.js'
import type { DataSource } from './data-source.js'
import type { ImageSet } from './image-set.js'

/** How much of a dataset to load. */
export interface DatasetOptions {
  /** Training images; the dataset's own number by default. */
  readonly samples?: number
  /** Test images; the dataset's own number by default. */
  readonly testSamples?: number
  /**
   * Chooses or composes the training images. The test images do not depend on it, so that runs of different
   * seeds are compared on the same ones.
   */
  readonly seed: number
}

/** A dataset, loaded. */
export interface Dataset {
  readonly name: string
  readonly train: ImageSet
  readonly test: ImageSet
}

/** One line of the table of datasets. */
export interface DatasetEntry {
  /** Name on the command line. */
  readonly name: string
  /** Name in reports. */
  readonly title: string
  /** Where its files are: among the samples of the package, or in a folder of the user's. */
  readonly source: 'samples' | 'folder'
  /** For `samples`: the folder among them. */
  readonly sampleFolder?: string
  /** One sentence. */
  readonly description: string
  readonly licence: string
  readonly homepage: string
  /** Training images when none are asked for. */
  readonly defaultSamples: number
  /**
   * Loads or composes the images.
   *
   * @throws RangeError when `samples` or `testSamples` is not a positive integer or more than there are
   * @throws Error when a file is missing or damaged
   */
  load(source: DataSource, options: DatasetOptions): Promise<Dataset>
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

import { datasetEntry } from '../../../src/data/datasets/datasets.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { firstImages, type ImageStream, streamOf } from '../../../src/data/image-stream.js'
import { deriveSeed } from '../../../src/random.js'
import { askedAugmentation, withoutAugmentation } from '../augmentation/asked-augmentation.js'
import { type DataRequest, loadData, type RunData } from '../run-data.js'

/** Images that scores and means are taken from, at most. */
const scoredImages = 512

/** What a network is pruned by, and judged by before and after. */
export interface PruningImages {
  /** Training images, as they are, in an order that the seed decides. */
  readonly scored: ImageSet
  readonly test: RunData['test']
  /** All images, as training takes them. */
  readonly data: RunData
}

/**
 * Loads the images of a run: what it is trained on, a part of the training images without augmentation, and its test
 * images.
 *
 * @throws as `loadData`
 */
export async function pruningImages(dataset: DataRequest, seed: number): Promise<PruningImages> {
  const data = await loadData(dataset, seed)
  const { variations } = askedAugmentation(dataset, datasetEntry(dataset.name), data.train.classNames)
  const isVaried = Object.keys(variations).length > 0
  const { train } = isVaried ? await loadData(withoutAugmentation(dataset), seed) : data
  return { scored: await someImages(train, scoredImages, seed), test: data.test, data }
}

/** So many images of a set, drawn by the seed; all of them, in this order, where there are no more. */
export function someImages(set: ImageSet | ImageStream, count: number, seed: number): Promise<ImageSet> {
  const stream = streamOf(set)
  const shuffle = { seed: deriveSeed(seed, 'pruning'), epoch: 0 }
  return firstImages({ ...stream, batches: pass => stream.batches({ ...pass, shuffle }) }, count)
}

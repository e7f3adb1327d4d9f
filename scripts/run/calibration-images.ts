import * as tf from '@tensorflow/tfjs-core'
import { ImageNotes } from '../../src/data/image-notes.js'
import { streamOf } from '../../src/data/image-stream.js'
import { upload } from '../../src/train/upload.js'
import { UsageError } from '../terminal/usage-error.js'
import { decodeFiles, refuseUnreadable } from './decoded-images.js'
import { namedImages } from './image-paths.js'
import { decodingOf } from './model-decoding.js'
import type { OpenedModel } from './opened-model.js'
import { loadData } from './run-data.js'

/** Images that the ranges of numbers are measured on, at most; more change them little. */
const MOST_IMAGES = 256
const BATCH = 32

/**
 * Batches of images as a model sees them, for `calibrate`: from the files that a person names, or the first training
 * images of the model's run.
 *
 * @param named image files, or folders of them
 * @throws UsageError for a model without a run where no images are named; Error when one cannot be read
 */
export async function* calibrationBatches(
  opened: OpenedModel,
  named: readonly string[] | undefined,
): AsyncGenerator<readonly tf.Tensor[], void, undefined> {
  const images = named ? fileBatches(opened, named) : trainingBatches(opened)
  for await (const batch of images) {
    yield [batch]
    batch.dispose()
  }
}

async function* fileBatches(opened: OpenedModel, named: readonly string[]): AsyncGenerator<tf.Tensor4D> {
  const decoding = decodingOf(opened)
  const { paths, unreadable: missing } = await namedImages(named)
  const unreadable = [...missing]
  for (let first = 0; first < Math.min(paths.length, MOST_IMAGES); first += BATCH) {
    const batch = paths.slice(first, Math.min(first + BATCH, MOST_IMAGES))
    const images = await decodeFiles(batch, decoding, unreadable, new ImageNotes())
    if (images.length === 0) continue
    yield upload(new Uint8Array(Buffer.concat(images.map(({ pixels }) => pixels))), decoding.shape)
  }
  refuseUnreadable(unreadable, paths.length + missing.length)
}

async function* trainingBatches({ config, directory }: OpenedModel): AsyncGenerator<tf.Tensor4D> {
  if (!config) {
    throw new UsageError(
      `export: --quantize int8 must come with --calibrate for a model that is not a run's, got none (${directory})`,
    )
  }
  const { train } = await loadData(config.dataset, config.seed)
  let left = MOST_IMAGES
  for await (const { images, count } of streamOf(train).batches({ batchSize: BATCH })) {
    yield tf.tidy(() => upload(images, train.shape))
    left -= count
    if (left <= 0) return
  }
}

import { freemem } from 'node:os'
import { type RunConfig, runConfig } from '../../../src/run/run-config.js'
import { automaticBatchSize, type ChosenBatchSize } from '../../../src/train/batch-size.js'
import type { FedModel } from '../../../src/train/feed.js'
import { asUsageLater } from '../../terminal/usage-error.js'
import type { NewRun } from '../new-run.js'
import { trainingImages } from '../run-data.js'
import { namingFlags } from '../train-settings.js'
import { searchOptions } from '../training-run.js'

/** What is left of the memory for what backends need within operations, and for other programs. */
const shareOfMemory = 0.5

/**
 * Gives a training the batch size that fits its memory and its images.
 *
 * @returns the configuration with it, and a sentence that says what it follows from
 * @throws UsageError where not even one image fits
 */
export async function withBatchSize(
  config: RunConfig,
  data: NewRun['data'],
  network: FedModel,
): Promise<{ readonly config: RunConfig; readonly note: string }> {
  const train = trainingImages(network, data, config)
  const free = freemem()
  const { batchSize: _, ...options } = searchOptions(config)
  const chosen = await asUsageLater(
    () => automaticBatchSize(network, { ...options, train, memory: shareOfMemory * free }),
    namingFlags(config.model.name),
  )
  const training = { ...config.training, batchSize: chosen.batchSize }
  return { config: runConfig({ ...config, training }, 'train'), note: noteOf(chosen, free, train.count) }
}

function noteOf({ batchSize, bytes, limit }: ChosenBatchSize, free: number, count: number): string {
  const reasons = {
    memory: 'twice as many would take more than half of the free memory',
    images: `an epoch of ${count} images has at least 10 steps where it can`,
    most: 'larger ones need another learning rate',
  }
  return (
    `Batch size ${batchSize}: the tensors of a step take ${megabytes(bytes)} of ${megabytes(free)} that are free; ` +
    `${reasons[limit]}. The learning rate is not changed.`
  )
}

function megabytes(bytes: number): string {
  return `${Math.ceil(bytes / 1e6)} MB`
}

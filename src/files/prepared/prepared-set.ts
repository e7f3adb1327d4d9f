import { createHash } from 'node:crypto'
import { join } from 'node:path'
import { augmented } from '../../data/augmentation/augmented.js'
import { balanced } from '../../data/balanced.js'
import type { DataSource } from '../../data/data-source.js'
import type { HalfName } from '../../data/datasets/dataset.js'
import { type ImageRecords, loadRecords, someRecords, streamRecords } from '../../data/image-records.js'
import type { ImageSet } from '../../data/image-set.js'
import { type ImageStream, streamOf } from '../../data/image-stream.js'
import { manifestFile, type PreparedManifest, parseManifest } from '../../data/prepared/manifest.js'
import { preparedRecords } from '../../data/prepared/records.js'
import { preparedRegions } from '../../data/prepared/regions.js'
import { regionStream } from '../../data/regions/region-records.js'
import type { RegionStream } from '../../data/regions/region-stream.js'
import { validationParts } from '../../data/stratified.js'
import { augmentedAhead } from '../augmentation/augmented-ahead.js'
import { dataFolder } from '../data-folder.js'
import { isMissing } from '../folders.js'
import { readRegularFile, readTextFile } from '../regular-file.js'
import { recoverForReading } from '../replacement.js'
import { isAddress } from '../storage/address.js'
import { type PreparedReading, prefetched } from './prefetch.js'
import { preparedKind } from './prepare-state.js'

/** Which images of a prepared folder are opened, and how. */
export interface PreparedRequest extends PreparedReading {
  /** The dataset that it must hold; any by default. */
  readonly dataset?: string
  /** Training images; all that were prepared by default. */
  readonly samples?: number
  /** Test images; all that were prepared by default. */
  readonly testSamples?: number
  /** Bytes of images that are taken into memory, 1 GiB by default; what does not fit becomes a stream. */
  readonly memoryLimit?: number
  /** Batches that a worker thread reads ahead of a training stream, 4 by default; 0 reads them when they are asked for. */
  readonly prefetch?: number
  /** Threads that vary images ahead of their use, where `augment` varies them; 1 by default. */
  readonly workers?: number
}

/** An opened prepared folder. */
export interface PreparedData {
  readonly train: ImageSet | ImageStream
  readonly validation?: ImageSet | ImageStream
  readonly test: ImageSet | ImageStream
  readonly manifest: PreparedManifest
}

/** Bytes of images that are taken into memory unless told otherwise. */
export const defaultMemoryLimit = 2 ** 30
const defaultPrefetch = 4

/**
 * Whether a folder, or an address, holds prepared images: it has a manifest.
 *
 * @throws Error when that cannot be told, as without permission or a network
 */
export async function isPrepared(directory: string): Promise<boolean> {
  if (isAddress(directory)) return dataFolder(directory).exists(manifestFile)
  await recoverForReading(directory, preparedKind)
  try {
    await readRegularFile(join(directory, manifestFile))
    return true
  } catch (cause) {
    if (isMissing(cause) || (cause as NodeJS.ErrnoException).code === 'ENOTDIR') return false
    throw new Error(`${join(directory, manifestFile)}: must be readable, got ${(cause as Error).message}`, {
      cause,
    })
  }
}

/**
 * Reads the manifest of a prepared folder, or at an address of one.
 *
 * @throws Error when there is none or it is damaged, naming its path and what is wrong
 */
export async function readManifest(directory: string): Promise<PreparedManifest> {
  if (isAddress(directory)) return manifestIn(dataFolder(directory))
  await recoverForReading(directory, preparedKind)
  const path = join(directory, manifestFile)
  const text = await readTextFile(path).catch((cause: unknown) => {
    const reason = isMissing(cause) ? 'nothing there' : (cause as Error).message
    throw new Error(`${path}: must tell what was prepared, got ${reason}`, { cause })
  })
  return parseManifest(text, path)
}

/** Reads the manifest among files. */
export async function manifestIn(source: DataSource): Promise<PreparedManifest> {
  return parseManifest(
    new TextDecoder().decode(await source.read(manifestFile)),
    source.describe(manifestFile),
  )
}

/**
 * Opens a folder that was filled by `prepareDataset`, on this machine or at an address (https://, s3://): test, validation and training images come into memory as far as
 * they fit, in this order; the others become a stream that is read while it is used.
 *
 * @throws RangeError when the folder holds another dataset, an option is out of range, or naming the classes and groups
 *   that have fewer images than asked for; Error when a file is missing or damaged
 */
export async function openPrepared(directory: string, request: PreparedRequest = {}): Promise<PreparedData> {
  const { dataset, samples, testSamples, memoryLimit = defaultMemoryLimit } = request
  checkLimits(request)
  const { manifest, source } = await openManifest(directory, dataset)
  const test = await preparedRecords(source, manifest, 'test', testSamples)
  const allTrain = await preparedRecords(source, manifest, 'train', samples)
  const own = manifest.validation && (await preparedRecords(source, manifest, 'validation'))
  const parts = request.validation && !own ? validationParts(allTrain, request.validation) : undefined
  const train = parts ? someRecords(allTrain, parts.train) : allTrain
  const validation = parts ? someRecords(allTrain, parts.validation) : own
  let bytesLeft = memoryLimit
  const reserve = (records: ImageRecords): boolean => {
    const fits = bytesOf(records) <= bytesLeft
    if (fits) bytesLeft -= bytesOf(records)
    return fits
  }
  const evaluated = async (records: ImageRecords): Promise<ImageSet | ImageStream> =>
    reserve(records) ? loadRecords(records) : streamRecords(records, request)
  const opened = {
    test: await evaluated(test),
    ...(validation && { validation: await evaluated(validation) }),
  }
  return { train: await openTraining(directory, train, request, reserve(train)), ...opened, manifest }
}

/** An opened prepared folder, the images of which are read in parts. */
export interface PreparedRegionData {
  readonly train: RegionStream
  readonly validation?: RegionStream
  readonly test: RegionStream
  readonly manifest: PreparedManifest
}

/**
 * Opens a folder that was filled by `prepareDataset`, to read its images in parts: views and regions by their places in the files, in
 * memory that does not depend on the size of the images.
 *
 * @throws as {@link openPrepared}
 */
export async function openPreparedRegions(
  directory: string,
  { dataset, samples, testSamples }: Pick<PreparedRequest, 'dataset' | 'samples' | 'testSamples'> = {},
): Promise<PreparedRegionData> {
  checkLimits({
    ...(samples !== undefined && { samples }),
    ...(testSamples !== undefined && { testSamples }),
  })
  const { manifest, source } = await openManifest(directory, dataset)
  const half = async (name: HalfName, count?: number): Promise<RegionStream> =>
    regionStream(await preparedRegions(source, manifest, name, count))
  return {
    train: await half('train', samples),
    ...(manifest.validation && { validation: await half('validation') }),
    test: await half('test', testSamples),
    manifest,
  }
}

/** The manifest of a folder, which must be of a dataset, with its indexes checked. */
async function openManifest(directory: string, dataset: string | undefined) {
  const manifest = await readManifest(directory)
  if (dataset !== undefined && manifest.dataset !== dataset) {
    throw new RangeError(`${directory}: prepared images must be of ${dataset}, got ${manifest.dataset}`)
  }
  const source = dataFolder(directory)
  await checkIndexes(source, manifest)
  return { manifest, source }
}

/**
 * The training images of a prepared folder as a stream that is read when it is asked for.
 *
 * @throws as {@link openPrepared}
 */
export async function preparedStream(
  directory: string,
  reading: PreparedReading & Pick<PreparedRequest, 'samples'>,
): Promise<ImageStream> {
  const manifest = await readManifest(directory)
  const source = dataFolder(directory)
  await checkIndexes(source, manifest)
  const records = await preparedRecords(source, manifest, 'train', reading.samples)
  const parts = reading.validation && validationParts(records, reading.validation)
  return trainingStream(parts ? someRecords(records, parts.train) : records, reading)
}

/** Labels are taken from the indexes: they must be those that were written with the images. */
async function checkIndexes(source: DataSource, { train, test }: PreparedManifest): Promise<void> {
  for (const { index } of [train, test]) {
    const digest = createHash('sha256')
      .update(await source.read(index.file))
      .digest('hex')
    if (digest === index.sha256) continue
    throw new RangeError(
      `${source.describe(index.file)}: index must have the sha256 ${index.sha256} of ${manifestFile}, got ${digest}`,
    )
  }
}

async function openTraining(
  directory: string,
  records: ImageRecords,
  request: PreparedRequest,
  fits: boolean,
): Promise<ImageSet | ImageStream> {
  const {
    samples,
    shuffleWindow,
    balance,
    augment,
    validation,
    prefetch = defaultPrefetch,
    workers = 1,
  } = request
  // One thread reads and varies images; more than one only vary what it reads.
  const isVariedWhenRead = prefetch === 0 || workers === 1
  const reading: PreparedReading = {
    ...(shuffleWindow !== undefined && { shuffleWindow }),
    ...(balance && { balance }),
    ...(validation && { validation }),
    ...(augment && isVariedWhenRead && { augment }),
  }
  const varied = (stream: ImageStream): ImageStream =>
    augment
      ? augmentedAhead(stream, augment, {
          workers: prefetch === 0 ? 0 : workers,
          ahead: Math.max(prefetch, 1),
        })
      : stream
  if (!fits) {
    const stream = trainingStream(records, reading)
    if (prefetch === 0) return stream
    const ahead = prefetched(stream, directory, { ...reading, ...(samples && { samples }) }, prefetch)
    return isVariedWhenRead ? ahead : varied(ahead)
  }
  const set = await loadRecords(records)
  const stream = balance ? balanced(set, { by: balance }) : streamOf(set)
  return augment || balance ? varied(stream) : set
}

function trainingStream(
  records: ImageRecords,
  { shuffleWindow, balance, augment }: PreparedReading,
): ImageStream {
  const window = shuffleWindow === undefined ? {} : { shuffleWindow }
  const stream = balance ? balanced(records, { by: balance, ...window }) : streamRecords(records, window)
  return augment ? augmented(stream, augment) : stream
}

function checkLimits({
  samples = 1,
  testSamples = 1,
  memoryLimit = 0,
  prefetch = defaultPrefetch,
  workers = 1,
}: PreparedRequest): void {
  const limits = {
    samples: [samples, 1],
    testSamples: [testSamples, 1],
    memoryLimit: [memoryLimit, 0],
  } as const
  for (const [option, [value, least]] of Object.entries({
    ...limits,
    prefetch: [prefetch, 0] as const,
    workers: [workers, 0] as const,
  })) {
    const isValid = Number.isInteger(value) || (option === 'memoryLimit' && value === Infinity)
    if (isValid && value >= least) continue
    throw new RangeError(`openPrepared: ${option} must be an integer of at least ${least}, got ${value}`)
  }
}

function bytesOf({ count, shape }: ImageRecords): number {
  return count * shape[0] * shape[1] * shape[2]
}

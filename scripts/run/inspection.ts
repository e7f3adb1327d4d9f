import { datasetEntry } from '../../src/data/datasets.js'
import type { CatalogHalf, ImageCatalog } from '../../src/data/image-catalog.js'
import { recordsOf } from '../../src/data/image-records.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { preparedRecords } from '../../src/data/prepared-records.js'
import { recognise } from '../../src/data/recognise.js'
import type { Countable } from '../../src/data/summary.js'
import { unreadFiles } from '../../src/data/unread-files.js'
import { dataFolder, datasetSource } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/image-files.js'
import { type ImageSizes, imageSizes } from '../../src/files/image-sizes.js'
import { isPrepared, readManifest } from '../../src/files/prepared-set.js'
import type { ImageShape } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
import { type DataRequest, datasetOptions } from './run-data.js'

/** A dataset that can be looked at: its labels are known, its pixels are read as they are asked for. */
export interface Inspection {
  readonly dataset: string
  /** Where its files are, for people. */
  readonly place: string
  readonly shape: ImageShape
  readonly train: InspectedHalf
  readonly test: InspectedHalf
  /** Sizes of the image files, where there are any. */
  readonly sizes?: ImageSizes | undefined
}

/** The training or the test images. */
export interface InspectedHalf extends Countable {
  /** Reads the pixels of one image, (height, width, channels). */
  pixels(position: number): Promise<Uint8Array>
}

/** Image files whose headers are looked at. */
const SIZED_FILES = 300

/**
 * Opens a prepared folder.
 *
 * @throws Error when a file of it is missing or damaged
 */
export async function inspectPrepared(directory: string): Promise<Inspection> {
  const manifest = await readManifest(directory)
  const source = dataFolder(directory)
  const half = async (name: 'train' | 'test') => {
    const records = await preparedRecords(source, manifest, name)
    const pixels = async (position: number) => (await records.read(Int32Array.of(position))).images
    return { ...records, pixels }
  }
  const { dataset, shape } = manifest
  const place = `${directory}, prepared from ${manifest.source}`
  return { dataset, place, shape, train: await half('train'), test: await half('test') }
}

/**
 * Opens a dataset: image files are found without being decoded, others are loaded or composed.
 *
 * @throws what the dataset throws
 */
export async function inspectDataset(request: DataRequest, seed: number): Promise<Inspection> {
  const entry = datasetEntry(request.name)
  const source = datasetSource(entry, request.data ?? undefined)
  const options = datasetOptions(request, seed)
  const place = entry.source === 'generated' ? 'drawn' : source.describe('')
  if (entry.catalog) {
    const catalog = await entry.catalog(source, options)
    return {
      dataset: entry.name,
      place,
      shape: catalog.decoding.shape,
      train: catalogHalf(catalog, catalog.train),
      test: catalogHalf(catalog, catalog.test),
      sizes: await imageSizes(catalog.train, SIZED_FILES),
    }
  }
  const { train, test } = await entry.load(source, options)
  return { dataset: entry.name, place, shape: train.shape, train: setHalf(train), test: setHalf(test) }
}

/**
 * What a folder is: prepared, or the first dataset that reads its format.
 *
 * @returns undefined for a prepared folder
 * @throws UsageError when it is of no format that is known, or of several
 */
export async function datasetOf(directory: string): Promise<string | undefined> {
  if (await isPrepared(directory)) return undefined
  const source = dataFolder(directory)
  const formats = await recognise(source)
  const [dataset] = formats[0]?.datasets ?? []
  if (dataset === undefined) {
    const unread = (await unreadFiles(source)) || 'pmoe data list tells what there is'
    throw new UsageError(
      `data inspect: ${directory} must be a prepared folder or hold a dataset, got no files of a known format (${unread})`,
    )
  }
  if (formats.length === 1) return dataset
  const found = formats.map(({ title, datasets }) => `${title} (${datasets.join(', ')})`)
  throw new UsageError(
    `data inspect: --dataset must say what to make of ${directory}, got none where it can be ${found.join(' or ')}`,
  )
}

function catalogHalf(catalog: ImageCatalog, half: CatalogHalf): InspectedHalf {
  const { classNames, groupNames, decoding } = catalog
  const { count, labels, groups } = half
  return {
    count,
    labels,
    classNames,
    shape: decoding.shape,
    ...(groupNames && groups && { groupNames, groups }),
    pixels: async position => decodeImage(await half.encoded(position), decoding, half.name(position)),
  }
}

function setHalf(set: ImageSet): InspectedHalf {
  const records = recordsOf(set)
  return { ...records, pixels: async position => (await records.read(Int32Array.of(position))).images }
}

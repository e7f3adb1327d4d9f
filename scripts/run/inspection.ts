import type { HalfName } from '../../src/data/datasets/dataset.js'
import { datasetEntry } from '../../src/data/datasets/datasets.js'
import { recognise } from '../../src/data/datasets/recognise.js'
import { unreadFiles } from '../../src/data/datasets/unread-files.js'
import type { CatalogHalf, ImageCatalog } from '../../src/data/image-catalog.js'
import { recordsOf } from '../../src/data/image-records.js'
import type { ImageSet } from '../../src/data/image-set.js'
import type { ImageValues } from '../../src/data/image-values.js'
import { preparedHalves } from '../../src/data/prepared/manifest.js'
import { preparedRecords } from '../../src/data/prepared/records.js'
import type { Countable } from '../../src/data/summary.js'
import type { UnreadableImage } from '../../src/data/unreadable-images.js'
import { dataFolder, datasetSource } from '../../src/files/data-folder.js'
import { type ExaminedImages, examineImages } from '../../src/files/images/examined-images.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { isPrepared, readManifest } from '../../src/files/prepared/prepared-set.js'
import type { ImageShape } from '../../src/shapes.js'
import { UsageError } from '../terminal/usage-error.js'
import { type DataRequest, datasetOptions } from './run-data.js'

/** A dataset to be inspected: its labels are in memory, its pixels are read on request. */
export interface Inspection {
  readonly dataset: string
  /** Where its files are, for people. */
  readonly place: string
  readonly shape: ImageShape
  /** Its halves, training first and test last. */
  readonly halves: readonly InspectedHalf[]
  /** What was found, left out or changed, a sentence each. */
  readonly notes: readonly string[]
  /** Images that are left out because they could not be read, where all were read. */
  readonly unreadable: readonly UnreadableImage[]
  /** Sizes and faults of the image files, where the dataset has such files. */
  readonly examined?: ExaminedImages
}

/** The images of a half. */
export interface InspectedHalf extends Countable {
  readonly half: HalfName
  /** Reads the values of one image, (height, width, channels). */
  pixels(position: number): Promise<ImageValues>
}

/** Image files that are examined at most. */
const EXAMINED_FILES = 300

/**
 * Opens a prepared folder.
 *
 * @throws Error when a file of it is missing or damaged
 */
export async function inspectPrepared(directory: string): Promise<Inspection> {
  const manifest = await readManifest(directory)
  const source = dataFolder(directory)
  const entries = preparedHalves(manifest)
  const halves = entries.map(async ([half]): Promise<InspectedHalf> => {
    const records = await preparedRecords(source, manifest, half)
    const pixels = async (position: number) => (await records.read(Int32Array.of(position))).images
    return { half, ...records, pixels }
  })
  const { dataset, shape } = manifest
  const place = `${directory}, prepared from ${manifest.source}`
  const unreadable = entries.flatMap(([, { unreadable: images }]) => images)
  return { dataset, place, shape, halves: await Promise.all(halves), notes: [], unreadable }
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
      halves: halvesOf(catalog).map(([half, images]) => catalogHalf(catalog, half, images)),
      notes: catalog.notes ?? [],
      unreadable: [],
      examined: await examineImages(
        halvesOf(catalog).map(([, images]) => images),
        catalog.decoding,
        EXAMINED_FILES,
      ),
    }
  }
  const loaded = await entry.load(source, options)
  return {
    dataset: entry.name,
    place,
    shape: loaded.train.shape,
    halves: halvesOf(loaded).map(([half, set]) => setHalf(half, set)),
    notes: loaded.notes ?? [],
    unreadable: loaded.unreadable ?? [],
  }
}

function halvesOf<Half>({
  train,
  validation,
  test,
}: {
  readonly train: Half
  readonly validation?: Half
  readonly test: Half
}): readonly (readonly [HalfName, Half])[] {
  return [['train', train], ...(validation ? [['validation', validation] as const] : []), ['test', test]]
}

/**
 * The dataset of a folder: the first one that reads its format.
 *
 * @returns undefined for a prepared folder
 * @throws UsageError when its format is unknown, or several formats fit
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
  const candidates = formats.map(({ title, datasets }) => `${title} (${datasets.join(', ')})`)
  throw new UsageError(
    `data inspect: --dataset must say what to make of ${directory}, got none where it can be ${candidates.join(' or ')}`,
  )
}

function catalogHalf(catalog: ImageCatalog, half: HalfName, images: CatalogHalf): InspectedHalf {
  const { classNames, groupNames, decoding } = catalog
  const { count, labels, groups } = images
  return {
    half,
    count,
    labels,
    classNames,
    shape: decoding.shape,
    ...(groupNames && groups && { groupNames, groups }),
    pixels: async position => decodeImage(await images.encoded(position), decoding, images.name(position)),
  }
}

function setHalf(half: HalfName, set: ImageSet): InspectedHalf {
  const records = recordsOf(set)
  return { half, ...records, pixels: async position => (await records.read(Int32Array.of(position))).images }
}

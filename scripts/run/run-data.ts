import type { Augmentation } from '../../src/data/augmentation/augmentation.js'
import { balanced } from '../../src/data/balanced.js'
import type { DataSource } from '../../src/data/data-source.js'
import type { DatasetOptions, RegionDataset } from '../../src/data/datasets/dataset.js'
import { type DatasetEntry, datasetEntry, datasets } from '../../src/data/datasets/datasets.js'
import { counted } from '../../src/data/datasets/image-folder/folder-halves.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { type PreparedManifest, preparedHalves } from '../../src/data/prepared/manifest.js'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { shifted } from '../../src/data/regions/shifted.js'
import { type UnreadableImage, unreadableText } from '../../src/data/unreadable-images.js'
import { augmentedAhead } from '../../src/files/augmentation/augmented-ahead.js'
import { dataFolder, datasetSource, samplesFolder } from '../../src/files/data-folder.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import {
  isPrepared,
  openPrepared,
  openPreparedRegions,
  readManifest,
} from '../../src/files/prepared/prepared-set.js'
import { regionsInThread } from '../../src/files/regions/reading-thread.js'
import { deriveSeed } from '../../src/random.js'
import type { PlannedRun } from '../../src/run/run-config.js'
import type { imageSettings } from '../../src/run/settings/data.js'
import { type FedModel, isRegionModel, type TrainingData } from '../../src/train/feed.js'
import { asUsage, UsageError } from '../terminal/usage-error.js'
import { askedAugmentation } from './augmentation/asked-augmentation.js'
import { partedRegions, partedSet, partNote, validationChoice } from './choosing/validation-part.js'
import { flagOf, namingFlags, trainSettings } from './train-settings.js'

/** The dataset of a run, and the images of it that the run asks for. */
export type DataRequest = PlannedRun['dataset']

/** The images of a run, in memory or read batch by batch. */
export interface RunData {
  readonly name: string
  readonly train: ImageSet | ImageStream
  readonly test: ImageSet | ImageStream
  /** For early stopping and choosing, where the dataset has such a half. */
  readonly validation?: ImageSet | ImageStream
  /** What was found, left out or changed, a sentence each. */
  readonly notes: readonly string[]
  /** For prepared images: the settings of the dataset that they were prepared with. */
  readonly prepared?: PreparedSettings
}

/** The images of a run that reads them in parts. */
export interface RegionData extends Pick<RegionDataset, 'name' | 'train' | 'boxed' | 'validation' | 'test'> {
  /** What was found, left out or changed, a sentence each. */
  readonly notes: readonly string[]
  /** For prepared images: the settings of the dataset that they were prepared with. */
  readonly prepared?: PreparedSettings
}

/** Settings of a dataset that decide what its images show: those of prepared images cannot be changed. */
const preparedSettings = [
  'imageSize',
  'crop',
  'whiteLevel',
  'gridSide',
  'targets',
  'distractors',
  'itemSide',
  'itemBrightness',
  'items',
  'same',
  'strokes',
  'background',
  'task',
] as const satisfies readonly (keyof typeof imageSettings)[]

/** Settings of a dataset that a run keeps, so that other images are treated alike. */
export type PreparedSettings = Pick<DataRequest, (typeof preparedSettings)[number]>

/**
 * Loads the images of a run: from a folder that `pmoe data prepare` wrote, or from the dataset's own files.
 *
 * @param seed chooses or composes the training images, and varies them where they are augmented
 * @throws RangeError when there are fewer images than asked for, or they were prepared with other settings; Error when
 *   files are missing or damaged
 */
export async function loadData(request: DataRequest, seed: number): Promise<RunData> {
  const entry = datasetEntry(request.name)
  if (request.data !== null && (await isPrepared(request.data))) {
    return openPreparedData(request.data, request, seed)
  }
  const source = datasetSource(entry, request.data ?? undefined)
  const loaded = await entry.load(source, datasetOptions(request, seed))
  const { name, test, notes = [], unreadable = [] } = loaded
  const { train, validation, notes: partNotes } = await partedSet(loaded, request, seed)
  const { balance, workers } = request
  const { augment, notes: augmentNotes } = augmentation(request, entry, train.classNames, seed)
  const balancedImages = balance ? balanced(train, { by: balance }) : train
  const threads = workers === undefined ? {} : { workers }
  return {
    name,
    train: augment ? augmentedAhead(streamOf(balancedImages), augment, threads) : balancedImages,
    ...(validation && { validation }),
    test,
    notes: [...notes, ...partNotes, ...augmentNotes, ...unreadableNotes(unreadable)],
  }
}

/**
 * Opens the images of a run that reads them in parts.
 *
 * @throws UsageError when the dataset has none; RangeError and Error as `loadData`
 */
export async function loadRegions(request: DataRequest, seed: number): Promise<RegionData> {
  const { name, data } = request
  const entry = datasetEntry(name)
  if (!entry.regions) {
    const others = datasets.filter(({ regions }) => regions).map(other => other.name)
    throw new UsageError(
      `train: --model routed must be used with a dataset whose images are read in parts, ${others.join(', ')}, got ${name}`,
    )
  }
  if (data !== null && (await isPrepared(data))) {
    const { manifest, ...halves } = await openPreparedRegions(data, halvesOf(request))
    const { prepared, notes } = preparedWith(manifest, data, request)
    const parts = partedRegions(halves, request, seed)
    return { name, ...halves, ...parts, prepared, notes: [...parts.notes, ...notes] }
  }
  const source = datasetSource(entry, data ?? undefined)
  const { whiteLevel } = request
  const options = {
    ...datasetOptions(request, seed),
    ...(data !== null && {
      openRegions: regionsInThread(data, { ...(whiteLevel !== undefined && { whiteLevel }) }),
    }),
  }
  const { notes = [], unreadable = [], ...halves } = await entry.regions(source, options)
  const parts = partedRegions(halves, request, seed)
  return { ...halves, ...parts, notes: [...notes, ...parts.notes, ...unreadableNotes(unreadable)] }
}

/**
 * The training images of a run as training sees them: moved at random by up to `maxShift` pixels.
 *
 * @param viewScale of the model
 * @throws UsageError when they cannot be moved as far
 */
export function movedImages(
  train: RegionStream,
  { dataset, seed }: Pick<PlannedRun, 'dataset' | 'seed'>,
  viewScale: number,
): RegionStream {
  const { maxShift = 0 } = dataset
  const shift = {
    maxShift,
    multipleOf: viewScale,
    seed: deriveSeed(seed, 'shift'),
    surround: 'edges',
  } as const
  return asUsage(() => shifted(train, shift), namingFlags('routed'))
}

/** The images that a network is trained on: those of a run, moved where they are read in parts. */
export function trainingImages(
  network: FedModel,
  { train }: RunData | RegionData,
  config: Pick<PlannedRun, 'dataset' | 'seed'>,
): TrainingData {
  return isRegionModel(network) ? movedImages(train as RegionStream, config, network.viewScale) : train
}

/** Names the images that were left out because they could not be read: the first ten, and how many there are. */
export function unreadableNotes(
  images: readonly UnreadableImage[],
  heading = 'Left out, as they could not be read',
): string[] {
  if (images.length === 0) return []
  const lines = images.slice(0, 10).map(image => `\n  ${unreadableText(image)}`)
  const more = images.length > 10 ? `\n  and ${images.length - 10} more` : ''
  return [`${heading}: ${counted(images.length, 'image')}${lines.join('')}${more}`]
}

/** The options of a dataset as a configuration has them. */
export function datasetOptions(request: DataRequest, seed: number): DatasetOptions {
  const { samples, testSamples, imageSize, crop, whiteLevel, maxUnreadable } = request
  const { gridSide, targets, distractors, setting, theory } = request
  const { itemSide, itemBrightness, items, same, strokes, background, task, boxedImages, boxes } = request
  const backgrounds = backgroundsOf(request)
  return {
    seed,
    decode: decodeImage,
    ...(samples !== null && { samples }),
    ...(testSamples !== null && { testSamples }),
    ...(imageSize && { imageSize }),
    ...(crop && { crop }),
    ...(whiteLevel !== undefined && { whiteLevel }),
    ...(maxUnreadable !== undefined && { maxUnreadable }),
    ...(gridSide !== undefined && { gridSide }),
    ...(targets && { targets }),
    ...(distractors && { distractors }),
    ...(backgrounds && { backgrounds }),
    ...(setting && { setting }),
    ...(theory && { theory }),
    ...(itemSide !== undefined && { itemSide }),
    ...(itemBrightness !== undefined && { itemBrightness }),
    ...(items !== undefined && { items }),
    ...(same !== undefined && { same }),
    ...(strokes !== undefined && { strokes }),
    ...(background && { background }),
    ...(task && { task }),
    ...(boxedImages !== undefined && { boxedImages }),
    ...(boxes !== undefined && { boxes }),
  }
}

/** The folder that the user names, otherwise the samples that the dataset brings along, if any. */
function backgroundsOf({ name, backgrounds }: DataRequest): DataSource | undefined {
  if (backgrounds !== undefined) return dataFolder(backgrounds)
  const { sampleBackgrounds } = datasetEntry(name)
  return sampleBackgrounds === undefined ? undefined : samplesFolder(sampleBackgrounds)
}

async function openPreparedData(folder: string, request: DataRequest, seed: number): Promise<RunData> {
  const { name, balance, workers } = request
  const { classNames, validation: own } = await readManifest(folder)
  const choice = validationChoice(request, seed, own)
  const { augment, notes: augmentNotes } = augmentation(request, datasetEntry(name), classNames, seed)
  const opening = openPrepared(folder, {
    ...halvesOf(request),
    ...(balance && { balance }),
    ...(augment && { augment }),
    ...(choice && { validation: choice }),
    ...(workers !== undefined && { workers }),
  })
  const { manifest, ...halves } = await opening
  const { prepared, notes } = preparedWith(manifest, folder, request)
  const partNotes = choice && halves.validation ? [partNote(choice, halves.train, halves.validation)] : []
  return { name, ...halves, prepared, notes: [...partNotes, ...augmentNotes, ...notes] }
}

/** Which images of a prepared folder are asked for. */
function halvesOf({ name, samples, testSamples }: DataRequest) {
  return {
    dataset: name,
    ...(samples !== null && { samples }),
    ...(testSamples !== null && { testSamples }),
  }
}

/**
 * The settings that images were prepared with, and what was left out.
 *
 * @throws UsageError when other settings are asked for
 */
function preparedWith(
  manifest: PreparedManifest,
  folder: string,
  request: DataRequest,
): Required<Pick<RunData, 'prepared' | 'notes'>> {
  const { options } = manifest
  const settings = preparedSettings.map(key => [key, options[key]] as const)
  for (const [key, value] of settings) {
    const requested = request[key]
    if (requested === undefined || JSON.stringify(requested) === JSON.stringify(value)) continue
    throw new UsageError(
      `${folder}: ${key} must be what the images were prepared with, ${JSON.stringify(value) ?? 'the default'}, ` +
        `got ${JSON.stringify(requested)} (pmoe data prepare takes ${flagOf(key)})`,
    )
  }
  const givenSettings = settings.filter(([, value]) => value !== undefined)
  const unreadable = preparedHalves(manifest).flatMap(([, half]) => half.unreadable)
  return { prepared: Object.fromEntries(givenSettings), notes: unreadableNotes(unreadable) }
}

/** How the training images are varied, if they are, and what the user should know of it. */
function augmentation(
  request: DataRequest,
  entry: DatasetEntry,
  classNames: readonly string[],
  seed: number,
): { readonly augment?: Augmentation; readonly notes: readonly string[] } {
  const { variations, notes } = askedAugmentation(request, entry, classNames)
  return Object.keys(variations).length > 0 ? { augment: { ...variations, seed }, notes } : { notes }
}

/**
 * Checks that a dataset has the settings that it is given, and can be varied as asked; settings that no dataset lists are
 * allowed for all.
 *
 * @throws RangeError naming the flag, and the datasets that have it or the flags that can be used
 */
export function checkSettings(entry: DatasetEntry, request: DataRequest): void {
  askedAugmentation(request, entry)
  for (const { name, option } of trainSettings) {
    if (Reflect.get(request, name) === undefined) continue
    const takers = datasets.filter(({ settings = [] }) => settings.some(each => each === name))
    if (takers.length === 0 || entry.settings?.some(each => each === name)) continue
    const names = takers.map(taker => taker.name).join(', ')
    throw new RangeError(`${option.long} must be used with ${names}, got dataset ${entry.name}`)
  }
}

/**
 * Checks that a folder is named for a dataset that needs one.
 *
 * @param command for the error: `data prepare`
 * @throws UsageError saying where to get the dataset
 */
export function checkFolder(command: string, entry: DatasetEntry, data: string | undefined): void {
  if (entry.source !== 'folder' || data !== undefined) return
  const published = entry.format?.published
  const fetch = published === undefined ? '' : `; pmoe data fetch ${published} --out DIR gets it`
  throw new UsageError(
    `${command}: --data must name the folder of ${entry.name}, got none (see ${entry.homepage}${fetch})`,
  )
}

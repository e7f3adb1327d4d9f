import { resolve } from 'node:path'
import type { DatasetOptions, DatasetSetting } from '../../src/data/dataset.js'
import { type DatasetEntry, datasetEntry, datasets } from '../../src/data/datasets.js'
import type { ImageSet } from '../../src/data/image-set.js'
import type { ImageStream } from '../../src/data/image-stream.js'
import { dataFolder, datasetSource } from '../../src/files/data-folder.js'
import type { RunConfig } from '../../src/files/run-config.js'

/** What of a dataset a run asks for. */
export type DataRequest = Omit<RunConfig['dataset'], 'classNames' | 'groupNames'>

/** The images of a run, in memory or read batch by batch. */
export interface RunData {
  readonly name: string
  readonly train: ImageSet | ImageStream
  readonly test: ImageSet | ImageStream
}

/**
 * Loads the images of a run.
 *
 * @param seed chooses or composes the training images
 * @throws RangeError when there are fewer images than asked for; Error when files are missing or damaged
 */
export function loadData(request: DataRequest, seed: number): Promise<RunData> {
  const entry = datasetEntry(request.name)
  return entry.load(datasetSource(entry, request.data ?? undefined), datasetOptions(request, seed))
}

/** The options of a dataset as a configuration has them. */
export function datasetOptions(request: DataRequest, seed: number): DatasetOptions {
  const { samples, testSamples, imageSize, crop, gridSide, targets, distractors, backgrounds } = request
  return {
    seed,
    ...(samples !== null && { samples }),
    ...(testSamples !== null && { testSamples }),
    ...(imageSize && { imageSize }),
    ...(crop && { crop }),
    ...(gridSide !== undefined && { gridSide }),
    ...(targets && { targets }),
    ...(distractors && { distractors }),
    ...(backgrounds !== undefined && { backgrounds: dataFolder(backgrounds) }),
  }
}

/**
 * Checks that a dataset has the settings that it is given.
 *
 * @throws RangeError naming the flag and the datasets that have it
 */
export function checkSettings(entry: DatasetEntry, request: DataRequest): void {
  for (const [name, flag] of Object.entries(settingFlags) as [DatasetSetting, string][]) {
    if (request[name] === undefined || entry.settings?.includes(name)) continue
    const takers = datasets.filter(({ settings }) => settings?.includes(name)).map(taker => taker.name)
    throw new RangeError(`${flag} must be used with ${takers.join(', ')}, got dataset ${entry.name}`)
  }
}

const settingFlags: Readonly<Record<DatasetSetting, string>> = {
  imageSize: '--image-size',
  crop: '--crop',
  gridSide: '--grid-side',
  targets: '--targets',
  distractors: '--distractors',
  backgrounds: '--backgrounds',
}

/** The path of a folder as a configuration keeps it: valid from any working directory. */
export function dataPath(folder: string | undefined): string | null {
  return folder === undefined ? null : resolve(folder)
}

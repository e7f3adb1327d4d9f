import { resolve } from 'node:path'
import { type Dataset, datasetEntry } from '../../src/data/datasets.js'
import { datasetSource } from '../../src/files/data-folder.js'
import type { RunConfig } from '../../src/files/run-config.js'

/** What of a dataset a run asks for. */
export type DataRequest = Pick<RunConfig['dataset'], 'name' | 'data' | 'samples' | 'testSamples'>

/**
 * Loads the images of a run.
 *
 * @param seed chooses or composes the training images
 * @throws RangeError when there are fewer images than asked for; Error when files are missing or damaged
 */
export function loadData({ name, data, samples, testSamples }: DataRequest, seed: number): Promise<Dataset> {
  const entry = datasetEntry(name)
  return entry.load(datasetSource(entry, data ?? undefined), {
    seed,
    ...(samples !== null && { samples }),
    ...(testSamples !== null && { testSamples }),
  })
}

/** The path of a folder as a configuration keeps it: valid from any working directory. */
export function dataPath(folder: string | undefined): string | null {
  return folder === undefined ? null : resolve(folder)
}

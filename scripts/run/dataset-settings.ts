import type { Option } from 'commander'
import { imageSettings } from '../../src/run/settings/data.js'
import type { DataRequest } from './run-data.js'
import { type GivenFlags, trainSettings } from './train-settings.js'

/** The flags of `pmoe train` that say which images a dataset has, and their seed. */
export const datasetSettings: readonly Option[] = trainSettings
  .filter(({ name }) => name === 'seed' || Object.hasOwn(imageSettings, name))
  .map(({ option }) => option)

/**
 * The part of a dataset that the flags ask for.
 *
 * @param name of the dataset
 * @param data folder of the user's files
 */
export function dataRequest(name: string, data: string | null, flags: GivenFlags): DataRequest {
  const given = trainSettings.flatMap(setting => {
    const value = flags[setting.option.attributeName()]
    const isGiven = value !== undefined && Object.hasOwn(imageSettings, setting.name)
    return isGiven ? [[setting.name, value]] : []
  })
  return { name, data, samples: null, testSamples: null, ...Object.fromEntries(given) }
}

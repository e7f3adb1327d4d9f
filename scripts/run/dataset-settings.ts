import type { Option } from 'commander'
import type { DataRequest } from './run-data.js'
import { type GivenFlags, trainSettings } from './train-settings.js'

/** Settings of how images come in batches: they are not prepared. */
const ofBatches = ['flip', 'padCrop', 'balance']

/** The flags of `pmoe train` that say which images a dataset has, and their seed. */
export const datasetSettings: readonly Option[] = trainSettings
  .filter(({ option, path }) => {
    const name = option.attributeName()
    return path.wrn?.startsWith('dataset.') ? !ofBatches.includes(name) : name === 'seed'
  })
  .map(({ option }) => option)

/**
 * What of a dataset is asked for by these flags.
 *
 * @param name of the dataset
 * @param data folder of the user's files
 */
export function dataRequest(name: string, data: string | null, flags: GivenFlags): DataRequest {
  const given = datasetSettings.flatMap(option => {
    const key = option.attributeName()
    return key === 'seed' || flags[key] === undefined ? [] : [[key, flags[key]]]
  })
  return { name, data, samples: null, testSamples: null, ...Object.fromEntries(given) }
}

import type { Option } from 'commander'
import type { Settings } from '../../src/run/setting.js'
import { augmentationSettings } from '../../src/run/settings/augmentation.js'
import { imageSettings } from '../../src/run/settings/data.js'
import type { AugmentationRequest } from './augmentation/asked-augmentation.js'
import type { DataRequest } from './run-data.js'
import { type GivenFlags, trainSettings } from './train-settings.js'

/** The flags of `pmoe train` that say which images a dataset has, and their seed. */
export const datasetSettings: readonly Option[] = trainSettings
  .filter(({ name }) => name === 'seed' || Object.hasOwn(imageSettings, name))
  .map(({ option }) => option)

/** The flags of `pmoe train` that say how training images are varied. */
export const augmentationOptions: readonly Option[] = trainSettings
  .filter(({ name }) => Object.hasOwn(augmentationSettings, name) && name !== 'workers')
  .map(({ option }) => option)

/**
 * How training images are varied, as the flags ask for it.
 *
 * @param flags of `augmentationOptions`
 */
export function augmentationRequest(flags: GivenFlags): AugmentationRequest {
  return givenSettings(flags, augmentationSettings)
}

/**
 * The part of a dataset that the flags ask for.
 *
 * @param name of the dataset
 * @param data folder of the user's files
 */
export function dataRequest(name: string, data: string | null, flags: GivenFlags): DataRequest {
  return { name, data, samples: null, testSamples: null, ...givenSettings(flags, imageSettings) }
}

/** The settings of a table that flags give values, by their names in configurations. */
function givenSettings(flags: GivenFlags, table: Settings): object {
  return Object.fromEntries(
    trainSettings.flatMap(({ name, option }) => {
      const value = flags[option.attributeName()]
      return value !== undefined && Object.hasOwn(table, name) ? [[name, value]] : []
    }),
  )
}

import { composeGrid } from './compose.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { loadIdx } from './idx.js'

const digits = ['0', '1', '2', '3', '4', '5', '6', '7', '8', '9']
const roles = { grid: [4, 4], targets: [0, 1], distractors: [2, 3, 4, 5, 6, 7, 8, 9] } as const
const defaultSamples = 1000
const defaultTestSamples = 1000

/**
 * The paper's synthetic MNIST task: which of "0" and "1" is among the sixteen digits of the image.
 *
 * Loads any digits in IDX files: the 8x8 samples give 32x32 images, MNIST itself 112x112.
 */
export const digitsPatches: DatasetEntry = {
  name: 'digits-patches',
  title: 'Digits in patches',
  source: 'samples',
  sampleFolder: 'digits8',
  description: 'A handwritten 0 or 1 in one of 4x4 patches, digits 2 to 9 in the others; grey.',
  licence: 'CC BY 4.0 (samples)',
  homepage: 'https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits',
  defaultSamples,
  async load(source, options) {
    checkSamples(digitsPatches.name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
    const trainPool = await loadIdx(source, 'train', digits)
    const testPool = await loadIdx(source, 't10k', digits)
    return {
      name: digitsPatches.name,
      train: composeGrid({ ...roles, pool: trainPool, count: samples, seed }),
      test: composeGrid({ ...roles, pool: testPool, count: testSamples, seed: testSeed }),
    }
  },
}

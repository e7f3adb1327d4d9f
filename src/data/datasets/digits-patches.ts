import { defaultGrids, gridSettings, loadDigitGrids } from '../compose/digit-grids.js'
import type { DatasetEntry } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { digitsIdx } from './folder-formats.js'

/**
 * The paper's synthetic MNIST task on small digits: which of "0" and "1" is among the sixteen digits of the image.
 *
 * Loads any digits in IDX files: the 8x8 samples give 32x32 images, MNIST itself 112x112.
 */
export const digitsPatches: DatasetEntry = {
  name: 'digits-patches',
  title: 'Digits in patches',
  source: 'samples',
  sampleFolder: 'digits8',
  taskForbids: ['mirroring', 'turning', 'cutting'],
  description: 'A handwritten 0 or 1 in one of 4x4 patches, digits 2 to 9 in the others; grey.',
  licence: 'CC BY 4.0 (samples)',
  homepage: 'https://archive.ics.uci.edu/dataset/80/optical+recognition+of+handwritten+digits',
  defaultSamples: defaultGrids,
  settings: gridSettings,
  format: digitsIdx,
  recipe: {
    suggested: 'twoLayer',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(500, 15, 32, 0.1) },
    twoLayer: {
      patchSize: 8,
      patches: 16,
      patchesPerExpert: 6,
      oneLogit: true,
      training: sgd(500, 100, 20, 0.2),
    },
  },
  load: (source, options) => loadDigitGrids(digitsPatches.name, source, options),
}

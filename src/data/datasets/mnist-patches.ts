import { defaultGrids, gridSettings, loadDigitGrids } from '../compose/digit-grids.js'
import type { DatasetEntry } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { digitsIdx } from './folder-formats.js'

/** The paper's synthetic MNIST task (figures 4 to 9), from the user's IDX files: MNIST gives images of 112x112. */
export const mnistPatches: DatasetEntry = {
  name: 'mnist-patches',
  title: 'MNIST in patches',
  source: 'folder',
  taskForbids: ['mirroring', 'turning', 'cutting'],
  description:
    'A handwritten 0 or 1 in one of 4x4 patches, digits 2 to 9 in the others; from a folder of IDX files.',
  licence: 'that of the files; MNIST: CC BY-SA 3.0; not shipped',
  homepage: 'http://yann.lecun.com/exdb/mnist/',
  defaultSamples: defaultGrids,
  settings: gridSettings,
  format: digitsIdx,
  recipe: {
    suggested: 'twoLayer',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(500, 15, 32, 0.1) },
    twoLayer: {
      patchSize: 28,
      patches: 16,
      patchesPerExpert: 6,
      oneLogit: true,
      training: sgd(500, 100, 20, 0.2),
    },
  },
  load: (source, options) => loadDigitGrids(mnistPatches.name, source, options),
}

import { defaultGrids, gridSettings, loadDigitGrids } from '../compose/digit-grids.js'
import type { DatasetEntry } from './dataset.js'

/** The paper's synthetic MNIST task (figures 4 to 9), from the user's IDX files: MNIST gives images of 112x112. */
export const mnistPatches: DatasetEntry = {
  name: 'mnist-patches',
  title: 'MNIST in patches',
  source: 'folder',
  description:
    'A handwritten 0 or 1 in one of 4x4 patches, digits 2 to 9 in the others; from a folder of IDX files.',
  licence: 'that of the files; MNIST: CC BY-SA 3.0; not shipped',
  homepage: 'http://yann.lecun.com/exdb/mnist/',
  defaultSamples: defaultGrids,
  settings: gridSettings,
  load: (source, options) => loadDigitGrids(mnistPatches.name, source, options),
}

import { loadBackgrounds } from '../compose/backgrounds.js'
import { composeOnBackgrounds } from '../compose/compose-backgrounds.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { fashionRoles, loadSmallFashion } from './fashion.js'
import { fashionIdx } from './folder-formats.js'

const { targets } = fashionRoles
const defaultSamples = 1000
const defaultTestSamples = 1000

/**
 * The recipe of CIFAR-10 among noise on Fashion-MNIST: an accessory anywhere on a photograph of plants.
 */
export const fashionNoise: DatasetEntry = {
  name: 'fashion-noise',
  title: 'Fashion on plants',
  source: 'samples',
  sampleFolder: 'fashion-mini',
  sampleBackgrounds: 'plants32',
  taskForbids: ['cutting'],
  description: 'A sandal, sneaker, bag or ankle boot of 16x16 anywhere on a photograph of plants; 32x32 RGB.',
  licence: 'MIT; the plants CC0',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  defaultSamples,
  settings: ['backgrounds'],
  format: fashionIdx,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(defaultSamples, 30, 32, 0.1) },
    twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(defaultSamples, 25, 20, 0.2) },
  },
  async load(source, options) {
    const { name } = fashionNoise
    checkSamples(name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
    const behind = await loadBackgrounds(name, options)
    const trainPool = await loadSmallFashion(name, source, 'train')
    const testPool = await loadSmallFashion(name, source, 't10k')
    return {
      name,
      train: composeOnBackgrounds({
        pool: trainPool,
        targets,
        backgrounds: behind.train,
        count: samples,
        seed,
      }),
      test: composeOnBackgrounds({
        pool: testPool,
        targets,
        backgrounds: behind.test,
        count: testSamples,
        seed: testSeed,
      }),
      unreadable: behind.unreadable,
    }
  },
}

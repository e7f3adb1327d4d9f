import { composeGrid } from '../compose/compose.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { fashionRoles, loadSmallFashion } from './fashion.js'
import { fashionIdx } from './folder-formats.js'

const roles = { ...fashionRoles, grid: [2, 2] } as const
const defaultSamples = 1000
const defaultTestSamples = 1000

/**
 * The recipe of CIFAR-Vehicles on Fashion-MNIST: an accessory in one quadrant, clothes in the other three.
 */
export const fashionQuadrants: DatasetEntry = {
  name: 'fashion-quadrants',
  title: 'Fashion in quadrants',
  source: 'samples',
  sampleFolder: 'fashion-mini',
  taskForbids: ['cutting'],
  description: 'A sandal, sneaker, bag or ankle boot in one quadrant, clothes in the others; 32x32 RGB.',
  licence: 'MIT',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  defaultSamples,
  format: fashionIdx,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(defaultSamples, 30, 32, 0.1) },
    twoLayer: { patchSize: 16, patches: 4, patchesPerExpert: 2, training: sgd(defaultSamples, 25, 20, 0.2) },
  },
  async load(source, options) {
    const { name } = fashionQuadrants
    checkSamples(name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
    const trainPool = await loadSmallFashion(name, source, 'train')
    const testPool = await loadSmallFashion(name, source, 't10k')
    return {
      name,
      train: composeGrid({ ...roles, pool: trainPool, count: samples, seed }),
      test: composeGrid({ ...roles, pool: testPool, count: testSamples, seed: testSeed }),
    }
  },
}

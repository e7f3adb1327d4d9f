import { composeGrid } from '../compose/compose.js'
import { eachOnce } from '../compose/composing.js'
import { halveImages } from '../compose/resample.js'
import { cifar10Format, loadCifar } from '../formats/cifar.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { cifar10Binary } from './folder-formats.js'

const roles = { grid: [2, 2], targets: [0, 1, 8, 9], distractors: [2, 3, 4, 5, 6, 7] } as const

/**
 * CIFAR-Vehicles (Karp et al. 2021): a vehicle of half size in one quadrant, animals in the other three.
 *
 * Unlike the code published with it, the animals of test images are test images of CIFAR-10.
 */
export const cifarVehicles: DatasetEntry = {
  name: 'cifar-vehicles',
  title: 'CIFAR-Vehicles',
  source: 'folder',
  taskForbids: ['cutting'],
  description: 'An airplane, automobile, ship or truck in one quadrant, animals in the others; 32x32 RGB.',
  licence: 'that of CIFAR-10: not stated by its authors; not shipped',
  homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
  defaultSamples: 20_000,
  format: cifar10Binary,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: positionExperts, training: sgd(4000, 30, 64, 0.1) },
    twoLayer: { patchSize: 16, patches: 4, patchesPerExpert: 2, training: sgd(4000, 25, 20, 0.05) },
  },
  async load(source, options) {
    checkSamples(cifarVehicles.name, options)
    const { train, test } = await loadCifar(source, cifar10Format)
    const { seed } = options
    const samples = options.samples ?? eachOnce(train, roles.targets)
    const testSamples = options.testSamples ?? eachOnce(test, roles.targets)
    return {
      name: cifarVehicles.name,
      train: composeGrid({ ...roles, pool: halveImages(train), count: samples, seed }),
      test: composeGrid({ ...roles, pool: halveImages(test), count: testSamples, seed: testSeed }),
    }
  },
}

import { subset } from '../batches.js'
import { cifar10Format, loadCifar } from '../formats/cifar.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { cifar10Binary } from './folder-formats.js'

/** CIFAR-10 as it is, from the user's copy of its binary version. */
export const cifar10: DatasetEntry = {
  name: 'cifar10',
  title: 'CIFAR-10',
  source: 'folder',
  description: 'Ten classes of small photographs, 32x32 RGB, from a folder with the binary version.',
  licence: 'not stated by its authors; not shipped',
  homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
  defaultSamples: 50_000,
  format: cifar10Binary,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: positionExperts, training: sgd(10_000, 30, 64, 0.1) },
    twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(10_000, 25, 20, 0.05) },
  },
  async load(source, options) {
    checkSamples(cifar10.name, options)
    const { samples, testSamples, seed } = options
    const { train, test } = await loadCifar(source, cifar10Format)
    return {
      name: cifar10.name,
      train: samples === undefined ? train : subset(train, samples, seed),
      test: testSamples === undefined ? test : subset(test, testSamples, testSeed),
    }
  },
}

import { loadBackgrounds } from '../compose/backgrounds.js'
import { composeOnBackgrounds } from '../compose/compose-backgrounds.js'
import { eachOnce } from '../compose/composing.js'
import { halveImages } from '../compose/resample.js'
import { cifar10Format, loadCifar } from '../formats/cifar.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { cifar10Binary } from './folder-formats.js'

const targets = cifar10Format.classNames.map((_, label) => label)

/**
 * CIFAR-10 among noise (the paper's figure 15): an image of half size anywhere on a photograph, of plants in the paper.
 *
 * Test images lie on other photographs than training images.
 */
export const cifar10Noise: DatasetEntry = {
  name: 'cifar10-noise',
  title: 'CIFAR-10 on photographs',
  source: 'folder',
  taskForbids: ['cutting'],
  description:
    'An image of CIFAR-10 at 16x16 anywhere on a photograph of the folder --backgrounds; 32x32 RGB.',
  licence: 'those of CIFAR-10 and of the photographs; not shipped',
  homepage: 'https://www.cs.toronto.edu/~kriz/cifar.html',
  defaultSamples: 50_000,
  settings: ['backgrounds'],
  format: cifar10Binary,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 2, mixture: positionExperts, training: sgd(10_000, 30, 64, 0.1) },
    twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(10_000, 25, 20, 0.05) },
  },
  async load(source, options) {
    checkSamples(cifar10Noise.name, options)
    const { samples, testSamples, seed } = options
    const behind = await loadBackgrounds(cifar10Noise.name, options)
    const { train, test } = await loadCifar(source, cifar10Format)
    return {
      name: cifar10Noise.name,
      train: composeOnBackgrounds({
        pool: halveImages(train),
        targets,
        backgrounds: behind.train,
        count: samples ?? eachOnce(train, targets),
        seed,
      }),
      test: composeOnBackgrounds({
        pool: halveImages(test),
        targets,
        backgrounds: behind.test,
        count: testSamples ?? eachOnce(test, targets),
        seed: testSeed,
      }),
      unreadable: behind.unreadable,
    }
  },
}

import { subset } from '../batches.js'
import { greyToRgb, padImages } from '../compose/resample.js'
import { loadIdx } from '../formats/idx.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { positionExperts, sgd } from './dataset-recipe.js'
import { articles } from './fashion.js'
import { fashionIdx } from './folder-formats.js'

const defaultSamples = 2000
const defaultTestSamples = 600

/**
 * Fashion-MNIST as it is, its ten classes as large as the images of CIFAR-10: 28x28 grey -> 32x32 RGB.
 *
 * The samples have 250 training and 60 test images of the rarest class, and so at most 2,509 and 609 of all.
 */
export const fashionMnist: DatasetEntry = {
  name: 'fashion-mnist',
  title: 'Fashion-MNIST',
  source: 'samples',
  sampleFolder: 'fashion-mini',
  description: 'Ten classes of clothes and accessories, each filling the image; 32x32 RGB.',
  licence: 'MIT',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  defaultSamples,
  format: fashionIdx,
  recipe: {
    suggested: 'wide',
    wide: { widenFactor: 1, mixture: positionExperts, training: sgd(defaultSamples, 30, 32, 0.1) },
    twoLayer: { patchSize: 8, patches: 16, patchesPerExpert: 6, training: sgd(defaultSamples, 25, 20, 0.2) },
  },
  async load(source, options) {
    const { name } = fashionMnist
    checkSamples(name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
    const half = async (part: 'train' | 't10k') =>
      greyToRgb(padImages(await loadIdx(source, part, articles), 2))
    return {
      name,
      train: subset(await half('train'), samples, seed),
      test: subset(await half('t10k'), testSamples, testSeed),
    }
  },
}

import { composeGrid } from './compose.js'
import type { DataSource } from './data-source.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { loadIdx } from './idx.js'
import type { ImageSet } from './image-set.js'
import { greyToRgb, halveImages, padImages } from './resample.js'

const articles = [
  'T-shirt',
  'trouser',
  'pullover',
  'dress',
  'coat',
  'sandal',
  'shirt',
  'sneaker',
  'bag',
  'ankle boot',
]
const roles = { grid: [2, 2], targets: [5, 7, 8, 9], distractors: [0, 1, 2, 3, 4, 6] } as const
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
  description: 'A sandal, sneaker, bag or ankle boot in one quadrant, clothes in the others; 32x32 RGB.',
  licence: 'MIT',
  homepage: 'https://github.com/zalandoresearch/fashion-mnist',
  defaultSamples,
  async load(source, options) {
    checkSamples(fashionQuadrants.name, options)
    const { samples = defaultSamples, testSamples = defaultTestSamples, seed } = options
    const trainPool = await loadQuadrants(source, 'train')
    const testPool = await loadQuadrants(source, 't10k')
    return {
      name: fashionQuadrants.name,
      train: composeGrid({ ...roles, pool: trainPool, count: samples, seed }),
      test: composeGrid({ ...roles, pool: testPool, count: testSamples, seed: testSeed }),
    }
  },
}

/** 28x28 grey -> 32x32 -> 16x16 -> RGB. */
async function loadQuadrants(source: DataSource, half: 'train' | 't10k'): Promise<ImageSet> {
  const pool = await loadIdx(source, half, articles)
  const [height, width] = pool.shape
  if (height !== 28 || width !== 28) {
    throw new RangeError(
      `fashion-quadrants: images must be 28x28, got ${height}x${width} (${half} half of ${source.describe('')})`,
    )
  }
  return greyToRgb(halveImages(padImages(pool, 2)))
}

import { deriveSeed, random } from '../../random.js'
import { turnImages } from '../compose/quarter-turns.js'
import type { PixelSet } from '../image-set.js'
import { cifar10 } from './cifar10.js'
import { checkSamples, type DatasetEntry, testSeed } from './dataset.js'
import { fashionMnist } from './fashion-mnist.js'

const angleNames = ['0 degrees', '90 degrees', '180 degrees', '270 degrees']

/**
 * A dataset whose images are turned by a multiple of 90 degrees each (Chen et al., NeurIPS 2022): four clusters of images
 * that differ in angle alone. The angle is the image's group.
 *
 * Angles are drawn from the seed, those of the test images from a seed of their own; fewer images of a seed are the first
 * of more, at the same angles.
 */
function rotated(
  base: DatasetEntry,
  own: Pick<DatasetEntry, 'name' | 'title' | 'description'>,
): DatasetEntry {
  return {
    ...base,
    ...own,
    async load(source, options) {
      checkSamples(own.name, options)
      const { train, test } = await base.load(source, options)
      return {
        name: own.name,
        train: turned(train as PixelSet, options.seed),
        test: turned(test as PixelSet, testSeed),
      }
    },
  }
}

function turned(set: PixelSet, seed: number): PixelSet {
  const angles = random(deriveSeed(seed, 'rotated'), 'angles')
  const groups = Int32Array.from({ length: set.count }, () => angles.below(4))
  return { ...turnImages(set, groups), groups, groupNames: angleNames }
}

/** Fashion-MNIST at four angles. */
export const fashionRotated: DatasetEntry = rotated(fashionMnist, {
  name: 'fashion-rotated',
  title: 'Fashion-MNIST, rotated',
  description:
    'Ten classes of clothes and accessories, each image turned by a multiple of 90 degrees; 32x32 RGB.',
})

/** CIFAR-10 at four angles, from the user's copy of its binary version. */
export const cifar10Rotated: DatasetEntry = rotated(cifar10, {
  name: 'cifar10-rotated',
  title: 'CIFAR-10, rotated',
  description:
    'Ten classes of small photographs, each turned by a multiple of 90 degrees; 32x32 RGB, from a folder with the binary version.',
})

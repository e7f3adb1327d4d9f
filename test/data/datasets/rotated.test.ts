import { describe, expect, it } from 'vitest'
import { turnImages } from '../../../src/data/compose/quarter-turns.js'
import { datasetEntry } from '../../../src/data/datasets/datasets.js'
import type { ImageSet, PixelSet } from '../../../src/data/image-set.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { cifar10Files } from '../cifar-files.js'
import { memorySource } from '../memory-source.js'

/** Images of distinct pixels, side 2 with two channels. */
function small(count: number): PixelSet {
  return {
    images: Uint8Array.from({ length: 8 * count }, (_, i) => i),
    labels: new Int32Array(count),
    count,
    shape: [2, 2, 2],
    classNames: ['a'],
  }
}

describe('turnImages', () => {
  it('turns counter-clockwise by quarter turns', () => {
    // Pixels a b / c d, of two channels each.
    const { images } = turnImages(small(4), Int32Array.of(0, 1, 2, 3))
    const [a, b, c, d] = [0, 2, 4, 6]
    const turned = [
      [a, b, c, d],
      [b, d, a, c],
      [d, c, b, a],
      [c, a, d, b],
    ]
    expect([...images]).toEqual(
      turned.flatMap((pixels, image) => pixels.flatMap(pixel => [8 * image + pixel, 8 * image + pixel + 1])),
    )
  })

  it('refuses images that are not square, and other turns', () => {
    expect(() => turnImages({ ...small(1), shape: [4, 1, 2] }, Int32Array.of(0))).toThrow(
      'turnImages: images must be square, got 4x1',
    )
    expect(() => turnImages(small(2), Int32Array.of(0, 4))).toThrow(
      'turnImages: turns must be 2 numbers in [0, 3], got 2 (the largest 4)',
    )
    expect(() => turnImages(small(2), Int32Array.of(1))).toThrow('must be 2 numbers in [0, 3], got 1')
  })
})

/** Each image turned back. */
function upright(set: ImageSet): number[] {
  const back = (set.groups as Int32Array).map(turns => (4 - turns) % 4)
  return [...turnImages(set as PixelSet, back).images]
}

describe.each([
  ['fashion-rotated', 'fashion-mnist', () => samplesFolder('fashion-mini')],
  ['cifar10-rotated', 'cifar10', () => memorySource(cifar10Files(20))],
] as const)('%s', (name, base, source) => {
  const options = { samples: 60, testSamples: 20, seed: 3 }

  it('holds the images of its base, turned by the angle of their group', async () => {
    const rotated = await datasetEntry(name).load(source(), options)
    const plain = await datasetEntry(base).load(source(), options)
    for (const half of ['train', 'test'] as const) {
      const { groups, groupNames, labels } = rotated[half]
      expect(upright(rotated[half])).toEqual([...plain[half].images])
      expect(labels).toEqual(plain[half].labels)
      expect(groupNames).toEqual(['0 degrees', '90 degrees', '180 degrees', '270 degrees'])
      expect(new Set(groups)).toEqual(new Set([0, 1, 2, 3]))
    }
  })

  it('draws the angles from the seed, and those of the test images alike for all seeds', async () => {
    const load = (more: object) => datasetEntry(name).load(source(), { ...options, ...more })
    const [first, other, fewer] = [await load({}), await load({ seed: 4 }), await load({ samples: 20 })]
    expect(other.train.groups).not.toEqual(first.train.groups)
    expect(other.test.groups).toEqual(first.test.groups)
    expect([...(fewer.train.groups ?? [])]).toEqual([...(first.train.groups ?? [])].slice(0, 20))
    expect([...fewer.train.images]).toEqual([...first.train.images.slice(0, 20 * 3072)])
  })

  it('refuses numbers of images under its own name', async () => {
    await expect(datasetEntry(name).load(source(), { seed: 1, samples: 0 })).rejects.toThrow(
      `${name}: samples must be a positive integer, got 0`,
    )
  })
})

import { describe, expect, it } from 'vitest'
import { fashionMnist } from '../../../src/data/datasets/fashion-mnist.js'
import { samplesFolder } from '../../../src/files/data-folder.js'

const source = samplesFolder('fashion-mini')

describe('fashion-mnist', () => {
  it('has as many images of every class, on a margin of black, grey as RGB', async () => {
    const { train, test } = await fashionMnist.load(source, { seed: 1, samples: 100, testSamples: 20 })
    expect([train.count, test.count, train.shape]).toEqual([100, 20, [32, 32, 3]])
    const counts = train.classNames.map((_, label) => train.labels.filter(found => found === label).length)
    expect(counts).toEqual(new Array(10).fill(10))
    const pixel = (image: number, y: number, x: number) =>
      [...train.images.subarray(((image * 32 + y) * 32 + x) * 3).subarray(0, 3)] as [number, number, number]
    for (let image = 0; image < 100; image++) {
      for (let at = 0; at < 32; at++) {
        expect([pixel(image, 1, at), pixel(image, at, 30)]).toEqual([
          [0, 0, 0],
          [0, 0, 0],
        ])
      }
      const [red, green, blue] = pixel(image, 16, 16)
      expect([green, blue]).toEqual([red, red])
    }
  })

  it('draws other training images for each seed, smaller sets within larger ones, and the same test images', async () => {
    const [first, second, more] = await Promise.all([
      fashionMnist.load(source, { seed: 1, samples: 20, testSamples: 10 }),
      fashionMnist.load(source, { seed: 2, samples: 20, testSamples: 10 }),
      fashionMnist.load(source, { seed: 1, samples: 40, testSamples: 10 }),
    ])
    expect(second.train.images).not.toEqual(first.train.images)
    expect(second.test.images).toEqual(first.test.images)
    expect(more.train.images.subarray(0, first.train.images.length)).toEqual(first.train.images)
  })

  it('says which class has too few images', async () => {
    await expect(fashionMnist.load(source, { seed: 1, samples: 3000 })).rejects.toThrow(
      'class 0 "T-shirt" must have 300 images, got 250 (3000 images of 10 classes asked)',
    )
  })
})

import type { DataSource } from '../../src/data/data-source.js'
import type { ImageDataset } from '../../src/data/datasets/dataset.js'
import type { CatalogHalf } from '../../src/data/image-catalog.js'
import type { DecodeImage } from '../../src/data/image-decoding.js'
import { memorySource } from '../data/memory-source.js'

/** A dataset of `train` and `test` image files that are their number, two bytes each, and what decodes them. */
export interface NumberedCatalog {
  readonly entry: ImageDataset
  readonly source: DataSource
  /** Fills an image of 2x2 RGB with the number modulo 256. */
  readonly decode: DecodeImage
  /** The images that were decoded, by name, in the order in which that began. */
  readonly decoded: string[]
}

/**
 * A catalog of numbered images: three classes and three groups in turn; training images from 0 on, test images from
 * 1000 on.
 *
 * @param broken the numbers of images that cannot be decoded
 */
export function numberedCatalog(
  train: number,
  test: number,
  broken: readonly number[] = [],
): NumberedCatalog {
  const decoded: string[] = []
  const half = (count: number, from: number): CatalogHalf => ({
    count,
    labels: Int32Array.from({ length: count }, (_, i) => i % 3),
    groups: Int32Array.from({ length: count }, (_, i) => (i >> 1) % 3),
    name: position => `image-${from + position}.jpg`,
    encoded: async position => Uint8Array.of((from + position) >> 8, from + position),
  })
  const entry: ImageDataset = {
    name: 'numbered',
    title: 'Numbered images',
    source: 'folder',
    description: 'Images that are their number.',
    licence: 'none',
    homepage: 'https://example.com',
    defaultSamples: train,
    catalog: async (_, { samples = train, testSamples = test }) => ({
      train: half(samples, 0),
      test: half(testSamples, 1000),
      classNames: ['a', 'b', 'c'],
      groupNames: ['x', 'y', 'z'],
      decoding: { shape: [2, 2, 3] },
    }),
    load: () => Promise.reject(new Error('load: must not be called for a catalog')),
  }
  return {
    entry,
    source: memorySource({}),
    decoded,
    async decode(bytes, { shape }, name) {
      decoded.push(name)
      const number = (bytes[0] ?? 0) * 256 + (bytes[1] ?? 0)
      // Images that come first take longest: order must not depend on who is ready first.
      await new Promise(resolve => setTimeout(resolve, number % 7 === 0 ? 2 : 0))
      if (broken.includes(number)) throw new Error(`${name}: image must decode, got a bad marker`)
      return new Uint8Array(shape[0] * shape[1] * shape[2]).fill(number)
    },
  }
}

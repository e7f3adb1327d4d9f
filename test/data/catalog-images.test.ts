import { describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/data/catalog-images.js'
import type { CatalogHalf, ImageCatalog } from '../../src/data/image-catalog.js'
import type { DecodeImage } from '../../src/data/image-decoding.js'
import { decodeText } from './text-images.js'

/** Images whose files are the texts of their numbers, and whose reading takes turns of different lengths. */
function half(count: number, onRead: (position: number) => void = () => {}): CatalogHalf {
  return {
    count,
    labels: Int32Array.from({ length: count }, (_, i) => i % 2),
    name: position => `image ${position}`,
    async encoded(position) {
      onRead(position)
      for (let turn = 0; turn < position % 5; turn++) await Promise.resolve()
      return new TextEncoder().encode(String(position))
    },
  }
}

function catalog(train: CatalogHalf, test: CatalogHalf): ImageCatalog {
  return { train, test, classNames: ['even', 'odd'], decoding: { shape: [2, 1, 3] } }
}

describe('loadCatalog', () => {
  it('puts every image in its place', async () => {
    const { train, test, name } = await loadCatalog('numbers', catalog(half(50), half(3)), decodeText)
    expect([name, train.count, test.count, train.shape]).toEqual(['numbers', 50, 3, [2, 1, 3]])
    expect([...train.images]).toEqual(Array.from({ length: 300 }, (_, byte) => Math.floor(byte / 6)))
    expect([...test.labels]).toEqual([0, 1, 0])
    expect('groups' in train).toBe(false)
  })

  it('keeps groups', async () => {
    const groups = Int32Array.of(1, 0)
    const grouped = { ...catalog({ ...half(2), groups }, { ...half(2), groups }), groupNames: ['a', 'b'] }
    const { train, test } = await loadCatalog('numbers', grouped, decodeText)
    expect([train.groups, train.groupNames, test.groups]).toEqual([groups, ['a', 'b'], groups])
  })

  it('ends at the first image that fails, and leaves the others alone', async () => {
    let read = 0
    const decode: DecodeImage = async (bytes, decoding, name) => {
      if (name === 'image 20') throw new Error(`${name}: bytes must be an image`)
      return decodeText(bytes, decoding, name)
    }
    const train = half(1000, () => {
      read++
    })
    await expect(loadCatalog('numbers', catalog(train, half(1)), decode)).rejects.toThrow(
      new Error('image 20: bytes must be an image'),
    )
    expect(read).toBeLessThan(100)
  })

  it('asks for a decoder, and for memory', async () => {
    await expect(loadCatalog('numbers', catalog(half(1), half(1)), undefined)).rejects.toThrow(
      new TypeError('numbers: decode must be a decoder of image files, got none'),
    )
    const huge = { ...catalog({ ...half(1), count: 2 ** 50 }, half(1)) }
    await expect(loadCatalog('numbers', huge, decodeText)).rejects.toThrow(
      new RangeError(
        'numbers: images must fit in memory, got 1125899906842624 of 6 bytes each (ask for fewer samples, or ' +
          'prepare them once and train from files)',
      ),
    )
  })
})

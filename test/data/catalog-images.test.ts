import { describe, expect, it } from 'vitest'
import { loadCatalog } from '../../src/data/catalog-images.js'
import type { CatalogHalf, ImageCatalog } from '../../src/data/image-catalog.js'
import type { DecodeImage } from '../../src/data/image-decoding.js'
import type { UnreadableLimit } from '../../src/data/unreadable-images.js'
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
    const { train, test, name } = await loadCatalog('numbers', catalog(half(50), half(3)), {
      decode: decodeText,
    })
    expect([name, train.count, test.count, train.shape]).toEqual(['numbers', 50, 3, [2, 1, 3]])
    expect([...train.images]).toEqual(Array.from({ length: 300 }, (_, byte) => Math.floor(byte / 6)))
    expect([...test.labels]).toEqual([0, 1, 0])
    expect('groups' in train).toBe(false)
  })

  it('names images by their paths, or else as errors do', async () => {
    const withPaths = { ...half(4), path: (position: number) => `folder/${position}` }
    const decode: DecodeImage = async (bytes, decoding, name) => {
      if (name === 'image 1') throw new Error('image 1: bytes must be an image')
      return decodeText(bytes, decoding, name)
    }
    const { train, test } = await loadCatalog('numbers', catalog(withPaths, half(4)), {
      decode,
      maxUnreadable: 2,
    })
    expect(train.names).toEqual(['folder/0', 'folder/2', 'folder/3'])
    expect(test.names).toEqual(['image 0', 'image 2', 'image 3'])
  })

  it('keeps groups', async () => {
    const groups = Int32Array.of(1, 0)
    const grouped = { ...catalog({ ...half(2), groups }, { ...half(2), groups }), groupNames: ['a', 'b'] }
    const { train, test } = await loadCatalog('numbers', grouped, { decode: decodeText })
    expect([train.groups, train.groupNames, test.groups]).toEqual([groups, ['a', 'b'], groups])
  })

  /** Fails at images of these names. */
  const failing =
    (...names: string[]): DecodeImage =>
    async (bytes, decoding, name) => {
      if (names.includes(name)) throw new Error(`${name}: bytes must be an image`)
      return decodeText(bytes, decoding, name)
    }

  it('leaves out what cannot be read, names it, and closes the gaps', async () => {
    const decode = failing('image 3', 'image 8')
    const groups = Int32Array.from({ length: 10 }, (_, i) => i)
    const names = { groupNames: groups.toString().split(',') }
    const grouped = { ...catalog({ ...half(10), groups }, { ...half(3), groups }), ...names }
    const { train, test, unreadable } = await loadCatalog('numbers', grouped, { decode, maxUnreadable: 3 })
    expect(train.count).toBe(8)
    expect([...train.images].filter((_, byte) => byte % 6 === 0)).toEqual([0, 1, 2, 4, 5, 6, 7, 9])
    expect([...train.labels]).toEqual([0, 1, 0, 0, 1, 0, 1, 1])
    expect([...(train.groups ?? [])]).toEqual([0, 1, 2, 4, 5, 6, 7, 9])
    expect(test.count).toBe(3)
    expect(unreadable).toEqual([
      { name: 'image 3', reason: 'image 3: bytes must be an image' },
      { name: 'image 8', reason: 'image 8: bytes must be an image' },
    ])
  })

  it('stops beyond the limit, always naming the same images, and leaves the others alone', async () => {
    let read = 0
    const train = half(1000, () => {
      read++
    })
    const decode = failing('image 20', 'image 17', 'image 24', 'image 900')
    const loading = () => loadCatalog('numbers', catalog(train, half(1)), { decode, maxUnreadable: 1 })
    const message =
      'numbers: unreadable images must be at most 1 (maxUnreadable or --max-unreadable), got 2 of 1001:\n' +
      '  image 17: bytes must be an image\n  image 20: bytes must be an image'
    for (let time = 0; time < 5; time++) await expect(loading()).rejects.toThrow(new Error(message))
    expect(read).toBeLessThan(5 * 100)
  })

  it('counts training, validation and test images together', async () => {
    const decode = failing('image 1')
    const threefold = { ...catalog(half(60), half(60)), validation: half(60) }
    const loading = (maxUnreadable: UnreadableLimit) =>
      loadCatalog('numbers', threefold, { decode, maxUnreadable })
    const { validation, unreadable } = await loading('2%')
    expect([validation?.count, unreadable?.length]).toEqual([59, 3])
    await expect(loading('1%')).rejects.toThrow(
      'numbers: unreadable images must be at most 1 (1%, maxUnreadable or --max-unreadable), got 2 of 180:',
    )
  })

  it('refuses a class that is left without images', async () => {
    const decode = failing('image 1', 'image 3')
    await expect(
      loadCatalog('numbers', catalog(half(4), half(1)), { decode, maxUnreadable: '50%' }),
    ).rejects.toThrow(
      new Error(
        'numbers: class 1 "odd" must have an image that can be read, got 0 of 2:\n' +
          '  image 1: bytes must be an image\n  image 3: bytes must be an image',
      ),
    )
  })

  it('tells what decoding did to images, counted', async () => {
    const decode: DecodeImage = async (bytes, decoding, name, note) => {
      if (name !== 'image 0') note?.('was bent')
      if (name === 'image 2') note?.('was cut')
      return decodeText(bytes, decoding, name)
    }
    const noted = { ...catalog(half(3), half(2)), notes: ['Left out: a.bmp.'] }
    const { notes } = await loadCatalog('numbers', noted, { decode })
    expect(notes).toEqual([
      'Left out: a.bmp.',
      '3 images: was bent (one of them: image 1)',
      'image 2: was cut',
    ])
  })

  it('asks for a decoder, and for memory', async () => {
    await expect(loadCatalog('numbers', catalog(half(1), half(1)), {})).rejects.toThrow(
      new TypeError('numbers: decode must be a decoder of image files, got none'),
    )
    const huge = { ...catalog({ ...half(1), count: 2 ** 50 }, half(1)) }
    await expect(loadCatalog('numbers', huge, { decode: decodeText })).rejects.toThrow(
      new RangeError(
        'numbers: images must fit in memory, got 1125899906842624 of 6 bytes each (ask for fewer samples, or ' +
          'prepare them once and train from files)',
      ),
    )
  })
})

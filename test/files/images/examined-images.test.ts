import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import type { CatalogHalf } from '../../../src/data/image-catalog.js'
import { examineImages } from '../../../src/files/images/examined-images.js'

const image = (height: number, width: number, orientation?: number): Promise<Buffer> => {
  const drawn = sharp({ create: { width, height, channels: 3, background: '#888' } }).jpeg()
  return (orientation === undefined ? drawn : drawn.withMetadata({ orientation })).toBuffer()
}

async function half(...files: Promise<Uint8Array>[]): Promise<CatalogHalf & { asked: number[] }> {
  const bytes = await Promise.all(files)
  const asked: number[] = []
  return {
    asked,
    count: bytes.length,
    labels: new Int32Array(bytes.length),
    name: String,
    encoded: async position => {
      asked.push(position)
      return bytes[position] as Uint8Array
    },
  }
}

const decoding = { shape: [4, 4, 3] } as const

describe('examineImages', () => {
  it('gives the smallest, the middle and the largest by pixels, as the images are seen', async () => {
    const images = await half(image(40, 40), image(10, 90), image(20, 30), image(8, 50, 6))
    expect(await examineImages([images], decoding, 10)).toEqual({
      examined: 4,
      unreadable: [],
      notes: [],
      sizes: { examined: 4, smallest: [50, 8], median: [10, 90], largest: [40, 40] },
    })
  })

  it('looks at some of many, spread over all, and leaves out what is no image', async () => {
    const text = Promise.resolve(Buffer.from('text'))
    const images = await half(image(1, 2), text, text, image(3, 4), text, text)
    expect(await examineImages([images], decoding, 2)).toMatchObject({
      examined: 2,
      sizes: { examined: 2, smallest: [1, 2], largest: [3, 4] },
    })
    expect(images.asked).toEqual([0, 3])
    const empty = Promise.resolve(new Uint8Array(0))
    const { sizes, unreadable } = await examineImages([await half(text), await half(empty)], decoding, 5)
    expect(sizes).toBeUndefined()
    expect(unreadable).toMatchObject([
      { name: '0' },
      { name: '0', reason: '0: file must hold an image, got 0 bytes' },
    ])
  })
})

import { pathToFileURL } from 'node:url'
import sharp from 'sharp'
import { beforeAll, describe, expect, it } from 'vitest'
import { type JpegDecoder, loadJpegDecoder } from '../../../src/files/images/jpeg-turbo.js'

let decoder: JpegDecoder
beforeAll(async () => {
  const loaded = await loadJpegDecoder()
  if (!loaded) throw new Error('@cwasm/jpeg-turbo must be installed (npm ci)')
  decoder = loaded
})

/** A JPEG file whose left half is of one grey and whose right half of another. */
const halves = (left: number, right: number, side: number): Promise<Buffer> => {
  const pixels = Uint8Array.from({ length: side * side }, (_, i) => (i % side < side / 2 ? left : right))
  return sharp(pixels, { raw: { width: side, height: side, channels: 1 } })
    .toColourspace('b-w')
    .jpeg({ quality: 100 })
    .toBuffer()
}

describe('the JPEG decoder', () => {
  it('decodes at full size, at a half, a quarter and an eighth', async () => {
    const bytes = await halves(40, 200, 64)
    for (const scale of [1, 2, 4, 8]) {
      const side = 64 / scale
      const grey = decoder.decode(bytes, [side, side], 1)
      const rgb = decoder.decode(bytes, [side, side], 3)
      // The memory of an image is the next one's: the grey one is gone by now.
      expect(grey).toHaveLength(side * side)
      expect(rgb).toHaveLength(3 * side * side)
      for (const [i, value] of (rgb as Uint8Array).entries()) {
        const x = Math.floor(i / 3) % side
        expect(Math.abs(value - (x < side / 2 ? 40 : 200))).toBeLessThanOrEqual(2)
      }
    }
  })

  it('takes images that need more memory than those before', async () => {
    for (const side of [16, 700, 32, 900]) {
      const pixels = decoder.decode(await halves(10, 90, side), [side, side], 3) as Uint8Array
      expect([pixels[0], pixels[3 * side * side - 1]]).toEqual([10, 90])
    }
  })

  it('gives nothing for what is cut short, damaged or no JPEG file, and goes on', async () => {
    const whole = await halves(40, 200, 64)
    const noise = Uint8Array.from({ length: 400 }, (_, i) => Math.imul(i, 2654435761) >>> 24)
    for (const bytes of [
      whole.subarray(0, whole.length >> 1),
      Uint8Array.from([...whole.subarray(0, whole.length >> 1), ...noise]),
      noise,
      new Uint8Array(0),
      Uint8Array.of(0xff, 0xd8),
    ]) {
      expect(decoder.decode(bytes, [64, 64], 3)).toBeUndefined()
      expect(decoder.decode(whole, [64, 64], 1)?.[0]).toBe(40)
    }
  })

  it('is not there where its file is not', async () => {
    expect(await loadJpegDecoder(name => pathToFileURL(`/nowhere/${name}`).href)).toBeUndefined()
    const notFound = (): never => {
      throw new Error('Cannot find package')
    }
    expect(await loadJpegDecoder(notFound)).toBeUndefined()
  })
})

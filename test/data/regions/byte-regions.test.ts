import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { ByteSource } from '../../../src/data/data-source.js'
import { byteRegions } from '../../../src/data/regions/byte-regions.js'
import { blockMeansOf, regionsOf } from './brute-force.js'

/** A file in memory that tells how much of it was read. */
function countedFile(bytes: Uint8Array): ByteSource & { read: number; closed: number } {
  return {
    length: bytes.length,
    read: 0,
    closed: 0,
    async slice(start, end) {
      const part = bytes.slice(start, end)
      this.read += part.length
      return part
    },
    async close() {
      this.closed++
    },
  }
}

/** Pixels behind seven other bytes. */
function imageFile(shape: readonly [number, number, number]) {
  const [height, width, channels] = shape
  const pixels = Uint8Array.from({ length: height * width * channels }, (_, i) => (i * i + 7 * i) % 251)
  return { pixels, file: countedFile(Uint8Array.from([...new Array(7).fill(255), ...pixels])) }
}

describe('byteRegions', () => {
  it('has the views and regions of the definition', async () => {
    const side = fc.integer({ min: 1, max: 20 })
    const shapes = fc.tuple(side, side, fc.constantFrom(1, 3))
    await fc.assert(
      fc.asyncProperty(shapes, fc.integer({ min: 1, max: 25 }), fc.gen(), async (shape, scale, draw) => {
        const { pixels, file } = imageFile(shape)
        const source = byteRegions(async () => ({ file, start: 7 }), shape, 'a')
        expect([source.height, source.width, source.channels]).toEqual(shape)
        expect(await source.view(scale)).toEqual(blockMeansOf(pixels, shape, scale))
        const [height, width] = [draw(fc.integer, { min: 1, max: 9 }), draw(fc.integer, { min: 1, max: 9 })]
        const boxes = Array.from({ length: 3 }, () => [
          draw(fc.integer, { min: 1 - height, max: shape[0] - 1 }),
          draw(fc.integer, { min: 1 - width, max: shape[1] - 1 }),
          height,
          width,
        ]).flat()
        expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(pixels, shape, boxes))
      }),
      { numRuns: 60 },
    )
  })

  it('reads of wide images no more than regions have, and views in strips', async () => {
    const shape = [40, 30_000, 3] as const
    const { pixels, file } = imageFile(shape)
    const source = byteRegions(async () => ({ file, start: 7 }), shape, 'a')
    const boxes = [-2, 29_990, 8, 16, 10, 100, 8, 16]
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(pixels, shape, boxes))
    expect(file.read).toBe(3 * (6 * 10 + 8 * 16))
    expect(await source.view(16)).toEqual(blockMeansOf(pixels, shape, 16))
    expect(file.read).toBe(3 * (6 * 10 + 8 * 16) + pixels.length)
  })

  it('closes its file, and opens it again when it is read once more', async () => {
    const { file } = imageFile([4, 5, 1])
    let opened = 0
    const open = async () => {
      if (++opened === 1) throw new Error('not yet')
      return { file, start: 7 }
    }
    const source = byteRegions(open, [4, 5, 1], 'a')
    await expect(source.view(2)).rejects.toThrow('not yet')
    await source.close?.()
    const view = await source.view(2)
    await source.close?.()
    expect(await source.view(2)).toEqual(view)
    await source.close?.()
    expect([opened, file.closed]).toEqual([3, 2])
  })

  it('refuses what it cannot read, with its numbers', async () => {
    const { file } = imageFile([4, 5, 1])
    const source = byteRegions(async () => ({ file, start: 12 }), [4, 5, 1], 'b')
    await expect(source.view(1)).rejects.toThrow(
      new RangeError('b: file must hold 20 bytes from byte 12 on, got 15'),
    )
    await expect(source.view(0)).rejects.toThrow('b: scale must be a positive integer, got 0')
    await expect(source.regions(Int32Array.of(4, 0, 2, 2))).rejects.toThrow(
      'b: boxes (top, left, height, width) must have a pixel in the image of 4x5, got 4, 0, 2, 2 (box 0)',
    )
  })
})

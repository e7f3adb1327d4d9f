import { mkdtempSync, readdirSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { writeSheetPng } from '../../../src/files/images/sheet-png.js'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-sheet-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="20" height="10"><rect x="18" y="0" width="2" height="10" fill="#00ff00"/></svg>`
const layout = {
  width: 20,
  height: 10,
  tiles: [
    { x: 1, y: 2, width: 4, height: 4 },
    { x: 8, y: 2, width: 4, height: 4 },
  ],
  overlay,
}

/** The colour of a pixel of a picture, as RGB. */
async function pixelsOf(path: string): Promise<(x: number, y: number) => number[]> {
  const { data, info } = await sharp(path).removeAlpha().raw().toBuffer({ resolveWithObject: true })
  expect([info.width, info.height, info.channels]).toEqual([20, 10, 3])
  return (x, y) => [...data.subarray(3 * (y * 20 + x), 3 * (y * 20 + x) + 3)]
}

describe('writeSheetPng', () => {
  it('draws each pixel of a small image as a square, on white, and the overlay over all', async () => {
    const path = join(dir, 'grey.png')
    // Two images of 2x2 grey pixels, drawn at 4x4.
    await writeSheetPng(path, layout, Uint8Array.of(10, 20, 30, 40, 50, 60, 70, 80), [2, 2, 1])
    const at = await pixelsOf(path)
    expect([at(1, 2), at(2, 3), at(3, 2), at(1, 5), at(4, 5)].map(([red]) => red)).toEqual([
      10, 10, 20, 30, 40,
    ])
    expect([at(8, 2), at(11, 5)]).toEqual([
      [50, 50, 50],
      [80, 80, 80],
    ])
    expect([at(0, 0), at(6, 4)]).toEqual([
      [255, 255, 255],
      [255, 255, 255],
    ])
    expect(at(19, 9)).toEqual([0, 255, 0])
  })

  it('keeps colours, rounded where that is asked for', async () => {
    const path = join(dir, 'colour.png')
    const red = [200, 10, 20]
    const blue = [0, 0, 255]
    const images = Uint8Array.from([red, red, red, red, blue, blue, blue, blue].flat())
    await writeSheetPng(path, layout, images, [2, 2, 3], { fewColors: true })
    const at = await pixelsOf(path)
    expect([at(2, 3), at(9, 3)]).toEqual([red, blue])
    expect((await sharp(path).metadata()).isPalette).toBe(true)
    expect(statSync(path).size).toBeLessThan(500)
  })

  it('refuses pixels that are not those of the tiles, and writes nothing', async () => {
    const path = join(dir, 'none.png')
    await expect(writeSheetPng(path, layout, new Uint8Array(7), [2, 2, 1])).rejects.toThrow(
      new RangeError('writeSheetPng: images must be 2 of [height, width, 1 or 3], got 7 bytes for [2, 2, 1]'),
    )
    await expect(writeSheetPng(path, layout, new Uint8Array(16), [2, 2, 2])).rejects.toThrow(
      'got 16 bytes for [2, 2, 2]',
    )
    expect(readdirSync(dir)).not.toContain('none.png')
  })

  it('names a place that cannot be written', async () => {
    const path = join(dir, 'nowhere', 'a.png')
    await expect(writeSheetPng(path, layout, new Uint8Array(8), [2, 2, 1])).rejects.toThrow(
      `writeFileAtomic: ${path} must be writable, got: ENOENT`,
    )
  })
})

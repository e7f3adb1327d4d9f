import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readImage } from '../../src/files/image-files.js'

let dir: string
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'pmoe-images-'))
})
afterAll(() => rmSync(dir, { recursive: true, force: true }))

const raw = (pixels: number[], width: number, height: number, channels: 1 | 3 | 4): Sharp =>
  sharp(Uint8Array.from(pixels), { raw: { width, height, channels } })

async function saved(name: string, image: Sharp): Promise<string> {
  const path = join(dir, name)
  await image.toFile(path)
  return path
}

function near(actual: Uint8Array, expected: number[], tolerance: number): void {
  expect(actual).toHaveLength(expected.length)
  for (const [i, value] of expected.entries()) {
    expect(Math.abs((actual[i] as number) - value), `byte ${i} of ${[...actual]}`).toBeLessThanOrEqual(
      tolerance,
    )
  }
}

describe('readImage', () => {
  it('gives the pixels of an RGB image as they are, row by row', async () => {
    const pixels = [255, 0, 0, 0, 255, 0, 0, 0, 255, 10, 20, 30, 40, 50, 60, 70, 80, 90]
    const path = await saved('rgb.png', raw(pixels, 3, 2, 3))
    const image = await readImage(path, [2, 3, 3])
    expect([...image]).toEqual(pixels)
    expect(Buffer.isBuffer(image)).toBe(false)
  })

  it('turns grey to RGB and back', async () => {
    const path = await saved('grey.png', raw([0, 100, 200, 255], 2, 2, 1).toColourspace('b-w'))
    expect([...(await readImage(path, [2, 2, 1]))]).toEqual([0, 100, 200, 255])
    expect([...(await readImage(path, [2, 2, 3]))]).toEqual([
      0, 0, 0, 100, 100, 100, 200, 200, 200, 255, 255, 255,
    ])
    const colour = await saved('equal.png', raw([90, 90, 90, 200, 200, 200], 2, 1, 3))
    near(await readImage(colour, [1, 2, 1]), [90, 200], 1)
  })

  it('lays transparency on white', async () => {
    const path = await saved('alpha.png', raw([10, 20, 30, 255, 0, 0, 0, 0, 0, 0, 0, 128], 3, 1, 4))
    near(await readImage(path, [1, 3, 3]), [10, 20, 30, 255, 255, 255, 127, 127, 127], 1)
    near(await readImage(path, [1, 3, 1]).then(grey => grey.subarray(1)), [255, 127], 1)
  })

  it('turns the image as the camera says', async () => {
    // Orientation 6: the stored image is to be turned a quarter clockwise.
    const stored = raw([250, 250, 250, 0, 0, 0], 2, 1, 3)
    const path = await saved('turned.png', stored.withMetadata({ orientation: 6 }))
    expect([...(await readImage(path, [2, 1, 3]))]).toEqual([250, 250, 250, 0, 0, 0])
    const back = raw([250, 250, 250, 0, 0, 0], 2, 1, 3).withMetadata({ orientation: 3 })
    expect([...(await readImage(await saved('back.png', back), [1, 2, 3]))]).toEqual([0, 0, 0, 250, 250, 250])
  })

  it('reads CMYK', async () => {
    const flat = Array(64).fill([200, 30, 40]).flat()
    const path = await saved('cmyk.jpg', raw(flat, 8, 8, 3).toColourspace('cmyk').jpeg({ quality: 100 }))
    expect((await sharp(path).metadata()).space).toBe('cmyk')
    const [red = 0, green = 0, blue = 0] = await readImage(path, [1, 1, 3])
    expect(red).toBeGreaterThan(150)
    expect(Math.max(green, blue)).toBeLessThan(90)
    expect(await readImage(path, [8, 8, 1])).toHaveLength(64)
  })

  it('scales 16 bits to 8', async () => {
    const rgb16 = raw([0, 128, 255, 255, 128, 0], 2, 1, 3).toColourspace('rgb16')
    const path = await saved('rgb16.png', rgb16.png())
    expect((await sharp(path).metadata()).depth).toBe('ushort')
    near(await readImage(path, [1, 2, 3]), [0, 128, 255, 255, 128, 0], 1)
    const grey16 = await saved('grey16.png', raw([0, 128, 255], 3, 1, 1).toColourspace('grey16').png())
    expect((await sharp(grey16).metadata()).depth).toBe('ushort')
    near(await readImage(grey16, [1, 3, 1]), [0, 128, 255], 1)
    near(await readImage(grey16, [1, 3, 3]), [0, 0, 0, 128, 128, 128, 255, 255, 255], 1)
  })

  it('stretches the whole image to the size asked for', async () => {
    const columns = Array.from({ length: 4 * 16 }, (_, i) => (i % 16 < 8 ? 0 : 240))
    const path = await saved('wide.png', raw(columns, 16, 4, 1))
    const small = await readImage(path, [8, 4, 1])
    for (let y = 0; y < 8; y++) {
      expect(small[4 * y]).toBeLessThan(20)
      expect(small[4 * y + 3]).toBeGreaterThan(220)
    }
  })

  it('names files that are missing, empty, folders, cut short, corrupt or no images', async () => {
    const noise = Array.from({ length: 64 * 64 * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 24)
    const whole = await raw(noise, 64, 64, 3).jpeg().toBuffer()
    const file = (name: string, bytes: Uint8Array | string): string => {
      writeFileSync(join(dir, name), bytes)
      return join(dir, name)
    }
    const undecodable = (path: string): string =>
      `${path}: file must be an image that decodes to its end, got `
    for (const path of [
      file('cut.jpg', whole.subarray(0, whole.length >> 1)),
      file('text.jpg', 'not an image'),
      file('corrupt.png', Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a, 9, 9, 9, 9)),
    ]) {
      const error: unknown = await readImage(path, [8, 8, 3]).catch((thrown: unknown) => thrown)
      expect((error as Error).message).toContain(undecodable(path))
      expect((error as Error).cause).toBeInstanceOf(Error)
    }
    const empty = file('empty.png', '')
    await expect(readImage(empty, [8, 8, 3])).rejects.toThrow(
      new Error(`${empty}: file must hold an image, got 0 bytes`),
    )
    await expect(readImage(dir, [8, 8, 3])).rejects.toThrow(
      new Error(`${dir}: path must be a file, got a folder`),
    )
    const missing = join(dir, 'missing.png')
    await expect(readImage(missing, [8, 8, 3])).rejects.toThrow(
      `${missing}: file must be readable, got ENOENT`,
    )
  })

  it('refuses shapes that images do not have', async () => {
    await expect(readImage('x.png', [8, 8, 2])).rejects.toThrow(
      new RangeError('readImage: shape must be [height, width, 1 or 3] of positive integers, got [8, 8, 2]'),
    )
    await expect(readImage('x.png', [0, 8, 3])).rejects.toThrow(
      new RangeError('readImage: shape must be [height, width, 1 or 3] of positive integers, got [0, 8, 3]'),
    )
  })
})

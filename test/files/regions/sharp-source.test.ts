import { mkdtemp, readFile, rm, utimes, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, it, onTestFinished, vi } from 'vitest'
import { readImage } from '../../../src/files/images/image-files.js'
import { HeldPixels } from '../../../src/files/regions/held-pixels.js'
import { ImageFile, type RegionDecoding } from '../../../src/files/regions/image-file.js'
import { boxGroups, sharpSource } from '../../../src/files/regions/sharp-source.js'
import { blockMeansOf, regionsOf } from '../../data/regions/brute-force.js'
import { boxesAcross, patternImage } from './pattern-image.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'regions-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

const [height, width] = [43, 62]
const rgb = (smooth = false): Sharp => patternImage([height, width, 3], smooth)
const rgba = (): Sharp => patternImage([height, width, 4])
/** 16 bits a sample, up to 65535, and up to 4095 as cameras of 12 bits have them. */
const deep = (most: number): Sharp =>
  sharp(
    Uint16Array.from({ length: height * width * 3 }, (_, i) => (i * 7919) % (most + 1)),
    { raw: { height, width, channels: 3 } },
  ).toColourspace('rgb16')

const exact: readonly [string, () => Sharp][] = [
  ['rgb.png', () => rgb().png()],
  ['interlaced.png', () => rgb().png({ progressive: true })],
  ['grey.png', () => patternImage([height, width, 1]).png()],
  ['alpha.png', () => rgba().png()],
  ['palette.png', () => rgb().png({ palette: true, colours: 64 })],
  ['16bit.png', () => deep(65_535).png()],
  ['12bit.png', () => deep(4_095).png()],
  ['striped.tif', () => rgb().tiff({ compression: 'deflate' })],
  ['lossless.webp', () => rgb().webp({ lossless: true })],
  ['frame.gif', () => rgb().gif()],
  ...Array.from({ length: 8 }, (_, i): [string, () => Sharp] => [
    `orientation-${i + 1}.png`,
    () =>
      rgb()
        .withMetadata({ orientation: i + 1 })
        .png(),
  ]),
]
const jpegs: readonly [string, () => Sharp][] = [
  ['plain.jpg', () => rgb(true).jpeg({ quality: 95 })],
  ['progressive.jpg', () => rgb(true).jpeg({ quality: 95, progressive: true })],
  ['chroma.jpg', () => rgb(true).jpeg({ quality: 95, chromaSubsampling: '4:4:4' })],
  ['grey.jpg', () => patternImage([height, width, 1], true).jpeg({ quality: 95 })],
  ['cmyk.jpg', () => rgb(true).toColourspace('cmyk').jpeg({ quality: 95 })],
  ...Array.from({ length: 8 }, (_, i): [string, () => Sharp] => [
    `orientation-${i + 1}.jpg`,
    () =>
      rgb(true)
        .withMetadata({ orientation: i + 1 })
        .jpeg({ quality: 95 }),
  ]),
]

const sides = Array.from({ length: 8 }, (_, i) =>
  (
    [
      ['40x64', [40, 64]],
      ['44x60', [44, 60]],
      ['42x61', [42, 61]],
    ] as const
  ).map(([name, size]) => [name, size, i + 1] as const),
).flat()

/** Writes an image, and reads it whole as the project reads images. */
async function written(
  [name, make]: readonly [string, () => Sharp],
  channels: 1 | 3 = 3,
  decoding: RegionDecoding = {},
) {
  const path = join(folder, name)
  await make().toFile(path)
  const { autoOrient } = await sharp(path).metadata()
  const shape = [autoOrient.height, autoOrient.width, channels] as const
  const source = await sharpSource(path, { channels, ...decoding })
  return { path, shape, whole: await readImage(path, shape), source }
}

describe('sharpSource', () => {
  it.each(exact)('reads views and regions of %s as the image read whole has them', async (...image) => {
    const { shape, whole, source } = await written(image)
    expect([source.height, source.width, source.channels]).toEqual(shape)
    for (const scale of [1, 2, 5, 8, 100]) {
      expect(await source.view(scale)).toEqual(blockMeansOf(whole, shape, scale))
    }
    const boxes = boxesAcross(shape[0], shape[1])
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(whole, shape, boxes))
  })

  it.each(jpegs)('reads regions of %s as the image decoded whole has them', async (...image) => {
    const { shape, whole, source } = await written(image)
    const boxes = boxesAcross(shape[0], shape[1])
    // The project reads small JPEG files by another build of libjpeg-turbo, which rounds differently.
    distance(await source.regions(Int32Array.from(boxes)), regionsOf(whole, shape, boxes), 1.5)
    const decoded = await source.view(1)
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(decoded, shape, boxes))
    for (const scale of [2, 3, 8])
      expect(await source.view(scale)).toEqual(blockMeansOf(decoded, shape, scale))
  })

  it.each(sides)(
    'decodes JPEG files of %s small, to 2 of 255 on average',
    async (name, sizes, orientation) => {
      const make = (): Sharp =>
        patternImage([...sizes, 3], true)
          .withMetadata({ orientation })
          .jpeg({ quality: 95 })
      const small = { decodedWhole: 0 }
      const { shape, whole, source } = await written([`${name}-${orientation}.jpg`, make], 3, small)
      for (const scale of [2, 3, 4, 8, 12, 16]) {
        distance(await source.view(scale), blockMeansOf(whole, shape, scale), 2)
      }
    },
  )

  it('decodes a file once for view and regions, until it is closed', async () => {
    const decode = vi.spyOn(ImageFile.prototype, 'decode')
    onTestFinished(() => decode.mockRestore())
    const image = ['once.jpg', () => patternImage([40, 64, 3], true).jpeg()] as const
    const { shape, source } = await written(image)
    const decoded = await source.view(1)
    const boxes = boxesAcross(40, 64)
    const expected = regionsOf(decoded, shape, boxes)
    expect(await source.view(8)).toEqual(blockMeansOf(decoded, shape, 8))
    expect(await source.regions(Int32Array.from(boxes))).toEqual(expected)
    expect(decode).toHaveBeenCalledTimes(1)
    await source.close?.()
    expect(await source.regions(Int32Array.from(boxes))).toEqual(expected)
    expect(decode).toHaveBeenCalledTimes(2)
    // Decoded small, a view holds nothing that regions could be cut from.
    const small = await sharpSource(join(folder, 'once.jpg'), { decodedWhole: 40 * 64 * 3 - 1 })
    await small.view(8)
    expect(await small.regions(Int32Array.from(boxes))).toEqual(expected)
    expect(decode).toHaveBeenCalledTimes(4)
  })

  it('holds no more than 256 MiB of pixels', async () => {
    const files = Array.from({ length: 3 }, () => new HeldPixels(100 * 2 ** 20, async () => Uint8Array.of(1)))
    for (const file of files) await file.whole()
    expect(files.map(({ held }) => held !== undefined)).toEqual([true, true, false])
    files[0]?.release()
    files[0]?.release()
    await files[2]?.whole()
    expect(files.map(({ held }) => held !== undefined)).toEqual([false, true, true])
    const failing = new HeldPixels(1, () => Promise.reject(new Error('damaged')))
    for (const file of files) file.release()
    await expect(failing.whole()).rejects.toThrow('damaged')
    expect(failing.held).toBeUndefined()
  })

  it('reads grey from colours, and colours from grey', async () => {
    const grey = await written(['to-grey.png', () => rgb().png()], 1)
    expect(grey.source.channels).toBe(1)
    expect(await grey.source.view(3)).toEqual(blockMeansOf(grey.whole, grey.shape, 3))
  })

  it('decodes by the white level that is given', async () => {
    const path = join(folder, '16bit.png')
    const whole = await readImage(path, { shape: [height, width, 3], whiteLevel: 30_000 })
    const source = await sharpSource(path, { whiteLevel: 30_000 })
    expect(await source.view(1)).toEqual(whole)
  })

  it('reads a JPEG file that lacks only its end marker', async () => {
    const bytes = await readFile(join(folder, 'plain.jpg'))
    const path = join(folder, 'unended.jpg')
    await writeFile(path, bytes.subarray(0, -2))
    const [source, plain] = [await sharpSource(path), await sharpSource(join(folder, 'plain.jpg'))]
    expect(await source.view(4)).toEqual(await plain.view(4))
    expect(await source.regions(Int32Array.of(3, 4, 5, 6))).toEqual(
      await plain.regions(Int32Array.of(3, 4, 5, 6)),
    )
  })

  it('names a file that changed, or is gone, between view and regions', async () => {
    const path = join(folder, 'moving.png')
    const box = Int32Array.of(0, 0, 2, 2)
    await rgb().png().toFile(path)
    await utimes(path, 1_000, 1_000)
    const source = await sharpSource(path)
    await source.view(4)
    await utimes(path, 1_000, 2_000)
    const { length } = await readFile(path)
    const stay = `${path}: file must stay as it was opened`
    await expect(source.regions(box)).rejects.toThrow(
      new Error(
        `${stay}, ${length} bytes changed at 1970-01-01T00:16:40.000Z, ` +
          `got ${length} bytes changed at 1970-01-01T00:33:20.000Z`,
      ),
    )
    await rm(path)
    await expect(source.regions(box)).rejects.toThrow(new Error(`${stay}, got nothing there`))
    await expect(source.view(2)).rejects.toThrow(new Error(`${stay}, got nothing there`))
  })

  it('refuses what is no image, or damaged, with its name', async () => {
    const path = join(folder, 'text.png')
    await writeFile(path, 'no image')
    await expect(sharpSource(path)).rejects.toThrow(
      new Error(
        `${path}: file must be an image that decodes to its end, got no image of a known format ` +
          '(8 bytes that begin with 6e 6f 20 69 6d 61 67 65)',
      ),
    )
    await expect(sharpSource(join(folder, 'none.png'))).rejects.toThrow(
      new Error(`${join(folder, 'none.png')}: file must be readable, got nothing there`),
    )
    await expect(sharpSource(folder)).rejects.toThrow(
      new Error(`${folder}: path must be a file, got a folder`),
    )
    const cut = join(folder, 'cut.png')
    await writeFile(cut, (await readFile(join(folder, 'rgb.png'))).subarray(0, 3000))
    const source = await sharpSource(cut)
    await expect(source.view(4)).rejects.toThrow(
      new Error(
        `${cut}: file must be an image that decodes to its end, got PNG data that are damaged or cut short`,
      ),
    )
    await expect(sharpSource(cut, { channels: 2 as 1 })).rejects.toThrow(
      new RangeError(`${cut}: channels must be 1 or 3, got 2`),
    )
    await expect(source.regions(Int32Array.of(43, 0, 2, 2))).rejects.toThrow(
      new RangeError(
        `${cut}: boxes (top, left, height, width) must have a pixel in the image of 43x62, got 43, 0, 2, 2 (box 0)`,
      ),
    )
  })
})

/** Checks that pixels differ by so much on average at most. */
function distance(pixels: Uint8Array, expected: Uint8Array, most: number): void {
  expect(pixels.length).toBe(expected.length)
  const sum = pixels.reduce((total, value, i) => total + Math.abs(value - (expected[i] as number)), 0)
  expect(sum / pixels.length).toBeLessThanOrEqual(most)
}

describe('boxGroups', () => {
  it('decodes boxes together whose surroundings are small, and those far apart one after the other', () => {
    const [first, near, far] = [
      [0, 0, 10, 10],
      [5, 20, 10, 10],
      [990, 990, 20, 20],
    ] as const
    expect(boxGroups([far, first, near], [1000, 1000], 500)).toEqual([
      { numbers: [1, 2], box: [0, 0, 15, 30] },
      { numbers: [0], box: [990, 990, 10, 10] },
    ])
    expect(boxGroups([far, first, near], [1000, 1000])).toEqual([
      { numbers: [1, 2, 0], box: [0, 0, 1000, 1000] },
    ])
    // A single box may be larger.
    expect(boxGroups([near, first], [1000, 1000], 50)).toHaveLength(2)
  })

  it('has each box in one group, in a bounded part of the image', () => {
    const side = fc.integer({ min: 0, max: 960 })
    fc.assert(
      fc.property(fc.array(fc.tuple(side, side), { minLength: 1, maxLength: 30 }), places => {
        const boxes = places.map(([top, left]) => [top, left, 40, 40] as const)
        const groups = boxGroups(boxes, [1000, 1000], 100_000)
        expect(groups.flatMap(({ numbers }) => numbers).sort((a, b) => a - b)).toEqual([...boxes.keys()])
        for (const { numbers, box } of groups) {
          expect(box[2] * box[3]).toBeLessThanOrEqual(100_000)
          for (const number of numbers) {
            const [top = 0, left = 0] = boxes[number] ?? []
            expect(top >= box[0] && left >= box[1]).toBe(true)
            expect(top + 40 <= box[0] + box[2] && left + 40 <= box[1] + box[3]).toBe(true)
          }
        }
        // Two neighbouring groups together would be too large, so that there are no more decodings than that.
        expect(groups.length).toBeLessThanOrEqual(2 * Math.ceil(1000 / 100) + 1)
      }),
    )
  })

  it('reads opposite corners of an image of more than 2^25 pixels as the whole image has them', async () => {
    const path = join(folder, 'corners.jpg')
    const [height, width] = [5840, 5760]
    const small = Uint8Array.from({ length: 48 * 48 }, (_, i) => (i * 89) % 256)
    await sharp(small, { raw: { width: 48, height: 48, channels: 1 } })
      .resize(width, height, { kernel: 'nearest', fit: 'fill' })
      .jpeg()
      .toFile(path)
    const boxes = [0, 0, 32, 32, height - 32, width - 32, 32, 32, 2000, -8, 32, 32]
    const regions = await (await sharpSource(path, { channels: 1 })).regions(Int32Array.from(boxes))
    const whole = new Uint8Array(await sharp(path).greyscale().raw().toBuffer())
    expect(regions).toEqual(regionsOf(whole, [height, width, 1], boxes))
  })
})

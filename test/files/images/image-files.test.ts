import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { ImageDecoding } from '../../../src/data/image-decoding.js'
import { decodeImage, mostPixels, readImage } from '../../../src/files/images/image-files.js'
import { type TiffSamples, tiffBytes } from '../tiff-bytes.js'

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
  const wrong = expected.findIndex((value, i) => Math.abs((actual[i] as number) - value) > tolerance)
  if (wrong < 0) return
  expect.fail(`byte ${wrong} must be ${expected[wrong]} to ${tolerance}, got ${actual[wrong]}`)
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

  it('makes a photograph that lies on its side small as it does one that does not', async () => {
    // Sides that no power of two divides, and stripes that tell where pixels end.
    const [height, width] = [341, 383]
    const pixels = Array.from({ length: height * width * 3 }, (_, i) => {
      const [row, column] = [Math.floor(i / 3 / width), Math.floor(i / 3) % width]
      return 128 + Math.round(60 * Math.sin(row / 7) + 60 * Math.cos(column / 11 + (i % 3)))
    })
    const jpeg = { quality: 100, chromaSubsampling: '4:4:4' } as const
    const upright = await saved('upright.jpg', raw(pixels, width, height, 3).jpeg(jpeg))
    const expected = await readImage(upright, [56, 56, 3])
    for (const [orientation, angle] of [
      [1, 0],
      [3, 180],
      [6, 270],
      [8, 90],
    ] as const) {
      const lying = raw(pixels, width, height, 3).rotate(angle).withMetadata({ orientation }).jpeg(jpeg)
      near(await readImage(await saved(`lying-${angle}.jpg`, lying), [56, 56, 3]), [...expected], 8)
    }
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

  /** Decodes bytes, with the notes that it gives. */
  async function noted(bytes: Uint8Array, decoding: ImageDecoding): Promise<[number[], string[]]> {
    const notes: string[] = []
    const pixels = await decodeImage(bytes, decoding, 'x', text => notes.push(text))
    return [[...pixels], notes]
  }
  const grey = { shape: [1, 4, 1] } as const

  it('takes 12 bits in 16 for what they are, unless told what is white', async () => {
    const twelve = (most: number) =>
      tiffBytes([0, 1000, 2000, most], 4, { format: 'uint', bits: 16, channels: 1 })
    const text = 'becomes white (whiteLevel or --white-level sets it for all images)'
    expect(await noted(twelve(4095), grey)).toEqual([
      [0, 62, 125, 255],
      [`has 16 bits a sample, none above 4095: 4095 ${text}`],
    ])
    const [wide, notes] = await noted(twelve(65_535), grey)
    expect([wide, notes]).toEqual([[0, 3, 7, 255], [`has 16 bits a sample: 65535 ${text}`]])
    expect((await noted(twelve(4095), { ...grey, whiteLevel: 65_535 }))[0]).toEqual([0, 3, 7, 15])
    expect((await noted(twelve(16_383), { ...grey, whiteLevel: 16_383 }))[0]).toEqual([0, 15, 31, 255])
    // What lies above is white, and black is black.
    expect((await noted(twelve(65_535), { ...grey, whiteLevel: 2000 }))[0]).toEqual([0, 127, 255, 255])
    const black = tiffBytes([0, 0, 0, 0], 4, { format: 'uint', bits: 16, channels: 1 })
    expect(await noted(black, grey)).toEqual([[0, 0, 0, 0], [`has 16 bits a sample: 65535 ${text}`]])
    const png = await sharp(twelve(4000)).toColourspace('grey16').png().toBuffer()
    expect((await noted(png, grey))[0]).toEqual([0, 62, 125, 250])
    const values = [0, 4000, 2000, 4000, 0, 0, 100, 200, 300, 4095, 4095, 4095]
    const rgb = tiffBytes(values, 4, { format: 'uint', bits: 16, channels: 3 })
    near(
      Uint8Array.from((await noted(rgb, { shape: [1, 4, 3] }))[0]),
      values.map(value => value / 16.06),
      1,
    )
  })

  it('scales floating-point samples by 1 or 255, the same for grey and for colour', async () => {
    const grey32 = { format: 'float', bits: 32, channels: 1 } as const
    const text = 'becomes white (whiteLevel or --white-level sets it for all images)'
    expect(await noted(tiffBytes([0, 0.25, 0.5, 1], 4, grey32), grey)).toEqual([
      [0, 64, 128, 255],
      [`has float samples: 1 ${text}`],
    ])
    expect(await noted(tiffBytes([0, 64, 128.2, 255], 4, grey32), grey)).toEqual([
      [0, 64, 128, 255],
      [`has float samples: 255 ${text}`],
    ])
    const values = [0, 0.2, 0.4, 0.6, 0.8, 1, 0.1, 0.3, 0.5, 0.7, 0.9, 0]
    for (const white of [1, 255]) {
      const scaled = values.map(value => value * white)
      const colour = tiffBytes(scaled, 4, { format: 'float', bits: 32, channels: 3 })
      near(
        Uint8Array.from((await noted(colour, { shape: [1, 4, 3] }))[0]),
        values.map(value => Math.round(value * 255)),
        1,
      )
    }
    const holes = tiffBytes([Number.NaN, 0, 2000, 4000], 4, grey32)
    expect(await noted(holes, { ...grey, whiteLevel: 4000 })).toEqual([
      [0, 0, 128, 255],
      [`has float samples: 4000 ${text}`, 'has samples that are no numbers: they become black'],
    ])
  })

  it('refuses samples of which it is not clear what is white', async () => {
    const refused = async (values: number[], samples: TiffSamples, got: string) =>
      expect(noted(tiffBytes(values, 4, samples), grey)).rejects.toThrow(
        new Error(`x: image must have samples that are read, got ${got}`),
      )
    const hint =
      'where [0, 1] or [0, 255] is expected (whiteLevel or --white-level says which value is white)'
    const float = { format: 'float', bits: 32, channels: 1 } as const
    await refused([0, 1, 2, 3000], float, `float samples in [0, 3000], ${hint}`)
    await refused([-0.5, 0, 0.5, 1], float, `float samples in [-0.5, 1], ${hint}`)
    const types = '(8 or 16 bits without sign, and float of 32 bits, are read)'
    const whole = { bits: 32, channels: 1 } as const
    await refused([0, 1, 2, 3], { ...whole, format: 'uint' }, `samples of type uint ${types}`)
    await refused([0, 1, 2, -3], { ...whole, format: 'int' }, `samples of type int ${types}`)
    await refused([0, 1, 2, -3], { format: 'int', bits: 16, channels: 1 }, `samples of type short ${types}`)
  })

  it('says what it drops', async () => {
    const alpha = await raw([1, 2, 3, 255], 1, 1, 4).png().toBuffer()
    const cmyk = await raw([1, 2, 3], 1, 1, 3).toColourspace('cmyk').jpeg().toBuffer()
    const frames = { raw: { width: 2, height: 4, channels: 3 as const, pageHeight: 2 } }
    const moving = await sharp(
      Uint8Array.from({ length: 24 }, (_, i) => i * 9),
      frames,
    )
      .gif()
      .toBuffer()
    const one = { shape: [1, 1, 3] } as const
    expect((await noted(alpha, one))[1]).toEqual(['has an alpha channel: laid on white'])
    expect((await noted(cmyk, one))[1]).toEqual(['is CMYK: converted to RGB'])
    expect((await noted(moving, one))[1]).toContain('has several frames or pages: the first is taken')
    expect((await noted(await raw([1, 2, 3], 1, 1, 3).png().toBuffer(), one))[1]).toEqual([])
  })

  it('reads a JPEG file that lacks its end marker alone, whoever decodes it, and no other cut one', async () => {
    const noise = Array.from({ length: 48 * 48 * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 24)
    for (const image of [
      raw(noise, 48, 48, 3).jpeg(),
      raw(noise, 48, 48, 3).jpeg({ progressive: true }),
      raw(noise, 48, 48, 3).withMetadata({ orientation: 6 }).jpeg(),
    ]) {
      const whole = await image.toBuffer()
      const decoding = { shape: [48, 48, 3] } as const
      const [pixels, none] = await noted(whole, decoding)
      const [same, notes] = await noted(whole.subarray(0, -2), decoding)
      expect(none).toEqual([])
      expect(notes).toEqual(['lacks the end marker of a JPEG file: what is there was read'])
      expect(same).toEqual(pixels)
      for (const lost of [5, 100, whole.length >> 1]) {
        const cut = whole.subarray(0, whole.length - lost)
        await expect(noted(cut, decoding)).rejects.toThrow(
          new Error(
            `x: file must be an image that decodes to its end, got JPEG data that are cut short after ${cut.length} bytes`,
          ),
        )
      }
    }
  })

  it('gives the same message for the same file each time, also while others are decoded', async () => {
    const noise = Array.from({ length: 64 * 64 * 3 }, (_, i) => Math.imul(i, 2654435761) >>> 24)
    const jpeg = await raw(noise, 64, 64, 3).jpeg().toBuffer()
    const png = await raw(noise, 64, 64, 3).png().toBuffer()
    const files: [Uint8Array, string][] = [
      [jpeg.subarray(0, 900), 'JPEG data that are cut short after 900 bytes'],
      [jpeg.with(jpeg.length >> 1, 0xff).with((jpeg.length >> 1) + 1, 0xd9), 'JPEG data that are damaged'],
      [png.subarray(0, 2000), 'PNG data that are damaged or cut short'],
      [Buffer.from('BM and more'), 'BMP, which is not read (convert it to PNG or JPEG)'],
      [Buffer.from('\0\0\0\x18ftypheic....'), 'HEIC, which is not read (convert it to PNG or JPEG)'],
      [Buffer.from('text'), 'no image of a known format (4 bytes that begin with 74 65 78 74)'],
    ]
    const all = Array.from({ length: 60 }, (_, i) => files[i % files.length] as [Uint8Array, string])
    const messages = await Promise.all(
      all.map(([bytes]) => noted(bytes, { shape: [8, 8, 3] }).then(String, (error: Error) => error.message)),
    )
    expect(messages).toEqual(
      all.map(([, got]) => `x: file must be an image that decodes to its end, got ${got}`),
    )
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

  it('takes palettes, with their transparency', async () => {
    const image = raw([255, 0, 0, 255, 0, 0, 255, 255, 9, 9, 9, 0, 255, 0, 0, 255], 4, 1, 4)
    const path = await saved('palette.png', image.png({ palette: true, colours: 4 }))
    expect((await sharp(path).metadata()).isPalette).toBe(true)
    near(await readImage(path, [1, 4, 3]), [255, 0, 0, 0, 0, 255, 255, 255, 255, 255, 0, 0], 2)
  })

  it('takes the first frame of what moves', async () => {
    const frames = raw([...Array(16).fill([200, 0, 0]), ...Array(16).fill([0, 0, 200])].flat(), 4, 8, 3)
    const moving = { raw: { width: 4, height: 8, channels: 3 as const, pageHeight: 4 } }
    const pixels = await frames.raw().toBuffer()
    for (const [name, image] of [
      ['moving.gif', sharp(pixels, moving).gif({ loop: 0, delay: 100 })],
      ['moving.webp', sharp(pixels, moving).webp({ lossless: true, loop: 0, delay: 100 })],
    ] as const) {
      const path = await saved(name, image)
      expect((await sharp(path).metadata()).pages, name).toBe(2)
      near(await readImage(path, [1, 1, 3]), [200, 0, 0], 4)
      near(await readImage(path, [2, 2, 1]), Array(4).fill((await readImage(path, [1, 1, 1]))[0]), 2)
    }
  })

  it('takes AVIF and TIFF', async () => {
    const flat = raw(Array(64).fill([20, 120, 220]).flat(), 8, 8, 3)
    near(
      await readImage(await saved('flat.avif', flat.clone().avif({ quality: 100 })), [1, 1, 3]),
      [20, 120, 220],
      6,
    )
    near(await readImage(await saved('flat.tiff', flat.clone().tiff()), [1, 1, 3]), [20, 120, 220], 1)
  })

  it('goes by the bytes, not by the name', async () => {
    const bytes = await raw([1, 2, 3], 1, 1, 3).png().toBuffer()
    writeFileSync(join(dir, 'really-png.jpg'), bytes)
    expect([...(await readImage(join(dir, 'really-png.jpg'), [1, 1, 3]))]).toEqual([1, 2, 3])
  })

  it('cuts a square out of the middle, of JPEG files and of others, turned or not', async () => {
    // A 40x24 image, 0 but for its middle square of 8x8.
    const pixels = Array.from({ length: 40 * 24 }, (_, i) => {
      const [y, x] = [Math.floor(i / 40), i % 40]
      return y >= 8 && y < 16 && x >= 16 && x < 24 ? 240 : 0
    })
    const crop = { shape: [2, 2, 1], cropSide: 8 } as const
    const image = raw(pixels, 40, 24, 1).toColourspace('b-w')
    const turned = image.clone().withMetadata({ orientation: 6 })
    for (const path of [
      await saved('middle.png', image.clone()),
      await saved('middle.jpg', image.clone().jpeg({ quality: 100 })),
      await saved('turned-middle.jpg', turned.jpeg({ quality: 100 })),
    ]) {
      near(await readImage(path, crop), [240, 240, 240, 240], 3)
      const around = await readImage(path, { shape: [24, 24, 1], cropSide: 24 })
      near(
        around,
        Array.from({ length: 576 }, (_, i) => ((i % 24) >> 3 === 1 && Math.floor(i / 192) === 1 ? 240 : 0)),
        3,
      )
      await expect(readImage(path, { shape: [2, 2, 1], cropSide: 25 })).rejects.toThrow(
        new Error(
          `${path}: image must be at least 25x25 for the square to be cut out, ` +
            `got ${path.includes('turned') ? '40x24' : '24x40'}`,
        ),
      )
    }
  })

  it('gives the same pixels for JPEG files, however they are decoded', async () => {
    // A smooth picture: JPEG itself changes it little.
    const smooth = Array.from({ length: 218 * 178 * 3 }, (_, i) => {
      const [y, x, c] = [Math.floor(i / 534), Math.floor((i % 534) / 3), i % 3]
      return Math.round(128 + 100 * Math.sin(y / 30 + c) * Math.cos(x / 25 - c))
    })
    const image = raw(smooth, 178, 218, 3)
    const jpeg = { quality: 95, chromaSubsampling: '4:4:4' }
    const png = await image.clone().png().toBuffer()
    const variants = [
      await image.clone().jpeg(jpeg).toBuffer(),
      await image
        .clone()
        .jpeg({ ...jpeg, progressive: true })
        .toBuffer(),
      await image.clone().jpeg(jpeg).withMetadata({ orientation: 1 }).toBuffer(),
    ]
    for (const [decoding, tolerance] of [
      [{ shape: [64, 64, 3] }, 6],
      [{ shape: [218, 178, 3] }, 6],
      [{ shape: [40, 40, 3], cropSide: 108 }, 6],
      // At an eighth, where 178 pixels are no whole number, sharp shifts the picture by part of a pixel.
      [{ shape: [16, 16, 1] }, 12],
    ] as const) {
      const expected = [...(await decodeImage(png, decoding, 'smooth.png'))]
      for (const bytes of variants)
        near(await decodeImage(bytes, decoding, 'smooth.jpg'), expected, tolerance)
    }
  })

  it('decodes grey JPEG files to RGB, and others to grey', async () => {
    const grey = await raw(Array(256).fill(90), 16, 16, 1).toColourspace('b-w').jpeg().toBuffer()
    near(await decodeImage(grey, { shape: [2, 1, 3] }, 'grey.jpg'), Array(6).fill(90), 2)
    const green = await raw(Array(256).fill([0, 200, 0]).flat(), 16, 16, 3)
      .jpeg({ quality: 100 })
      .toBuffer()
    // Luma of green, ITU-R BT.601: 0.587 * 200.
    near(await decodeImage(green, { shape: [1, 1, 1] }, 'green.jpg'), [117], 2)
    const png = await sharp(green).png().toBuffer()
    near(await decodeImage(png, { shape: [1, 1, 1] }, 'green.png'), [117], 2)
  })

  it('refuses images of too many pixels before it decodes them', async () => {
    const side = 1 + Math.ceil(Math.sqrt(mostPixels))
    const huge = Buffer.from(
      `<svg xmlns="http://www.w3.org/2000/svg" width="${side}" height="${side}"><rect width="9" height="9"/></svg>`,
    )
    await expect(decodeImage(huge, { shape: [8, 8, 3] }, 'huge.svg')).rejects.toThrow(
      new Error(
        `huge.svg: image must have at most ${mostPixels} pixels, got ${side * side} (${side}x${side})`,
      ),
    )
    // The header of a PNG file states what is not there.
    const png = await raw([1, 2, 3], 1, 1, 3).png().toBuffer()
    png.writeUInt32BE(60_000, 16)
    png.writeUInt32BE(60_000, 20)
    await expect(decodeImage(png, { shape: [8, 8, 3] }, 'bomb.png')).rejects.toThrow('bomb.png: ')
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
      file('damaged.jpg', whole.with(whole.length >> 1, 0xff).with((whole.length >> 1) + 1, 0xd9)),
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
      new RangeError(
        'decodeImage: shape must be [height, width, 1 or 3] of positive integers, got [8, 8, 2]',
      ),
    )
    await expect(readImage('x.png', { shape: [8, 8, 3], cropSide: 0 })).rejects.toThrow(
      new RangeError('decodeImage: cropSide must be a positive integer, got 0'),
    )
    await expect(readImage('x.png', { shape: [8, 8, 3], whiteLevel: 0 })).rejects.toThrow(
      new RangeError('decodeImage: whiteLevel must be a number above 0, got 0'),
    )
    await expect(readImage('x.png', [0, 8, 3])).rejects.toThrow(
      new RangeError(
        'decodeImage: shape must be [height, width, 1 or 3] of positive integers, got [0, 8, 3]',
      ),
    )
  })
})

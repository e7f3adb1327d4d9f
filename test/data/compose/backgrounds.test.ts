import sharp from 'sharp'
import { describe, expect, it } from 'vitest'
import { loadBackgrounds, plantSynsets } from '../../../src/data/compose/backgrounds.js'
import type { ImagePool } from '../../../src/data/compose/composing.js'
import type { DecodeImage } from '../../../src/data/image-decoding.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { decodeImage } from '../../../src/files/images/image-files.js'
import { decodeByte } from '../byte-decoder.js'
import { memorySource } from '../memory-source.js'

const numbered = (folder: string, count: number, first: number): Record<string, Uint8Array> =>
  Object.fromEntries(
    Array.from({ length: count }, (_, i) => [`${folder}/${i}.jpg`, Uint8Array.of(first + i)]),
  )
const load = (files: Record<string, Uint8Array>) =>
  loadBackgrounds('noise', { backgrounds: memorySource(files), decode: decodeByte })
/** What each background shows, sorted. */
const shown = ({ images, count }: ImagePool): number[] =>
  Array.from({ length: count }, (_, i) => images[i * 3072] as number).sort((a, b) => a - b)
const range = (from: number, to: number): number[] => Array.from({ length: to - from }, (_, i) => from + i)

describe('loadBackgrounds', () => {
  it('keeps a fifth of a folder of images for testing, always the same ones', async () => {
    const files = {
      ...numbered('deep/er', 20, 0),
      ...numbered('other', 20, 100),
      'notes.txt': Uint8Array.of(9),
    }
    const { train, test } = await load(files)
    expect([train.count, test.count, train.shape]).toEqual([32, 8, [32, 32, 3]])
    expect([...shown(train), ...shown(test)].sort((a, b) => a - b)).toEqual([
      ...range(0, 20),
      ...range(100, 120),
    ])
    expect(shown((await load(files)).test)).toEqual(shown(test))
  })

  it.each(['test', 'val', 'validation'])('takes the halves train/ and %s/', async folder => {
    const { train, test } = await load({ ...numbered('train', 3, 0), ...numbered(`${folder}/in`, 2, 50) })
    expect([shown(train), shown(test)]).toEqual([
      [0, 1, 2],
      [50, 51],
    ])
  })

  it.each(['', 'train/', 'ILSVRC/Data/CLS-LOC/train/'])('takes the plants of ImageNet, in %j', async at => {
    const { train, test } = await load({
      ...numbered(`${at}${plantSynsets[0]}`, 10, 0),
      ...numbered(`${at}${plantSynsets[1]}`, 10, 50),
      ...numbered(`${at}n01440764`, 10, 200),
      'val/ILSVRC2012_val_00000001.JPEG': Uint8Array.of(250),
    })
    expect([train.count, test.count]).toEqual([16, 4])
    expect([...shown(train), ...shown(test)].sort((a, b) => a - b)).toEqual([
      ...range(0, 10),
      ...range(50, 60),
    ])
  })

  it('cuts sheets of tiles, row by row', async () => {
    // Tile i is i everywhere; 3 x 2 of them.
    const pixels = Uint8Array.from(
      { length: 64 * 96 },
      (_, i) => Math.floor(i / 96 / 32) * 3 + Math.floor((i % 96) / 32),
    )
    const png = await sharp(pixels, { raw: { width: 96, height: 64, channels: 1 } })
      .toColourspace('b-w')
      .png()
      .toBuffer()
    const sheets = memorySource({ 'train.png': png, 'test.png': png })
    const { train } = await loadBackgrounds('noise', { backgrounds: sheets, decode: decodeImage })
    expect(train.count).toBe(6)
    train.images.forEach((value, byte) => {
      if (value !== Math.floor(byte / 3072)) throw new Error(`byte ${byte} is ${value}`)
    })
  })

  it('reads the plants among the samples, none of them in both halves', async () => {
    const backgrounds = samplesFolder('plants32')
    const { train, test } = await loadBackgrounds('noise', { backgrounds, decode: decodeImage })
    expect([train.count, test.count]).toEqual([256, 64])
    const tiles = ({ images, count }: ImagePool): string[] =>
      Array.from({ length: count }, (_, i) =>
        Buffer.from(images.subarray(i * 3072, (i + 1) * 3072)).toString('base64'),
      )
    const trained = new Set(tiles(train))
    expect(tiles(test).filter(tile => trained.has(tile))).toEqual([])
  })

  it('refuses folders that hold too little', async () => {
    await expect(load({ 'a.jpg': Uint8Array.of(1), 'b.txt': Uint8Array.of(1) })).rejects.toThrow(
      new Error(
        'mem:: folder must hold 2 images or more to lie behind others, one of them for testing, got 1',
      ),
    )
    await expect(load({ ...numbered('train', 2, 0), 'test/a.txt': Uint8Array.of(1) })).rejects.toThrow(
      new Error('mem:test: folder must hold images to lie behind others, got none (1 other files)'),
    )
  })

  it('refuses sheets that do not divide into tiles, and those that are no PNG files', async () => {
    const png = await sharp(new Uint8Array(40 * 32), { raw: { width: 40, height: 32, channels: 1 } })
      .png()
      .toBuffer()
    await expect(load({ 'train.png': png, 'test.png': png })).rejects.toThrow(
      new RangeError('mem:train.png: sides must be multiples of 32 pixels, got 32x40'),
    )
    const text = Uint8Array.of(0x89, 0x51)
    await expect(load({ 'train.png': text, 'test.png': png })).rejects.toThrow(
      new RangeError('mem:train.png: file must start as a PNG file does, got 2 bytes that differ at byte 1'),
    )
    const flat = Uint8Array.from(png).fill(0, 16, 20)
    await expect(load({ 'train.png': flat, 'test.png': png })).rejects.toThrow(
      new RangeError('mem:train.png: sides at byte 16 must be at least 1 pixel, got 32x0'),
    )
    await expect(load({ 'train.png': png.subarray(0, 20), 'test.png': png })).rejects.toThrow(
      new RangeError(
        'mem:train.png: file must start as a PNG file does, got 20 bytes that differ at byte 20',
      ),
    )
  })

  it('needs a folder and a decoder, and names the image that it cannot decode', async () => {
    const decode: DecodeImage = decodeByte
    await expect(loadBackgrounds('noise', { decode })).rejects.toThrow(
      new TypeError('noise: backgrounds must be a folder of images or a copy of ImageNet, got none'),
    )
    await expect(loadBackgrounds('noise', { backgrounds: memorySource({}) })).rejects.toThrow(
      new TypeError('noise: decode must be a decoder of image files, got none'),
    )
    await expect(load({ 'a.jpg': Uint8Array.of(1), 'b.jpg': new Uint8Array(0) })).rejects.toThrow(
      new Error(
        'mem:: a half must hold an image that can be read, got 0 of 1:\n  mem:b.jpg: file must hold an image, got 0 bytes',
      ),
    )
  })
})

import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import sharp, { type Sharp } from 'sharp'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { readImage } from '../../../src/files/images/image-files.js'
import { openRegions } from '../../../src/files/regions/open-regions.js'
import { blockMeansOf, regionsOf } from '../../data/regions/brute-force.js'
import { boxesAcross, patternImage, patternPixels } from './pattern-image.js'

let folder: string
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'tiles-'))
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

/** Reads small images tile by tile, too. */
const tiles = { decodedWhole: 0 }
const [height, width] = [75, 110]
const shape = [height, width, 3] as const
const boxes = boxesAcross(height, width)
const pattern = (): Sharp => patternImage(shape)
/** Where the directories of a little-endian TIFF file begin. */
function directoriesOf(file: Buffer): number[] {
  const starts: number[] = []
  for (let start = file.readUInt32LE(4); start !== 0; start = file.readUInt32LE(nextOf(file, start)))
    starts.push(start)
  return starts
}

/** Where a directory says where the next one begins. */
function nextOf(file: Buffer, start: number): number {
  return start + 2 + 12 * file.readUInt16LE(start)
}

/** The same file, the first directory of which has one more entry of more than four bytes. */
function withEntry(file: Buffer, tag: number, type: number, count: number, value: Buffer): Buffer {
  const [first = 0] = directoriesOf(file)
  const entries = Array.from({ length: file.readUInt16LE(first) }, (_, i) =>
    file.subarray(first + 2 + 12 * i, first + 14 + 12 * i),
  )
  const entry = Buffer.alloc(12)
  entry.writeUInt16LE(tag, 0)
  entry.writeUInt16LE(type, 2)
  entry.writeUInt32LE(count, 4)
  entry.writeUInt32LE(file.length, 8)
  const sorted = [...entries, entry].sort((a, b) => a.readUInt16LE(0) - b.readUInt16LE(0))
  const numEntries = Buffer.alloc(2)
  numEntries.writeUInt16LE(sorted.length)
  const next = file.subarray(nextOf(file, first), nextOf(file, first) + 4)
  const whole = Buffer.concat([file, value, numEntries, ...sorted, next])
  whole.writeUInt32LE(file.length + value.length, 4)
  return whole
}

/** The file, the further pages of which are put below the first (SubIFDs, tag 330). */
function withPagesBelow(file: Buffer): Buffer {
  const [first = 0, ...below] = directoriesOf(file)
  const offsets = Buffer.alloc(4 * below.length)
  for (const [i, start] of below.entries()) offsets.writeUInt32LE(start, 4 * i)
  const apart = Buffer.from(file)
  for (const start of [first, ...below]) apart.writeUInt32LE(0, nextOf(file, start))
  return withEntry(apart, 330, 13, below.length, offsets)
}

/** The file as Aperio writes them: its pages are not marked as smaller versions (tag 254), its description (270) says whose it is. */
function asAperio(file: Buffer): Buffer {
  const unmarked = Buffer.from(file)
  for (const start of directoriesOf(file)) {
    for (let at = start + 2; at < nextOf(file, start); at += 12) {
      if (file.readUInt16LE(at) === 254) unmarked.writeUInt32LE(0, at + 8)
    }
  }
  const text = Buffer.from('Aperio Image Library v1\r\n110x75\0')
  return withEntry(unmarked, 270, 2, text.length, text)
}

const tiled = { tile: true, tileWidth: 32, tileHeight: 16 } as const

describe('a tiled TIFF file', () => {
  it.each([
    ['lzw.tif', (image: Sharp) => image.tiff({ ...tiled, compression: 'lzw' })],
    ['plain.tif', (image: Sharp) => image.tiff({ ...tiled, compression: 'none' })],
    ['big.tif', (image: Sharp) => image.tiff({ ...tiled, compression: 'deflate', bigtiff: true })],
    ['jpeg.tif', (image: Sharp) => image.tiff({ ...tiled, compression: 'jpeg', quality: 80 })],
    ['strips.tif', (image: Sharp) => image.tiff({ compression: 'lzw' })],
  ])('%s is read as the image read whole has it', async (name, make) => {
    const path = join(folder, name)
    await make(pattern()).toFile(path)
    const whole = await readImage(path, shape)
    const source = await openRegions(path, tiles)
    expect([source.height, source.width, source.channels]).toEqual(shape)
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(whole, shape, boxes))
    for (const scale of [1, 3, 8, 64]) {
      expect(await source.view(scale)).toEqual(blockMeansOf(whole, shape, scale))
    }
  })

  it('is decoded whole where it is small, with exact views', async () => {
    const path = join(folder, 'small-pyramid.tif')
    await pattern()
      .tiff({ ...tiled, compression: 'lzw', pyramid: true })
      .toFile(path)
    const whole = patternPixels(shape)
    const [exactly, larger] = [height * width * 3, height * width * 3 - 1]
    const small = await openRegions(path, { decodedWhole: exactly })
    expect(await small.view(2)).toEqual(blockMeansOf(whole, shape, 2))
    expect(await small.regions(Int32Array.from(boxes))).toEqual(regionsOf(whole, shape, boxes))
    const large = await openRegions(path, { decodedWhole: larger })
    expect(await large.view(2)).not.toEqual(blockMeansOf(whole, shape, 2))
  })

  it('makes views of its smaller pages, regions of its largest', async () => {
    const path = join(folder, 'pyramid.tif')
    await patternImage(shape, true)
      .tiff({ ...tiled, compression: 'lzw', pyramid: true })
      .toFile(path)
    const source = await openRegions(path, tiles)
    const smooth = patternPixels(shape, true)
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(smooth, shape, boxes))
    expect(await source.view(1)).toEqual(smooth)
    // A page of half the size, rounded down: the last column is that of the page.
    const page = await sharp(path, { page: 1 }).raw().toBuffer()
    const view = await source.view(2)
    expect(view).toHaveLength(38 * 55 * 3)
    expect(view.subarray(0, 55 * 3)).toEqual(new Uint8Array(page.subarray(0, 55 * 3)))
    for (const scale of [2, 4, 8]) {
      const means = blockMeansOf(smooth, shape, scale)
      const difference = (await source.view(scale)).map((value, i) => Math.abs(value - (means[i] as number)))
      expect(difference.reduce((sum, value) => sum + value, 0) / means.length).toBeLessThan(4)
    }
  })

  it('makes views of its smaller pages that Aperio does not mark, and of no others', async () => {
    const [pages, aperio, others] = ['pages.tif', 'aperio.svs', 'others.tif'].map(name =>
      join(folder, name),
    ) as [string, string, string]
    await patternImage(shape, true)
      .tiff({ ...tiled, compression: 'lzw', pyramid: true })
      .toFile(pages)
    const bytes = asAperio(await readFile(pages))
    await writeFile(aperio, bytes)
    const text = bytes.indexOf('Aperio')
    await writeFile(
      others,
      Buffer.concat([bytes.subarray(0, text), Buffer.from('A photo'), bytes.subarray(text + 7)]),
    )
    const [expected, source, other] = await Promise.all(
      [pages, aperio, others].map(path => openRegions(path, tiles)),
    )
    for (const scale of [1, 2, 4]) {
      expect(await source?.view(scale)).toEqual(await expected?.view(scale))
      expect(await other?.view(scale)).toEqual(blockMeansOf(patternPixels(shape, true), shape, scale))
    }
  })

  it('makes views of the smaller versions below its first page, as OME-TIFF has them', async () => {
    const [pages, below] = [join(folder, 'pages.tif'), join(folder, 'below.ome.tif')]
    await patternImage(shape, true)
      .tiff({ ...tiled, compression: 'lzw', pyramid: true })
      .toFile(pages)
    await writeFile(below, withPagesBelow(await readFile(pages)))
    expect(await sharp(below).metadata()).toMatchObject({ pages: 1, subifds: 3 })
    const [source, expected] = [await openRegions(below, tiles), await openRegions(pages, tiles)]
    const box = Int32Array.from(boxes)
    expect(await source.regions(box)).toEqual(await expected.regions(box))
    for (const scale of [1, 2, 3, 4, 8]) expect(await source.view(scale)).toEqual(await expected.view(scale))
    // The views of smaller versions are not those of the image itself.
    expect(await source.view(2)).not.toEqual(blockMeansOf(patternPixels(shape, true), shape, 2))
  })

  it('names a file whose directories are cut off', async () => {
    const bytes = await readFile(join(folder, 'plain.tif'))
    const path = join(folder, 'cut.tif')
    await writeFile(path, bytes.subarray(0, bytes.length - 100))
    await expect(openRegions(path)).rejects.toThrow(path)
  })
})

describe.each([
  ['Deep Zoom', 'dz', 'image.dzi', 3],
  ['Deep Zoom without overlap', 'dz', 'plain.dzi', 0],
  ['IIIF 2', 'iiif', 'iiif2', 0],
  ['IIIF 3', 'iiif3', 'iiif3', 0],
] as const)('%s', (_, layout, name, overlap) => {
  const make = async (target: string): Promise<void> => {
    await pattern()
      .png()
      .tile({ size: 32, layout, overlap })
      .toFile(join(target, name.replace('.dzi', '')))
  }

  it('is read as the image itself, each level directly', async () => {
    await make(folder)
    const source = await openRegions(join(folder, name))
    expect([source.height, source.width, source.channels]).toEqual(shape)
    const whole = patternPixels(shape)
    expect(await source.regions(Int32Array.from(boxes))).toEqual(regionsOf(whole, shape, boxes))
    for (const scale of [1, 3, 5]) expect(await source.view(scale)).toEqual(blockMeansOf(whole, shape, scale))
    for (const scale of [2, 4, 8]) {
      const view = await source.view(scale)
      const means = blockMeansOf(whole, shape, scale)
      expect(view.length).toBe(means.length)
      const difference = view.map((value, i) => Math.abs(value - (means[i] as number)))
      expect(difference.reduce((sum, value) => sum + value, 0) / means.length).toBeLessThan(8)
    }
  })
})

describe('a pyramid with faults', () => {
  it('names the tile that is missing or of another size, and the description that is damaged', async () => {
    await pattern().png().tile({ size: 32, overlap: 1 }).toFile(join(folder, 'holes'))
    const source = await openRegions(join(folder, 'holes.dzi'))
    const tile = join(folder, 'holes_files', '7', '2_1.png')
    const box = Int32Array.of(40, 70, 4, 4)
    const before = await source.regions(box)
    expect(before).toEqual(regionsOf(patternPixels(shape), shape, [...box]))
    await patternImage([5, 6, 3]).png().toFile(tile)
    await expect(source.regions(box)).rejects.toThrow(
      new Error(`${tile}: tile must be 34x34, got 5x6 (tile of row 1, column 2 at 1/1)`),
    )
    await rm(tile)
    await expect(source.regions(box)).rejects.toThrow(
      new Error(`${tile}: file must be there, got nothing there (tile of row 1, column 2 at 1/1)`),
    )
    await expect(source.regions(Int32Array.of(0, 0, 4, 4))).resolves.toHaveLength(48)
    const description = join(folder, 'broken.dzi')
    await writeFile(description, '<Image TileSize="32" Overlap="1" Format="png"><Size Width="9"/></Image>')
    await expect(openRegions(description)).rejects.toThrow(
      new Error(`${description}: Deep Zoom description must have a number Height, got none`),
    )
    const info = join(folder, 'info.json')
    await writeFile(info, '{"width": 0}')
    await expect(openRegions(info)).rejects.toThrow(`${info}: IIIF description must be as the image API says`)
    await writeFile(info, '{')
    await expect(openRegions(info)).rejects.toThrow(
      new Error(`${info}: file must hold JSON, got 1 characters that do not`),
    )
  })
})

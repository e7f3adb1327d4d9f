import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { epochOrder } from '../../../src/data/batches.js'
import { composeGrid } from '../../../src/data/compose/compose.js'
import { recordsOf } from '../../../src/data/image-records.js'
import type { PixelSet } from '../../../src/data/image-set.js'
import { streamOf } from '../../../src/data/image-stream.js'
import { arraySource } from '../../../src/data/regions/array-source.js'
import { placedSource } from '../../../src/data/regions/placed-source.js'
import {
  type RegionRecords,
  regionRecords,
  regionStream,
  storedRegions,
} from '../../../src/data/regions/region-records.js'
import type { RegionSource } from '../../../src/data/regions/region-source.js'
import type { RegionBatch, RegionStream } from '../../../src/data/regions/region-stream.js'
import { shifted } from '../../../src/data/regions/shifted.js'
import { viewStream, viewsAhead } from '../../../src/data/regions/views.js'
import { random } from '../../../src/random.js'
import { blockMeansOf } from './brute-force.js'
import { collect } from './collect.js'

const shape = [8, 12, 1] as const
const imageBytes = 96
const set: PixelSet = {
  images: Uint8Array.from({ length: 7 * imageBytes }, (_, i) => (i * 13) % 251),
  labels: Int32Array.of(0, 1, 2, 0, 1, 2, 0),
  groups: Int32Array.of(1, 0, 1, 0, 1, 0, 1),
  groupNames: ['left', 'right'],
  count: 7,
  shape,
  classNames: ['a', 'b', 'c'],
  objectBox: Int32Array.from({ length: 28 }, (_, i) => [1, i >> 2, 2, 3][i & 3] as number),
}
const stream = regionStream(regionRecords(set))
/** Images of 8x12 and smaller. */
const severalSizes: RegionRecords = {
  ...regionRecords(set),
  open: async position =>
    position === 3
      ? arraySource(new Uint8Array(30).fill(200), [5, 6, 1])
      : arraySource(set.images.subarray(0, imageBytes), shape),
}
const wholeImages = async (batch: RegionBatch): Promise<number[][]> =>
  Promise.all(batch.sources.map(async source => [...(await source.view(1))]))

describe('regionStream', () => {
  it('yields the images, in the order of the same images read whole', async () => {
    const pass = { batchSize: 3, shuffle: { seed: 4, epoch: 2 }, start: 1, end: 6 }
    const batches = await collect(stream.batches(pass))
    const whole = await collect(streamOf(set).batches(pass))
    expect(batches.map(({ count }) => count)).toEqual([3, 2])
    for (const [i, batch] of batches.entries()) {
      expect(batch.labels).toEqual(whole[i]?.labels)
      expect(batch.groups).toEqual(whole[i]?.groups)
      expect((await wholeImages(batch)).flat()).toEqual([...(whole[i]?.images ?? [])])
    }
    expect(stream).toMatchObject({
      count: 7,
      shape,
      classNames: ['a', 'b', 'c'],
      groupNames: ['left', 'right'],
    })
  })

  it('reads stored images when they are first looked at, and again after they were closed', async () => {
    const reads: number[] = []
    const records = recordsOf(set)
    const read: typeof records.read = async positions => {
      reads.push(...positions)
      return records.read(positions)
    }
    const [batch] = await collect(regionStream(storedRegions({ ...records, read })).batches({ batchSize: 7 }))
    expect(reads).toEqual([])
    expect((await wholeImages(batch as RegionBatch)).flat()).toEqual([...set.images])
    expect(await batch?.sources[3]?.regions(Int32Array.of(0, 0, 8, 12))).toEqual(
      set.images.slice(3 * imageBytes, 4 * imageBytes),
    )
    expect(reads).toEqual([0, 1, 2, 3, 4, 5, 6])
    await batch?.sources[3]?.close?.()
    await batch?.sources[3]?.view(2)
    expect(reads).toEqual([0, 1, 2, 3, 4, 5, 6, 3])
    expect(batch?.objects?.[5]?.boxes).toEqual(Int32Array.of(1, 5, 2, 3))
    const floats = {
      ...records,
      read: async () => ({ images: new Float32Array(96), labels: set.labels, count: 1 }),
    }
    const source = await storedRegions(floats).open(2)
    await expect(source.view(1)).rejects.toThrow(
      new TypeError('image 2 must hold pixels in a Uint8Array, got Float32Array'),
    )
  })

  it('says where objects are: of boxes, and of cells', async () => {
    const [batch] = await collect(stream.batches({ batchSize: 7 }))
    expect(batch?.objects?.[5]).toEqual({ boxes: Int32Array.of(1, 5, 2, 3), relevant: Uint8Array.of(1) })
    const { objectBox: _, ...pool } = set
    const grid = composeGrid({ pool, grid: [2, 1], targets: [0], distractors: [1, 2], count: 2, seed: 1 })
    const [cells] = await collect(regionStream(regionRecords(grid)).batches({ batchSize: 2 }))
    expect(cells?.objects?.map(({ boxes }) => [...boxes])).toEqual(
      [0, 1].map(() => [0, 0, 8, 12, 8, 0, 8, 12]),
    )
    expect(cells?.objects?.map(({ relevant }) => relevant.indexOf(1))).toEqual([...(grid.trueCell ?? [])])
  })

  it('pads smaller images with zeros to their right and below where a canvas is set', async () => {
    const padded = regionStream(severalSizes, { canvas: [9, 12] })
    expect(padded.shape).toEqual([9, 12, 1])
    const [batch] = await collect(padded.batches({ batchSize: 4, start: 3, end: 4 }))
    const [image] = await wholeImages(batch as RegionBatch)
    const expected = Array.from({ length: 108 }, (_, i) => (i < 60 && i % 12 < 6 ? 200 : 0))
    expect(image).toEqual(expected)
  })

  it('refuses images and boxes that do not fit, with their numbers', async () => {
    const fails = async (failing: RegionStream, error: string): Promise<void> => {
      await expect(collect(failing.batches({ batchSize: 7 }))).rejects.toThrow(new RangeError(error))
    }
    await fails(
      regionStream(severalSizes),
      'image 3: image must be 8x12, as the others, where no canvas is set, got 5x6',
    )
    await fails(
      regionStream(severalSizes, { canvas: [8, 11] }),
      'image 0: image must fit on the canvas of 8x11, got 8x12',
    )
    const colour = { ...severalSizes, open: async () => arraySource(new Uint8Array(3), [1, 1, 3]) }
    await fails(regionStream(colour), 'image 0: image must have 1 channels, as the others, got 3')
    const boxes = (...box: number[]) =>
      regionStream({
        ...regionRecords(set),
        objects: () => ({ boxes: Int32Array.from(box), relevant: Uint8Array.of(1) }),
      })
    await fails(
      boxes(8, 0, 1, 1),
      'image 0: boxes (top, left, height, width) must have a pixel in the image of 8x12, got 8, 0, 1, 1 (object 0)',
    )
    await fails(boxes(1, 0), 'image 0: boxes must be four numbers for each of 1 objects, got 2')
    expect(() => stream.batches({ batchSize: 0 })).toThrow(
      new RangeError('batches: batchSize must be a positive integer, got 0'),
    )
  })
})

describe('shifted', () => {
  const moved = shifted(stream, { maxShift: 5, multipleOf: 2, seed: 9 })
  const pass = (epoch: number, start = 0) => ({ batchSize: 3, shuffle: { seed: 1, epoch }, start })
  /** An image of the set, moved; 0 where nothing was. */
  const movedPixels = (position: number, top: number, left: number): number[] =>
    Array.from({ length: imageBytes }, (_, i) => {
      const [y, x] = [Math.floor(i / 12) - top, (i % 12) - left]
      const isInside = y >= 0 && y < 8 && x >= 0 && x < 12
      return isInside ? (set.images[position * imageBytes + y * 12 + x] as number) : 0
    })

  it('moves images and their boxes by multiples in both directions, zeros coming in', async () => {
    const tops = new Set<number>()
    const lefts = new Set<number>()
    for (const epoch of Array(20).keys()) {
      const order = epochOrder(7, 1, epoch)
      for (const [number, batch] of (await collect(moved.batches(pass(epoch)))).entries()) {
        const images = await wholeImages(batch)
        for (const [i, image] of images.entries()) {
          const position = order[3 * number + i] as number
          const [top = 0, left = 0, height, width] = batch.objects?.[i]?.boxes ?? []
          const shift = [top - 1, left - position] as const
          expect(image).toEqual(movedPixels(position, ...shift))
          expect([height, width]).toEqual([2, 3])
          tops.add(shift[0])
          lefts.add(shift[1])
        }
      }
    }
    expect([...tops].sort((a, b) => a - b)).toEqual([-4, -2, 0, 2, 4])
    expect([...lefts].sort((a, b) => a - b)).toEqual([-4, -2, 0, 2, 4])
  })

  it('is a function of seed, epoch and place, also of a pass that is resumed', async () => {
    const images = async (from: RegionStream, epoch: number, start?: number): Promise<number[][]> =>
      (await Promise.all((await collect(from.batches(pass(epoch, start)))).map(wholeImages))).flat()
    const first = await images(moved, 3)
    expect(await images(moved, 3)).toEqual(first)
    expect(await images(moved, 3, 4)).toEqual(first.slice(4))
    expect(await images(moved, 4)).not.toEqual(first)
    expect(await images(shifted(stream, { maxShift: 5, multipleOf: 2, seed: 8 }), 3)).not.toEqual(first)
  })

  it('leaves passes without shuffle alone, and streams that cannot be moved by a whole multiple', async () => {
    const [batch] = await collect(moved.batches({ batchSize: 7 }))
    expect((await wholeImages(batch as RegionBatch)).flat()).toEqual([...set.images])
    expect(shifted(stream, { maxShift: 3, multipleOf: 4, seed: 9 })).toBe(stream)
  })

  it('refuses shifts out of range, with their numbers', () => {
    const shift = (maxShift: number, multipleOf: number) => () =>
      shifted(stream, { maxShift, multipleOf, seed: 1 })
    expect(shift(8, 1)).toThrow(new RangeError('shifted: maxShift must be an integer in [0, 7], got 8'))
    expect(shift(1.5, 1)).toThrow(new RangeError('shifted: maxShift must be an integer in [0, 7], got 1.5'))
    expect(shift(4, 0)).toThrow(new RangeError('shifted: multipleOf must be a positive integer, got 0'))
  })
})

/** A stream of seven images that counts which views were begun and which regions were read. */
function watched(fails?: number): { stream: RegionStream; log: string[] } {
  const log: string[] = []
  const records = regionRecords(set)
  const open = async (position: number): Promise<RegionSource> => ({
    ...(await records.open(position)),
    view: async scale => {
      log.push(`view ${position}`)
      if (position === fails) throw new Error(`image ${position} is damaged`)
      return Uint8Array.of(position, scale)
    },
  })
  return { stream: regionStream({ ...records, open }), log }
}

describe('viewsAhead', () => {
  it('decodes the views of the next batch while one is used, and no more', async () => {
    const { stream: source, log } = watched()
    const taken: number[] = []
    const begun: number[] = []
    for await (const { sources } of viewsAhead(source, { scale: 4 }).batches({ batchSize: 2 })) {
      await new Promise(resolve => setImmediate(resolve))
      begun.push(log.length)
      for (const image of sources) taken.push(...(await image.view(4)))
    }
    expect(taken).toEqual([0, 4, 1, 4, 2, 4, 3, 4, 4, 4, 5, 4, 6, 4])
    // Two images a batch: the batch in use and the next one were begun.
    expect(begun).toEqual([4, 6, 7, 7])
    expect(log).toHaveLength(7)
  })

  it('asks the image for views of other scales, and for regions', async () => {
    const { stream: source } = watched()
    const [batch] = await collect(viewsAhead(source, { scale: 4 }).batches({ batchSize: 7 }))
    const image = batch?.sources[2] as RegionSource
    expect([...(await image.view(2))]).toEqual([2, 2])
    const pixel = await image.regions(Int32Array.of(0, 0, 1, 1))
    expect([...pixel]).toEqual([set.images[2 * imageBytes]])
    await expect(image.close?.()).resolves.toBeUndefined()
  })

  it('fails where the view of a damaged image is asked for, not before', async () => {
    const { stream: source } = watched(3)
    const batches = await collect(viewsAhead(source, { scale: 2, batches: 3 }).batches({ batchSize: 3 }))
    const image = batches[1]?.sources[0] as RegionSource
    await expect(image.view(2)).rejects.toThrow(new Error('image 3 is damaged'))
    await expect(batches[1]?.sources[1]?.view(2)).resolves.toEqual(Uint8Array.of(4, 2))
  })

  it('ends where the consumer stops, and refuses numbers out of range', async () => {
    const { stream: source, log } = watched()
    for await (const _ of viewsAhead(source, { scale: 1 }).batches({ batchSize: 1 })) break
    expect(log.length).toBeLessThanOrEqual(2)
    expect(() => viewsAhead(source, { scale: 1, batches: 0 })).toThrow(
      new RangeError('viewsAhead: batches must be a positive integer, got 0'),
    )
    expect(() => viewsAhead(source, { scale: 0 })).toThrow(
      new RangeError('viewsAhead: scale must be a positive integer, got 0'),
    )
  })
})

describe('viewStream', () => {
  it('yields views as ordinary images: at scale 1 whole ones', async () => {
    const pass = { batchSize: 4, shuffle: { seed: 2, epoch: 0 } }
    const whole = viewStream(stream, 1)
    expect(await collect(whole.batches(pass))).toEqual(await collect(streamOf(set).batches(pass)))
    const small = viewStream(stream, 5)
    expect(small.shape).toEqual([2, 3, 1])
    const [batch] = await collect(small.batches({ batchSize: 7 }))
    const means = Array.from({ length: 7 }, (_, i) =>
      blockMeansOf(set.images.subarray(i * imageBytes, (i + 1) * imageBytes), shape, 5),
    )
    expect(batch?.images).toEqual(Uint8Array.from(means.flatMap(view => [...view])))
    expect(() => viewStream(stream, -1)).toThrow(
      new RangeError('viewStream: scale must be a positive integer, got -1'),
    )
  })
})

describe('a view goes on with the outermost pixels of an image, where that is asked for', () => {
  it('is smoother farther away; regions stay 0', async () => {
    const image = arraySource(Uint8Array.of(10, 20, 30, 40, 50, 60), [2, 3, 1])
    const placed = placedSource(image, { canvas: [4, 5], top: 0, left: 1, surround: 'edges' })
    // At the sides the means of both pixels of the edge; below the means of 3, then 5 pixels of the last row, as far as it goes.
    expect([...(await placed.view(1))]).toEqual([
      ...[25, 10, 20, 30, 45],
      ...[25, 40, 50, 60, 45],
      ...[33, 38, 50, 52, 53],
      ...[38, 44, 44, 49, 52],
    ])
    expect([...(await placed.regions(Int32Array.of(0, 0, 3, 5)))]).toEqual([
      ...[0, 10, 20, 30, 0],
      ...[0, 40, 50, 60, 0],
      ...[0, 0, 0, 0, 0],
    ])
  })

  it('has less contrast outside than inside, whatever the image and the shift', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: -3, max: 9 }), async (seed, top) => {
        const chance = random(seed)
        const pixels = Uint8Array.from({ length: 8 * 12 }, () => chance.below(256))
        const image = arraySource(pixels, [8, 12, 1])
        const placed = placedSource(image, { canvas: [24, 12], top, left: 0, surround: 'edges' })
        const view = await placed.view(1)
        const rows = Array.from({ length: 24 }, (_, y) => [...view.subarray(12 * y, 12 * y + 12)])
        const inside = rows.slice(Math.max(top, 0), top + 8)
        expect(inside.flat()).toEqual([...pixels.subarray(12 * Math.max(-top, 0))])
        const range = (row: readonly number[] = []) => Math.max(...row) - Math.min(...row)
        const below = rows.slice(top + 8)
        expect(range(below[0])).toBeLessThanOrEqual(range(inside.at(-1)))
        // From 11 pixels away on every pixel is the mean of the whole last row.
        for (const row of below.slice(10)) expect(range(row)).toBe(0)
      }),
      { numRuns: 20 },
    )
  })
})

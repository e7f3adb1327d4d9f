import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { augmented } from '../../src/data/augmentation/augmented.js'
import { balanced } from '../../src/data/balanced.js'
import { type BatchShare, batchShares, placesOf, type Shard } from '../../src/data/batch-shares.js'
import { recordsOf, streamRecords } from '../../src/data/image-records.js'
import type { ImageBatch } from '../../src/data/image-set.js'
import { type ImageStream, type StreamPass, streamOf } from '../../src/data/image-stream.js'
import { regionRecords, regionStream } from '../../src/data/regions/region-records.js'
import type { RegionBatch, RegionStream } from '../../src/data/regions/region-stream.js'
import { shifted } from '../../src/data/regions/shifted.js'
import { viewStream, viewsAhead } from '../../src/data/regions/views.js'
import { numberedImages } from './numbered-images.js'
import { collect } from './regions/collect.js'

describe('batchShares', () => {
  test('cuts a batch of 10 for four workers into 2, 3, 2 and 3', () => {
    // floor(10 i / 4): 0, 2, 5, 7, 10; the last batch of 3: 0, 0, 1, 2, 3.
    const cut = (index: number, more: Partial<Shard> = {}) => [
      ...batchShares({ batchSize: 10, start: 4, end: 17, shard: { index, count: 4, ...more } }),
    ]
    const [ten, three] = [{ batchImages: 10 }, { batchImages: 3 }]
    expect([0, 1, 2, 3].map(index => cut(index))).toEqual([
      [
        { first: 4, count: 2, ...ten },
        { first: 14, count: 0, ...three },
      ],
      [
        { first: 6, count: 3, ...ten },
        { first: 14, count: 1, ...three },
      ],
      [
        { first: 9, count: 2, ...ten },
        { first: 15, count: 1, ...three },
      ],
      [
        { first: 11, count: 3, ...ten },
        { first: 16, count: 1, ...three },
      ],
    ])
    expect(cut(0, { leastOne: true })[1]).toEqual({ first: 14, count: 1, ...three, isSpare: true })
    expect(cut(2, { leastOne: true })).toEqual(cut(2))
  })

  test('brings the next image along, the first of the batch with the last part', () => {
    const places = (index: number) =>
      [...batchShares({ batchSize: 6, start: 0, end: 9, shard: { index, count: 2, withNext: true } })].map(
        share => [...placesOf(share)],
      )
    expect(places(0)).toEqual([
      [0, 1, 2, 3],
      [6, 7],
    ])
    expect(places(1)).toEqual([
      [0, 3, 4, 5],
      [6, 7, 8],
    ])
    const [whole] = batchShares({
      batchSize: 6,
      start: 0,
      end: 6,
      shard: { index: 0, count: 1, withNext: true },
    })
    expect(whole).toEqual({ first: 0, count: 6, batchImages: 6 })
  })

  test('gives all workers as many batches, whose parts in turn are the batches and differ by one image at most', () => {
    const small = fc.integer({ min: 1, max: 20 })
    fc.assert(
      fc.property(small, fc.nat(70), fc.nat(70), small, (batchSize, start, length, count) => {
        const cut = { batchSize, start, end: start + length }
        const parts = Array.from({ length: count }, (_, index) => [
          ...batchShares({ ...cut, shard: { index, count } }),
        ])
        const whole = [...batchShares(cut)]
        whole.forEach((batch, number) => {
          const shares = parts.map(part => part[number] as BatchShare)
          expect(shares.flatMap(share => [...placesOf(share)])).toEqual([...placesOf(batch)])
          const counts = shares.map(share => share.count)
          expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
        })
        for (const part of parts) expect(part.length).toBe(Math.ceil(length / batchSize))
      }),
    )
  })
})

const set = numberedImages(150, 3, [4, 4, 3])
const varied = { flip: true, padCrop: 1, rotate: 20, brightness: 0.2, seed: 5 } as const
/** Streams of every kind whose batches are images. */
const streams: Readonly<Record<string, (shuffleWindow: number) => ImageStream>> = {
  'in memory': () => streamOf(set),
  'of records': shuffleWindow => streamRecords(recordsOf(set), { shuffleWindow }),
  balanced: shuffleWindow => balanced(recordsOf(set), { by: 'class', shuffleWindow }),
  varied: shuffleWindow => augmented(streamRecords(recordsOf(set), { shuffleWindow }), varied),
  mixed: shuffleWindow =>
    augmented(streamRecords(recordsOf(set), { shuffleWindow }), { ...varied, mixup: 0.4, cutmix: 1 }),
  'only mixed': () => augmented(streamOf(set), { mixup: 0.4, seed: 2 }),
  'of views': () => viewStream(regionStream(regionRecords(set)), 2),
}

/** What the parts of a batch are together. */
function joined(parts: readonly ImageBatch[]): unknown {
  const all = (values: (part: ImageBatch) => ArrayLike<number> | undefined) =>
    parts.flatMap(part => Array.from(values(part) ?? []))
  return {
    images: all(({ images }) => images),
    labels: all(({ labels }) => labels),
    groups: all(({ groups }) => groups),
    others: all(({ mixed }) => mixed?.labels),
    shares: all(({ mixed }) => mixed?.shares),
    count: parts.reduce((sum, { count }) => sum + count, 0),
  }
}

const passes = fc.record({
  batchSize: fc.integer({ min: 1, max: 70 }),
  shuffle: fc.option(fc.record({ seed: fc.nat(9), epoch: fc.nat(3) }), { nil: undefined }),
  start: fc.nat(150),
  end: fc.nat(150),
})

const passOf = ({
  batchSize,
  shuffle,
  start,
  end,
}: typeof passes extends fc.Arbitrary<infer T> ? T : never) =>
  ({
    batchSize,
    ...(shuffle && { shuffle }),
    start: Math.min(start, end),
    end: Math.max(start, end),
  }) satisfies StreamPass

describe.each(Object.entries(streams))('a stream %s', (_, streamWith) => {
  test('is shared out: the parts in turn are the batches of one process', async () => {
    await fc.assert(
      fc.asyncProperty(
        passes,
        fc.integer({ min: 1, max: 5 }),
        fc.integer({ min: 1, max: 200 }),
        async (drawn, count, shuffleWindow) => {
          const pass = passOf(drawn)
          const whole = await collect(streamWith(shuffleWindow).batches(pass))
          const parts = await Promise.all(
            Array.from({ length: count }, (_, index) =>
              collect(streamWith(shuffleWindow).batches({ ...pass, shard: { index, count } })),
            ),
          )
          for (const part of parts) expect(part.length).toBe(whole.length)
          whole.forEach((batch, number) => {
            expect(joined(parts.map(part => part[number] as ImageBatch))).toEqual(joined([batch]))
          })
        },
      ),
      { numRuns: 15 },
    )
  })

  test.each([
    [{ index: 4, count: 4 }, 'batches: shard.index must be an integer in [0, 3], got 4'],
    [{ index: -1, count: 2 }, 'batches: shard.index must be an integer in [0, 1], got -1'],
    [{ index: 0.5, count: 2 }, 'batches: shard.index must be an integer in [0, 1], got 0.5'],
    [{ index: 0, count: 0 }, 'batches: shard.count must be a positive integer, got 0'],
    [{ index: 0, count: 1.5 }, 'batches: shard.count must be a positive integer, got 1.5'],
  ] satisfies [Shard, string][])('refuses the shard %j', async (shard, message) => {
    const reading = async () =>
      collect(streamWith(9).batches({ batchSize: 8, shuffle: { seed: 1, epoch: 0 }, shard }))
    await expect(reading()).rejects.toThrow(message)
  })
})

test('gives a worker without a part the first image of the batch, where all are to have one', async () => {
  const stream = augmented(streamOf(set), { ...varied, mixup: 0.4 })
  const pass = { batchSize: 3, shuffle: { seed: 1, epoch: 0 }, end: 6 }
  const whole = await collect(stream.batches(pass))
  const spare = await collect(stream.batches({ ...pass, shard: { index: 0, count: 5, leastOne: true } }))
  expect(spare.map(({ count }) => count)).toEqual([1, 1])
  spare.forEach(({ images, labels, mixed }, number) => {
    expect([...images]).toEqual([...(whole[number]?.images.subarray(0, images.length) ?? [])])
    expect(labels[0]).toBe(whole[number]?.labels[0])
    expect(mixed?.shares[0]).toBe(whole[number]?.mixed?.shares[0])
  })
})

describe('a stream of images that are read in parts', () => {
  const regions = regionStream(regionRecords({ ...set, objectBox: new Int32Array(600).fill(1) }))
  const kinds: Readonly<Record<string, RegionStream>> = {
    plain: regions,
    moved: shifted(regions, { maxShift: 3, multipleOf: 2, seed: 3 }),
    ahead: viewsAhead(shifted(regions, { maxShift: 2, multipleOf: 2, seed: 3 }), { scale: 2 }),
  }
  const contentOf = async (parts: readonly RegionBatch[]) => ({
    labels: parts.flatMap(({ labels }) => [...labels]),
    boxes: parts.flatMap(({ objects = [] }) => objects.flatMap(({ boxes }) => [...boxes])),
    views: await Promise.all(parts.flatMap(({ sources }) => sources.map(source => source.view(2)))),
  })

  test.each(Object.entries(kinds))('is shared out: %s', async (_, stream) => {
    await fc.assert(
      fc.asyncProperty(passes, fc.integer({ min: 1, max: 4 }), async (drawn, count) => {
        const pass = passOf(drawn)
        const whole = await collect(stream.batches(pass))
        const parts = await Promise.all(
          Array.from({ length: count }, (_, index) =>
            collect(stream.batches({ ...pass, shard: { index, count } })),
          ),
        )
        for (const [number, batch] of whole.entries()) {
          expect(await contentOf(parts.map(part => part[number] as RegionBatch))).toEqual(
            await contentOf([batch]),
          )
        }
      }),
      { numRuns: 10 },
    )
  })
})

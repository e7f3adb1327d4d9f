import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ImageRecords, loadRecords, recordsOf, streamRecords } from '../../src/data/image-records.js'
import type { ImageBatch } from '../../src/data/image-set.js'
import type { ImageStream, StreamPass } from '../../src/data/image-stream.js'
import { windowOrder } from '../../src/data/window-order.js'
import { numberedImages } from './numbered-images.js'

async function batchesOf(stream: ImageStream, pass: StreamPass): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of stream.batches(pass)) all.push(batch)
  return all
}

/** The numbers of the images of batches, from their first bytes. */
const numbersOf = (all: readonly ImageBatch[]) =>
  all.flatMap(({ images, count }) => Array.from({ length: count }, (_, i) => images[i * 12] as number))

const set = numberedImages(250)
const shuffle = { seed: 3, epoch: 1 }

describe('streamRecords', () => {
  test('has the stored order, whole, with the labels and groups of the images', async () => {
    const all = await batchesOf(streamRecords(recordsOf(set), { shuffleWindow: 7 }), { batchSize: 100 })
    expect(all.map(({ count }) => count)).toEqual([100, 100, 50])
    expect(numbersOf(all)).toEqual(Array.from({ length: 250 }, (_, i) => i))
    expect(all.flatMap(({ labels }) => [...labels])).toEqual([...set.labels])
    expect(all.flatMap(({ groups }) => [...(groups ?? [])])).toEqual([...(set.groups ?? [])])
  })

  test('shuffles as windowOrder says', async () => {
    const stream = streamRecords(recordsOf(set), { shuffleWindow: 100 })
    const all = await batchesOf(stream, { batchSize: 32, shuffle })
    expect(numbersOf(all)).toEqual([...windowOrder(250, 100, shuffle)])
  })

  test('goes on from any place exactly as without a stop', async () => {
    const between = fc.integer({ min: 0, max: 250 })
    await fc.assert(
      fc.asyncProperty(
        between,
        between,
        fc.integer({ min: 1, max: 80 }),
        fc.integer({ min: 1, max: 300 }),
        async (a, b, batchSize, shuffleWindow) => {
          const [start, end] = a < b ? [a, b] : [b, a]
          const stream = streamRecords(recordsOf(set), { shuffleWindow })
          const part = await batchesOf(stream, { batchSize, shuffle, start, end })
          const order = windowOrder(250, shuffleWindow, shuffle)
          expect(numbersOf(part)).toEqual([...order.subarray(start, end)])
          for (const { count } of part.slice(0, -1)) expect(count).toBe(batchSize)
        },
      ),
      { numRuns: 40 },
    )
  })

  test('reads one window ahead, and no more', async () => {
    const asked: number[] = []
    const records = recordsOf(set)
    const counting: ImageRecords = {
      ...records,
      read: positions => {
        asked.push(positions.length)
        return records.read(positions)
      },
    }
    const pass = streamRecords(counting, { shuffleWindow: 64 }).batches({ batchSize: 10 })
    for await (const _ of pass) break
    expect(asked).toEqual([64, 64])
  })

  test('gives batches memory of their own', async () => {
    const [first] = await batchesOf(streamRecords(recordsOf(set)), { batchSize: 4 })
    expect(first?.images.buffer.byteLength).toBe(48)
  })

  test('tells of a read that fails, after the batches before it', async () => {
    const records = recordsOf(set)
    const failing: ImageRecords = {
      ...records,
      read: async positions => {
        if (positions[0] !== 0) throw new RangeError('file f: record 64 is damaged')
        return records.read(positions)
      },
    }
    const seen: number[] = []
    const reading = async () => {
      for await (const { count } of streamRecords(failing, { shuffleWindow: 64 }).batches({ batchSize: 32 }))
        seen.push(count)
    }
    await expect(reading()).rejects.toThrow('file f: record 64 is damaged')
    expect(seen).toEqual([32, 32])
  })

  test.each([
    [{ batchSize: 0 }, 'batches: batchSize must be a positive integer, got 0'],
    [{ batchSize: 1, end: 251 }, 'batches: end must be an integer in [0, 250], got 251'],
    [{ batchSize: 1, end: 9, start: 10 }, 'batches: start must be an integer in [0, 9], got 10'],
  ])('refuses %j at once', (pass, message) => {
    expect(() => streamRecords(recordsOf(set)).batches(pass)).toThrow(message)
  })

  test('refuses a window of no images', () => {
    expect(() => streamRecords(recordsOf(set), { shuffleWindow: 0 })).toThrow(
      'shuffleWindow must be a positive integer, got 0',
    )
  })
})

test('records come into memory as they are', async () => {
  expect(await loadRecords(recordsOf(set))).toEqual(set)
})

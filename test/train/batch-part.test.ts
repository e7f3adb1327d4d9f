import fc from 'fast-check'
import { describe, expect, test } from 'vitest'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { partsOfStream } from '../../src/train/cluster/batch-part.js'
import { batchParts } from '../../src/train/cluster/cluster.js'
import { brightRows } from './tasks.js'

test('parts of a batch follow each other, are as even as can be, and their shares add up', () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1, max: 9 }), (images, size) => {
      const parts = batchParts(images, size).filter(({ share }) => share > 0)
      expect(parts[0]?.first).toBe(0)
      expect(parts.at(-1)?.end).toBe(images)
      for (const [i, { first }] of parts.slice(1).entries()) expect(first).toBe(parts[i]?.end)
      const counts = parts.map(({ first, end }) => end - first)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
      expect(parts.reduce((sum, { share }) => sum + share, 0)).toBeCloseTo(1, 12)
    }),
  )
})

test('a worker without an image takes the first, which counts for nothing', () => {
  expect(batchParts(1, 2)).toEqual([
    { first: 0, end: 1, share: 0 },
    { first: 0, end: 1, share: 1 },
  ])
})

describe('the parts of all workers', () => {
  const set = brightRows(11, 3, 1)
  const known = streamOf(set)
  /** A stream that gives whole batches whatever it is asked for. */
  const unknowing: ImageStream = {
    ...known,
    batches: ({ shard: _, ...pass }) => known.batches(pass),
  }

  test.each([
    { name: 'a stream that is read in parts', stream: known },
    { name: 'a stream that knows nothing of parts', stream: unknowing },
  ])('are the batches of one process: $name', async ({ stream }) => {
    for (const size of [1, 2, 3, 5]) {
      for (const batchSize of [2, 4, 5, 11]) {
        const pass = { batchSize, shuffle: { seed: 1, epoch: 2 } }
        const whole: number[] = []
        for await (const { labels } of known.batches(pass)) whole.push(...labels)
        const workers = await Promise.all(
          Array.from({ length: size }, async (_, index) => {
            const steps: { labels: number[]; ofImages: number }[] = []
            for await (const { batch, ofImages } of partsOfStream(stream, pass, {
              size,
              index,
              whenEmpty: 'repeat',
            })) {
              expect(batch.images.length).toBe(16 * batch.count)
              steps.push({ labels: [...batch.labels], ofImages })
            }
            return steps
          }),
        )
        const steps = Math.ceil(set.count / batchSize)
        expect(workers.map(({ length }) => length)).toEqual(workers.map(() => steps))
        const together = Array.from({ length: steps }, (_, step) => {
          const ofImages = Math.min(batchSize, set.count - step * batchSize)
          const shares = batchParts(ofImages, size)
          return workers.flatMap((parts, index) => {
            expect(parts[step]?.ofImages).toBe(ofImages)
            return shares[index]?.share === 0 ? [] : (parts[step]?.labels ?? [])
          })
        })
        expect(together.flat()).toEqual(whole)
      }
    }
  })
})

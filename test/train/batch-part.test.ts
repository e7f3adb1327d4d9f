import { describe, expect, test } from 'vitest'
import { type ImageStream, streamOf } from '../../src/data/image-stream.js'
import { passOf, someImages } from '../../src/train/cluster/batch-part.js'
import { numberedImages } from '../data/numbered-images.js'
import { collect } from '../data/regions/collect.js'

const set = numberedImages(50)
const stream = streamOf(set)
/** Somebody's own stream, which does not know of workers. */
const unaware: ImageStream = { ...stream, batches: ({ shard: _, ...pass }) => stream.batches(pass) }
// Batches of 7, the last of 4: six workers of which two have no image of it.
const pass = { batchSize: 7, shuffle: { seed: 3, epoch: 2 }, start: 4 }

describe('passOf', () => {
  test.each([
    ['that reads parts', stream],
    ['that yields whole batches', unaware],
  ])('takes a worker through its part of a stream %s', async (_, data) => {
    const whole = await collect(stream.batches(pass))
    for (const whenEmpty of ['skip', 'repeat'] as const) {
      const parts = await Promise.all(
        Array.from({ length: 6 }, (_, index) =>
          collect(passOf(data, pass, { index, size: 6, whenEmpty }, someImages)),
        ),
      )
      whole.slice(0, -1).forEach(({ labels, images }, number) => {
        const batches = parts.map(part => part[number])
        expect(batches.map(batch => batch?.ofImages)).toEqual([7, 7, 7, 7, 7, 7])
        expect(batches.flatMap(batch => [...(batch?.batch.labels ?? [])])).toEqual([...labels])
        expect(batches.flatMap(batch => [...(batch?.batch.images ?? [])])).toEqual([...images])
      })
      // floor(4 i / 6): 0, 0, 1, 2, 2, 3, 4: workers 0 and 3 have none.
      const [a, b, c, d] = [...(whole.at(-1)?.labels ?? [])]
      expect(parts.map(part => (part.length === 7 ? [...(part[6]?.batch.labels ?? [])] : []))).toEqual(
        whenEmpty === 'skip' ? [[], [a], [b], [], [c], [d]] : [[a], [a], [b], [a], [c], [d]],
      )
    }
  })

  test('takes one process through whole batches', async () => {
    const batches = await collect(passOf(stream, pass, undefined, someImages))
    expect(batches.map(({ batch, ofImages }) => [batch.count, ofImages])).toEqual([
      ...Array.from({ length: 6 }, () => [7, undefined]),
      [4, undefined],
    ])
  })

  test('refuses a stream that yields neither', async () => {
    const wrong: ImageStream = { ...stream, batches: () => stream.batches({ batchSize: 3 }) }
    await expect(
      collect(passOf(wrong, pass, { index: 1, size: 2, whenEmpty: 'skip' }, someImages)),
    ).rejects.toThrow('train: stream must yield 4 of the 7 images of a batch, got 3')
  })
})

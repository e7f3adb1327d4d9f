import { describe, expect, it } from 'vitest'
import { epochOrder } from '../../src/data/batches.js'
import type { ImageBatch, ImageSet } from '../../src/data/image-set.js'
import { firstImages, type ImageStream, streamOf } from '../../src/data/image-stream.js'

/** Five images of one pixel, valued 10 times their position. */
const set: ImageSet = {
  images: Uint8Array.of(0, 10, 20, 30, 40),
  labels: Int32Array.of(0, 1, 0, 1, 0),
  groups: Int32Array.of(2, 1, 0, 2, 1),
  trueCell: Int32Array.of(3, 2, 1, 0, 3),
  objectBox: Int32Array.from({ length: 20 }, (_, i) => i),
  cells: [2, 2],
  count: 5,
  shape: [1, 1, 1],
  classNames: ['even', 'odd'],
  groupNames: ['a', 'b', 'c'],
}

async function collect(batches: AsyncIterable<ImageBatch>): Promise<ImageBatch[]> {
  const all: ImageBatch[] = []
  for await (const batch of batches) all.push(batch)
  return all
}

describe('streamOf', () => {
  it('hands out the stored order, whole or in part', async () => {
    const stream = streamOf(set)
    expect(stream).toMatchObject({ count: 5, shape: [1, 1, 1], groupNames: ['a', 'b', 'c'], cells: [2, 2] })
    const whole = await collect(stream.batches({ batchSize: 3 }))
    expect(whole.map(({ images }) => [...images])).toEqual([
      [0, 10, 20],
      [30, 40],
    ])
    expect(whole.map(({ labels }) => [...labels])).toEqual([
      [0, 1, 0],
      [1, 0],
    ])
    expect(whole.map(({ groups }) => [...(groups ?? [])])).toEqual([
      [2, 1, 0],
      [2, 1],
    ])
    const part = await collect(stream.batches({ batchSize: 2, start: 1, end: 4 }))
    expect(part.map(({ images }) => [...images])).toEqual([[10, 20], [30]])
  })

  it('shuffles as the epoch order says, and goes on within it', async () => {
    const order = epochOrder(5, 7, 2)
    const pass = { batchSize: 2, shuffle: { seed: 7, epoch: 2 } }
    const whole = await collect(streamOf(set).batches(pass))
    expect(whole.flatMap(({ images }) => [...images])).toEqual([...order].map(position => position * 10))
    const rest = await collect(streamOf(set).batches({ ...pass, start: 2 }))
    expect(rest).toEqual(whole.slice(1))
  })

  it('leaves a stream as it is, and refuses passes that cannot be', async () => {
    const stream = streamOf(set)
    expect(streamOf(stream)).toBe(stream)
    await expect(collect(stream.batches({ batchSize: 0 }))).rejects.toThrow(
      new RangeError('batches: batchSize must be a positive integer, got 0'),
    )
    await expect(collect(stream.batches({ batchSize: 1, start: 6 }))).rejects.toThrow(
      new RangeError('batches: start must be an integer in [0, 5], got 6'),
    )
  })
})

describe('firstImages', () => {
  it('takes the first of a set with all that belongs to them', async () => {
    expect(await firstImages(set, 2)).toEqual({
      ...set,
      count: 2,
      images: Uint8Array.of(0, 10),
      labels: Int32Array.of(0, 1),
      groups: Int32Array.of(2, 1),
      trueCell: Int32Array.of(3, 2),
      objectBox: Int32Array.of(0, 1, 2, 3, 4, 5, 6, 7),
    })
    expect((await firstImages(set, 99)).count).toBe(5)
    const names = ['a', 'b', 'c', 'd', 'e']
    expect((await firstImages({ ...set, names }, 2)).names).toEqual(['a', 'b'])
    expect(streamOf({ ...set, names }).names).toEqual(names)
  })

  it('takes the first of a stream', async () => {
    const { trueCell: _, objectBox: __, ...expected } = await firstImages(set, 3)
    expect(await firstImages(streamOf(set), 3)).toEqual(expected)
  })

  it('refuses an empty stream', async () => {
    const empty: ImageStream = { ...streamOf(set), count: 0, async *batches() {} }
    await expect(firstImages(empty, 3)).rejects.toThrow(
      new RangeError('firstImages: source must hold at least 1 image, got 0'),
    )
  })
})

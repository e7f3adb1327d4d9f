import { expect, it } from 'vitest'
import type { RegionStream } from '../../src/data/regions/region-stream.js'
import { feedOf, type RegionModel } from '../../src/train/feed.js'

/** A stream of six images, one a batch, that tells what is done with them; the view of one of them may fail. */
function watchedStream(failing?: number) {
  const done: string[] = []
  const source = (image: number) => ({
    ...{ height: 4, width: 4, channels: 1 },
    async view() {
      done.push(`view ${image}`)
      if (image === failing) throw new Error(`image ${image} is damaged`)
      return Uint8Array.of(image)
    },
    regions: async () => new Uint8Array(),
    async close() {
      done.push(`close ${image}`)
    },
  })
  const stream: RegionStream = {
    ...{ count: 6, shape: [4, 4, 1], classNames: ['a'] },
    async *batches() {
      for (let image = 0; image < 6; image++) {
        yield { sources: [source(image)], labels: Int32Array.of(image), count: 1 }
      }
    },
  }
  return { done, stream }
}

const model = {
  ...{ imageShape: [4, 4, 1], viewScale: 4 },
  regionInputs: async (_: unknown, views: readonly Uint8Array[]) => ({
    tensors: [],
    kept: { boxes: new Int32Array(), blank: Number(views[0]?.[0]) },
  }),
} as unknown as RegionModel

const views = (done: readonly string[]) => done.filter(what => what.startsWith('view'))

it('reads the views of two batches ahead, in order, and closes every image once', async () => {
  const { done, stream } = watchedStream()
  const seen: number[] = []
  for await (const batch of feedOf(model, stream).batches({ batchSize: 1 })) {
    seen.push(batch.labels[0] as number)
    expect(views(done)).toHaveLength(Math.min(6, seen.length + 2))
    const { kept } = await batch.inputs()
    expect(kept?.blank).toBe(seen.at(-1))
  }
  expect(seen).toEqual([0, 1, 2, 3, 4, 5])
  expect(done.filter(what => what.startsWith('close'))).toEqual(seen.map(image => `close ${image}`))
})

it('closes what was read ahead when its consumer stops', async () => {
  const { done, stream } = watchedStream()
  for await (const batch of feedOf(model, stream).batches({ batchSize: 1 })) {
    await batch.inputs()
    break
  }
  expect(views(done)).toEqual(['view 0', 'view 1', 'view 2'])
  expect(done.filter(what => what.startsWith('close'))).toEqual(['close 0', 'close 1', 'close 2'])
})

it('throws what failed ahead when its turn comes', async () => {
  const { done, stream } = watchedStream(2)
  const seen: number[] = []
  const pass = async () => {
    for await (const batch of feedOf(model, stream).batches({ batchSize: 1 })) {
      seen.push(batch.labels[0] as number)
      await batch.inputs()
    }
  }
  await expect(pass()).rejects.toThrow('image 2 is damaged')
  expect(seen).toEqual([0, 1])
  expect(done).toContain('close 3')
})

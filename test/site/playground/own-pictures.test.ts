import { afterEach, beforeEach, expect, it, vi } from 'vitest'
import { readPictures } from '../../../site/playground/worker/pictures.js'
import { taskData, wallOf } from '../../../site/playground/worker/task-data.js'

/** Decoded pictures that are in memory, now and at most. */
const open = { now: 0, most: 0 }

beforeEach(() => {
  Object.assign(open, { now: 0, most: 0 })
  // A browser that decodes a file to a picture of the colour that its text says.
  vi.stubGlobal('createImageBitmap', async (file: Blob) => {
    const grey = file.size > 0 ? Number(await file.text()) : Number.NaN
    if (Number.isNaN(grey)) throw new Error('not decodable')
    open.most = Math.max(open.most, ++open.now)
    return { width: 4000, height: 3000, grey, close: () => open.now-- }
  })
  vi.stubGlobal(
    'OffscreenCanvas',
    class {
      readonly width: number
      private drawn: unknown[] = []
      constructor(width: number) {
        this.width = width
      }
      getContext() {
        return {
          fillRect: () => {},
          drawImage: (...drawn: unknown[]) => {
            this.drawn = drawn
          },
          getImageData: () => {
            const [bitmap, ...box] = this.drawn as [{ grey: number }, ...number[]]
            // The largest square in the middle of 4000x3000.
            expect(box).toEqual([500, 0, 3000, 3000, 0, 0, this.width, this.width])
            return { data: new Uint8ClampedArray(4 * this.width ** 2).fill(bitmap.grey) }
          },
        }
      }
    },
  )
})

afterEach(() => vi.unstubAllGlobals())

const pictures = (...greys: (number | string)[]) => greys.map(grey => new Blob([String(grey)]))
const read = (classes: { name: string; pictures: Blob[] }[], isStale = () => false) =>
  readPictures(classes, 2, () => {}, isStale)

it('pictures are read one after the other, and only their small squares stay', async () => {
  const greys = Array.from({ length: 50 }, (_, i) => i)
  const result = await read([
    { name: 'dark', pictures: pictures(...greys) },
    { name: 'light', pictures: pictures(200, 'no picture', '', 210) },
  ])
  expect(open).toEqual({ now: 0, most: 1 })
  expect(result?.report).toEqual({
    type: 'pictures',
    counts: [
      { name: 'dark', count: 50 },
      { name: 'light', count: 2 },
    ],
    unreadable: [
      { name: 'a picture of the camera', why: 'this browser reads no picture from it' },
      { name: 'a picture of the camera', why: 'the file is empty' },
    ],
  })
  const set = result?.set
  expect(set).toMatchObject({ count: 52, shape: [2, 2, 3], classNames: ['dark', 'light'] })
  expect([...(set?.images.subarray(12 * 49) ?? [])]).toEqual(
    [49, 200, 210].flatMap(grey => Array(12).fill(grey)),
  )
  const { train, test } = await taskData({ task: 'own', n: 1000, seed: 1 }, '', set)
  // A quarter of 50 and of 2, at least 1 of each.
  expect([train.count, test.count]).toEqual([38, 14])
  expect([...train.labels, ...test.labels].filter(label => label === 1)).toHaveLength(2)
  const wall = wallOf(test)
  expect(wall).toMatchObject({ count: 14, shape: [2, 2, 3] })
  expect(wall.pixels).toEqual(test.images)
})

it('says why nothing can be trained on them', async () => {
  const problem = async (...sizes: number[]) => {
    const classes = sizes.map((size, i) => ({ name: `c${i}`, pictures: pictures(...Array(size).fill(1)) }))
    return (await read(classes))?.report.problem
  }
  expect(await problem()).toBe('Own pictures: there must be 2 to 10 classes, got 0')
  expect(await problem(3)).toBe('Own pictures: there must be 2 to 10 classes, got 1, "c0"')
  expect(await problem(...Array(11).fill(2))).toBe('Own pictures: there must be 2 to 10 classes, got 11')
  expect(await problem(2, 1)).toBe(
    'Own pictures: class "c1" must have a picture for training and one for testing, got 1',
  )
  expect(await problem(2, 2)).toBeUndefined()
  await expect(taskData({ task: 'own', n: 100, seed: 1 }, '', undefined)).rejects.toThrow(
    new Error('Own pictures: there must be two classes or more, got none'),
  )
})

it('stops where other pictures are wanted', async () => {
  let asked = 0
  expect(await read([{ name: 'a', pictures: pictures(1, 2, 3, 4) }], () => ++asked > 2)).toBeUndefined()
  expect(asked).toBe(3)
})

it('of too many pictures each class keeps its share, and the report says what is left out', async () => {
  const few = pictures(1, 2, 3)
  const many = pictures(...Array<number>(5000).fill(100))
  const result = await read([
    { name: 'many', pictures: many },
    { name: 'few', pictures: few },
  ])
  expect(result?.report.counts).toEqual([
    { name: 'many', count: 4997 },
    { name: 'few', count: 3 },
  ])
  const left = { name: 'a picture of the camera', why: 'at most 5000 pictures are taken' }
  expect(result?.report.unreadable).toEqual([left, left, left])
  expect(result?.report.problem).toBeUndefined()
})

import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { DatasetOptions } from '../../../src/data/datasets/dataset.js'
import { imageFolder } from '../../../src/data/datasets/image-folder/image-folder.js'
import { dataFolder } from '../../../src/files/data-folder.js'
import { regionsIn } from '../../../src/files/regions/open-regions.js'
import { collect } from '../../data/regions/collect.js'
import { patternImage, patternPixels } from './pattern-image.js'

let folder: string
const sizes = [
  ['train/cat/a.png', 30, 50],
  ['train/cat/b.png', 61, 20],
  ['train/dog/c.png', 40, 40],
  ['train/dog/d.png', 8, 9],
  ['test/cat/e.png', 20, 72],
  ['test/dog/f.png', 5, 5],
] as const
beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'photographs-'))
  for (const [name, height, width] of sizes) {
    await mkdir(join(folder, name, '..'), { recursive: true })
    await patternImage([height, width, 3]).png().toFile(join(folder, name))
  }
})
afterAll(async () => {
  await rm(folder, { recursive: true })
})

const open = (options: Partial<DatasetOptions> = {}) =>
  imageFolder.regions(dataFolder(folder), { seed: 1, openRegions: regionsIn(folder), ...options })

describe('image-folder, read in parts', () => {
  it('lays images of all sizes on one canvas, unscaled', async () => {
    const { train, test, unreadable } = await open()
    expect(train).toMatchObject({ count: 4, shape: [61, 72, 3], classNames: ['cat', 'dog'] })
    expect(test).toMatchObject({ count: 2, shape: [61, 72, 3] })
    expect(unreadable).toEqual([])
    const [batch] = await collect(train.batches({ batchSize: 4 }))
    expect([...(batch?.labels ?? [])].sort()).toEqual([0, 0, 1, 1])
    const images = await Promise.all(
      (batch?.sources ?? []).map(source => source.regions(Int32Array.of(0, 0, 61, 72))),
    )
    const expected = sizes.slice(0, 4).map(([, height, width]) => {
      const canvas = new Uint8Array(61 * 72 * 3)
      const pixels = patternPixels([height, width, 3])
      for (let row = 0; row < height; row++) {
        canvas.set(pixels.subarray(row * width * 3, (row + 1) * width * 3), row * 72 * 3)
      }
      return canvas.join()
    })
    expect(images.map(image => image.join()).sort()).toEqual(expected.sort())
  })

  it('takes the size that is asked for as the canvas, and refuses images beyond it', async () => {
    const { train } = await open({ imageSize: [64, 64] })
    expect(train.shape).toEqual([64, 64, 3])
    const { test } = await open({ imageSize: [64, 64] })
    await expect(collect(test.batches({ batchSize: 2 }))).rejects.toThrow(
      new RangeError(`${join(folder, 'test/cat/e.png')}: image must fit on the canvas of 64x64, got 20x72`),
    )
  })

  it('leaves out files that cannot be opened, up to the limit', async () => {
    const damaged = join(folder, 'train/cat/bad.png')
    await writeFile(damaged, 'bad')
    try {
      const { train, unreadable } = await open()
      expect(train.count).toBe(4)
      expect(unreadable?.map(({ name }) => name)).toEqual([damaged])
      await expect(open({ maxUnreadable: 0 })).rejects.toThrow(
        'image-folder: unreadable images must be at most 0 (maxUnreadable or --max-unreadable), got 1 of 7',
      )
    } finally {
      await rm(damaged)
    }
  })

  it('needs somebody to open files, and takes no crop', async () => {
    await expect(imageFolder.regions(dataFolder(folder), { seed: 1 })).rejects.toThrow(
      new TypeError('image-folder: openRegions must open image files, got none'),
    )
    await expect(open({ crop: 'center108' })).rejects.toThrow(
      new RangeError('image-folder: crop must be none for images that are read in parts, got center108'),
    )
  })
})

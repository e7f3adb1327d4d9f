import { describe, expect, it } from 'vitest'
import type { DataSource } from '../../../src/data/data-source.js'
import { imageFolder } from '../../../src/data/datasets/image-folder/image-folder.js'
import { megapixelDigits } from '../../../src/data/datasets/megapixel/megapixel.js'
import { arraySource } from '../../../src/data/regions/array-source.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { collect } from './collect.js'

/** Files by their paths. */
function filesSource(files: ReadonlyMap<string, string>): DataSource {
  const text = (path: string): string => {
    const content = files.get(path)
    if (content === undefined) throw new Error(`photos/${path}: no such file`)
    return content
  }
  return {
    read: async path => new TextEncoder().encode(text(path)),
    open: () => Promise.reject(new Error('not asked for')),
    exists: async path => files.has(path),
    list: async folder => {
      const start = folder === '' ? '' : `${folder}/`
      const within = [...files.keys()].filter(path => path.startsWith(start))
      const names = within.map(path => path.slice(start.length).replace(/\/.*/, '/'))
      return [...new Set(names)].sort()
    },
    describe: path => `photos/${path}`,
  }
}

const images = ['train', 'test'].flatMap(half =>
  ['cat', 'dog'].flatMap(name => [1, 2, 3].map(i => `${half}/${name}/${i}.png`)),
)
const openRegions = async () => arraySource(new Uint8Array(16 * 20 * 3), [16, 20, 3])

const opened = (table: string) =>
  imageFolder.regions(
    filesSource(new Map([...images.map(path => [path, ''] as const), ['boxes.csv', table]])),
    {
      seed: 1,
      boxes: 'boxes.csv',
      openRegions,
    },
  )

describe('boxes of image-folder', () => {
  it('come with the training images that the table names', async () => {
    const table =
      'image,top,left,height,width\ntrain/dog/2.png,1,2,3,4\ntest/cat/1.png,0,0,1,1\ntrain/dog/2.png,5,6,1,1\ntrain/cat/3.png,0,0,9,9\n'
    const { boxed, train, notes } = await opened(table)
    expect(notes).toContain(
      'Images with boxes that are not among the training images, and teach nothing: 1 of 3, test/cat/1.png for one.',
    )
    expect([boxed?.count, train.count, boxed?.shape]).toEqual([2, 6, [16, 20, 3]])
    const [batch] = await collect(boxed!.batches({ batchSize: 2 }))
    const byLabel = new Map(Array.from(batch?.labels ?? [], (label, i) => [label, batch?.objects?.[i]]))
    expect(byLabel.get(1)).toEqual({
      boxes: Int32Array.of(1, 2, 3, 4, 5, 6, 1, 1),
      relevant: Uint8Array.of(1, 1),
    })
    expect(byLabel.get(0)).toEqual({ boxes: Int32Array.of(0, 0, 9, 9), relevant: Uint8Array.of(1) })
    const [plain] = await collect(train.batches({ batchSize: 6 }))
    expect(plain?.objects).toBeUndefined()
  })

  it('must be of training images, within them', async () => {
    await expect(opened('image,top,left,height,width\ntest/cat/1.png,0,0,1,1')).rejects.toThrow(
      /^image-folder: boxes must be of training images, named as in photos\/train\/(cat|dog)\/\d.png, got none among 1, of which the first is "test\/cat\/1.png"$/,
    )
    const { boxed } = await opened('image,top,left,height,width\ntrain/cat/1.png,16,0,4,4')
    await expect(collect(boxed!.batches({ batchSize: 1 }))).rejects.toThrow(
      'photos/train/cat/1.png: boxes (top, left, height, width) must have a pixel in the image of 16x20, got 16, 0, 4, 4 (object 0)',
    )
    await expect(opened('top,left')).rejects.toThrow('photos/boxes.csv: the first line must be')
  })
})

describe('boxes of megapixel-digits', () => {
  const digits = samplesFolder('digits8')

  it('come with the first images of the training half', async () => {
    const { boxed, train } = await megapixelDigits.regions(digits, { seed: 3, samples: 8, boxedImages: 3 })
    const [some] = await collect(boxed!.batches({ batchSize: 8 }))
    const [all] = await collect(train.batches({ batchSize: 8 }))
    expect(some?.count).toBe(3)
    expect(some?.objects).toEqual(all?.objects?.slice(0, 3))
    expect([...(some?.labels ?? [])]).toEqual([...(all?.labels.slice(0, 3) ?? [])])
    expect(await some?.sources[2]?.view(1)).toEqual(await all?.sources[2]?.view(1))
  })

  it('are not of more images than there are', async () => {
    for (const boxedImages of [9, 0, 1.5]) {
      await expect(megapixelDigits.regions(digits, { seed: 3, samples: 8, boxedImages })).rejects.toThrow(
        `megapixel-digits: boxedImages must be an integer in [1, 8], the training images, got ${boxedImages}`,
      )
    }
  })
})

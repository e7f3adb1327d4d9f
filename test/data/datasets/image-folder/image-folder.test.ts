import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import type { Dataset, DatasetOptions } from '../../../../src/data/datasets/dataset.js'
import { imageFolder } from '../../../../src/data/datasets/image-folder/image-folder.js'
import type { ImageSet } from '../../../../src/data/image-set.js'
import { decodeByte } from '../../byte-decoder.js'
import { memorySource } from '../../memory-source.js'

/** `count` images of a class; the pixels of image i are `first` + i. */
function images(folder: string, count: number, first: number): Record<string, Uint8Array> {
  return Object.fromEntries(
    Array.from({ length: count }, (_, i) => [
      `${folder}/${String(i).padStart(3, '0')}.jpg`,
      Uint8Array.of(first + i),
    ]),
  )
}

const load = (files: Record<string, Uint8Array>, options: Partial<DatasetOptions> = {}): Promise<Dataset> =>
  imageFolder.load(memorySource(files), { seed: 1, decode: decodeByte, imageSize: [2, 3], ...options })

/** What each image shows: the value of its pixels. */
const shown = ({ images: pixels, count }: ImageSet): number[] =>
  Array.from({ length: count }, (_, i) => pixels[i * 18] as number)

const flat = { ...images('dogs', 20, 100), ...images('cats', 10, 50), ...images('Emus', 5, 10) }

describe('image-folder', () => {
  it('takes one folder a class, in the order of their names, and keeps a fifth of each for testing', async () => {
    const { train, test } = await load(flat)
    expect(train.classNames).toEqual(['Emus', 'cats', 'dogs'])
    expect([train.shape, train.count, test.count]).toEqual([[2, 3, 3], 28, 7])
    for (const set of [train, test]) {
      for (const [i, value] of shown(set).entries()) {
        expect(set.labels[i]).toBe(value < 50 ? 0 : value < 100 ? 1 : 2)
      }
    }
    expect([...shown(train), ...shown(test)].sort()).toEqual(
      Object.values(flat)
        .map(([value]) => value)
        .sort(),
    )
    const testPerClass = [0, 1, 2].map(label => test.labels.filter(found => found === label).length)
    expect(testPerClass).toEqual([1, 2, 4])
  })

  it('tests on the same images whatever the seed, and never on those that it trains on', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer(), fc.integer({ min: 1, max: 12 }), async (seed, samples) => {
        const [some, all] = [await load(flat, { seed, samples }), await load(flat, { seed: 1 })]
        expect(shown(some.test)).toEqual(shown(all.test))
        expect(shown(some.train).filter(value => shown(some.test).includes(value))).toEqual([])
        expect(new Set(shown(some.train)).size).toBe(samples)
        // Balanced, and the beginning of what more would be.
        expect([...some.train.labels]).toEqual(Array.from({ length: samples }, (_, i) => i % 3))
        expect(shown((await load(flat, { seed })).train).slice(0, samples)).toEqual(shown(some.train))
      }),
      { numRuns: 20 },
    )
    expect(shown((await load(flat, { seed: 2 })).train)).not.toEqual(shown((await load(flat)).train))
  })

  it.each(['test', 'val', 'validation'])('takes train/ and %s/', async folder => {
    const files = {
      ...images('train/a', 3, 0),
      ...images('train/b', 2, 10),
      ...images(`${folder}/a`, 2, 20),
      ...images(`${folder}/b`, 1, 30),
    }
    const { train, test } = await load(files)
    expect(shown(train).sort()).toEqual([0, 1, 10, 11, 2])
    expect(shown(test).sort()).toEqual([20, 21, 30])
    expect([train.count, test.count]).toEqual([5, 3])
  })

  it('takes all three of train/, val/ and test/, and splits train/ where it is alone', async () => {
    const train = { ...images('train/a', 5, 0), ...images('train/b', 5, 10) }
    const test = { ...images('test/a', 1, 40), ...images('test/b', 1, 41) }
    const val = { ...images('val/a', 1, 50), ...images('val/b', 1, 51) }
    const three = await load({ ...train, ...test, ...val })
    expect(shown(three.test).sort()).toEqual([40, 41])
    expect(three.validation && shown(three.validation).sort()).toEqual([50, 51])
    expect(three.train.count).toBe(10)
    const alone = await load(train)
    expect([alone.train.count, alone.test.count, alone.train.classNames]).toEqual([8, 2, ['a', 'b']])
    expect(alone.validation).toBeUndefined()
    expect(alone.notes).toEqual([
      'train/ looks like the training half.',
      'No test half: 2 images, a fifth of each class, are kept for testing, always the same ones.',
    ])
  })

  it('says what is left out, and what looks alike', async () => {
    const { train, notes } = await load({
      ...images('caf\u00e9', 4, 0),
      ...images('the', 4, 10),
      'the/cre\u0300me.jpg': Uint8Array.of(20),
      'the/cr\u00e8me.jpg': Uint8Array.of(21),
      'the/1.bmp': Uint8Array.of(1),
      'the/2.bmp': Uint8Array.of(1),
      'the/3.HEIC': Uint8Array.of(1),
      'beside.jpg': Uint8Array.of(1),
    })
    expect(train.count).toBe(8)
    expect(notes).toEqual([
      'Left out: 1 image beside the folders of the classes.',
      'No test half: 2 images, a fifth of each class, are kept for testing, always the same ones.',
      'Left out, as their kind is not read: 2 .bmp and 1 .heic files (convert them to PNG or JPEG), one of them mem:the/1.bmp.',
      '1 file has the name of another one, with letters composed in another way; all are read: mem:the/cr\u00e8me.jpg.',
    ])
  })

  it('looks into folders of a class, and past hidden files and those that are no images', async () => {
    const one = Uint8Array.of(1)
    const { train, test } = await load({
      'a/deep/er/x.PNG': one,
      'a/y.jpeg': one,
      'a/.hidden.jpg': one,
      'a/notes.txt': one,
      'a/jpg': one,
      'b/z.webp': one,
      'b/w.tif': one,
      'b/.git/v.jpg': one,
      '.cache/u.jpg': one,
      '__MACOSX/a/t.jpg': one,
      'readme.jpg': one,
    })
    expect([train.classNames, train.count, test.count]).toEqual([['a', 'b'], 2, 2])
  })

  it('names images for people, decodes lazily and as asked', async () => {
    const source = memorySource(flat)
    const catalog = await imageFolder.catalog(source, {
      seed: 1,
      samples: 6,
      imageSize: [4, 5],
      crop: 'center148',
    })
    expect(catalog.decoding).toEqual({ shape: [4, 5, 3], cropSide: 148 })
    expect(catalog.train.name(0)).toMatch(/^mem:Emus\/00\d\.jpg$/)
    const [value] = await catalog.train.encoded(0)
    expect(catalog.train.name(0)).toBe(`mem:Emus/00${(value as number) - 10}.jpg`)
    expect((await imageFolder.catalog(source, { seed: 1 })).decoding).toEqual({ shape: [64, 64, 3] })
  })

  it.each<[string, Record<string, Uint8Array>, string]>([
    [
      'no class',
      { 'x.jpg': Uint8Array.of(1) },
      'mem:: folder must hold a folder for each of 2 or more classes, got none',
    ],
    [
      'one class',
      images('cats', 5, 0),
      'mem:: folder must hold a folder for each of 2 or more classes, got only "cats"',
    ],
    [
      'one class in train/',
      { ...images('train/cats', 5, 0), ...images('test/cats', 5, 0) },
      'mem:train: folder must hold a folder for each of 2 or more classes, got only "cats"',
    ],
    [
      'an empty class',
      { ...flat, 'birds/.keep': new Uint8Array(0), 'birds/readme.txt': new Uint8Array(0) },
      'mem:birds: class must hold an image, got none (2 other files; images end in .jpg, .png, .webp, .gif, .avif or .tif)',
    ],
    [
      'a class of one image',
      { ...flat, ...images('birds', 1, 0) },
      'mem:birds/000.jpg: class "birds" must have 2 images or more, one of them for testing, got 1',
    ],
    [
      'a class that is not tested, and one that is not trained',
      {
        ...images('train/a', 2, 0),
        ...images('train/b', 2, 0),
        ...images('test/a', 1, 0),
        ...images('test/c', 1, 0),
      },
      'mem:test: classes must be those of mem:train, got "c", "b" in one of them only',
    ],
  ])('refuses %s', async (_, files, message) => {
    await expect(load(files)).rejects.toThrow(new Error(message))
  })

  it('names the class that has too few images', async () => {
    await expect(load(flat, { samples: 15 })).rejects.toThrow(
      new RangeError('image-folder: class 0 "Emus" must have 5 images, got 4 (15 images of 3 classes asked)'),
    )
    await expect(load(flat, { testSamples: 8 })).rejects.toThrow(
      new RangeError('image-folder: class 0 "Emus" must have 3 images, got 1 (8 images of 3 classes asked)'),
    )
  })

  it('needs a decoder, and names the image that it cannot decode', async () => {
    const { decode: _, ...without } = { seed: 1, decode: decodeByte }
    await expect(imageFolder.load(memorySource(flat), without)).rejects.toThrow(
      new TypeError('image-folder: decode must be a decoder of image files, got none'),
    )
    const damaged = { ...flat, 'cats/003.jpg': new Uint8Array(0) }
    const reason = 'mem:cats/003.jpg: file must hold an image, got 0 bytes'
    expect((await load(damaged)).unreadable).toEqual([{ name: 'mem:cats/003.jpg', reason }])
    await expect(load(damaged, { maxUnreadable: 0 })).rejects.toThrow(
      'image-folder: unreadable images must be at most 0 (maxUnreadable or --max-unreadable), got 1 of 35:\n' +
        `  ${reason}`,
    )
  })
})

import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { describe, expect, it } from 'vitest'
import { type DataSource, datasetEntry, datasets } from '../../../src/data/datasets/datasets.js'
import type { ImageSet } from '../../../src/data/image-set.js'
import { samplesFolder } from '../../../src/files/data-folder.js'
import { cifar10Files, cifarRecords } from '../cifar-files.js'
import { idxBytes, memorySource } from '../memory-source.js'

const digest = (bytes: Uint8Array | Float32Array): string => createHash('sha256').update(bytes).digest('hex')
/** One text for all that a set holds: comparing megabytes element by element is slow. */
const digestSet = ({ images, labels, trueCell, ...rest }: ImageSet): string =>
  [digest(images), labels.join(), trueCell?.join(), JSON.stringify(rest)].join('|')

/** Pixels of one cell, (height, width, channels). */
function cellPixels(set: ImageSet, image: number, cell: number): Uint8Array {
  const [height, width, channels] = set.shape
  const [rows, columns] = set.cells as readonly [number, number]
  const [cellHeight, rowBytes] = [height / rows, (width / columns) * channels]
  const pixels = new Uint8Array(cellHeight * rowBytes)
  for (let y = 0; y < cellHeight; y++) {
    const row = image * height + Math.floor(cell / columns) * cellHeight + y
    const from = row * width * channels + (cell % columns) * rowBytes
    pixels.set(set.images.subarray(from, from + rowBytes), y * rowBytes)
  }
  return pixels
}

/** What the sample files hold, read without the code under test: class numbers by the pixels of an image. */
function samplesByPixels(
  folder: string,
  half: 'train' | 't10k',
  toCell: (pixels: Uint8Array) => Uint8Array,
): Map<string, number> {
  const file = (name: string): Uint8Array =>
    gunzipSync(readFileSync(new URL(`../../../samples/${folder}/${half}-${name}-ubyte.gz`, import.meta.url)))
  const [images, labels] = [file('images-idx3').subarray(16), file('labels-idx1').subarray(8)]
  const size = images.length / labels.length
  return new Map(
    Array.from(labels, (label, i) => [digest(toCell(images.subarray(i * size, (i + 1) * size))), label]),
  )
}

/** 28x28 grey -> 16x16 RGB, pixel by pixel from the definition. */
function fashionCell(pixels: Uint8Array): Uint8Array {
  const at = (y: number, x: number): number =>
    y < 2 || y >= 30 || x < 2 || x >= 30 ? 0 : (pixels[(y - 2) * 28 + x - 2] as number)
  return Uint8Array.from({ length: 16 * 16 * 3 }, (_, byte) => {
    const [y, x] = [2 * Math.floor(byte / 48), 2 * Math.floor((byte % 48) / 3)]
    return Math.round((at(y, x) + at(y, x + 1) + at(y + 1, x) + at(y + 1, x + 1)) / 4)
  })
}

const composed = [
  { name: 'digits-patches', folder: 'digits8', targets: [0, 1], toCell: (pixels: Uint8Array) => pixels },
  { name: 'fashion-quadrants', folder: 'fashion-mini', targets: [5, 7, 8, 9], toCell: fashionCell },
]

describe.each(composed)('$name', ({ name, folder, targets, toCell }) => {
  const entry = datasetEntry(name)
  const source = samplesFolder(folder)

  it.each(['train', 'test'] as const)('composes %s images of images of that half only', async part => {
    const set = (await entry.load(source, { samples: 200, testSamples: 200, seed: 1 }))[part]
    const half = part === 'train' ? 'train' : 't10k'
    const known = samplesByPixels(folder, half, toCell)
    const [rows, columns] = set.cells as readonly [number, number]
    for (let i = 0; i < set.count; i++) {
      for (let cell = 0; cell < rows * columns; cell++) {
        const shown = known.get(digest(cellPixels(set, i, cell)))
        if (cell === set.trueCell?.[i]) expect(shown).toBe(targets[set.labels[i] as number])
        else expect(targets.concat(-1)).not.toContain(shown ?? -1)
      }
    }
  })

  it('loads as many as asked, and 1,000 of each otherwise', async () => {
    const { train, test } = await entry.load(source, { seed: 1 })
    expect([train.count, test.count, entry.defaultSamples]).toEqual([1000, 1000, 1000])
    const more = await entry.load(source, { seed: 1, samples: 3000, testSamples: 10 })
    expect([more.train.count, more.test.count]).toEqual([3000, 10])
    expect(digest(more.train.images.subarray(0, train.images.length))).toBe(digest(train.images))
    expect(digest(more.test.images)).toBe(digest(test.images.subarray(0, more.test.images.length)))
  })

  it('composes training images by the seed, and the same test images always', async () => {
    const load = (seed: number) => entry.load(source, { seed, samples: 50, testSamples: 50 })
    const [first, again, other] = [await load(1), await load(1), await load(2)]
    expect(digestSet(again.train)).toBe(digestSet(first.train))
    expect(digestSet(other.train)).not.toBe(digestSet(first.train))
    expect(digestSet(other.test)).toBe(digestSet(first.test))
  })
})

describe('digits-patches', () => {
  it('has two classes of 32x32 grey images', async () => {
    const { train } = await datasetEntry('digits-patches').load(samplesFolder('digits8'), {
      seed: 0,
      samples: 2,
    })
    expect([train.shape, train.cells, train.classNames]).toEqual([
      [32, 32, 1],
      [4, 4],
      ['0', '1'],
    ])
  })

  it('takes MNIST itself', async () => {
    const pixels = Array.from({ length: 10 * 784 }, (_, i) => i % 251)
    const half = (name: string) => ({
      [`${name}-images-idx3-ubyte`]: idxBytes(0x803, [10, 28, 28], pixels),
      [`${name}-labels-idx1-ubyte`]: idxBytes(0x801, [10], [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
    })
    const source = memorySource({ ...half('train'), ...half('t10k') })
    const { train } = await datasetEntry('digits-patches').load(source, {
      seed: 0,
      samples: 4,
      testSamples: 1,
    })
    expect(train.shape).toEqual([112, 112, 1])
    const trueCell = train.trueCell?.[1] as number
    expect([...cellPixels(train, 1, trueCell)]).toEqual(pixels.slice(784, 2 * 784))
  })
})

describe('mnist-patches', () => {
  const entry = datasetEntry('mnist-patches')
  /** Images of 2x2 in classes 0 to 11, one each; the pixels of class c are c. */
  const half = (name: string) => ({
    [`${name}-images-idx3-ubyte`]: idxBytes(
      0x803,
      [12, 2, 2],
      Array.from({ length: 48 }, (_, i) => i >> 2),
    ),
    [`${name}-labels-idx1-ubyte`]: idxBytes(
      0x801,
      [12],
      Array.from({ length: 12 }, (_, i) => i),
    ),
  })
  const source = memorySource({ ...half('train'), ...half('t10k') })

  it('composes the cells, targets and distractors that are asked for', async () => {
    const asked = { gridSide: 3, targets: [7, 11, 2], distractors: [4, 9] }
    const { train } = await entry.load(source, { seed: 1, samples: 300, testSamples: 3, ...asked })
    expect([train.shape, train.cells, train.classNames]).toEqual([
      [6, 6, 1],
      [3, 3],
      ['7', '11', '2'],
    ])
    for (let i = 0; i < train.count; i++) {
      for (let cell = 0; cell < 9; cell++) {
        const shown = cellPixels(train, i, cell)[0]
        if (cell === train.trueCell?.[i]) expect(shown).toBe(asked.targets[i % 3])
        else expect([4, 9]).toContain(shown)
      }
    }
  })

  it('takes all other digits for distractors unless told otherwise', async () => {
    const files = memorySource({ ...smallDigits('train'), ...smallDigits('t10k') })
    const { train } = await entry.load(files, { seed: 1, samples: 400, testSamples: 2, targets: [3, 8] })
    const shown = new Set<number>()
    for (let i = 0; i < train.count; i++) {
      for (let cell = 0; cell < 16; cell++) {
        if (cell !== train.trueCell?.[i]) shown.add(cellPixels(train, i, cell)[0] as number)
      }
    }
    expect([...shown].sort()).toEqual([0, 1, 2, 4, 5, 6, 7, 9])
  })

  it('names a class that the files do not have, and one that comes twice', async () => {
    const load = (asked: object) => entry.load(source, { seed: 1, ...asked })
    await expect(load({ targets: [0, 12], distractors: [2] })).rejects.toThrow(
      new RangeError('composeGrid: targets must have images in the pool, got 0 of class 12 "12" (12 images)'),
    )
    await expect(load({ targets: [0, 11, 0], distractors: [2] })).rejects.toThrow(
      new RangeError('composeGrid: targets must differ from each other, got class 0 "0" twice'),
    )
    await expect(load({ targets: [0, 1], distractors: [11, 1] })).rejects.toThrow(
      new RangeError('composeGrid: distractors must differ from the targets, got class 1 as both'),
    )
  })
})

/** Ten digits of 2x2, one each; the pixels of digit d are d. */
function smallDigits(name: string): Record<string, Uint8Array> {
  const digits = Array.from({ length: 10 }, (_, digit) => digit)
  return {
    [`${name}-images-idx3-ubyte`]: idxBytes(
      0x803,
      [10, 2, 2],
      digits.flatMap(digit => [digit, digit, digit, digit]),
    ),
    [`${name}-labels-idx1-ubyte`]: idxBytes(0x801, [10], digits),
  }
}

describe('cifar100', () => {
  // Record i has coarse label i mod 20 and fine label i mod 100.
  const records = (count: number, seed: number) =>
    cifarRecords(
      Array.from({ length: count }, (_, i) => [i % 20, i % 100]),
      seed,
    )
  const files = {
    'cifar-100-binary/train.bin': records(200, 1),
    'cifar-100-binary/test.bin': records(100, 2),
  }
  const source = memorySource(files)

  it('has the fine labels, or the coarse ones, of the same images', async () => {
    const fine = await datasetEntry('cifar100').load(source, { seed: 1 })
    const coarse = await datasetEntry('cifar100-coarse').load(source, { seed: 1 })
    expect([...fine.train.labels.subarray(98, 102)]).toEqual([98, 99, 0, 1])
    expect([...coarse.train.labels.subarray(18, 22)]).toEqual([18, 19, 0, 1])
    expect(digest(fine.test.images)).toBe(digest(coarse.test.images))
    expect([fine.train.classNames[99], coarse.train.classNames[1]]).toEqual(['worm', 'fish'])
    // The planes of the first record, interleaved.
    const pixel = [2, 2 + 1024, 2 + 2048].map(byte => files['cifar-100-binary/train.bin'][byte])
    expect([...fine.train.images.subarray(0, 3)]).toEqual(pixel)
  })

  it('loads balanced parts and names a label that is none', async () => {
    const { train } = await datasetEntry('cifar100').load(source, { seed: 1, samples: 200, testSamples: 100 })
    expect(new Set(train.labels).size).toBe(100)
    await expect(datasetEntry('cifar100-coarse').load(source, { seed: 1, samples: 201 })).rejects.toThrow(
      'subset: class 0 "aquatic mammals" must have 11 images, got 10',
    )
    const wrong = Uint8Array.from(files['cifar-100-binary/test.bin']).fill(20, 3074, 3075)
    const damaged = memorySource({ ...files, 'cifar-100-binary/test.bin': wrong })
    await expect(datasetEntry('cifar100').load(damaged, { seed: 1 })).rejects.toThrow(
      'mem:cifar-100-binary/test.bin: coarse label at byte 3074 must be in [0, 19], got 20 (record 1)',
    )
  })
})

describe('fashion-quadrants', () => {
  it('has four classes of 32x32 RGB images', async () => {
    const entry = datasetEntry('fashion-quadrants')
    const { train } = await entry.load(samplesFolder('fashion-mini'), { seed: 0, samples: 4 })
    expect([train.shape, train.cells]).toEqual([
      [32, 32, 3],
      [2, 2],
    ])
    expect(train.classNames).toEqual(['sandal', 'sneaker', 'bag', 'ankle boot'])
  })

  it('refuses images of another size', async () => {
    const entry = datasetEntry('fashion-quadrants')
    const source = samplesFolder('digits8')
    await expect(entry.load(source, { seed: 0 })).rejects.toThrow(
      new RangeError(
        `fashion-quadrants: images must be 28x28, got 8x8 (train half of ${source.describe('')})`,
      ),
    )
  })
})

describe('cifar10', () => {
  const entry = datasetEntry('cifar10')
  const source = memorySource(cifar10Files(20))

  it('loads what the files hold, in their order', async () => {
    const { train, test } = await entry.load(source, { seed: 0 })
    expect([train.count, test.count]).toEqual([100, 20])
    expect([...test.labels.subarray(0, 11)]).toEqual([0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    expect(train.trueCell).toBeUndefined()
  })

  it('loads balanced parts, chosen by the seed for training and fixed for testing', async () => {
    const load = (seed: number) => entry.load(source, { seed, samples: 20, testSamples: 10 })
    const [first, other] = [await load(1), await load(2)]
    expect([...first.train.labels].sort()).toEqual(
      [0, 1, 2, 3, 4, 5, 6, 7, 8, 9].flatMap(label => [label, label]),
    )
    expect(digestSet(other.train)).not.toBe(digestSet(first.train))
    expect(digestSet(other.test)).toBe(digestSet(first.test))
  })

  it('names the class that has too few images', async () => {
    await expect(entry.load(source, { seed: 0, samples: 101 })).rejects.toThrow(
      new RangeError(
        'subset: class 0 "airplane" must have 11 images, got 10 (101 images of 10 classes asked)',
      ),
    )
  })
})

describe('cifar-vehicles', () => {
  const entry = datasetEntry('cifar-vehicles')
  const files = cifar10Files(20)

  /** The record's image, halved from its definition, and its label. */
  function halved(record: Uint8Array): Uint8Array {
    return Uint8Array.from({ length: 16 * 16 * 3 }, (_, byte) => {
      const [y, x, c] = [2 * Math.floor(byte / 48), 2 * Math.floor((byte % 48) / 3), byte % 3]
      const at = (dy: number, dx: number) => record[1 + c * 1024 + (y + dy) * 32 + x + dx] as number
      return Math.round((at(0, 0) + at(0, 1) + at(1, 0) + at(1, 1)) / 4)
    })
  }

  it('shows every vehicle once, among animals of the same half', async () => {
    const { train, test } = await entry.load(memorySource(files), { seed: 3 })
    expect([train.count, test.count]).toEqual([40, 8])
    const bytes = files['test_batch.bin'] as Uint8Array
    const known = new Map<string, number>()
    for (let start = 0; start < bytes.length; start += 3073) {
      known.set(digest(halved(bytes.subarray(start, start + 3073))), bytes[start] as number)
    }
    const vehicles = new Set<string>()
    for (let i = 0; i < test.count; i++) {
      for (let cell = 0; cell < 4; cell++) {
        const pixels = digest(cellPixels(test, i, cell))
        const shown = known.get(pixels) as number
        if (cell === test.trueCell?.[i]) {
          vehicles.add(pixels)
          expect(shown).toBe([0, 1, 8, 9][test.labels[i] as number])
        } else expect([2, 3, 4, 5, 6, 7]).toContain(shown)
      }
    }
    expect(vehicles.size).toBe(8)
    expect(test.classNames).toEqual(['airplane', 'automobile', 'ship', 'truck'])
  })

  it('composes more than there are vehicles when asked', async () => {
    const { train } = await entry.load(memorySource(files), { seed: 3, samples: 100 })
    expect(train.count).toBe(100)
  })
})

describe('the table', () => {
  it('finds a dataset by its name and lists the names otherwise', () => {
    for (const entry of datasets) expect(datasetEntry(entry.name)).toBe(entry)
    expect(() => datasetEntry('imagenet')).toThrow(
      new RangeError(
        'datasetEntry: name must be one of digits-patches, fashion-mnist, fashion-quadrants, fashion-noise, ' +
          'fashion-rotated, cifar10, cifar-vehicles, cifar10-noise, cifar10-rotated, cifar100, cifar100-coarse, ' +
          'mnist-patches, image-folder, celeba-smiling, celeba-spurious, celeba-multiclass, tfds, ' +
          'megapixel-digits, megapixel-fashion, theory-patches, theory-clusters, got imagenet',
      ),
    )
  })

  it('names a sample folder exactly for the datasets of the samples', () => {
    for (const { source, sampleFolder } of datasets)
      expect(sampleFolder !== undefined).toBe(source === 'samples')
  })

  it.each(datasets.map(entry => entry.name))('%s refuses numbers of images that are none', async name => {
    const untouched: DataSource = memorySource({})
    const load = (options: { samples?: number; testSamples?: number }) =>
      datasetEntry(name).load(untouched, { seed: 0, ...options })
    await expect(load({ samples: 0 })).rejects.toThrow(
      new RangeError(`${name}: samples must be a positive integer, got 0`),
    )
    await expect(load({ testSamples: 2.5 })).rejects.toThrow(
      new RangeError(`${name}: testSamples must be a positive integer, got 2.5`),
    )
  })
})

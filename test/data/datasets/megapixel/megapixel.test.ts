import { readFileSync } from 'node:fs'
import { gunzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import type { DatasetOptions, RegionDataset } from '../../../../src/data/datasets/dataset.js'
import { megapixelDigits, megapixelFashion } from '../../../../src/data/datasets/megapixel/megapixel.js'
import type { RegionBatch, RegionStream } from '../../../../src/data/regions/region-stream.js'
import { samplesFolder } from '../../../../src/files/data-folder.js'
import { collect } from '../../regions/collect.js'

const digits = samplesFolder('digits8')
const open = (options: Partial<DatasetOptions>): Promise<RegionDataset> =>
  megapixelDigits.regions(digits, { seed: 1, samples: 40, testSamples: 40, ...options })
const onlyBatch = async (stream: RegionStream): Promise<RegionBatch> => {
  const [batch] = await collect(stream.batches({ batchSize: stream.count }))
  return batch as RegionBatch
}

/** What a half of the samples holds, read without the code under test: class numbers by the pixels of a digit. */
function digitsByPixels(half: 'train' | 't10k'): Map<string, number> {
  const file = (name: string): Uint8Array =>
    gunzipSync(readFileSync(new URL(`../../../../samples/digits8/${half}-${name}-ubyte.gz`, import.meta.url)))
  const [images, labels] = [file('images-idx3').subarray(16), file('labels-idx1').subarray(8)]
  return new Map(Array.from(labels, (label, i) => [images.subarray(64 * i, 64 * i + 64).join(), label]))
}

/** The digits at the boxes of each image: numbers of their classes, and which of them are relevant. */
async function digitsOf(stream: RegionStream, half: 'train' | 't10k') {
  const known = digitsByPixels(half)
  const batch = await onlyBatch(stream)
  return Promise.all(
    batch.sources.map(async (source, i) => {
      const { boxes = new Int32Array(), relevant = new Uint8Array() } = batch.objects?.[i] ?? {}
      const regions = await source.regions(boxes)
      const shown = Array.from(relevant, (_, item) =>
        known.get(regions.subarray(64 * item, 64 * item + 64).join()),
      )
      return { label: batch.labels[i] as number, shown, relevant: [...relevant], boxes }
    }),
  )
}

describe('megapixel-digits', () => {
  it.each(['train', 'test'] as const)(
    'shows five digits of the %s half, three of them the class',
    async part => {
      const half = part === 'train' ? 'train' : 't10k'
      const dataset = await open({ strokes: 0 })
      expect(dataset[part]).toMatchObject({ count: 40, shape: [128, 128, 1] })
      const images = await digitsOf(dataset[part], half)
      expect(images.map(({ label }) => label)).toEqual(Array.from({ length: 40 }, (_, i) => i % 10))
      for (const { label, shown, relevant } of images) {
        expect(relevant).toEqual([1, 1, 1, 0, 0])
        expect(shown.slice(0, 3)).toEqual([label, label, label])
        for (const other of shown.slice(3)) {
          expect(other).toBeGreaterThanOrEqual(0)
          expect(other).not.toBe(label)
        }
      }
    },
  )

  it('draws items less bright, and strokes as they are', async () => {
    const pixels = async (options: Partial<DatasetOptions>): Promise<Uint8Array | undefined> =>
      (await onlyBatch((await open({ samples: 3, ...options })).train)).sources[1]?.view(1)
    const [plain, dim] = [await pixels({ strokes: 0 }), await pixels({ strokes: 0, itemBrightness: 0.4 })]
    expect(dim).toEqual(plain?.map(value => Math.round(0.4 * value)))
    const stroked = await pixels({ itemBrightness: 0.4 })
    expect(Math.max(...(dim ?? []))).toBeLessThanOrEqual(102)
    expect(Math.max(...(stroked ?? []))).toBeGreaterThanOrEqual(204)
  })

  it('says whether a digit is present among others', async () => {
    const dataset = await open({
      task: 'present',
      background: 'black',
      strokes: 0,
      targets: [3, 7],
      items: 4,
    })
    expect(dataset.train.classNames).toEqual(['absent', 'present'])
    const images = await digitsOf(dataset.train, 'train')
    for (const { label, shown, relevant } of images) {
      expect(relevant).toEqual([label, 0, 0, 0])
      const targets = shown.map(digit => Number(digit === 3 || digit === 7))
      expect(targets).toEqual([label, 0, 0, 0])
    }
    expect(new Set(images.filter(({ label }) => label === 1).map(({ shown }) => shown[0]))).toEqual(
      new Set([3, 7]),
    )
  })

  it('lays items where they do not overlap, also where they hardly fit', async () => {
    for (const imageSize of [
      [128, 128],
      [16, 24],
      [8, 41],
    ] as const) {
      for (const { boxes } of await digitsOf((await open({ imageSize })).train, 'train')) {
        for (let a = 0; a < boxes.length; a += 4) {
          const [top, left] = [boxes[a] as number, boxes[a + 1] as number]
          expect(top >= 0 && top + 8 <= imageSize[0] && left >= 0 && left + 8 <= imageSize[1]).toBe(true)
          for (let b = 0; b < a; b += 4) {
            const apart = [top - (boxes[b] as number), left - (boxes[b + 1] as number)].map(Math.abs)
            expect(Math.max(...apart)).toBeGreaterThanOrEqual(8)
          }
        }
      }
    }
  })

  it('draws strokes under the items, of a brightness of 0.8 at least, and noise up to 51', async () => {
    const pixels = async (options: Partial<DatasetOptions>): Promise<Uint8Array> =>
      (
        (await onlyBatch((await open({ samples: 3, ...options })).train)).sources[1] as {
          view(s: number): Promise<Uint8Array>
        }
      ).view(1)
    const plain = await pixels({ strokes: 0 })
    const stroked = await pixels({ strokes: 20 })
    const noisy = await pixels({ strokes: 20, background: 'noise' })
    expect(stroked.every((value, i) => value >= (plain[i] as number))).toBe(true)
    const strokes = stroked.filter((value, i) => value > (plain[i] as number))
    expect(strokes.length).toBeGreaterThan(20 * 6)
    expect(Math.max(...strokes)).toBeGreaterThanOrEqual(0.8 * 255)
    expect(noisy.every((value, i) => value >= (stroked[i] as number))).toBe(true)
    const noise = noisy.filter((_, i) => stroked[i] === 0)
    expect([Math.min(...noise), Math.max(...noise)]).toEqual([0, 51])
    expect(noise.reduce((sum, value) => sum + value, 0) / noise.length).toBeCloseTo(25.5, 0)
  })

  it('draws an image from seed and number alone, in any order, and again after it was closed', async () => {
    const views = async (options: Partial<DatasetOptions>, half: 'train' | 'test' = 'train') => {
      const { sources } = await onlyBatch((await open(options))[half])
      const all = []
      for (const source of [...sources].reverse()) {
        all.unshift((await source.view(1)).join())
        await source.close?.()
        expect((await source.view(1)).join()).toBe(all[0])
      }
      return all
    }
    const first = await views({ samples: 12 })
    expect(new Set(first).size).toBe(12)
    expect(await views({ samples: 5 })).toEqual(first.slice(0, 5))
    expect(await views({ samples: 12, seed: 2 })).not.toContain(first[0])
    expect(await views({ testSamples: 5, seed: 2 }, 'test')).toEqual(await views({ testSamples: 5 }, 'test'))
  })

  it('loads the same images as whole ones', async () => {
    const options = { seed: 1, samples: 12, testSamples: 4, imageSize: [40, 64] } as const
    const { train, test } = await megapixelDigits.load(digits, options)
    const batch = await onlyBatch((await open(options)).train)
    expect([train.count, train.shape, test.count]).toEqual([12, [40, 64, 1], 4])
    expect(train.labels).toEqual(batch.labels)
    for (const [i, source] of batch.sources.entries()) {
      expect(train.images.subarray(i * 2560, (i + 1) * 2560)).toEqual(await source.view(1))
    }
  })

  it('gives items the side that is asked for', async () => {
    const batch = await onlyBatch((await open({ itemSide: 20 })).train)
    expect([...(batch.objects?.[0]?.boxes ?? [])].filter((_, i) => i % 4 > 1)).toEqual(Array(10).fill(20))
  })

  it.each([
    [{ imageSize: [16, 23] }, 'imageSize must have room for 5 items of 8x8, got 16x23 (room for 4)'],
    [{ itemSide: 0 }, 'itemSide must be a positive integer, got 0'],
    [{ itemBrightness: 0 }, 'itemBrightness must be in (0, 1], got 0'],
    [{ itemBrightness: 1.5 }, 'itemBrightness must be in (0, 1], got 1.5'],
    [{ items: 2.5 }, 'items must be a positive integer, got 2.5'],
    [{ same: 6 }, 'same must be at most the 5 items, got 6'],
    [{ strokes: -1 }, 'strokes must be an integer of at least 0, got -1'],
    [{ targets: [1, 10] }, 'targets must be classes in [0, 9], got 10'],
    [{ task: 'present', distractors: [4, 0] }, 'distractors must not be targets, got class 0 (task present)'],
    [
      { items: 9, same: 3, targets: [0], distractors: [1, 2] },
      'items must be at most 7, so that 3 of a class are the most, got 9 (2 other classes, each up to 2 times)',
    ],
    [
      { items: 2, same: 1 },
      'items must be at most 1, so that 1 of a class are the most, got 2 (9 other classes, each up to 0 times)',
    ],
    [{ samples: 0 }, 'samples must be a positive integer, got 0'],
  ] as const)('refuses %o', async (options, message) => {
    await expect(open(options)).rejects.toThrow(new RangeError(`megapixel-digits: ${message}`))
  })

  it('refuses more whole images than fit in memory, and reads them in parts', async () => {
    const published = { seed: 0, samples: 5000, testSamples: 1000, imageSize: [1500, 1500] } as const
    await expect(megapixelDigits.load(digits, published)).rejects.toThrow(
      new RangeError(
        'megapixel-digits: whole images of a half must be at most 2147483648 bytes, got 11250000000 ' +
          '(5000 of 1500x1500; ask for fewer, or read them in parts)',
      ),
    )
    const { train } = await megapixelDigits.regions(digits, published)
    expect(train).toMatchObject({ count: 5000, shape: [1500, 1500, 1] })
  })
})

describe('megapixel-fashion', () => {
  let dataset: RegionDataset
  beforeAll(async () => {
    const options = { seed: 1, samples: 10, testSamples: 10 }
    dataset = await megapixelFashion.regions(samplesFolder('fashion-mini'), options)
  })

  it('shows clothes of 28x28 on 512x512', async () => {
    expect(dataset.train).toMatchObject({ count: 10, shape: [512, 512, 1] })
    expect(dataset.train.classNames).toContain('ankle boot')
    const batch = await onlyBatch(dataset.train)
    for (const { boxes, relevant } of batch.objects ?? []) {
      expect([...relevant]).toEqual([1, 1, 1, 0, 0])
      expect([boxes[2], boxes[3]]).toEqual([28, 28])
    }
    const view = await batch.sources[0]?.view(4)
    expect(view).toHaveLength(128 * 128)
    // Most of an image is black.
    expect(view?.filter(value => value === 0).length).toBeGreaterThan(0.5 * 128 * 128)
  })
})

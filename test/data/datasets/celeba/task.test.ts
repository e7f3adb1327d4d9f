import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { spuriousTask } from '../../../../src/data/datasets/celeba/spurious.js'
import type { DatasetOptions } from '../../../../src/data/datasets/dataset.js'
import { datasetEntry } from '../../../../src/data/datasets/datasets.js'
import type { CatalogHalf, ImageCatalog } from '../../../../src/data/image-catalog.js'
import { celebaFiles, type FaceTraits, faceRows } from '../../celeba-files.js'
import { memorySource } from '../../memory-source.js'
import { decodeText, greyOf } from '../../text-images.js'

const rows = faceRows(4000)
const source = memorySource(celebaFiles(rows))
const byName = new Map(rows.map(row => [row.image, row]))
const names = ['celeba-smiling', 'celeba-spurious', 'celeba-multiclass'] as const

const open = (name: string, options: Partial<DatasetOptions> = {}, from = source): Promise<ImageCatalog> =>
  datasetEntry(name).catalog?.(from, { seed: 1, ...options }) as Promise<ImageCatalog>

/** What the tables say of each image of a half, in its order. */
function traits(half: CatalogHalf): FaceTraits[] {
  return Array.from({ length: half.count }, (_, i) => {
    return byName.get(half.name(i).replace(/.*\//, '')) as FaceTraits
  })
}

function tally(numbers: Iterable<number>, parts: number): number[] {
  const counts = new Array<number>(parts).fill(0)
  for (const number of numbers) counts[number] = (counts[number] as number) + 1
  return counts
}

const smiles = ({ has }: FaceTraits): boolean => has.includes('Smiling')

/** The class of an image by the names that the tables give it. */
const classOf = {
  'celeba-smiling': (face: FaceTraits) => (smiles(face) ? 1 : 0),
  'celeba-spurious': (face: FaceTraits) => (smiles(face) ? 1 : 0),
  'celeba-multiclass': (face: FaceTraits) =>
    (smiles(face) ? 2 : 0) + (face.has.includes('Eyeglasses') ? 1 : 0),
}

describe.each(names)('%s', name => {
  it('labels images by their attributes, training images from part 0 and test images from part 2', async () => {
    const { train, test, classNames } = await open(name)
    for (const [half, part] of [
      [train, 0],
      [test, 2],
    ] as const) {
      const faces = traits(half)
      expect(new Set(faces.map(face => face.part))).toEqual(new Set([part]))
      expect([...half.labels]).toEqual(faces.map(classOf[name]))
      expect(new Set(faces).size).toBe(half.count)
      const classes = tally(half.labels, classNames.length)
      expect(new Set(classes).size).toBe(1)
    }
    const files = new TextDecoder()
    expect(files.decode(await train.encoded(3))).toBe(traits(train)[3]?.image)
  })

  it('has equal classes, to one image, in every number of training images, the smaller in the larger', async () => {
    const all = traits((await open(name, { seed: 5, samples: 500 })).train)
    const property = fc.asyncProperty(fc.integer({ min: 1, max: 500 }), async samples => {
      const { train, classNames } = await open(name, { seed: 5, samples })
      expect(traits(train)).toEqual(all.slice(0, samples))
      const counts = tally(train.labels, classNames.length)
      expect(Math.max(...counts) - Math.min(...counts)).toBeLessThanOrEqual(1)
    })
    await fc.assert(property, { numRuns: 8 })
  })

  it('chooses training images by the seed, and the same test images always', async () => {
    const [first, other] = [
      await open(name, { samples: 40, testSamples: 40 }),
      await open(name, { samples: 40, testSamples: 40, seed: 2 }),
    ]
    expect(traits(other.train)).not.toEqual(traits(first.train))
    expect(traits(other.test)).toEqual(traits(first.test))
  })

  it('decodes at 64x64, or at the size and crop that are asked for', async () => {
    expect((await open(name, { samples: 4 })).decoding).toEqual({ shape: [64, 64, 3] })
    const { decoding } = await open(name, { samples: 4, imageSize: [48, 32], crop: 'center148' })
    expect(decoding).toEqual({ shape: [48, 32, 3], cropSide: 148 })
  })

  it('loads what its catalog names', async () => {
    const options = { seed: 1, samples: 12, testSamples: 8, imageSize: [4, 2], decode: decodeText } as const
    const catalog = await open(name, options)
    const { train, test, name: loaded } = await datasetEntry(name).load(source, options)
    expect(loaded).toBe(name)
    expect([train.count, test.count, train.shape]).toEqual([12, 8, [4, 2, 3]])
    expect(train.labels).toEqual(catalog.train.labels)
    expect(train.groups).toEqual(catalog.train.groups)
    expect(train.groupNames).toEqual(catalog.groupNames)
    const greys = traits(catalog.train).map(({ image }) => greyOf(image))
    expect([...train.images]).toEqual(greys.flatMap(grey => new Array<number>(24).fill(grey)))
  })

  it('refuses sizes and crops that are none', async () => {
    await expect(open(name, { imageSize: [0, 64] })).rejects.toThrow(
      new RangeError(`${name}: imageSize must be a positive integer or [height, width] of them, got [0,64]`),
    )
    await expect(open(name, { crop: 'toString' as never })).rejects.toThrow(
      new RangeError(`${name}: crop must be one of none, center178, center148, center108, got toString`),
    )
  })
})

describe('celeba-spurious', () => {
  const hairOf = ({ has }: FaceTraits): string =>
    ['Black_Hair', 'Blond_Hair'].filter(hair => has.includes(hair)).join()
  const cellOf = (face: FaceTraits): string => `${smiles(face) ? '' : 'Not_'}Smiling with ${hairOf(face)}`

  it('has 95 % of agreeing hair in each class, to one image, in every number of training images', async () => {
    const { train } = await open('celeba-spurious', { samples: 700 })
    const seen = { Smiling: { all: 0, other: 0 }, Not_Smiling: { all: 0, other: 0 } }
    for (const face of traits(train)) {
      const count = smiles(face) ? seen.Smiling : seen.Not_Smiling
      count.all++
      if (hairOf(face) !== (smiles(face) ? 'Black_Hair' : 'Blond_Hair')) count.other++
      for (const { all, other } of Object.values(seen)) {
        expect(Math.abs(other - 0.05 * all)).toBeLessThanOrEqual(0.5)
      }
      expect(Math.abs(seen.Smiling.all - seen.Not_Smiling.all)).toBeLessThanOrEqual(1)
    }
    expect(tally(train.groups as Int32Array, 4)).toEqual([332, 18, 18, 332])
  })

  it('spreads the other hair evenly however many images there are', () => {
    const counts = [0, 0, 0, 0]
    for (let place = 0; place < 25_000; place++) {
      const cell = spuriousTask.trainTurn(place)
      counts[cell] = (counts[cell] as number) + 1
      const [notAgreeing, notOther, other, agreeing] = counts as [number, number, number, number]
      const [not, smiling] = [notAgreeing + notOther, agreeing + other]
      expect(not - smiling === 0 || not - smiling === 1, `place ${place}`).toBe(true)
      expect(Math.max(Math.abs(notOther - 0.05 * not), Math.abs(other - 0.05 * smiling))).toBeLessThanOrEqual(
        0.5,
      )
    }
    expect(counts).toEqual([11_875, 625, 625, 11_875])
  })

  it('tests on the four cells alike, and names them as groups', async () => {
    const catalog = await open('celeba-spurious')
    const { test, train, groupNames = [] } = catalog
    const counts = tally(test.groups as Int32Array, 4)
    expect(new Set(counts).size).toBe(1)
    const available = groupNames.map(
      cell => rows.filter(face => face.part === 2 && cellOf(face) === cell).length,
    )
    expect(counts[0]).toBe(Math.min(...available))
    for (const half of [train, test]) {
      expect([...(half.groups as Int32Array)].map(group => groupNames[group])).toEqual(
        traits(half).map(cellOf),
      )
    }
    const some = await open('celeba-spurious', { testSamples: 10 })
    expect(tally(some.test.groups as Int32Array, 4)).toEqual([3, 3, 2, 2])
  })

  it('leaves out faces of no colour, or of both', async () => {
    const both = rows.map(row =>
      row.has.includes('Black_Hair') ? { ...row, has: [...row.has, 'Blond_Hair'] } : row,
    )
    const mixed = memorySource(celebaFiles([...rows.slice(0, 3000), ...both.slice(3000)]))
    const { train } = await open('celeba-spurious', {}, mixed)
    const last = Math.max(
      ...traits(train)
        .filter(face => face.has.includes('Black_Hair'))
        .map(({ image }) => Number.parseInt(image, 10)),
    )
    expect(last).toBeLessThanOrEqual(3000)
  })

  it('names the cell that is short of images, how many it has and how many are asked', async () => {
    const few = memorySource(celebaFiles(faceRows(400)))
    const cells = ['Not_Smiling with Blond_Hair', 'Smiling with Black_Hair'].map(name => {
      const found = faceRows(400).filter(face => face.part === 0 && cellOf(face) === name)
      return { name, count: found.length }
    }) as [{ name: string; count: number }, { name: string; count: number }]
    const shorter = cells[0].count <= cells[1].count ? cells[0] : cells[1]
    const message = `celeba-spurious: cell "${shorter.name}" must have 475 training images, got ${shorter.count}`
    await expect(open('celeba-spurious', { samples: 1000 }, few)).rejects.toThrow(message)
    await expect(open('celeba-spurious', { samples: 1000 }, few)).rejects.toThrow(
      /\(1000 images asked, at most \d+ can be had\)$/,
    )
    await expect(open('celeba-spurious', { testSamples: 300 }, few)).rejects.toThrow(
      /^celeba-spurious: cell ".+" must have 75 test images, got \d+ \(300 images asked, at most \d+ can be had\)$/,
    )
    const noBlond = faceRows(400).filter(
      face => face.part !== 2 || cellOf(face) !== 'Smiling with Blond_Hair',
    )
    await expect(open('celeba-spurious', {}, memorySource(celebaFiles(noBlond)))).rejects.toThrow(
      new RangeError('celeba-spurious: cell "Smiling with Blond_Hair" must have test images, got 0'),
    )
  })
})

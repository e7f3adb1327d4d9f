import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { noFiles } from '../../../src/data/data-source.js'
import { datasetEntry } from '../../../src/data/datasets/datasets.js'
import { theoryImages } from '../../../src/data/datasets/theory-patches.js'
import {
  type TheoryOptions,
  theoryDefaults,
  theoryPatterns,
} from '../../../src/data/datasets/theory-patterns.js'
import type { ImageSet } from '../../../src/data/image-set.js'

const inner = (a: ArrayLike<number>, b: ArrayLike<number>) =>
  Array.from(a).reduce((sum, value, i) => sum + value * b[i]!, 0)

/** Patch `cell` of an image, as training sees it: bytes over 255. */
function patchOf(set: ImageSet, image: number, cell: number): number[] {
  const [height, width] = set.shape
  const [rows, columns] = set.cells as readonly [number, number]
  const [h, w] = [height / rows, width / columns]
  return Array.from({ length: h * w }, (_, i) => {
    const y = Math.floor(cell / columns) * h + Math.floor(i / w)
    return set.images[(image * height + y) * width + (cell % columns) * w + (i % w)]! / 255
  })
}

describe('theoryPatterns', () => {
  it('has the separations that are asked for, by hand for orthogonal patterns', () => {
    // deltaD 0, radius 0: o_1 and o_2 are e_1 and e_2, a close set has 0.6 e_1 + 0.8 e_3.
    const found = theoryPatterns({ ...theoryDefaults, deltaD: 0, radius: 0, patchSide: 4, patternSets: 3 })
    const [o1, o2] = found.discriminative as [Float64Array, Float64Array]
    // 16 pixels in five directions: direction 0 has pixels 0, 5, 10 and 15.
    expect([...o1]).toEqual(Array.from({ length: 16 }, (_, i) => (i % 5 === 0 ? 0.5 : 0)))
    expect(inner(o1, o2)).toBe(0)
    const [near1, near2, even] = found.sets.map(({ center }) => center) as [
      Float64Array,
      Float64Array,
      Float64Array,
    ]
    expect([near1, near2, even].map(q => [inner(o1, q), inner(o2, q), inner(q, q)])).toEqual(
      [
        [0.6, 0, 1],
        [0, 0.6, 1],
        // (e_1 + e_2) / 2 has half of the squared norm.
        [0.5, 0.5, 1],
      ].map(row => row.map(value => expect.closeTo(value, 12))),
    )
    expect(found.sets.map(({ closerTo }) => closerTo)).toEqual([0, 1, undefined])
    expect(found).toMatchObject({ closerBy: 0.5, delta: 1 / (1 - 0.36) })
  })

  it('has unit patterns of one mutual inner product for any number of classes', () => {
    const classes = fc.integer({ min: 2, max: 6 })
    const deltaD = fc.double({ min: 0, max: 0.9, noNaN: true })
    fc.assert(
      fc.property(classes, deltaD, (numClasses, separation) => {
        const options = { ...theoryDefaults, numClasses, deltaD: separation, radius: 0, lStar: 1 }
        const { discriminative, sets } = theoryPatterns(options)
        for (const [i, a] of discriminative.entries()) {
          for (const [j, b] of discriminative.entries())
            expect(inner(a, b)).toBeCloseTo(i === j ? 1 : separation, 9)
          for (const { center } of sets) {
            expect(inner(center, center)).toBeCloseTo(1, 9)
            expect(inner(a, center)).toBeLessThanOrEqual(options.deltaR + 1e-9)
          }
        }
      }),
    )
  })

  it.each<[Partial<TheoryOptions>, string]>([
    [{ numClasses: 1 }, 'numClasses must be an integer of at least 2, got 1'],
    [{ lStar: 0 }, 'lStar must be a positive integer, got 0'],
    [{ deltaD: 1 }, 'deltaD must be in [0, 1), got 1'],
    [{ deltaR: 0 }, 'deltaR must be in (0, 1), got 0'],
    [{ radius: 0.6 }, 'radius must be in [0, 0.6) below deltaR, got 0.6'],
    [{ patternSets: 2 }, 'patternSets must be at least 3, got 2 (2 classes, lStar 4)'],
    [{ patchSide: 3 }, 'patchSide must give at least 10 pixels, got 9 (2 classes, 8 pattern sets)'],
    [
      { deltaR: 0.4 },
      'deltaR must make patterns closer to one class by more than 0.400, got 0.316 (deltaD 0.2, deltaR 0.4, radius 0.02)',
    ],
    [
      { deltaD: 0.9, deltaR: 0.95, radius: 0.001 },
      'deltaR must leave unit vectors that close to one class, got 0.95 (deltaD 0.9, deltaR 0.95, radius 0.001)',
    ],
    [
      { radius: 0.4 },
      "radius must keep 0.506 below delta' 0.400, got 0.4 (deltaD 0.2, deltaR 0.6, radius 0.4)",
    ],
  ])('refuses %j', (options, message) => {
    expect(() => theoryPatterns({ ...theoryDefaults, ...options })).toThrow(
      new RangeError(`theory-patches: ${message}`),
    )
  })
})

describe('theoryImages', () => {
  const patterns = theoryPatterns({ ...theoryDefaults, radius: 0.05 })
  const set = theoryImages({ patterns, gridSide: 4, count: 40, seed: 7 })

  it('keeps the geometry in its bytes', () => {
    const [o1, o2] = patterns.discriminative as [Float64Array, Float64Array]
    for (let image = 0; image < set.count; image++) {
      const label = set.labels[image]!
      const own = patchOf(set, image, set.trueCell![image]!)
      expect(inner(own, own)).toBeCloseTo(1, 2)
      expect(inner(own, [o1, o2][label]!)).toBeCloseTo(1, 2)
      expect(inner(own, [o2, o1][label]!)).toBeCloseTo(0.2, 2)
      for (let cell = 0; cell < 16; cell++) {
        if (cell === set.trueCell![image]) continue
        const patch = patchOf(set, image, cell)
        expect(Math.sqrt(inner(patch, patch))).toBeCloseTo(1, 2)
        for (const o of [o1, o2]) expect(inner(patch, o)).toBeLessThan(0.6 + 0.003)
        const nearest = Math.min(
          ...patterns.sets.map(({ center }) => Math.hypot(...patch.map((value, i) => value - center[i]!))),
        )
        // The radius, and what rounding 64 pixels can add.
        expect(nearest).toBeLessThan(0.05 + 8 / 255)
      }
    }
  })

  it('has l* - 1 patches closer to one class in every image, towards either class in either', () => {
    const fewer = fc.integer({ min: 1, max: 9 })
    fc.assert(
      fc.property(fewer, fc.integer({ min: 2, max: 3 }), (lStar, numClasses) => {
        const drawn = theoryPatterns({ ...theoryDefaults, lStar, numClasses })
        const images = theoryImages({ patterns: drawn, gridSide: 3, count: 12, seed: lStar })
        for (let image = 0; image < images.count; image++) {
          const confusing = Array.from({ length: 9 }, (_, cell) => cell).filter(cell => {
            const values = drawn.discriminative.map(o => inner(o, patchOf(images, image, cell)))
            const gap = Math.max(...values) - Math.min(...values)
            return cell !== images.trueCell![image] && gap > drawn.closerBy
          })
          expect(confusing.length).toBe(lStar - 1)
        }
      }),
      { numRuns: 20 },
    )
    const kinds = new Set<string>()
    for (let image = 0; image < set.count; image++)
      for (let cell = 0; cell < 16; cell++) {
        if (cell === set.trueCell![image]) continue
        const [a, b] = patterns.discriminative.map(o => inner(o, patchOf(set, image, cell))) as [
          number,
          number,
        ]
        if (Math.abs(a - b) > patterns.closerBy) kinds.add(`${set.labels[image]} ${a > b}`)
      }
    expect(kinds.size).toBe(4)
  })

  it('draws more images as a continuation of fewer, and others for another seed', () => {
    const [few, again, other] = [
      theoryImages({ patterns, gridSide: 4, count: 10, seed: 7 }),
      theoryImages({ patterns, gridSide: 4, count: 10, seed: 7 }),
      theoryImages({ patterns, gridSide: 4, count: 10, seed: 8 }),
    ]
    expect(few).toEqual(again)
    expect(Buffer.compare(few.images, set.images.subarray(0, few.images.length))).toBe(0)
    expect(Buffer.compare(few.images, other.images)).not.toBe(0)
  })

  it.each([
    [{ gridSide: 1 }, 'gridSide must give at least lStar 4 patches, got 1 a side'],
    [{ count: -1 }, 'count must be an integer of at least 0, got -1'],
  ])('refuses %j', (options, message) => {
    expect(() => theoryImages({ patterns, gridSide: 4, count: 1, seed: 1, ...options })).toThrow(
      new RangeError(`theory-patches: ${message}`),
    )
  })
})

describe('the dataset theory-patches', () => {
  it('takes its geometry from the options', async () => {
    const theory = { patchSide: 5, numClasses: 4 }
    const { train, test } = await datasetEntry('theory-patches').load(noFiles, {
      samples: 8,
      testSamples: 4,
      seed: 1,
      gridSide: 3,
      theory,
    })
    expect([train.shape, train.classNames.length, train.cells]).toEqual([[15, 15, 1], 4, [3, 3]])
    expect([train.count, test.count]).toEqual([8, 4])
    expect(test.images).not.toEqual(train.images.subarray(0, test.images.length))
  })

  it('has no files', async () => {
    await expect(noFiles.read('a')).rejects.toThrow('noFiles: path must not be asked for, got a (images')
    await expect(noFiles.open('b')).rejects.toThrow('got b')
    await expect(noFiles.list('c')).rejects.toThrow('got c')
    expect([await noFiles.exists('a'), noFiles.describe('a')]).toEqual([false, 'a'])
  })
})

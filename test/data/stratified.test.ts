import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { loadRecords, recordsOf, someRecords } from '../../src/data/image-records.js'
import { foldParts, stratifiedParts, validationParts } from '../../src/data/stratified.js'

const classNames = ['cat', 'dog', 'owl']

/** Images whose labels are in no order. */
const labelled = (counts: readonly number[]) => ({
  classNames: classNames.slice(0, counts.length),
  labels: Int32Array.from(
    counts
      .flatMap((count, label) =>
        Array.from({ length: count }, (_, i) => ({ label, at: (i * 7919 + label * 31) % 101 })),
      )
      .sort((a, b) => a.at - b.at)
      .map(({ label }) => label),
  ),
})
const countsOf = (labels: Int32Array, positions: Int32Array) =>
  classNames.map((_, label) => positions.filter(position => labels[position] === label).length)
const all = (count: number) => Array.from({ length: count }, (_, i) => i)
const ascending = (parts: readonly Int32Array[]) => parts.flatMap(part => [...part]).sort((a, b) => a - b)

describe('stratifiedParts', () => {
  it('takes round(share n) of the n images of each class, at least 1', () => {
    const images = labelled([10, 3, 25])
    const { train, validation } = stratifiedParts(images, 0.2, 1)
    expect(countsOf(images.labels, validation)).toEqual([2, 1, 5])
    expect(countsOf(images.labels, train)).toEqual([8, 2, 20])
    expect(countsOf(images.labels, stratifiedParts(images, 0.01, 1).validation)).toEqual([1, 1, 1])
  })

  it('keeps the shares of classes, in two parts that are all of the images; the seed alone decides', () => {
    const counts = fc.array(fc.integer({ min: 2, max: 60 }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(counts, fc.integer({ min: 1, max: 50 }), fc.nat(1000), (sizes, percent, seed) => {
        const images = labelled(sizes)
        const parts = stratifiedParts(images, percent / 100, seed)
        expect(ascending([parts.train, parts.validation])).toEqual(all(images.labels.length))
        expect(parts.train).toEqual(Int32Array.from(parts.train).sort())
        for (const [label, count] of countsOf(images.labels, parts.validation).entries()) {
          if (label >= sizes.length) continue
          expect(Math.abs(count - (percent / 100) * (sizes[label] as number))).toBeLessThanOrEqual(1)
          expect(count).toBeGreaterThan(0)
        }
        expect(stratifiedParts(images, percent / 100, seed)).toEqual(parts)
      }),
      { numRuns: 50 },
    )
    const images = labelled([40, 40])
    expect(stratifiedParts(images, 0.5, 1)).not.toEqual(stratifiedParts(images, 0.5, 2))
  })

  it('refuses shares that leave a class without images in a part, and shares that are none', () => {
    const message = (counts: number[], share: number) => () => stratifiedParts(labelled(counts), share, 1)
    expect(message([9, 1], 0.2)).toThrow(
      'stratifiedParts: class "dog" must have an image for training and one for validation, got 1 (1 for a share of 0.2)',
    )
    expect(message([0, 5], 0.2)).toThrow(
      'class "cat" must have an image for training and one for validation, got 0',
    )
    expect(message([4, 9], 0.9)).toThrow(
      'class "cat" must have an image for training and one for validation, got 4 (4 for',
    )
    for (const share of [0, 1, -0.1, Number.NaN]) {
      expect(message([9], share)).toThrow(`stratifiedParts: share must be in (0, 1), got ${share}`)
    }
  })
})

describe('foldParts', () => {
  it('deals each class to folds that are disjoint, and together all of the images', () => {
    const counts = fc.array(fc.integer({ min: 5, max: 40 }), { minLength: 1, maxLength: 3 })
    fc.assert(
      fc.property(counts, fc.integer({ min: 2, max: 5 }), fc.nat(1000), (sizes, folds, seed) => {
        const images = labelled(sizes)
        const parts = all(folds).map(i => foldParts(images, { fold: i + 1, folds }, seed))
        expect(ascending(parts.map(({ validation }) => validation))).toEqual(all(images.labels.length))
        for (const { train, validation } of parts) {
          expect(ascending([train, validation])).toEqual(all(images.labels.length))
          expect(Math.abs(validation.length - images.labels.length / folds)).toBeLessThan(1)
          for (const [label, count] of countsOf(images.labels, validation).entries()) {
            expect(Math.abs(count - (sizes[label] ?? 0) / folds)).toBeLessThan(1)
          }
        }
      }),
      { numRuns: 50 },
    )
  })

  it('refuses more folds than a class has images, and numbers that are none of folds', () => {
    const images = labelled([6, 4])
    expect(() => foldParts(images, { fold: 1, folds: 5 }, 1)).toThrow(
      'foldParts: class "dog" must have at least as many images as folds, 5, got 4',
    )
    expect(() => foldParts(images, { fold: 1, folds: 1 }, 1)).toThrow(
      'foldParts: folds must be an integer of at least 2, got 1',
    )
    expect(() => foldParts(images, { fold: 4, folds: 3 }, 1)).toThrow(
      'foldParts: fold must be an integer in [1, 3], got 4',
    )
  })
})

it('validationParts takes a share, or a fold as it is written', () => {
  const images = labelled([10, 10])
  expect(validationParts(images, { part: 0.3, seed: 4 })).toEqual(stratifiedParts(images, 0.3, 4))
  expect(validationParts(images, { part: '2/3', seed: 4 })).toEqual(
    foldParts(images, { fold: 2, folds: 3 }, 4),
  )
})

it('some of the images of a set come with all that is known of them', async () => {
  const set = {
    images: Uint8Array.of(10, 11, 12, 13),
    labels: Int32Array.of(0, 1, 1, 0),
    groups: Int32Array.of(3, 2, 1, 0),
    names: ['a', 'b', 'c', 'd'],
    trueCell: Int32Array.of(5, 6, 7, 8),
    objectBox: Int32Array.from({ length: 16 }, (_, i) => i),
    count: 4,
    shape: [1, 1, 1] as const,
    classNames: ['cat', 'dog'],
  }
  const some = someRecords(recordsOf(set), Int32Array.of(3, 1))
  expect(await loadRecords(some)).toEqual({
    ...set,
    images: Uint8Array.of(13, 11),
    labels: Int32Array.of(0, 1),
    groups: Int32Array.of(0, 2),
    names: ['d', 'b'],
    trueCell: Int32Array.of(8, 6),
    objectBox: Int32Array.of(12, 13, 14, 15, 4, 5, 6, 7),
    count: 2,
  })
})

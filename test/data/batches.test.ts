import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { batches, epochOrder, subset } from '../../src/data/batches.js'
import type { ImageSet } from '../../src/data/image-set.js'

/** 12 images of 1x2x1: image i is [i, 100 + i]; class 0 has 6, class 1 has 4, class 2 has 2. */
const set: ImageSet = {
  images: Uint8Array.from({ length: 24 }, (_, byte) => (byte >> 1) + 100 * (byte % 2)),
  labels: Int32Array.of(0, 1, 0, 2, 0, 1, 0, 1, 0, 2, 0, 1),
  count: 12,
  shape: [1, 2, 1],
  classNames: ['x', 'y', 'z'],
  cells: [3, 4],
  trueCell: Int32Array.from({ length: 12 }, (_, i) => i),
}

describe('epochOrder', () => {
  it('is a permutation that seed and epoch determine', () => {
    fc.assert(
      fc.property(fc.nat(200), fc.integer(), fc.nat(1000), (count, seed, epoch) => {
        const order = epochOrder(count, seed, epoch)
        expect([...order].sort((a, b) => a - b)).toEqual(Array.from({ length: count }, (_, i) => i))
        expect(epochOrder(count, seed, epoch)).toEqual(order)
      }),
    )
  })

  it('differs between epochs and seeds', () => {
    const orders = [epochOrder(50, 1, 0), epochOrder(50, 1, 1), epochOrder(50, 2, 0)].map(order =>
      order.join(),
    )
    expect(new Set(orders).size).toBe(3)
  })
})

describe('batches', () => {
  it('visits the order and keeps the last, smaller batch', () => {
    const order = Int32Array.of(11, 0, 5, 3, 7)
    expect([...batches(set, { batchSize: 2, order })]).toEqual([
      { images: Uint8Array.of(11, 111, 0, 100), labels: Int32Array.of(1, 0), count: 2 },
      { images: Uint8Array.of(5, 105, 3, 103), labels: Int32Array.of(1, 2), count: 2 },
      { images: Uint8Array.of(7, 107), labels: Int32Array.of(1), count: 1 },
    ])
  })

  it('goes on where a resumed epoch stopped', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: 13 }), fc.integer(), fc.nat(12), (batchSize, seed, done) => {
        const order = epochOrder(12, seed, 3)
        const whole = [...batches(set, { batchSize, order })]
        const skipped = Math.min(done, whole.length)
        const start = Math.min(skipped * batchSize, 12)
        expect([...batches(set, { batchSize, order, start })]).toEqual(whole.slice(skipped))
      }),
    )
  })

  it('gives every batch memory of its own', () => {
    const [first] = batches(set, { batchSize: 2, order: Int32Array.of(0, 1) })
    first?.images.fill(255)
    expect(set.images[0]).toBe(0)
  })

  it('refuses options out of range before the first batch', () => {
    const order = Int32Array.of(0, 12)
    expect(() => batches(set, { batchSize: 0, order })).toThrow(
      new RangeError('batches: batchSize must be a positive integer, got 0'),
    )
    expect(() => batches(set, { batchSize: 2, order, start: 3 })).toThrow(
      new RangeError('batches: start must be an integer in [0, 2], got 3'),
    )
    expect(() => batches(set, { batchSize: 2, order })).toThrow(
      new RangeError('batches: order must hold positions in [0, 11], got 12 (at place 1)'),
    )
  })
})

describe('subset', () => {
  it('takes the same number of each class, whole images with their labels and cells', () => {
    const part = subset(set, 6, 1)
    expect([...part.labels]).toEqual([0, 1, 2, 0, 1, 2])
    expect(new Set(part.trueCell).size).toBe(6)
    part.trueCell?.forEach((original, i) => {
      expect(set.labels[original]).toBe(part.labels[i])
      expect([...part.images.subarray(2 * i, 2 * i + 2)]).toEqual([original, 100 + original])
    })
    expect(part.cells).toEqual([3, 4])
    const names = Array.from(set.labels, (_, i) => `image ${i}`)
    const cells = Array.from(part.trueCell!)
    expect(subset({ ...set, names }, 6, 1).names).toEqual(cells.map(original => `image ${original}`))
  })

  it('is nested: a smaller subset is the beginning of a larger one', () => {
    fc.assert(
      fc.property(
        fc.integer(),
        fc.integer({ min: 1, max: 7 }),
        fc.integer({ min: 1, max: 7 }),
        (seed, a, b) => {
          const [smaller, larger] = [subset(set, Math.min(a, b), seed), subset(set, Math.max(a, b), seed)]
          expect(larger.trueCell?.subarray(0, smaller.count)).toEqual(smaller.trueCell)
        },
      ),
    )
  })

  it('chooses by the seed', () => {
    const chosen = Array.from({ length: 20 }, (_, seed) => subset(set, 1, seed).trueCell?.[0])
    expect(new Set(chosen).size).toBeGreaterThan(3)
  })

  it('names the class that has too few images', () => {
    // Of 9, each class has to give 3; of 8, the third class gives 2.
    expect(() => subset(set, 9)).toThrow(
      new RangeError('subset: class 2 "z" must have 3 images, got 2 (9 images of 3 classes asked)'),
    )
    expect(subset(set, 8).count).toBe(8)
    expect(() => subset(set, 0)).toThrow(new RangeError('subset: count must be a positive integer, got 0'))
  })
})

import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { dispatchMetrics } from '../../../src/train/routing/dispatch-metrics.js'
import { routingMetrics } from '../../../src/train/routing/routing-metrics.js'
import type { RoutingRecord } from '../../../src/train/routing/routing-record.js'

// Three images of 2x2 patches, two experts that keep two patches each.
const record: RoutingRecord = {
  grid: [2, 2],
  numExperts: 2,
  patchesPerExpert: 2,
  count: 3,
  // Image 0: expert 0 keeps 0, 1, expert 1 keeps 2, 0; and so on.
  indices: Int32Array.of(0, 1, 2, 0, /**/ 1, 3, 3, 2, /**/ 1, 3, 0, 1),
  gates: Float32Array.of(0.75, 0.25, 0.5, 0.5, /**/ 0.625, 0.375, 0.875, 0.125, /**/ 0.5, 0.5, 0.75, 0.25),
}
const labels = { labels: Int32Array.of(0, 1, 0), numClasses: 2 }
// The true patches: 0 is kept by both, 3 by both, 2 by none.
const truth = { ...labels, cells: [2, 2], trueCell: Int32Array.of(0, 3, 2) } as const
const third = expect.closeTo(2 / 3, 12)

describe('routingMetrics, worked by hand', () => {
  it('counts the patches that none, one and several experts keep', () => {
    // Image 0: patch 0 twice, 1 and 2 once, 3 never. Image 1: 3 twice, 1 and 2 once. Image 2: 1 twice, 0 and 3 once.
    expect(routingMetrics(record, labels).coverage).toEqual({ none: 3 / 12, one: 6 / 12, several: 3 / 12 })
  })

  it('describes the gates of each expert', () => {
    const [first] = routingMetrics(record, labels).gates
    // 0.75 0.25 0.625 0.375 0.5 0.5: mean 0.5, squares 2 (1/16 + 1/64) over 6; largest of each image 0.75 0.625 0.5.
    expect(first).toEqual({
      mean: 0.5,
      standardDeviation: expect.closeTo(Math.sqrt((2 * (1 / 16 + 1 / 64)) / 6), 12),
      least: 0.25,
      largest: 0.75,
      largestShare: expect.closeTo((0.75 + 0.625 + 0.5) / 3, 12),
    })
  })

  it('finds the recall of the true patch, for any expert, each one, and the one of the class', () => {
    const found = routingMetrics(record, truth).truth
    expect(found?.recall).toEqual([third, third])
    expect(found?.recallByExpert).toEqual([
      // Expert 0: of class 0 image 0 at once and image 2 never; of class 1 image 1 second.
      [
        [0.5, 0.5],
        [0, 1],
      ],
      [
        [0, 0.5],
        [1, 1],
      ],
    ])
    expect(found?.ownRecall).toEqual([third, third])
  })

  it('finds the expert that dispatches a class with the largest gate', () => {
    expect(routingMetrics(record, truth).truth?.largestGate).toEqual([
      { expert: 0, share: 0.5 },
      { expert: 1, share: 1 },
    ])
  })

  it('sends a true patch to the expert that gives it the largest gate', () => {
    const found = routingMetrics(record, truth).truth
    // Image 0: 0.75 by expert 0 against 0.5; image 1: 0.875 by expert 1 against 0.375; image 2 to none.
    expect(found?.dispatch.counts).toEqual([
      [1, 0],
      [0, 1],
    ])
    expect(found?.dispatch).toMatchObject({ sent: 2, entropy: 0, mutualInformation: Math.LN2 })
    expect(found?.deadExperts).toEqual([])
  })

  it('lets the rank decide between equal gates, then the lower number', () => {
    const uniform = { ...record, gates: new Float32Array(12).fill(1) }
    // Image 0: first at expert 0, second at expert 1. Image 1: second at 0, first at 1.
    expect(routingMetrics(uniform, truth).truth?.dispatch.counts).toEqual([
      [1, 0],
      [0, 1],
    ])
    const alike = { ...uniform, indices: Int32Array.of(0, 1, 0, 1, 3, 1, 3, 1, 2, 1, 2, 1) }
    const found = routingMetrics(alike, truth).truth
    expect(found?.dispatch.counts).toEqual([
      [2, 0],
      [1, 0],
    ])
    expect(found?.deadExperts).toEqual([1])
  })

  it('names experts that look at places, not at content', () => {
    const indices = Int32Array.of(0, 1, 2, 0, 1, 0, 3, 2, 0, 1, 0, 1)
    expect(routingMetrics({ ...record, indices }, labels).fixedExperts).toEqual([0])
    const one = { ...record, count: 1, indices: indices.slice(0, 4), gates: record.gates.slice(0, 4) }
    expect(routingMetrics(one, { labels: Int32Array.of(0), numClasses: 2 }).fixedExperts).toEqual([])
  })

  it('takes the patches that an object lies in for true ones', () => {
    // 8x8 images, patches of 4x4; the object of image 0 covers patch 0, that of image 1 patch 3, that of image 2 half
    // of patch 2, so that the true patches are those above.
    const objectBox = Int32Array.of(0, 0, 5, 5, /**/ 4, 4, 4, 4, /**/ 3, 0, 3, 4)
    const boxed = { ...labels, objectBox, imageSize: [8, 8] } as const
    expect(routingMetrics(record, boxed)).toEqual(routingMetrics(record, truth))
    // Boxes count where images have cells as well: now image 2 shows its class in patches 0 and 1, which both keep.
    objectBox.set([0, 2, 4, 4], 8)
    const found = routingMetrics(record, { ...truth, ...boxed }).truth
    expect(found?.recall).toEqual([1, 1])
    // Expert 1 gives patch 0 the gate 0.75, expert 0 patch 1 the gate 0.5.
    expect(found?.dispatch.counts).toEqual([
      [1, 1],
      [0, 1],
    ])
  })

  it('has no own expert where experts are not as many as classes, and says so of a class without images', () => {
    const found = routingMetrics(record, { ...truth, numClasses: 3 }).truth
    expect(found).not.toHaveProperty('ownRecall')
    expect(found?.recallByExpert[0]?.[2]).toEqual([Number.NaN, Number.NaN])
    expect(routingMetrics(record, labels)).not.toHaveProperty('truth')
  })

  it.each([
    [{ ...labels, labels: Int32Array.of(0) }, 'labels must be one for each of 3 images, got 1'],
    [{ ...truth, trueCell: Int32Array.of(0, 4, 0) }, 'trueCell must be in [0, 3], got 4 (image 1)'],
    [{ ...labels, numClasses: 1 }, 'labels must be in [0, 0], got 1 (image 1)'],
    [{ ...labels, objectBox: new Int32Array(12) }, 'imageSize must be given with objectBox, got none'],
    [
      { ...labels, objectBox: new Int32Array(8), imageSize: [8, 8] as const },
      'objectBox must be 4 numbers for each of 3 images, got 8',
    ],
    [
      {
        ...labels,
        objectBox: Int32Array.of(0, 0, 8, 9, 0, 0, 9, 1, 0, 0, 1, 1),
        imageSize: [8, 9] as const,
      },
      'objectBox (top, left, height, width) must lie within 8x9 pixels, got 0, 0, 9, 1 (image 1)',
    ],
  ])('refuses labels that do not belong', (wrong, message) => {
    expect(() => routingMetrics(record, wrong)).toThrow(new RangeError(`routingMetrics: ${message}`))
  })

  it('refuses an empty record', () => {
    const empty = { ...record, count: 0, indices: new Int32Array(), gates: new Float32Array() }
    expect(() => routingMetrics(empty, { labels: new Int32Array(), numClasses: 2 })).toThrow(
      'routingMetrics: record must hold at least 1 image, got 0',
    )
  })
})

describe('dispatchMetrics', () => {
  it('is the entropy of the classes within the experts, by hand', () => {
    const { entropy, mutualInformation, classShares, sent } = dispatchMetrics([
      [3, 1, 0],
      [1, 3, 0],
    ])
    // Either expert has classes 3 : 1: -0.75 ln 0.75 - 0.25 ln 0.25.
    expect(entropy).toBeCloseTo(0.75 * Math.log(4 / 3) + 0.25 * Math.log(4), 12)
    expect(mutualInformation).toBeCloseTo(Math.LN2 - entropy, 12)
    expect([sent, classShares]).toEqual([
      8,
      [
        [0.75, 0.25],
        [0.25, 0.75],
        [Number.NaN, Number.NaN],
      ],
    ])
  })

  it('is 0 where every expert has a class of its own, ln 4 where four classes are mixed evenly', () => {
    const even = Array.from({ length: 4 }, () => [5, 5, 5])
    expect(dispatchMetrics(even).entropy).toBeCloseTo(Math.log(4), 12)
    expect(dispatchMetrics(even).mutualInformation).toBeCloseTo(0, 12)
    const own = Array.from({ length: 4 }, (_, label) =>
      [0, 1, 2, 3].map(expert => (label === expert ? 7 : 0)),
    )
    expect(dispatchMetrics(own).entropy).toBe(0)
    expect(dispatchMetrics(own).mutualInformation).toBeCloseTo(Math.log(4), 12)
  })

  it('never has an information below 0 or above either entropy', () => {
    const count = fc.integer({ min: 0, max: 20 })
    const row = fc.tuple(count, count, count)
    fc.assert(
      fc.property(fc.tuple(row, row), counts => {
        const { mutualInformation, sent } = dispatchMetrics(counts)
        if (sent === 0) return expect(mutualInformation).toBeNaN()
        expect(mutualInformation).toBeGreaterThanOrEqual(0)
        expect(mutualInformation).toBeLessThanOrEqual(Math.LN2 + 1e-12)
      }),
    )
  })

  it.each([
    [[[1, -1]], 'counts must be integers of at least 0, got -1 (class 0)'],
    [[[1, 1], [1]], 'counts must be of 2 experts for each class, got 1 (class 1)'],
    [[], 'counts must be of at least 1 class and expert, got 0 and 0'],
  ])('refuses %j', (counts, message) => {
    expect(() => dispatchMetrics(counts)).toThrow(new RangeError(`dispatchMetrics: ${message}`))
  })
})

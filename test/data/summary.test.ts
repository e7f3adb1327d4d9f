import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Countable, imbalance, showcase, summarize } from '../../src/data/summary.js'

const labelled = (labels: number[], classNames = ['a', 'b', 'c']): Countable => ({
  count: labels.length,
  labels: Int32Array.from(labels),
  shape: [1, 1, 1],
  classNames,
})

describe('summarize', () => {
  it('counts classes, groups and cells, also those without images', () => {
    const images: Countable = {
      ...labelled([0, 2, 2, 0]),
      groups: Int32Array.of(1, 1, 0, 1),
      groupNames: ['x', 'y'],
      cells: [1, 3],
      trueCell: Int32Array.of(2, 2, 0, 2),
    }
    expect(summarize(images)).toEqual({
      count: 4,
      classCounts: [2, 0, 2],
      groupCounts: [1, 3],
      cellCounts: [1, 0, 3],
    })
    expect(summarize(labelled([1]))).toEqual({ count: 1, classCounts: [0, 1, 0] })
  })
})

describe('imbalance', () => {
  it('is the largest count over the smallest', () => {
    expect(imbalance([30, 20, 40])).toBe(2)
    expect(imbalance([5, 5])).toBe(1)
    expect(imbalance([5, 0])).toBe(Number.POSITIVE_INFINITY)
  })
})

describe('showcase', () => {
  it('takes the first images of each class, class by class', () => {
    expect([...showcase(labelled([1, 0, 1, 0, 1, 2]), 6)]).toEqual([1, 3, 0, 2, 5])
  })

  it('goes by groups where there are any', () => {
    const images = { ...labelled([0, 0, 1, 1]), groups: Int32Array.of(1, 0, 1, 0), groupNames: ['x', 'y'] }
    expect([...showcase(images, 2)]).toEqual([1, 0])
  })

  it('shows one image each of the first classes where there are more than places', () => {
    expect([...showcase(labelled([2, 1, 0, 1]), 2)]).toEqual([2, 1])
  })

  it('never shows an image twice, nor more than asked', () => {
    const labels = fc.array(fc.integer({ min: 0, max: 2 }), { minLength: 1 })
    fc.assert(
      fc.property(labels, fc.integer({ min: 1, max: 50 }), (labels, most) => {
        const shown = [...showcase(labelled(labels), most)]
        expect(new Set(shown).size).toBe(shown.length)
        expect(shown.length).toBeLessThanOrEqual(Math.max(most, 1))
        const each = Math.max(1, Math.floor(most / 3))
        for (const label of [0, 1, 2].slice(0, most)) {
          const there = labels.filter(found => found === label).length
          expect(shown.filter(position => labels[position] === label)).toHaveLength(Math.min(each, there))
        }
      }),
    )
  })
})

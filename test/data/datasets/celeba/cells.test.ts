import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type CellSelection, selectCells } from '../../../../src/data/datasets/celeba/cells.js'

/** Three cells of 5, 2 and 9 rows that take turns. */
const selection: CellSelection = {
  dataset: 'faces',
  half: 'training',
  cells: [
    { name: 'a', rows: Int32Array.of(1, 2, 3, 4, 5) },
    { name: 'b', rows: Int32Array.of(11, 12) },
    { name: 'c', rows: Int32Array.from({ length: 9 }, (_, i) => 21 + i) },
  ],
  turn: place => place % 3,
  most: 100,
  round: 3,
  seed: 1,
}

describe('selectCells', () => {
  it('takes whole rounds of all that there are, or of the most, by default', () => {
    expect([...selectCells(selection).cells]).toEqual([0, 1, 2, 0, 1, 2])
    expect([...selectCells({ ...selection, most: 5 }).cells]).toEqual([0, 1, 2])
  })

  it('takes every row from its cell, none twice, and smaller selections from the start of larger ones', () => {
    const property = fc.property(fc.integer({ min: 1, max: 7 }), fc.nat(), (count, seed) => {
      const { rows, cells } = selectCells({ ...selection, count, seed })
      const all = selectCells({ ...selection, count: 7, seed })
      expect(rows).toEqual(all.rows.slice(0, count))
      expect(new Set(rows).size).toBe(count)
      rows.forEach((row, place) => {
        expect(cells[place]).toBe(place % 3)
        expect(selection.cells[place % 3]?.rows).toContain(row)
      })
    })
    fc.assert(property)
  })

  it('orders cells by the seed', () => {
    const first = (seed: number) => selectCells({ ...selection, seed, count: 7 }).rows.join()
    expect(first(1)).toBe(first(1))
    expect(new Set([1, 2, 3, 4, 5].map(first)).size).toBeGreaterThan(1)
  })

  it('names the cell that has too few rows', () => {
    expect(() => selectCells({ ...selection, count: 8 })).toThrow(
      new RangeError(
        'faces: cell "b" must have 3 training images, got 2 (8 images asked, at most 7 can be had)',
      ),
    )
    const empty = { ...selection, half: 'test' as const, cells: [{ name: 'a', rows: new Int32Array(0) }] }
    expect(() => selectCells(empty)).toThrow(new RangeError('faces: cell "a" must have test images, got 0'))
  })
})

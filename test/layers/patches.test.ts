import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { patchGrid, windowTable } from '../../src/layers/moe/patches.js'

describe('patchGrid', () => {
  it('counts cells row by row', () => {
    expect(patchGrid([4, 9], [2, 3], 'T')).toEqual({ map: [4, 9], patch: [2, 3], cells: [2, 3], count: 6 })
    expect(patchGrid([4, 9], [4, 9], 'T').count).toBe(1)
  })

  it.each([
    [[4, 9], [3, 3], 'T: patchSize must divide the map, got 3x3 (map 4x9)'],
    [[4, 9], [2, 2], 'T: patchSize must divide the map, got 2x2 (map 4x9)'],
    [[4, 9], [8, 9], 'T: patchSize must divide the map, got 8x9 (map 4x9)'],
    [
      [null, 9],
      [1, 1],
      "T: the map's size must be a positive integer or [height, width] of them, got [null,9]",
    ],
    [[0, 9], [1, 1], "T: the map's size must be a positive integer or [height, width] of them, got [0,9]"],
    [[4], [1, 1], "T: the map's size must be a positive integer or [height, width] of them, got [4]"],
  ] as const)('refuses a map %j in patches %j', (map, patch, message) => {
    expect(() => patchGrid(map, patch, 'T')).toThrow(new RangeError(message))
  })
})

describe('windowTable', () => {
  // A 4x4 map:   0  1 |  2  3
  //              4  5 |  6  7
  //             ------+------
  //              8  9 | 10 11
  //             12 13 | 14 15
  const grid = patchGrid([4, 4], [2, 2], 'T')

  it('views whole patches as rows of pixels as wide as a patch', () => {
    // Rows of two pixels: pixel 2r and 2r + 1 are row r, so patch 0 (pixels 0 1, 4 5) is rows 0 and 2.
    const table = windowTable(grid, [0, 0])
    expect(table).toMatchObject({ window: [2, 2], unit: 2, rowsPerImage: 8, rowsPerWindow: 2 })
    expect(Array.from(table.rows)).toEqual([0, 2, 1, 3, 4, 6, 5, 7])
    expect(table.inside).toBeUndefined()
  })

  it('views them pixel by pixel when asked', () => {
    const table = windowTable(grid, [0, 0], 1)
    expect(table).toMatchObject({ window: [2, 2], unit: 1, rowsPerImage: 16, rowsPerWindow: 4 })
    expect(Array.from(table.rows)).toEqual([0, 1, 4, 5, 2, 3, 6, 7, 8, 9, 12, 13, 10, 11, 14, 15])
  })

  it('lets windows reach into their neighbours and marks what lies outside the map', () => {
    const table = windowTable(grid, [1, 1])
    expect(table).toMatchObject({ window: [4, 4], unit: 1, rowsPerImage: 16, rowsPerWindow: 16 })
    // Patch 1 (pixels 2 3, 6 7) is seen with the row above (outside), the column right of it (outside), the column of
    // 1 5 9 at its left and the row of 9 10 11 below.
    const inside = [0, 0, 0, 0, 1, 1, 1, 0, 1, 1, 1, 0, 1, 1, 1, 0]
    expect(Array.from((table.inside as Float32Array).slice(16, 32))).toEqual(inside)
    const rows = [0, 0, 0, 0, 1, 2, 3, 0, 5, 6, 7, 0, 9, 10, 11, 0]
    expect(Array.from(table.rows.slice(16, 32))).toEqual(rows)
  })

  it('reaches in one direction only', () => {
    // One row of 4 pixels in two patches of 1x2; each sees one pixel left and right of it.
    const table = windowTable(patchGrid([1, 4], [1, 2], 'T'), [0, 1])
    expect(table.window).toEqual([1, 4])
    expect(Array.from(table.rows)).toEqual([0, 0, 1, 2, 1, 2, 3, 0])
    expect(Array.from(table.inside as Float32Array)).toEqual([0, 1, 1, 1, 1, 1, 1, 0])
  })

  const sizes = fc.integer({ min: 1, max: 4 })
  const reaches = fc.integer({ min: 0, max: 5 })

  it('of whole patches has every row of the map once', () => {
    fc.assert(
      fc.property(sizes, sizes, sizes, sizes, fc.boolean(), (rows, columns, h, w, single) => {
        const table = windowTable(
          patchGrid([rows * h, columns * w], [h, w], 'T'),
          [0, 0],
          single ? 1 : undefined,
        )
        const every = Array.from({ length: table.rowsPerImage }, (_, row) => row)
        expect(Array.from(table.rows).sort((a, b) => a - b)).toEqual(every)
      }),
    )
  })

  it('shows, for any grid and reach, what cutting the padded map shows', () => {
    fc.assert(
      fc.property(sizes, sizes, sizes, sizes, reaches, reaches, (rows, columns, h, w, up, left) => {
        const [height, width] = [rows * h, columns * w]
        const table = windowTable(patchGrid([height, width], [h, w], 'T'), [up, left])
        // Pixel values from 1, so that 0 is the padding's.
        const padded = Array.from({ length: height + 2 * up }, (_, y) =>
          Array.from({ length: width + 2 * left }, (_, x) => {
            const outside = y < up || y >= up + height || x < left || x >= left + width
            return outside ? 0 : 1 + (y - up) * width + (x - left)
          }),
        )
        const expected: number[] = []
        for (let r = 0; r < rows; r++)
          for (let c = 0; c < columns; c++)
            for (let i = 0; i < h + 2 * up; i++)
              expected.push(...(padded[r * h + i] as number[]).slice(c * w, (c + 1) * w + 2 * left))
        const pixels = Array.from(table.rows).flatMap(row =>
          Array.from({ length: table.unit }, (_, i) => 1 + row * table.unit + i),
        )
        const seen = table.inside ? pixels.map((pixel, i) => (table.inside?.[i] ? pixel : 0)) : pixels
        expect(seen).toEqual(expected)
      }),
    )
  })
})

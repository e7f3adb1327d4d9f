import type { Cell } from './cell.js'
import { type Grid, gridKind } from './grids/grids.js'

/**
 * The cells of a grid. Seeds are outermost, so that a study that has not ended yet is balanced, and additional seeds
 * add their cells at the end.
 *
 * @param seeds repetitions, at least 1
 */
export function cellsOf(grid: Grid, seeds: number): Cell[] {
  const settings = gridKind(grid.kind).settings(grid)
  return Array.from({ length: seeds }, (_, i) => settings.map(cell => ({ ...cell, seed: i + 1 })))
    .flat()
    .map((cell, index) => ({ index, ...cell }))
}

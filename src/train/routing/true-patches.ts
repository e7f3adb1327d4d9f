import type { ObjectBox } from '../../data/compose/object-box.js'
import type { Size2D } from '../../shapes.js'

/**
 * For each cell of an image, whether each patch shows a part of it.
 *
 * @param grid of patches, [rows, columns]
 * @param cells [rows, columns]
 * @returns (cells) arrays of (patches)
 */
export function patchesOfCells(grid: Size2D, cells: Size2D): boolean[][] {
  // Patch a of A and cell b of B overlap where a/A < (b+1)/B and b/B < (a+1)/A.
  const overlap = (a: number, ofA: number, b: number, ofB: number) =>
    a * ofB < (b + 1) * ofA && b * ofA < (a + 1) * ofB
  return Array.from({ length: cells[0] * cells[1] }, (_, cell) =>
    Array.from(
      { length: grid[0] * grid[1] },
      (_, patch) =>
        overlap(Math.floor(patch / grid[1]), grid[0], Math.floor(cell / cells[1]), cells[0]) &&
        overlap(patch % grid[1], grid[1], cell % cells[1], cells[1]),
    ),
  )
}

/**
 * Whether each patch of an image shows the object in a box: at least half of the patch's area lies in the box. Where
 * that is true of no patch, the one that overlaps the box most is taken; several, where they overlap it equally.
 *
 * @param grid of patches that cover the image evenly, [rows, columns]
 * @param size height and width of the image, in pixels
 * @param box within the image, in pixels
 * @returns (patches), at least one of them true
 */
export function patchesOfBox(grid: Size2D, size: Size2D, [top, left, height, width]: ObjectBox): boolean[] {
  const [rows, columns] = grid
  // Lengths times the number of patches on the side are whole numbers: a patch has the area H W then, exactly.
  const common = (patch: number, side: number, from: number, length: number, patches: number) =>
    Math.max(
      0,
      Math.min((patch + 1) * side, (from + length) * patches) - Math.max(patch * side, from * patches),
    )
  const overlaps = Array.from(
    { length: rows * columns },
    (_, patch) =>
      common(Math.floor(patch / columns), size[0], top, height, rows) *
      common(patch % columns, size[1], left, width, columns),
  )
  const least = Math.min(Math.max(...overlaps), (size[0] * size[1]) / 2)
  return overlaps.map(overlap => overlap >= least)
}

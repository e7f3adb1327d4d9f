import { type ImageShape, type Size2D, size2D } from '../../../src/shapes.js'

/** Cells along the longer side of images whose things are of unknown size. */
const cellsAlong = 32
const leastCell = 16
const mostCell = 256
/** How many times smaller than a cell the scale of a view is. */
const cellOfView = 8
/** Side of the largest patch that three convolutions suit, in pixels. */
const smallPatch = 64

/** Sides of cells and the scale of the view. */
export interface RegionSizes {
  readonly cellSize: number | readonly [number, number]
  readonly viewScale: number
}

/**
 * Cells and view for images of which only the size is known: about 32 cells along the longer side, of 16 to 256 pixels, a power of
 * two; a view in which a cell has 8 pixels or a little more.
 *
 * @param shape height, width and channels
 * @param given what is decided already
 */
export function sizesFor([height, width]: ImageShape, given: Partial<RegionSizes> = {}): RegionSizes {
  const along = 2 ** Math.round(Math.log2(Math.max(height, width) / cellsAlong))
  const cellSize = given.cellSize ?? Math.min(Math.max(along, leastCell), mostCell)
  const sides = size2D(cellSize, 'train: cellSize')
  let viewScale = 2 ** Math.floor(Math.log2(Math.max(1, Math.min(...sides) / cellOfView)))
  while (sides.some(side => side % viewScale !== 0)) viewScale /= 2
  return { cellSize, viewScale: given.viewScale ?? viewScale }
}

/**
 * Convolutions of an expert for patches of a size, each of which halves them: 3, and one more whenever patches are twice as large as
 * those of 48 pixels, so that the last one sees as much of a thing.
 *
 * @returns undefined for patches that 3 suit
 */
export function expertLayersFor(patch: Size2D): number | undefined {
  const side = Math.max(...patch)
  return side <= smallPatch ? undefined : 3 + Math.round(Math.log2(side / 48))
}

/** Height and width of a patch: a cell, and its margin on each side. */
export function patchOf({
  cellSize,
  margin,
}: Pick<RegionSizes, 'cellSize'> & { readonly margin?: number | undefined }): Size2D {
  const [height, width] = size2D(cellSize, 'train: cellSize')
  const around = 2 * (margin ?? Math.floor(Math.min(height, width) / 4))
  return [height + around, width + around]
}

import * as tf from '@tensorflow/tfjs-core'
import { isPositiveInteger, type Size2D, viewSize } from '../../shapes.js'
import { gatherRows } from './dispatch.js'

/**
 * How an image is cut into N cells, numbered row by row. Around each cell lies its patch: the cell and `margin` pixels on each
 * side. The last cells of a row or column may reach past the image, where pixels are 0.
 */
export interface CellGrid {
  /** Height and width of a cell, pixels of the image. */
  readonly cell: Size2D
  /** Pixels that a patch has on each side of its cell. */
  readonly margin: number
  /** Height and width of a patch: those of the cell and two margins. */
  readonly patch: Size2D
  /** Pixels of the image that one pixel of the view stands for, along each side. */
  readonly viewScale: number
  /** Cells along the height and the width. */
  readonly cells: Size2D
  /** N. */
  readonly count: number
}

/** What a grid of cells follows from, besides the size of the image. */
export type CellSizes = Pick<CellGrid, 'cell' | 'margin' | 'viewScale'>

/**
 * The cells of an image.
 *
 * @param image H, W in pixels
 * @param where the caller's name, for errors
 * @throws RangeError when the image is smaller than a patch, or than one pixel of the view
 */
export function cellGrid(image: Size2D, { cell, margin, viewScale }: CellSizes, where: string): CellGrid {
  const patch: Size2D = [cell[0] + 2 * margin, cell[1] + 2 * margin]
  if (!image.every((side, axis) => isPositiveInteger(side) && side >= (patch[axis] as number))) {
    throw new RangeError(
      `${where}: image must be at least as large as a patch, ${patch[0]}x${patch[1]} pixels, got ${image[0]}x${image[1]} ` +
        `(cells of ${cell[0]}x${cell[1]} with a margin of ${margin})`,
    )
  }
  const cells: Size2D = [Math.ceil(image[0] / cell[0]), Math.ceil(image[1] / cell[1])]
  return { cell, margin, patch, viewScale, cells, count: cells[0] * cells[1] }
}

/** Pixels of the view that a cell takes along each side. */
export function viewCell({ cell, viewScale }: CellGrid): Size2D {
  return [cell[0] / viewScale, cell[1] / viewScale]
}

/** Height and width of a view that is padded to whole cells. */
export function wholeView(grid: CellGrid): Size2D {
  const [height, width] = viewCell(grid)
  return [grid.cells[0] * height, grid.cells[1] * width]
}

/**
 * Zeros on the right and below, up to a size.
 *
 * @param x (B,h,w,C)
 */
export function paddedTo(x: tf.Tensor4D, [height, width]: Size2D): tf.Tensor4D {
  const [, h, w] = x.shape
  if (h === height && w === width) return x
  return tf.pad(x, [
    [0, 0],
    [0, height - h],
    [0, width - w],
    [0, 0],
  ])
}

/**
 * An image made small: each pixel is the mean of a square block of the image, at the right and bottom edges of what the block
 * has inside.
 *
 * @param image (B,H,W,C) float32
 * @returns (B, ceil(H / viewScale), ceil(W / viewScale), C)
 */
export function viewOf(image: tf.Tensor4D, viewScale: number): tf.Tensor4D {
  if (viewScale === 1) return image
  const [, height, width] = image.shape
  const [h, w] = viewSize([height, width], viewScale)
  const whole = paddedTo(image, [h * viewScale, w * viewScale])
  const means = tf.avgPool(whole, viewScale, viewScale, 'valid')
  const shares = edgeShares([height, width], viewScale)
  return shares ? tf.div(means, tf.tensor4d(shares, [1, h, w, 1])) : means
}

/** The share of each block of a view that lies inside the image, row by row; undefined where all of each does. */
export function edgeShares([height, width]: Size2D, viewScale: number): Float32Array | undefined {
  if (height % viewScale === 0 && width % viewScale === 0) return undefined
  const [h, w] = viewSize([height, width], viewScale)
  const share = (block: number, length: number) => Math.min(viewScale, length - block * viewScale) / viewScale
  return Float32Array.from(
    { length: h * w },
    (_, i) => share(Math.floor(i / w), height) * share(i % w, width),
  )
}

/**
 * Where the pixels of patches lie in an image that has `margin` zeros above and on the left, and zeros on the right and below up
 * to whole cells and a margin.
 */
export interface PatchPixels {
  /** Height and width of the padded image. */
  readonly padded: Size2D
  /** (N) number of the first pixel of each patch, pixels counted row by row. */
  readonly starts: Int32Array
  /** (h w) what the pixels of a patch add to the number of its first. */
  readonly offsets: Int32Array
}

/** Tabulates the pixels of the patches of a grid. */
export function patchPixels({ cell, margin, patch, cells, count }: CellGrid): PatchPixels {
  const padded: Size2D = [cells[0] * cell[0] + 2 * margin, cells[1] * cell[1] + 2 * margin]
  const [, across] = padded
  const starts = Int32Array.from(
    { length: count },
    (_, n) => Math.floor(n / cells[1]) * cell[0] * across + (n % cells[1]) * cell[1],
  )
  const offsets = Int32Array.from(
    { length: patch[0] * patch[1] },
    (_, i) => Math.floor(i / patch[1]) * across + (i % patch[1]),
  )
  return { padded, starts, offsets }
}

/**
 * Cuts patches out of images, pixel by pixel as they are, 0 outside of the image; not differentiable.
 *
 * @param image (B,H,W,C) float32
 * @param indices (B,L) int32, cells in [0, N)
 * @returns (B L, h, w, C)
 */
export function cutPatches(image: tf.Tensor4D, indices: tf.Tensor2D, grid: CellGrid): tf.Tensor4D {
  const [batch, height, width, channels] = image.shape
  const { padded, starts, offsets } = patchPixels(grid)
  const { margin, patch, count } = grid
  const all = tf.pad(image, [
    [0, 0],
    [margin, padded[0] - margin - height],
    [margin, padded[1] - margin - width],
    [0, 0],
  ])
  const pixels = padded[0] * padded[1]
  const firsts = tf.mul(tf.range(0, batch, 1, 'int32'), tf.scalar(pixels, 'int32'))
  const inImage = gatherRows(tf.tensor2d(starts, [count, 1], 'int32'), indices) // (B,L,1)
  const inBatch = tf.add(inImage, tf.reshape(firsts, [batch, 1, 1]))
  const rows = tf.add(inBatch, tf.tensor3d(offsets, [1, 1, offsets.length], 'int32'))
  const kept = gatherRows(tf.reshape(all, [batch * pixels, channels]), rows)
  return tf.reshape(kept, [-1, ...patch, channels])
}

/**
 * The patches of cells as boxes in pixels; they may reach past the image.
 *
 * @returns (N,4) int32: top, left, height, width
 */
export function patchBoxes({ cell, margin, patch, cells, count }: CellGrid): Int32Array {
  const boxes = new Int32Array(4 * count)
  for (let n = 0; n < count; n++) {
    const top = Math.floor(n / cells[1]) * cell[0] - margin
    const left = (n % cells[1]) * cell[1] - margin
    boxes.set([top, left, ...patch], 4 * n)
  }
  return boxes
}

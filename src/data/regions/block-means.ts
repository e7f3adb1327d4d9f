import { type ImageShape, isPositiveInteger, type Size2D, viewSize } from '../../shapes.js'
import { pixelWords, rgbBlockMeans } from './rgb-block-means.js'

/**
 * Checks the scale of a view.
 *
 * @param where the image, for errors
 * @throws RangeError when it is not an integer of at least 1
 */
export function checkScale(scale: number, where: string): void {
  if (isPositiveInteger(scale)) return
  throw new RangeError(`${where}: scale must be a positive integer, got ${scale}`)
}

/**
 * The means of the blocks of an image, rounded half up.
 *
 * @param pixels (height, width, channels)
 * @returns (ceil(height / scale), ceil(width / scale), channels)
 */
export function blockMeans(pixels: Uint8Array, shape: ImageShape, scale: number): Uint8Array {
  const means = new BlockMeans(shape, scale)
  means.add(pixels)
  return means.view
}

/**
 * The means of the blocks of an image that comes in strips from the top, in the memory of the view and one row of sums.
 *
 * Where an image is stored upside down or mirrored, its blocks begin at the other end: `missing` is what the first row
 * and the first column of blocks lack of a whole block.
 */
export class BlockMeans {
  /** (rows of blocks, blocks a row, channels); complete when all rows of the image were added. */
  readonly view: Uint8Array<ArrayBuffer>
  private readonly shape: ImageShape
  private readonly scale: number
  private readonly missing: Size2D
  /** (width, channels) sums of the rows of the present block. */
  private readonly sums: Uint32Array
  /** Rows that were added. */
  private row = 0
  /** Rows in the sums. */
  private summed = 0

  constructor(shape: ImageShape, scale: number, missing: Size2D = [0, 0]) {
    const [height, width, channels] = shape
    const [rows, columns] = viewSize([height + missing[0], width + missing[1]], scale)
    this.view = new Uint8Array(rows * columns * channels)
    this.shape = shape
    this.scale = scale
    this.missing = missing
    this.sums = new Uint32Array(width * channels)
  }

  /** Adds the next rows, (any number, width, channels). */
  add(pixels: Uint8Array): void {
    const { sums } = this
    const { length } = sums
    const wholeRows = this.addWholeBlocks(pixels)
    for (let start = wholeRows * length; start < pixels.length; start += length) {
      for (let i = 0; i < length; i++) sums[i] = (sums[i] as number) + (pixels[start + i] as number)
      this.row++
      this.summed++
      const isBlockEnd = (this.row + this.missing[0]) % this.scale === 0
      if (isBlockEnd || this.row === this.shape[0]) this.writeRow()
    }
  }

  /** Adds the rows of pixels that are whole rows of blocks, if they can be taken four bytes at a time; returns how many these are. */
  private addWholeBlocks(pixels: Uint8Array): number {
    const { scale, view, shape, missing, sums } = this
    const [, width, channels] = shape
    const isBlockStart = this.summed === 0 && this.row % scale === 0 && missing.every(side => side === 0)
    const words = isBlockStart ? pixelWords(pixels, shape, scale) : undefined
    if (!words) return 0
    const rows = Math.floor(pixels.length / sums.length / scale) * scale
    const blocks = Math.floor(width / scale)
    const perRow = sums.length / 4
    for (let row = 0; row < rows; row += scale) {
      const target = ((this.row + row) / scale) * Math.ceil(width / scale) * channels
      rgbBlockMeans(words, { first: row * perRow, perRow, scale, blocks }, view, target)
    }
    if (blocks * scale < width) this.addEdge(pixels, rows, blocks)
    this.row += rows
    return rows
  }

  /** The means of the last block of each row of blocks, which the image's edge cuts. */
  private addEdge(pixels: Uint8Array, rows: number, column: number): void {
    const { scale, sums } = this
    const first = column * scale * this.shape[2]
    const began = this.row
    for (let row = 0; row < rows; row++) {
      for (let i = first; i < sums.length; i++) {
        sums[i] = (sums[i] as number) + (pixels[row * sums.length + i] as number)
      }
      this.row++
      this.summed++
      if (this.summed === scale) this.writeRow(column)
    }
    this.row = began
  }

  /** Writes the means of the present row of blocks, from a column on. */
  private writeRow(from = 0): void {
    const [, width, channels] = this.shape
    const { scale, sums, summed, view } = this
    const skip = this.missing[1]
    const columns = Math.ceil((width + skip) / scale)
    let target = (Math.floor((this.row - 1 + this.missing[0]) / scale) * columns + from) * channels
    for (let column = from; column < columns; column++) {
      const first = Math.max(0, column * scale - skip)
      const end = Math.min(width, (column + 1) * scale - skip)
      const divisor = (end - first) * summed
      for (let channel = 0; channel < channels; channel++) {
        let sum = 0
        for (let x = first; x < end; x++) sum += sums[x * channels + channel] as number
        view[target++] = Math.floor(sum / divisor + 0.5)
      }
    }
    sums.fill(0)
    this.summed = 0
  }
}

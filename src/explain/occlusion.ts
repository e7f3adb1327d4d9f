import type * as tfl from '@tensorflow/tfjs-layers'
import type { ImageShape, Size2D } from '../shapes.js'
import { predictProbabilities } from '../train/evaluate.js'
import { checkImages, type ImageValues } from '../train/upload.js'

/** Cells along the longer side of an image, where nobody says how many. */
const CELLS = 8

/** How much of a probability is lost where a cell of the image is covered. */
export interface Occlusion {
  /** [rows, columns] of cells. */
  readonly grid: Size2D
  /** (rows * columns) what the predicted class's probability loses, row by row; negative where it gains. */
  readonly lost: Float32Array
}

/**
 * What a classifier loses without a part of an image, for networks that keep every patch: cells of the image are covered one
 * by one with the image's mean colour, and the probability of the class that was predicted before is read again (Zeiler and
 * Fergus, ECCV 2014).
 *
 * @param image pixels 0..255, or values as they are in a Float32Array; (height, width, channels), row-major
 * @param options.cells rows and columns; about square and 8 along the longer side unless given
 * @param options.batchSize images computed at a time; 32 unless given
 * @throws RangeError when the image does not fit the model
 */
export async function occlusion(
  model: tfl.LayersModel,
  image: ImageValues,
  shape: ImageShape,
  { cells = cellsOf(shape), batchSize = 32 }: { readonly cells?: Size2D; readonly batchSize?: number } = {},
): Promise<Occlusion> {
  checkImages(model, image, shape, 'occlusion: image')
  const count = cells[0] * cells[1]
  const [whole] = (await predictProbabilities(model, image, shape)) as [Float32Array]
  const predicted = whole.indexOf(Math.max(...whole))
  const mean = meanColour(image, shape[2])
  const lost = new Float32Array(count)
  for (let first = 0; first < count; first += batchSize) {
    const size = Math.min(batchSize, count - first)
    const images =
      image instanceof Float32Array
        ? new Float32Array(size * image.length)
        : new Uint8Array(size * image.length)
    for (let i = 0; i < size; i++) {
      images.set(image, i * image.length)
      coverCell(images.subarray(i * image.length, (i + 1) * image.length), shape, cells, first + i, mean)
    }
    const rows = await predictProbabilities(model, images, shape, { batchSize })
    for (const [i, row] of rows.entries()) {
      lost[first + i] = (whole[predicted] as number) - (row[predicted] as number)
    }
  }
  return { grid: cells, lost }
}

function cellsOf([height, width]: ImageShape): Size2D {
  // A cell is at least one pixel.
  const side = Math.max(1, Math.max(height, width) / CELLS)
  return [Math.max(1, Math.round(height / side)), Math.max(1, Math.round(width / side))]
}

function meanColour(image: ImageValues, channels: number): readonly number[] {
  const sums = new Array<number>(channels).fill(0)
  image.forEach((value: number, i: number) => {
    sums[i % channels] = (sums[i % channels] as number) + value
  })
  const mean = sums.map(sum => (sum * channels) / image.length)
  return image instanceof Float32Array ? mean : mean.map(Math.round)
}

/** Covers one cell of an image in one colour. */
function coverCell(
  image: ImageValues,
  [height, width, channels]: ImageShape,
  [rows, columns]: Size2D,
  cell: number,
  colour: readonly number[],
): void {
  const [row, column] = [Math.floor(cell / columns), cell % columns]
  const edge = (part: number, parts: number, side: number) => Math.floor((part * side) / parts)
  for (let y = edge(row, rows, height); y < edge(row + 1, rows, height); y++) {
    for (let x = edge(column, columns, width); x < edge(column + 1, columns, width); x++) {
      image.set(colour, (y * width + x) * channels)
    }
  }
}

import type { ObjectBox } from '../../data/compose/object-box.js'
import type { ImageShape, Size2D } from '../../shapes.js'

/** How an image is stored, against how it is seen (EXIF orientation). */
export interface StoredTurn {
  /** Whether stored rows are seen as columns. */
  readonly transposed: boolean
  /** Whether the first stored row is seen last. */
  readonly rowsReversed: boolean
  readonly columnsReversed: boolean
}

/**
 * The turn of an orientation.
 *
 * @param orientation of EXIF, 1 to 8; others are taken as 1
 */
export function storedTurn(orientation = 1): StoredTurn {
  return {
    transposed: orientation >= 5 && orientation <= 8,
    rowsReversed: [3, 4, 6, 7].includes(orientation),
    columnsReversed: [2, 3, 7, 8].includes(orientation),
  }
}

/**
 * Where a box of the image as it is seen lies in the stored one.
 *
 * @param stored height and width of the stored image
 */
export function storedBox(
  [top, left, height, width]: ObjectBox,
  stored: Size2D,
  { transposed, rowsReversed, columnsReversed }: StoredTurn,
): ObjectBox {
  const [row, rows, column, columns] = transposed ? [left, width, top, height] : [top, height, left, width]
  return [
    rowsReversed ? stored[0] - row - rows : row,
    columnsReversed ? stored[1] - column - columns : column,
    rows,
    columns,
  ]
}

/**
 * Stored pixels as they are seen.
 *
 * @param pixels (height, width, channels) as stored
 * @returns (height, width, channels), or (width, height, channels) where transposed
 */
export function seenPixels(
  pixels: Uint8Array,
  [height, width, channels]: ImageShape,
  { transposed, rowsReversed, columnsReversed }: StoredTurn,
): Uint8Array {
  if (!transposed && !rowsReversed && !columnsReversed) return pixels
  const seen = new Uint8Array(pixels.length)
  const [seenHeight, seenWidth] = transposed ? [width, height] : [height, width]
  let target = 0
  for (let y = 0; y < seenHeight; y++) {
    for (let x = 0; x < seenWidth; x++) {
      const [row, column] = transposed ? [x, y] : [y, x]
      const storedRow = rowsReversed ? height - 1 - row : row
      const storedColumn = columnsReversed ? width - 1 - column : column
      const source = (storedRow * width + storedColumn) * channels
      for (let c = 0; c < channels; c++) seen[target++] = pixels[source + c] as number
    }
  }
  return seen
}

import type { ImageShape } from '../../shapes.js'

/** Two bytes of a word of four, each with room for sums up to 65535. */
const TWO_BYTES = 0x00ff00ff
const LOWER = 0xffff

/** Larger blocks have sums that do not fit. */
const MOST_SCALE = 32

/** Bytes are taken out of words by their place in them. */
const isLittleEndian = new Uint8Array(Uint32Array.of(1).buffer)[0] === 1

/**
 * Rows of pixels as words of four bytes, where `rgbBlockMeans` can take them: RGB, blocks whose sides are multiples of 4, and rows of
 * whole words.
 *
 * @returns undefined for all others
 */
export function pixelWords(
  pixels: Uint8Array,
  [, width, channels]: ImageShape,
  scale: number,
): Int32Array | undefined {
  const suits = isLittleEndian && channels === 3 && scale % 4 === 0 && scale <= MOST_SCALE
  if (!suits || width % 4 !== 0 || pixels.byteOffset % 4 !== 0) return undefined
  return new Int32Array(pixels.buffer, pixels.byteOffset, pixels.length >> 2)
}

/**
 * The means of a row of whole blocks of RGB pixels, rounded half up, faster than byte by byte: a word holds four
 * bytes, which are added two at a time: bytes 0 and 2, and bytes 1 and 3. Three words are four pixels.
 *
 * @param words of the image's rows
 * @param first word of the first row of the blocks
 * @param perRow words in a row
 * @param view where the means go, from `target` on
 */
export function rgbBlockMeans(
  words: Int32Array,
  { first, perRow, scale, blocks }: BlockRow,
  view: Uint8Array,
  target: number,
): void {
  const perBlock = (3 * scale) / 4
  const pixels = scale * scale
  const shift = (scale & (scale - 1)) === 0 ? 31 - Math.clz32(pixels) : 0
  let at = target
  for (let block = 0; block < blocks; block++) {
    let even0 = 0
    let even1 = 0
    let even2 = 0
    let odd0 = 0
    let odd1 = 0
    let odd2 = 0
    const start = first + block * perBlock
    for (let column = start; column < start + perBlock; column += 3) {
      let i = column
      for (let row = 0; row < scale; row += 4) {
        let a = words[i] as number
        let b = words[i + perRow] as number
        let c = words[i + 2 * perRow] as number
        let d = words[i + 3 * perRow] as number
        even0 += (a & TWO_BYTES) + (b & TWO_BYTES) + (c & TWO_BYTES) + (d & TWO_BYTES)
        odd0 +=
          ((a >>> 8) & TWO_BYTES) +
          ((b >>> 8) & TWO_BYTES) +
          ((c >>> 8) & TWO_BYTES) +
          ((d >>> 8) & TWO_BYTES)
        a = words[i + 1] as number
        b = words[i + perRow + 1] as number
        c = words[i + 2 * perRow + 1] as number
        d = words[i + 3 * perRow + 1] as number
        even1 += (a & TWO_BYTES) + (b & TWO_BYTES) + (c & TWO_BYTES) + (d & TWO_BYTES)
        odd1 +=
          ((a >>> 8) & TWO_BYTES) +
          ((b >>> 8) & TWO_BYTES) +
          ((c >>> 8) & TWO_BYTES) +
          ((d >>> 8) & TWO_BYTES)
        a = words[i + 2] as number
        b = words[i + perRow + 2] as number
        c = words[i + 2 * perRow + 2] as number
        d = words[i + 3 * perRow + 2] as number
        even2 += (a & TWO_BYTES) + (b & TWO_BYTES) + (c & TWO_BYTES) + (d & TWO_BYTES)
        odd2 +=
          ((a >>> 8) & TWO_BYTES) +
          ((b >>> 8) & TWO_BYTES) +
          ((c >>> 8) & TWO_BYTES) +
          ((d >>> 8) & TWO_BYTES)
        i += 4 * perRow
      }
    }
    view[at++] = mean((even0 & LOWER) + (odd0 >>> 16) + (even1 >>> 16) + (odd2 & LOWER), pixels, shift)
    view[at++] = mean((odd0 & LOWER) + (even1 & LOWER) + (odd1 >>> 16) + (even2 >>> 16), pixels, shift)
    view[at++] = mean((even0 >>> 16) + (odd1 & LOWER) + (even2 & LOWER) + (odd2 >>> 16), pixels, shift)
  }
}

/**
 * The mean of a block's bytes, rounded half up.
 *
 * @param shift of the sum that divides by the pixels, where their number is a power of two
 */
function mean(sum: number, pixels: number, shift: number): number {
  return shift > 0 ? (sum + (pixels >> 1)) >> shift : Math.floor(sum / pixels + 0.5)
}

/** A row of blocks, in words. */
export interface BlockRow {
  /** First word of the first row of pixels. */
  readonly first: number
  /** Words in a row of pixels. */
  readonly perRow: number
  /** Side of a block, in pixels. */
  readonly scale: number
  readonly blocks: number
}

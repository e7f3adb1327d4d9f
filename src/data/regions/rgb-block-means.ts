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
 * The means of a row of whole blocks of RGB pixels, rounded half up, about eight times as fast as byte by byte: a word holds four
 * bytes, which are added two at a time.
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
  let at = target
  for (let block = 0; block < blocks; block++) {
    // Three words are four pixels. Of each word, the sums of its bytes 0 and 2, and those of its bytes 1 and 3.
    let [even0, even1, even2] = [0, 0, 0]
    let [odd0, odd1, odd2] = [0, 0, 0]
    const start = first + block * perBlock
    for (let column = start; column < start + perBlock; column += 3) {
      for (let row = 0, i = column; row < scale; row += 4) {
        const [j, k, l] = [i + perRow, i + 2 * perRow, i + 3 * perRow]
        let a = words[i] as number
        let b = words[j] as number
        let c = words[k] as number
        let d = words[l] as number
        even0 += evenBytes(a) + evenBytes(b) + evenBytes(c) + evenBytes(d)
        odd0 += oddBytes(a) + oddBytes(b) + oddBytes(c) + oddBytes(d)
        a = words[i + 1] as number
        b = words[j + 1] as number
        c = words[k + 1] as number
        d = words[l + 1] as number
        even1 += evenBytes(a) + evenBytes(b) + evenBytes(c) + evenBytes(d)
        odd1 += oddBytes(a) + oddBytes(b) + oddBytes(c) + oddBytes(d)
        a = words[i + 2] as number
        b = words[j + 2] as number
        c = words[k + 2] as number
        d = words[l + 2] as number
        even2 += evenBytes(a) + evenBytes(b) + evenBytes(c) + evenBytes(d)
        odd2 += oddBytes(a) + oddBytes(b) + oddBytes(c) + oddBytes(d)
        i = l + perRow
      }
    }
    view[at++] = mean((even0 & LOWER) + (odd0 >>> 16) + (even1 >>> 16) + (odd2 & LOWER), scale)
    view[at++] = mean((odd0 & LOWER) + (even1 & LOWER) + (odd1 >>> 16) + (even2 >>> 16), scale)
    view[at++] = mean((even0 >>> 16) + (odd1 & LOWER) + (even2 & LOWER) + (odd2 >>> 16), scale)
  }
}

function evenBytes(word: number): number {
  return word & TWO_BYTES
}

function oddBytes(word: number): number {
  return (word >>> 8) & TWO_BYTES
}

/** The mean of a block's bytes, rounded half up; where the side is a power of two without a division. */
function mean(sum: number, scale: number): number {
  const pixels = scale * scale
  if ((scale & (scale - 1)) === 0) return (sum + (pixels >> 1)) >> (31 - Math.clz32(pixels))
  return Math.floor(sum / pixels + 0.5)
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

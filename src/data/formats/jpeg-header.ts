import type { Size2D } from '../../shapes.js'

/** What the header of a JPEG file says of its image. */
export interface JpegHeader {
  /** Height and width in pixels, as stored. */
  readonly size: Size2D
  /** Bits of a sample. */
  readonly precision: number
  /** 1 for grey, 3 for colour, 4 for CMYK. */
  readonly components: number
  /** Whether it carries a camera's notes (Exif), where a rotation may stand. */
  readonly hasExif: boolean
  /** Whether it carries a colour profile (ICC). */
  readonly hasProfile: boolean
  /** Byte at which the first scan begins: its marker. */
  readonly scan: number
}

const startOfImage = 0xd8
const startOfScan = 0xda
const endOfImage = 0xd9
const app1 = 0xe1
const app2 = 0xe2
/** Start-of-frame markers of the coding processes that decoders know: baseline, extended, progressive. */
const framesKnown = [0xc0, 0xc1, 0xc2]

/**
 * Reads the header of a JPEG file, up to its first scan.
 *
 * Reference: ITU-T T.81, annex B.
 *
 * @param bytes of the file, or of its beginning
 * @returns undefined when the file is no JPEG file, or uses a rare coding process (lossless, arithmetic)
 */
export function readJpegHeader(bytes: Uint8Array): JpegHeader | undefined {
  if (bytes[0] !== 0xff || bytes[1] !== startOfImage) return undefined
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  let frame: Pick<JpegHeader, 'size' | 'precision' | 'components'> | undefined
  let [hasExif, hasProfile] = [false, false]
  let at = 2
  while (at + 4 <= bytes.length && bytes[at] === 0xff) {
    const marker = bytes[at + 1] as number
    // Any number of bytes 0xff may stand before a marker.
    if (marker === 0xff) {
      at++
      continue
    }
    if (marker === startOfScan) return frame && { ...frame, hasExif, hasProfile, scan: at }
    if (marker === endOfImage) return undefined
    const length = view.getUint16(at + 2)
    if (marker === app1) hasExif ||= startsWith(bytes, at + 4, 'Exif')
    if (marker === app2) hasProfile ||= startsWith(bytes, at + 4, 'ICC_PROFILE')
    if (framesKnown.includes(marker)) {
      if (at + 10 > bytes.length) return undefined
      frame = {
        precision: view.getUint8(at + 4),
        size: [view.getUint16(at + 5), view.getUint16(at + 7)],
        components: view.getUint8(at + 9),
      }
    }
    at += 2 + length
  }
  return undefined
}

/**
 * Whether a JPEG file has a marker of its end behind its first scan; no other byte pairs of scans are such markers.
 *
 * @param scan byte at which the first scan begins
 */
export function hasJpegEnd(bytes: Uint8Array, scan: number): boolean {
  for (let at = bytes.length - 2; at > scan; at--) {
    if (bytes[at] === 0xff && bytes[at + 1] === endOfImage) return true
  }
  return false
}

function startsWith(bytes: Uint8Array, at: number, word: string): boolean {
  for (let i = 0; i < word.length; i++) if (bytes[at + i] !== word.charCodeAt(i)) return false
  return true
}

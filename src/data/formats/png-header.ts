import type { Size2D } from '../../shapes.js'

const signature = [0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]

/**
 * The height and width of a PNG file.
 *
 * Reference: PNG specification, third edition, sections 5.2 and 11.2.1.
 *
 * @param bytes of the file, or of its beginning
 * @throws RangeError when it is no PNG file, or has no pixels
 */
export function readPngSize(bytes: Uint8Array, name: string): Size2D {
  const wrong = signature.findIndex((byte, i) => bytes[i] !== byte)
  if (wrong >= 0 || bytes.length < 24) {
    throw new RangeError(
      `${name}: file must start as a PNG file does, got ${bytes.length} bytes that differ at byte ${wrong < 0 ? bytes.length : wrong}`,
    )
  }
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength)
  const [width, height] = [view.getUint32(16), view.getUint32(20)]
  if (height > 0 && width > 0) return [height, width]
  throw new RangeError(`${name}: sides at byte 16 must be at least 1 pixel, got ${height}x${width}`)
}

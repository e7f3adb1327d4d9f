import type { ImageShape } from '../../shapes.js'
import { writeFileAtomic } from '../atomic.js'

/** A picture of several images: where each goes, and what is drawn over them. */
export interface SheetLayout {
  /** Of the picture, in pixels. */
  readonly width: number
  readonly height: number
  /** Place and size of each image, in pixels. */
  readonly tiles: readonly {
    readonly x: number
    readonly y: number
    readonly width: number
    readonly height: number
  }[]
  /** An SVG document of the picture's size. */
  readonly overlay: string
}

/**
 * Draws images and what lies over them, and writes the picture as PNG.
 *
 * @param path of the file; it is replaced whole
 * @param images pixels 0..255, (count, height, width, channels), as many as the layout has tiles
 * @param shape of every image, of 1 or 3 channels
 * @param options.fewColors rounds to 256 colours, which makes the file several times smaller
 * @throws RangeError when the pixels are not those of the tiles; Error when the file cannot be written
 */
export async function writeSheetPng(
  path: string,
  { width, height, tiles, overlay }: SheetLayout,
  images: Uint8Array,
  shape: ImageShape,
  { fewColors = false }: { readonly fewColors?: boolean } = {},
): Promise<void> {
  const [rows, columns, channels] = shape
  const imageBytes = rows * columns * channels
  if ((channels !== 1 && channels !== 3) || images.length !== tiles.length * imageBytes) {
    throw new RangeError(
      `writeSheetPng: images must be ${tiles.length} of [height, width, 1 or 3], got ${images.length} bytes ` +
        `for [${shape.join(', ')}]`,
    )
  }
  const raw = { height: rows, width: columns, channels } as const
  // Loaded on demand: a platform without sharp's binary can do everything else.
  const { default: sharp } = await import('sharp')
  const drawn = await Promise.all(
    tiles.map(async ({ x, y, width, height }, i) => {
      const pixels = images.subarray(i * imageBytes, (i + 1) * imageBytes)
      const kernel = width >= raw.width ? 'nearest' : 'lanczos3'
      const input = await sharp(pixels, { raw })
        .resize(width, height, { fit: 'fill', kernel })
        .png({ compressionLevel: 1 })
        .toBuffer()
      return { input, left: x, top: y }
    }),
  )
  const canvas = sharp({ create: { width, height, channels: 3, background: '#ffffff' } })
  const png = await canvas
    .composite([...drawn, { input: Buffer.from(overlay), left: 0, top: 0 }])
    .png({ compressionLevel: 9, ...(fewColors && { palette: true, dither: 0, effort: 10 }) })
    .toBuffer()
  await writeFileAtomic(path, png)
}

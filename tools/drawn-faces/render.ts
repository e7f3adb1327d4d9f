import { renderAsync } from '@resvg/resvg-js'
import sharp from 'sharp'

/** JPEG quality of the drawn images, 1..100. */
const quality = 90

/**
 * Renders a drawing as a JPEG.
 *
 * @param svg with its width and height in pixels
 */
export async function renderJpeg(svg: string): Promise<Uint8Array> {
  const { pixels, width, height } = await renderAsync(svg, { font: { loadSystemFonts: false } })
  const bytes = await sharp(pixels, { raw: { width, height, channels: 4 } })
    .removeAlpha()
    .jpeg({ quality })
    .toBuffer()
  return new Uint8Array(bytes)
}

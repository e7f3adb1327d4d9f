import { stat } from 'node:fs/promises'
import { type ImageShape, isPositiveInteger } from '../shapes.js'

/**
 * Decodes an image file (JPEG, PNG, WebP, GIF, AVIF, TIFF, SVG) to the pixels that a model expects.
 *
 * The whole image is stretched to the size asked for, without cropping; the camera's rotation (EXIF) is
 * applied, transparency is laid on white, CMYK and 16-bit images become 8-bit, colour becomes grey or grey
 * becomes RGB, as asked. Of an animation the first frame counts.
 *
 * @param path of the file
 * @param shape height and width in pixels, and 1 (grey) or 3 (RGB) channels
 * @returns pixels 0..255, (height, width, channels), row-major
 * @throws RangeError when the shape is not one that images have
 * @throws Error with the path when the file is missing, empty, corrupt, cut short or not an image
 */
export async function readImage(path: string, shape: ImageShape): Promise<Uint8Array> {
  const [height, width, channels] = shape
  if (!isPositiveInteger(height) || !isPositiveInteger(width) || (channels !== 1 && channels !== 3)) {
    throw new RangeError(
      `readImage: shape must be [height, width, 1 or 3] of positive integers, got [${shape.join(', ')}]`,
    )
  }
  await checkFile(path)
  // Loaded on demand: a platform without sharp's binary can do everything else.
  const { default: sharp } = await import('sharp')
  try {
    const { data, info } = await sharp(path, { failOn: 'warning' })
      .autoOrient()
      .flatten({ background: '#ffffff' })
      .resize(width, height, { fit: 'fill' })
      .toColourspace(channels === 1 ? 'b-w' : 'srgb')
      .raw({ depth: 'uchar' })
      .toBuffer({ resolveWithObject: true })
    if (info.channels !== channels || info.width !== width || info.height !== height) {
      throw new Error(`decoded to ${info.height}x${info.width}x${info.channels}`)
    }
    return new Uint8Array(data)
  } catch (cause) {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${path}: file must be an image that decodes to its end, got ${reason}`, { cause })
  }
}

async function checkFile(path: string): Promise<void> {
  const found = await stat(path).catch((cause: unknown) => {
    const reason = cause instanceof Error ? cause.message : String(cause)
    throw new Error(`${path}: file must be readable, got ${reason}`, { cause })
  })
  if (!found.isFile()) throw new Error(`${path}: path must be a file, got a folder`)
  if (found.size === 0) throw new Error(`${path}: file must hold an image, got 0 bytes`)
}

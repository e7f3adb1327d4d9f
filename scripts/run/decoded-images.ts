import type { ImageDecoding } from '../../src/data/image-decoding.js'
import type { ImageNotes } from '../../src/data/image-notes.js'
import { type UnreadableImage, unreadableText } from '../../src/data/unreadable-images.js'
import { decodeImage, readImage } from '../../src/files/images/image-files.js'

/** An image file that was decoded. */
export interface DecodedImage {
  readonly path: string
  /** Pixels 0..255, (height, width, channels). */
  readonly pixels: Uint8Array
}

/**
 * Decodes the image files that can be decoded.
 *
 * @param unreadable gets those that cannot
 * @param notes get what decoding does to images that the user may not expect
 */
export async function decodeFiles(
  paths: readonly string[],
  decoding: ImageDecoding,
  unreadable: UnreadableImage[],
  notes: ImageNotes,
): Promise<DecodedImage[]> {
  const decode = notes.listen(decodeImage)
  const decoded = await Promise.all(
    paths.map(async (path): Promise<DecodedImage | UnreadableImage> => {
      try {
        return { path, pixels: await readImage(path, decoding, decode) }
      } catch (error) {
        return { name: path, reason: (error as Error).message }
      }
    }),
  )
  unreadable.push(...decoded.filter(image => 'reason' in image))
  return decoded.filter(image => 'pixels' in image)
}

/**
 * Ends a command with an error after it has handled the images that could be read; returns where that was all of them.
 *
 * @param total images that were asked for
 * @throws Error naming the images that could not be read, and how many there are
 */
export function refuseUnreadable(unreadable: readonly UnreadableImage[], total: number): void {
  if (unreadable.length === 0) return
  const lines = unreadable.map(unreadableText)
  if (total === 1) throw new Error(lines.join('\n'))
  throw new Error(`${unreadable.length} of ${total} images could not be read:\n  ${lines.join('\n  ')}`)
}

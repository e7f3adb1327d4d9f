import type { ImageShape } from '../../shapes.js'
import type { ByteSource } from '../data-source.js'
import { BlockMeans, checkScale } from './block-means.js'
import { copyPart, emptyRegions, type ImagePart, regionSize } from './region-boxes.js'
import type { RegionSource } from './region-source.js'

/** Bytes of one read, at most, unless a row of the image is longer. */
const readBytes = 2 ** 20
/** Rows up to this many bytes are read whole for a region, several at once; of longer ones only what the region has. */
const wholeRowBytes = 2 ** 16

/** A file that holds the pixels of an image, row by row, and the byte at which they begin. */
export interface PixelBytes {
  readonly file: ByteSource
  readonly start: number
}

/**
 * An image that lies in a file as plain bytes, as one that is read in parts: at the places of its regions, or in strips of rows for a
 * view. Memory does not depend on the size of the image.
 *
 * @param open the file; it is closed by `close`
 * @param shape of the image
 * @param name of the image, for errors
 */
export function byteRegions(open: () => Promise<PixelBytes>, shape: ImageShape, name: string): RegionSource {
  const [height, width, channels] = shape
  const rowBytes = width * channels
  let opening: Promise<PixelBytes> | undefined
  const opened = (): Promise<PixelBytes> => {
    opening ??= open().catch((error: unknown) => {
      // It may be there the next time.
      opening = undefined
      throw error
    })
    return opening
  }
  const rows = async (top: number, count: number): Promise<Uint8Array> => {
    const { file, start } = await opened()
    return slice(file, start + top * rowBytes, count * rowBytes, name)
  }
  const strip = Math.max(1, Math.floor(readBytes / rowBytes))
  const readPart = async (part: ImagePart): Promise<void> => {
    const [top, left, partHeight, partWidth] = part.box
    const first = Math.max(0, top)
    const end = Math.min(height, top + partHeight)
    if (rowBytes <= wholeRowBytes) {
      for (let row = first; row < end; row += strip) {
        const count = Math.min(strip, end - row)
        copyPart({ box: [row, 0, count, width], pixels: await rows(row, count) }, part, channels)
      }
      return
    }
    const { file, start } = await opened()
    const column = Math.max(0, left)
    const columns = Math.min(width, left + partWidth) - column
    for (let row = first; row < end; row++) {
      const at = start + row * rowBytes + column * channels
      const pixels = await slice(file, at, columns * channels, name)
      copyPart({ box: [row, column, 1, columns], pixels }, part, channels)
    }
  }
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, name)
      const means = new BlockMeans(shape, scale)
      // Strips of whole blocks are summed up faster.
      const count = Math.ceil(strip / scale) * scale
      for (let row = 0; row < height; row += count) means.add(await rows(row, Math.min(count, height - row)))
      return means.view
    },
    async regions(boxes) {
      const size = regionSize(boxes, [height, width], name)
      const regions = emptyRegions(boxes, size, channels)
      await Promise.all(regions.parts.map(readPart))
      return regions.pixels
    },
    async close() {
      const before = opening
      opening = undefined
      await before?.then(({ file }) => file.close()).catch(() => undefined)
    },
  }
}

async function slice(file: ByteSource, start: number, length: number, name: string): Promise<Uint8Array> {
  const bytes = await file.slice(start, start + length)
  if (bytes.length === length) return bytes
  throw new RangeError(`${name}: file must hold ${length} bytes from byte ${start} on, got ${bytes.length}`)
}

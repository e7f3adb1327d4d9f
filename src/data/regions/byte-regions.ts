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

/** The rows of an image in a file, which is opened when something is read of it. */
class PixelFile {
  readonly shape: ImageShape
  readonly name: string
  /** Rows that are read at once. */
  readonly strip: number
  private readonly rowBytes: number
  private readonly open: () => Promise<PixelBytes>
  private opening: Promise<PixelBytes> | undefined

  constructor(open: () => Promise<PixelBytes>, shape: ImageShape, name: string) {
    this.open = open
    this.shape = shape
    this.name = name
    this.rowBytes = shape[1] * shape[2]
    this.strip = Math.max(1, Math.floor(readBytes / this.rowBytes))
  }

  /** Whole rows. */
  rows(top: number, count: number): Promise<Uint8Array> {
    return this.read(top * this.rowBytes, count * this.rowBytes)
  }

  /** Fills a part with the pixels of it that the image has. */
  async readPart(part: ImagePart): Promise<void> {
    const [height, width, channels] = this.shape
    const [top, left, partHeight, partWidth] = part.box
    const first = Math.max(0, top)
    const end = Math.min(height, top + partHeight)
    if (this.rowBytes <= wholeRowBytes) {
      for (let row = first; row < end; row += this.strip) {
        const count = Math.min(this.strip, end - row)
        copyPart({ box: [row, 0, count, width], pixels: await this.rows(row, count) }, part, channels)
      }
      return
    }
    const column = Math.max(0, left)
    const columns = Math.min(width, left + partWidth) - column
    for (let row = first; row < end; row++) {
      const pixels = await this.read(row * this.rowBytes + column * channels, columns * channels)
      copyPart({ box: [row, column, 1, columns], pixels }, part, channels)
    }
  }

  async close(): Promise<void> {
    const before = this.opening
    this.opening = undefined
    await before?.then(({ file }) => file.close()).catch(() => undefined)
  }

  /** Bytes of the pixels, from their first on. */
  private async read(first: number, length: number): Promise<Uint8Array> {
    this.opening ??= this.open().catch((error: unknown) => {
      // It may be there the next time.
      this.opening = undefined
      throw error
    })
    const { file, start } = await this.opening
    return slice(file, start + first, length, this.name)
  }
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
  const pixels = new PixelFile(open, shape, name)
  return {
    height,
    width,
    channels,
    async view(scale) {
      checkScale(scale, name)
      const means = new BlockMeans(shape, scale)
      // Strips of whole blocks are summed up faster.
      const count = Math.ceil(pixels.strip / scale) * scale
      for (let row = 0; row < height; row += count) {
        means.add(await pixels.rows(row, Math.min(count, height - row)))
      }
      return means.view
    },
    async regions(boxes) {
      const size = regionSize(boxes, [height, width], name)
      const regions = emptyRegions(boxes, size, channels)
      await Promise.all(regions.parts.map(part => pixels.readPart(part)))
      return regions.pixels
    },
    close: () => pixels.close(),
  }
}

async function slice(file: ByteSource, start: number, length: number, name: string): Promise<Uint8Array> {
  const bytes = await file.slice(start, start + length)
  if (bytes.length === length) return bytes
  throw new RangeError(`${name}: file must hold ${length} bytes from byte ${start} on, got ${bytes.length}`)
}

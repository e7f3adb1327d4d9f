import type { Metadata, Sharp } from 'sharp'
import type { ObjectBox } from '../../data/compose/object-box.js'
import type { Size2D } from '../../shapes.js'
import { undecodable, withJpegEnd } from '../images/image-files.js'
import { asPixels, asSamples, onWhite } from '../images/pixel-steps.js'
import { type SampleDepth, sampleDepth } from '../images/sample-depth.js'
import { readRegularFile } from '../regular-file.js'
import { SharedRoom } from '../shared-room.js'
import { type StoredTurn, storedTurn } from './stored-turn.js'
import { type UnchangedFile, unchangedFile } from './unchanged-file.js'

/** How image files are decoded that are read in parts. */
export interface RegionDecoding {
  /** 3 (RGB) unless given; 1 is grey. */
  readonly channels?: 1 | 3
  /** The sample value that becomes 255, of images of more than 8 bits; see `ImageDecoding`. */
  readonly whiteLevel?: number
  /**
   * Bytes of pixels up to which an image is decoded whole for its view: a JPEG file instead of small, a tiled TIFF file instead of
   * tile by tile. 12 MiB unless given, 4 megapixels.
   */
  readonly decodedWhole?: number
}

const usuallyWhole = 12 * 2 ** 20

/** The memory of this process for pixels that are being decoded, in bytes; a larger image is decoded alone. */
const decodingRoom = new SharedRoom(2 ** 28)

/** Which part of a file is decoded. */
export interface DecodedPart {
  /** In stored pixels; all of the image unless given. */
  readonly box?: ObjectBox
  /** Page of a file with several, and a directory within that page. */
  readonly page?: number
  readonly subifd?: number
  /** For JPEG: decodes at 1/2, 1/4 or 1/8. */
  readonly shrink?: number
  /** Whether any place of the file can be read without what stands before it, as in tiled TIFF files. */
  readonly random?: boolean
}

/** An image file that is decoded in parts, by sharp in its threads; pixels are as the project reads all images. */
export class ImageFile {
  readonly path: string
  /** Height and width as stored. */
  readonly stored: Size2D
  readonly turn: StoredTurn
  readonly about: Metadata
  readonly channels: 1 | 3
  /** Whether it is decoded whole at once. */
  readonly isSmall: boolean
  private readonly file: UnchangedFile
  private readonly whiteLevel: number | undefined
  private depth: Promise<SampleDepth | undefined> | undefined
  /** What is decoded: the file, or its bytes where they had to be mended. */
  private input: string | Buffer

  private constructor(path: string, file: UnchangedFile, about: Metadata, decoding: RegionDecoding) {
    const { channels = 3, whiteLevel, decodedWhole = usuallyWhole } = decoding
    this.isSmall = about.height * about.width * channels <= decodedWhole
    this.path = path
    this.file = file
    this.about = about
    this.stored = [about.height, about.width]
    this.turn = storedTurn(about.orientation)
    this.channels = channels
    this.whiteLevel = whiteLevel
    this.input = path
  }

  /**
   * Opens a file: only its header is read.
   *
   * @throws RangeError when the number of channels is not 1 or 3; Error naming the file when it is not there or no image
   */
  static async open(path: string, decoding: RegionDecoding = {}): Promise<ImageFile> {
    const { channels = 3 } = decoding
    if (channels !== 1 && channels !== 3) {
      throw new RangeError(`${path}: channels must be 1 or 3, got ${channels}`)
    }
    const file = await unchangedFile(path)
    const image = await load(path, {})
    const about = await image
      .metadata()
      .catch(async cause => undecodable(await readRegularFile(path), path)(cause))
    return new ImageFile(path, file, about, decoding)
  }

  /** Height and width as the image is seen. */
  get size(): Size2D {
    const [height, width] = this.stored
    return this.turn.transposed ? [width, height] : [height, width]
  }

  /**
   * Checks that the file is as it was when it was opened.
   *
   * @throws Error naming the file when it has changed or is gone
   */
  check(): Promise<void> {
    return this.file.check()
  }

  /**
   * Decodes a part of the image, as stored.
   *
   * @returns pixels 0..255, (height, width, channels)
   * @throws Error naming the file when it has changed, is gone, or cannot be decoded to its end
   */
  async decode(part: DecodedPart = {}): Promise<Uint8Array> {
    await this.file.check()
    const [height, width] = part.box ? [part.box[2], part.box[3]] : this.stored
    const bytes = (3 * height * width) / (part.shrink ?? 1) ** 2
    const pixels = await decodingRoom.with(bytes, () => this.decodeMended(part))
    await this.file.check()
    return pixels
  }

  /** Adds the end marker of a JPEG file that lacks nothing else. */
  private async decodeMended(part: DecodedPart): Promise<Uint8Array> {
    try {
      return await this.decodeNow(part)
    } catch (cause) {
      await this.file.check()
      if (cause instanceof RangeError) throw cause
      const bytes = await readRegularFile(this.path)
      const ended = typeof this.input === 'string' ? withJpegEnd(bytes) : undefined
      if (!ended) return undecodable(bytes, this.path)(cause)
      this.input = Buffer.from(ended.buffer)
      return this.decodeNow(part).catch(undecodable(bytes, this.path))
    }
  }

  private async decodeNow(part: DecodedPart): Promise<Uint8Array> {
    const { box, shrink = 1 } = part
    const [height, width] = box ? [box[2], box[3]] : this.stored
    const size = [Math.ceil(height / shrink), Math.ceil(width / shrink)] as const
    this.depth ??= this.readDepth()
    const depth = await this.depth
    let image = await load(this.input, part)
    if (box) image = image.extract({ top: box[0], left: box[1], height: box[2], width: box[3] })
    image = onWhite(image, this.about)
    if (shrink > 1) image = image.resize(size[1], size[0], { fit: 'fill', kernel: 'linear' })
    const { data, info } = await asSamples(image, this.about, depth).toBuffer({ resolveWithObject: true })
    if (info.height !== size[0] || info.width !== size[1] || info.channels !== 3) {
      throw new RangeError(
        `${this.path}: image must decode to ${size[0]}x${size[1]}x3 pixels, ` +
          `got ${info.height}x${info.width}x${info.channels}`,
      )
    }
    return asPixels(data, depth, this.channels)
  }

  private async readDepth(): Promise<SampleDepth | undefined> {
    try {
      return await sampleDepth(await load(this.input, {}), this.about, this.whiteLevel)
    } catch (cause) {
      this.depth = undefined
      if (!(cause instanceof RangeError)) throw cause
      throw new RangeError(`${this.path}: image must have samples that are read, got ${cause.message}`, {
        cause,
      })
    }
  }
}

async function load(input: string | Buffer, { page, subifd, random = false }: DecodedPart): Promise<Sharp> {
  const { default: sharp } = await import('sharp')
  // Each part is decoded once: sharp's cache would cost more than it saves, and show what a file was before.
  sharp.cache(false)
  return sharp(input, {
    failOn: 'warning',
    limitInputPixels: false,
    sequentialRead: !random,
    ...(page !== undefined && { page }),
    ...(subifd !== undefined && { tiff: { subifd } }),
  })
}

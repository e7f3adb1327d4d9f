import { stat } from 'node:fs/promises'
import type { Metadata, Sharp } from 'sharp'
import { type PixelBox, resizePixels } from '../../data/compose/resize.js'
import { imageFormat } from '../../data/formats/image-signature.js'
import { hasJpegEnd, readJpegHeader } from '../../data/formats/jpeg-header.js'
import type { DecodeImage, ImageDecoding } from '../../data/image-decoding.js'
import { type ImageShape, isPositiveInteger, type Size2D } from '../../shapes.js'
import { hostTurns } from '../../train/host-turn.js'
import { readRegularFile, specialFile } from '../regular-file.js'
import { type JpegDecoder, loadJpegDecoder } from './jpeg-turbo.js'
import { asPixels, asSamples, onWhite } from './pixel-steps.js'
import { type SampleDepth, sampleDepth } from './sample-depth.js'

/** Most pixels that an image may have before it is resized: more than a camera takes, less than fills the memory. */
export const mostPixels = 200_000_000

/** JPEG files of up to so many pixels are decoded in this thread; larger ones in those of sharp. */
const mostPixelsHere = 2 ** 20

/**
 * Decodes the bytes of an image file (JPEG, PNG, WebP, GIF, AVIF, TIFF, SVG) to the pixels that a model expects.
 *
 * The square in the middle, or the whole image, is stretched to the requested size, bilinearly with anti-aliasing. The
 * camera's rotation (EXIF) is applied, transparency is laid on white, CMYK becomes RGB, colours of a profile become
 * sRGB, colour becomes grey or grey becomes RGB, as requested. Samples of 16 bits and of 32-bit floats become 8-bit by
 * the white level. Of an animation the first frame is taken. The format is recognised by the bytes, not by the name's
 * ending. A JPEG file that lacks only its end marker is read.
 *
 * Plain JPEG files are decoded by libjpeg-turbo, and at half, a quarter or an eighth of their size where that is
 * enough; all others by sharp.
 *
 * @throws RangeError when an option of the decoding is out of range
 * @throws Error naming the image when it is empty, corrupt, cut short, not an image, smaller than what is to be cut
 *   out, or of more than {@link mostPixels} pixels
 */
export const decodeImage: DecodeImage = async (bytes, decoding, name, note = () => {}) => {
  checkDecoding(decoding)
  if (bytes.length === 0) throw new Error(`${name}: file must hold an image, got 0 bytes`)
  try {
    return await decodeWhole(bytes, decoding, name, note)
  } catch (error) {
    const ended = withJpegEnd(bytes)
    if (!ended) throw error
    const pixels = await decodeWhole(ended, decoding, name, note).catch(() => {
      throw error
    })
    note('lacks the end marker of a JPEG file: what is there was read')
    return pixels
  }
}

async function decodeWhole(
  bytes: Uint8Array,
  decoding: ImageDecoding,
  name: string,
  note: (text: string) => void,
): Promise<Uint8Array> {
  return (await decodeJpeg(bytes, decoding, name)) ?? decodeWithSharp(bytes, decoding, name, note)
}

/** A JPEG file with the end marker added; undefined for files that are no JPEG files or have the marker. */
export function withJpegEnd(bytes: Uint8Array): Uint8Array | undefined {
  const header = readJpegHeader(bytes)
  if (!header || hasJpegEnd(bytes, header.scan)) return undefined
  const ended = new Uint8Array(bytes.length + 2)
  ended.set(bytes)
  ended.set([0xff, 0xd9], bytes.length)
  return ended
}

/**
 * Reads and decodes an image file.
 *
 * @param path of the file
 * @param decoding as for {@link decodeImage}, or its shape alone
 * @param decode `decodeImage`, or a decoder that also collects its notes
 * @returns pixels 0..255, (height, width, channels), row-major
 * @throws Error with the path when the file is missing, and as {@link decodeImage} does
 */
export async function readImage(
  path: string,
  decoding: ImageDecoding | ImageShape,
  decode: DecodeImage = decodeImage,
): Promise<Uint8Array> {
  const fullDecoding: ImageDecoding = 'shape' in decoding ? decoding : { shape: decoding }
  checkDecoding(fullDecoding)
  const stats = await stat(path).catch((cause: unknown) => {
    throw new Error(`${path}: file must be readable, got ${reason(cause)}`, { cause })
  })
  if (!stats.isFile()) {
    throw new Error(`${path}: path must be a file, got ${specialFile(stats) ?? 'a folder'}`)
  }
  const bytes = await readRegularFile(path).catch((cause: unknown) => {
    throw new Error(`${path}: file must be readable, got ${reason(cause)}`, { cause })
  })
  return decode(bytes, fullDecoding, path)
}

function checkDecoding({ shape, cropSide, whiteLevel }: ImageDecoding): void {
  const [height, width, channels] = shape
  if (!isPositiveInteger(height) || !isPositiveInteger(width) || (channels !== 1 && channels !== 3)) {
    throw new RangeError(
      `decodeImage: shape must be [height, width, 1 or 3] of positive integers, got [${shape.join(', ')}]`,
    )
  }
  if (cropSide !== undefined && !isPositiveInteger(cropSide)) {
    throw new RangeError(`decodeImage: cropSide must be a positive integer, got ${cropSide}`)
  }
  if (whiteLevel !== undefined && !(whiteLevel > 0 && whiteLevel < Infinity)) {
    throw new RangeError(`decodeImage: whiteLevel must be a number above 0, got ${whiteLevel}`)
  }
}

let jpegDecoder: Promise<JpegDecoder | undefined> | undefined
const turn = hostTurns()

/** Decodes a plain JPEG file; undefined where the file has properties that are left to sharp. */
async function decodeJpeg(
  bytes: Uint8Array,
  { shape, cropSide }: ImageDecoding,
  name: string,
): Promise<Uint8Array | undefined> {
  const header = readJpegHeader(bytes)
  if (header?.precision !== 8 || header.hasExif || header.hasProfile) return undefined
  if (header.components !== 1 && header.components !== 3) return undefined
  const [height, width] = header.size
  if (height === 0 || width === 0 || height * width > mostPixelsHere) return undefined
  jpegDecoder ??= loadJpegDecoder()
  const decoder = await jpegDecoder
  // Decoding blocks the thread: other tasks get their turn first.
  await turn()
  const box = cropBox(header.size, cropSide, name)
  const scale = [8, 4, 2].find(by => box.height / by >= shape[0] && box.width / by >= shape[1]) ?? 1
  const size: Size2D = [Math.ceil(height / scale), Math.ceil(width / scale)]
  const channels = shape[2] as 1 | 3
  const pixels = decoder?.decode(bytes, size, channels)
  return (
    pixels &&
    resizePixels(pixels, [size[0], size[1], channels], [shape[0], shape[1]], {
      top: box.top / scale,
      left: box.left / scale,
      height: box.height / scale,
      width: box.width / scale,
    })
  )
}

async function decodeWithSharp(
  bytes: Uint8Array,
  decoding: ImageDecoding,
  name: string,
  note: (text: string) => void,
): Promise<Uint8Array> {
  // Loaded on demand: a platform without sharp's binary can do everything else.
  const { default: sharp } = await import('sharp')
  // Each image is decoded once: sharp's cache would cost more than it saves.
  sharp.cache(false)
  const input = sharp(bytes, { failOn: 'warning', limitInputPixels: false })
  const about = await input.metadata().catch(undecodable(bytes, name))
  const { height, width } = about.autoOrient
  if (height * width > mostPixels) {
    throw new Error(
      `${name}: image must have at most ${mostPixels} pixels, got ${height * width} (${height}x${width})`,
    )
  }
  const box = cropBox([height, width], decoding.cropSide, name)
  const [wantedHeight, wantedWidth, channels] = decoding.shape
  const depth = await sampleDepth(input, about, decoding.whiteLevel).catch((cause: unknown) => {
    if (!(cause instanceof RangeError)) return undecodable(bytes, name)(cause)
    throw new Error(`${name}: image must have samples that are read, got ${cause.message}`, { cause })
  })
  const upright = await uprightImage(input, about).catch(undecodable(bytes, name))
  const { data, info } = await steps(upright, about, box, decoding, depth)
    .toBuffer({ resolveWithObject: true })
    .catch(undecodable(bytes, name))
  if (info.channels !== 3 || info.width !== wantedWidth || info.height !== wantedHeight) {
    throw new Error(
      `${name}: image must decode to ${wantedHeight}x${wantedWidth}x3 pixels, got ${info.height}x${info.width}x${info.channels}`,
    )
  }
  for (const text of [...notesOf(about), ...(depth?.notes ?? [])]) note(text)
  return asPixels(data, depth, channels).slice()
}

/** What decoding drops or changes of an image, besides the depth of its samples. */
function notesOf({ format, pages = 1, space, hasAlpha }: Metadata): string[] {
  return [
    ...(pages > 1 ? ['has several frames or pages: the first is taken'] : []),
    ...(space === 'cmyk' ? ['is CMYK: converted to RGB'] : []),
    // Every GIF image is decoded with an alpha channel.
    ...(hasAlpha && format !== 'gif' ? ['has an alpha channel: laid on white'] : []),
  ]
}

/**
 * The image as the camera's rotation turns it. A small JPEG file is decoded whole: sharp decodes one to whole pixels of a smaller size,
 * which moves what is seen by a part of such a pixel, and that is much where few are left.
 */
async function uprightImage(input: Sharp, about: Metadata): Promise<Sharp> {
  const upright = (about.orientation ?? 1) > 1 ? input.autoOrient() : input
  if (about.format !== 'jpeg' || about.width * about.height > mostPixelsHere) return upright
  const { default: sharp } = await import('sharp')
  const { data, info } = await upright.raw().toBuffer({ resolveWithObject: true })
  const { width, height, channels } = info
  return sharp(data, { raw: { width, height, channels } })
}

/** What sharp is to do; steps that change nothing are left out, since each costs time. */
function steps(
  input: Sharp,
  about: Metadata,
  box: PixelBox,
  { shape, cropSide }: ImageDecoding,
  depth: SampleDepth | undefined,
): Sharp {
  const [height, width] = shape
  let image = input
  if (cropSide !== undefined) image = image.extract(box)
  image = onWhite(image, about).resize(width, height, { fit: 'fill', kernel: 'linear' })
  return asSamples(image, about, depth)
}

/** The square of `side` pixels in the middle, or all of the image. */
function cropBox([height, width]: Size2D, side: number | undefined, name: string): PixelBox {
  if (side === undefined) return { top: 0, left: 0, height, width }
  if (height < side || width < side) {
    throw new Error(
      `${name}: image must be at least ${side}x${side} for the square to be cut out, got ${height}x${width}`,
    )
  }
  return { top: (height - side) >> 1, left: (width - side) >> 1, height: side, width: side }
}

/** Throws an error that says what the file is; the decoder's message, which differs from run to run, is its cause. */
export function undecodable(bytes: Uint8Array, name: string): (cause: unknown) => never {
  return cause => {
    throw new Error(`${name}: file must be an image that decodes to its end, got ${contentOf(bytes)}`, {
      cause,
    })
  }
}

/** What a file that cannot be decoded is, as far as its bytes tell. */
function contentOf(bytes: Uint8Array): string {
  const format = imageFormat(bytes)
  if (format === undefined) {
    const start = Array.from(bytes.subarray(0, 8), byte => byte.toString(16).padStart(2, '0')).join(' ')
    return `no image of a known format (${bytes.length} bytes that begin with ${start})`
  }
  if (['BMP', 'HEIC', 'HEIF', 'JPEG 2000', 'JPEG XL', 'PSD'].includes(format)) {
    return `${format}, which is not read (convert it to PNG or JPEG)`
  }
  if (format !== 'JPEG') return `${format} data that are damaged or cut short`
  const header = readJpegHeader(bytes)
  if (!header || !hasJpegEnd(bytes, header.scan))
    return `JPEG data that are cut short after ${bytes.length} bytes`
  return 'JPEG data that are damaged'
}

function reason(cause: unknown): string {
  return cause instanceof Error ? cause.message : String(cause)
}

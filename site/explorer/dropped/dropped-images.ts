import { resizePixels } from '../../../src/data/compose/resize.js'
import type { ImageShape, Size2D } from '../../../src/shapes.js'
import { pathOf } from './dropped-model.js'

/** Longest side of an image in pixels before it is resized in this page; the browser makes larger ones smaller. */
const LONGEST = 4096

/** How an image becomes what a network takes. */
export interface DroppedDecoding {
  readonly shape: ImageShape
  readonly cropSide?: number
}

let last: Promise<unknown> = Promise.resolve()

/** Decodes images one after the other, however many are asked for: one at a time is in memory at its full size. */
function inTurn<Result>(run: () => Promise<Result>): Promise<Result> {
  const turn = last.then(run)
  last = turn.catch(() => undefined)
  return turn
}

/**
 * The pixels of a dropped image as a network takes them, resized as the library resizes.
 *
 * @returns pixels 0..255, (height, width, channels)
 * @throws Error naming the file when it is no image
 */
export function droppedPixels(file: File, { shape, cropSide }: DroppedDecoding): Promise<Uint8Array> {
  return inTurn(async () => {
    const { rgba, size } = await decoded(file)
    const channels = shape[2]
    const pixels = channels === 1 ? grey(rgba) : colour(rgba)
    const box = cropBox(file, size, cropSide)
    return resizePixels(pixels, [...size, channels], [shape[0], shape[1]], box)
  })
}

/** What a network sees of a dropped image, as a picture. */
export function droppedPicture(file: File, { cropSide }: DroppedDecoding, longest: number): Promise<Blob> {
  return inTurn(async () => {
    const bitmap = await bitmapOf(file)
    const { top, left, height, width } = cropBox(file, [bitmap.height, bitmap.width], cropSide)
    const scale = Math.min(1, longest / Math.max(height, width))
    const side = (length: number) => Math.max(1, Math.round(length * scale))
    const { canvas, context } = whiteCanvas(side(width), side(height))
    context.imageSmoothingQuality = 'high'
    context.drawImage(bitmap, left, top, width, height, 0, 0, canvas.width, canvas.height)
    bitmap.close()
    const isPhotograph = Math.max(height, width) > 128
    return canvas.convertToBlob(isPhotograph ? { type: 'image/jpeg', quality: 0.88 } : { type: 'image/png' })
  })
}

async function bitmapOf(file: File): Promise<ImageBitmap> {
  return createImageBitmap(file).catch((cause: unknown) => {
    throw new Error(
      `${pathOf(file)}: file must be an image that the browser can show, got ${file.size} bytes that are none`,
      { cause },
    )
  })
}

async function decoded(file: File): Promise<{ readonly rgba: Uint8ClampedArray; readonly size: Size2D }> {
  const bitmap = await bitmapOf(file)
  const scale = Math.min(1, LONGEST / Math.max(bitmap.width, bitmap.height))
  const side = (length: number) => Math.max(1, Math.round(length * scale))
  const { canvas, context } = whiteCanvas(side(bitmap.width), side(bitmap.height))
  context.imageSmoothingQuality = 'high'
  context.drawImage(bitmap, 0, 0, canvas.width, canvas.height)
  bitmap.close()
  const { data, height, width } = context.getImageData(0, 0, canvas.width, canvas.height)
  return { rgba: data, size: [height, width] }
}

/** A canvas on which transparent parts are white. */
function whiteCanvas(width: number, height: number) {
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d', { willReadFrequently: true }) as OffscreenCanvasRenderingContext2D
  context.fillStyle = '#fff'
  context.fillRect(0, 0, width, height)
  return { canvas, context }
}

function cropBox(file: File, [height, width]: Size2D, side: number | undefined) {
  if (side === undefined) return { top: 0, left: 0, height, width }
  if (height < side || width < side) {
    throw new Error(`${pathOf(file)}: image must be at least ${side}x${side} pixels, got ${height}x${width}`)
  }
  return {
    top: Math.floor((height - side) / 2),
    left: Math.floor((width - side) / 2),
    height: side,
    width: side,
  }
}

function colour(rgba: Uint8ClampedArray): Uint8Array {
  const pixels = new Uint8Array((rgba.length / 4) * 3)
  for (let from = 0, to = 0; from < rgba.length; from += 4) {
    pixels[to++] = rgba[from] as number
    pixels[to++] = rgba[from + 1] as number
    pixels[to++] = rgba[from + 2] as number
  }
  return pixels
}

/** Luma of ITU-R BT.601. */
function grey(rgba: Uint8ClampedArray): Uint8Array {
  return Uint8Array.from({ length: rgba.length / 4 }, (_, i) => {
    const [red = 0, green = 0, blue = 0] = rgba.subarray(4 * i, 4 * i + 3)
    return Math.round(0.299 * red + 0.587 * green + 0.114 * blue)
  })
}

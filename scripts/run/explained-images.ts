import sharp, { type OverlayOptions } from 'sharp'
import type { ImageDecoding } from '../../src/data/image-decoding.js'
import { type Explanation, type Explanations, explain } from '../../src/explain/explain.js'
import { decodeImage } from '../../src/files/images/image-files.js'
import { readRegularFile } from '../../src/files/regular-file.js'
import type { FrozenClassifier } from '../../src/inference/frozen-classifier.js'
import type { ExplainedImage } from '../../src/report/explanation-figure.js'
import { cellRectangle } from '../../src/report/routing-figure.js'
import type { Size2D } from '../../src/shapes.js'
import type { DecodedImage } from './decoded-images.js'
import type { OpenedModel } from './opened-model.js'

/** Longest side of the pictures that overlays are drawn on, in pixels. */
const pictureSide = 480

/** Images that were explained, as they are shown. */
export interface ExplainedImages extends Omit<Explanations, 'images'> {
  readonly images: readonly ExplainedImage[]
}

/**
 * Explains images that were decoded as the model was trained on them, and makes pictures of them.
 *
 * @param decoded 1 or more
 * @param nameOf what an image of a path is called
 */
export async function explainImages(
  { model }: OpenedModel,
  decoded: readonly DecodedImage[],
  decoding: ImageDecoding,
  { classNames, sensitivity, frozen, nameOf }: ExplainSettings,
): Promise<ExplainedImages> {
  const pixels = new Uint8Array(Buffer.concat(decoded.map(image => image.pixels)))
  const { images, ...rest } = await explain(model, pixels, decoding.shape, { sensitivity, frozen })
  const shown = images.map(async (explanation, i): Promise<ExplainedImage> => {
    const path = decoded[i]?.path ?? ''
    const { uri, size } = await pictureOf(path, decoding)
    const { experts, choices, sensitivity: losses } = explanation
    return {
      name: nameOf(path),
      uri,
      size,
      classes: classesOf(explanation, classNames),
      experts,
      ...(choices && { choices }),
      ...(rest.grid && { grid: rest.grid }),
      ...(losses && { sensitivity: losses }),
    }
  })
  return { ...rest, images: await Promise.all(shown) }
}

function classesOf({ probabilities }: Explanation, names: readonly string[]): ExplainedImage['classes'] {
  return [...probabilities]
    .map((probability, label) => ({ name: names[label] ?? `output ${label}`, probability }))
    .sort((a, b) => b.probability - a.probability)
}

/** How images are explained. */
export interface ExplainSettings {
  readonly classNames: readonly string[]
  /** Removes patches one by one. */
  readonly sensitivity: boolean
  /** A copy of the model that answers in its place. */
  readonly frozen?: FrozenClassifier | undefined
  nameOf(path: string): string
}

/** The part of an image that the model sees, at the image's own resolution up to {@link pictureSide}; small ones are enlarged. */
async function pictureOf(path: string, decoding: ImageDecoding): Promise<{ uri: string; size: Size2D }> {
  const { pixels, full, size: ownSize } = await seenPixels(path, decoding, pictureSide)
  // Small images are enlarged so that overlays have room.
  const scale = pictureSide / Math.max(...full)
  const size = scaledSize(full, scale)
  const raw = { width: ownSize[1], height: ownSize[0], channels: 3 } as const
  const png = await sharp(pixels, { raw }).resize(size[1], size[0], { kernel: 'nearest' }).png().toBuffer()
  return { uri: `data:image/png;base64,${png.toString('base64')}`, size }
}

/** A part of an image as RGB pixels. */
export interface SeenPixels {
  /** 0..255, (size, 3). */
  readonly pixels: Uint8Array
  readonly size: Size2D
  /** Height and width of the part in the image itself. */
  readonly full: Size2D
}

/**
 * The part of an image file that a model sees, at the image's own resolution, but no longer than `longest` pixels and no smaller
 * than the model's input.
 *
 * @throws Error naming the file when it is no image
 */
export async function seenPixels(
  path: string,
  { shape, ...decoding }: ImageDecoding,
  longest: number,
): Promise<SeenPixels> {
  const { cropSide } = decoding
  const bytes = await readRegularFile(path)
  const { width = 1, height = 1, autoOrient } = await sharp(bytes).metadata()
  const full: Size2D =
    cropSide === undefined ? [autoOrient?.height ?? height, autoOrient?.width ?? width] : [cropSide, cropSide]
  const own = scaledSize(full, Math.min(1, longest / Math.max(...full)))
  const size: Size2D = [Math.max(shape[0], own[0]), Math.max(shape[1], own[1])]
  return { pixels: await decodeImage(bytes, { ...decoding, shape: [...size, 3] }, path), size, full }
}

function scaledSize([height, width]: Size2D, scale: number): Size2D {
  return [Math.max(1, Math.round(height * scale)), Math.max(1, Math.round(width * scale))]
}

/** Patches of one expert in a row of the sheet, and their side in pixels. */
const sheetColumns = 12
const sheetCell = 88

/**
 * A sheet of the patches that each expert kept with the largest gates, one row an expert; each is cut out of its image
 * with half a patch more on each side, and outlined.
 *
 * @returns a PNG; undefined for a model that keeps every patch
 */
export async function expertSheet({ images, grid }: ExplainedImages): Promise<Buffer | undefined> {
  const experts = images[0]?.experts.length ?? 0
  if (!grid || experts === 0) return undefined
  const cells: OverlayOptions[] = []
  for (let expert = 0; expert < experts; expert++) {
    const keptPatches = images.flatMap(image => {
      const { patches = [], gates = [] } = image.experts[expert] ?? {}
      return patches.map((patch, i) => ({ image, patch, gate: gates[i] ?? 0 }))
    })
    keptPatches.sort((a, b) => b.gate - a.gate)
    for (const [column, { image, patch }] of keptPatches.slice(0, sheetColumns).entries()) {
      const input = await patchCut(image, patch, grid)
      cells.push({ input, left: column * (sheetCell + 4) + 4, top: expert * (sheetCell + 4) + 4 })
    }
  }
  const background = { r: 255, g: 255, b: 255 }
  const width = sheetColumns * (sheetCell + 4) + 4
  const height = experts * (sheetCell + 4) + 4
  return sharp({ create: { width, height, channels: 3, background } })
    .composite(cells)
    .png()
    .toBuffer()
}

async function patchCut({ uri, size }: ExplainedImage, patch: number, grid: Size2D): Promise<Buffer> {
  const { x, y, width, height } = cellRectangle(grid, patch, size)
  // Half a patch around it, black where the image ends.
  const [left, top] = [Math.round(x - width / 2), Math.round(y - height / 2)]
  const [w, h] = [Math.round(width * 2), Math.round(height * 2)]
  const margin = Math.ceil(Math.max(width, height))
  const picture = Buffer.from(uri.slice(uri.indexOf(',') + 1), 'base64')
  const padded = await sharp(picture)
    .extend({ top: margin, bottom: margin, left: margin, right: margin, background: '#10161d' })
    .toBuffer()
  const outline = `<svg xmlns="http://www.w3.org/2000/svg" width="${sheetCell}" height="${sheetCell}"><rect x="25%" y="25%" width="50%" height="50%" fill="none" stroke="#ff9d1e" stroke-width="2"/></svg>`
  return sharp(padded)
    .extract({ left: left + margin, top: top + margin, width: w, height: h })
    .resize(sheetCell, sheetCell, { fit: 'fill' })
    .composite([{ input: Buffer.from(outline) }])
    .png()
    .toBuffer()
}

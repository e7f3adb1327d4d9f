import sharp, { type OverlayOptions } from 'sharp'
import type { RegionSource } from '../../../src/data/regions/region-source.js'
import type { ExplainedImage } from '../../../src/report/explanation-figure.js'
import type { ImageShape, Size2D } from '../../../src/shapes.js'
import type { KeptBoxes, RegionAnswer } from './region-answers.js'

/** Longest side of the pictures that boxes are drawn on, in pixels; smaller images are enlarged to half of it. */
const pictureSide = 960
/** Side that small patches are enlarged to, in pixels. */
const cropSide = 84

/**
 * The answer of a model that reads images in parts, as it is shown.
 *
 * @param name of the image
 */
export async function explainedRegions(
  { source, probabilities, experts }: RegionAnswer,
  classNames: readonly string[],
  patch: Size2D,
  name: string,
): Promise<ExplainedImage> {
  const { uri, size } = await smallPicture(source)
  const classes = [...probabilities]
    .map((probability, label) => ({ name: classNames[label] ?? `output ${label}`, probability }))
    .sort((a, b) => b.probability - a.probability)
  const shape: ImageShape = [patch[0], patch[1], source.channels]
  const regions = experts.map(async ({ gates, boxes, crops }) => ({
    gates,
    boxes,
    crops: await Promise.all(crops.map(crop => dataUri(crop, shape))),
  }))
  return {
    name,
    uri,
    size,
    classes,
    experts: [],
    pixels: [source.height, source.width],
    regions: await Promise.all(regions),
  }
}

async function smallPicture(source: RegionSource): Promise<{ uri: string; size: Size2D }> {
  const { bytes, type, size } = await pictureOfRegions(source)
  return { uri: `data:${type};base64,${bytes.toString('base64')}`, size }
}

/** An encoded picture. */
export interface SmallPicture {
  readonly bytes: Buffer
  readonly type: 'image/jpeg' | 'image/png'
  /** Height and width, before it was enlarged. */
  readonly size: Size2D
}

/** An image that is read in parts, drawn small: no longer than `longest` pixels; much smaller ones are enlarged. */
export async function pictureOfRegions(source: RegionSource, longest = pictureSide): Promise<SmallPicture> {
  const { height, width, channels } = source
  const scale = Math.ceil(Math.max(height, width) / longest)
  const size: Size2D = [Math.ceil(height / scale), Math.ceil(width / scale)]
  const enlarged = Math.max(1, Math.floor(longest / 2 / Math.max(...size)))
  const raw = { width: size[1], height: size[0], channels: channels as 1 | 3 }
  const image = sharp(await source.view(scale), { raw }).resize(size[1] * enlarged, size[0] * enlarged, {
    kernel: 'nearest',
  })
  const isPhotograph = scale > 1
  const bytes = await (isPhotograph ? image.jpeg({ quality: 85 }) : image.png()).toBuffer()
  return { bytes, type: isPhotograph ? 'image/jpeg' : 'image/png', size }
}

async function dataUri(pixels: Uint8Array, shape: ImageShape): Promise<string> {
  return `data:image/png;base64,${(await cropPng(pixels, shape)).toString('base64')}`
}

async function cropPng(pixels: Uint8Array, [height, width, channels]: ImageShape): Promise<Buffer> {
  const image = sharp(pixels, { raw: { width, height, channels: channels as 1 | 3 } })
  const enlarged = Math.max(1, Math.ceil(cropSide / Math.max(height, width)))
  return image
    .resize(width * enlarged, height * enlarged, { kernel: 'nearest' })
    .png()
    .toBuffer()
}

/** Patches of one expert in a row of the sheet, and their side in pixels. */
const sheetColumns = 12
const sheetCell = 88

/**
 * A sheet of the patches that each expert read with the largest gates, one row an expert.
 *
 * @param answers of one or more images
 * @returns a PNG
 */
export async function regionSheet(
  answers: readonly (readonly KeptBoxes[])[],
  shape: ImageShape,
): Promise<Buffer> {
  const experts = answers[0]?.length ?? 0
  const cells: OverlayOptions[] = []
  for (let expert = 0; expert < experts; expert++) {
    const kept = answers.flatMap(answer => {
      const { crops = [], gates = [] } = answer[expert] ?? {}
      return crops.map((crop, i) => ({ crop, gate: gates[i] ?? 0 }))
    })
    kept.sort((a, b) => b.gate - a.gate)
    for (const [column, { crop }] of kept.slice(0, sheetColumns).entries()) {
      const input = await sharp(await cropPng(crop, shape))
        .resize(sheetCell, sheetCell, { fit: 'fill' })
        .toBuffer()
      cells.push({ input, left: column * (sheetCell + 4) + 4, top: expert * (sheetCell + 4) + 4 })
    }
  }
  const width = sheetColumns * (sheetCell + 4) + 4
  const height = experts * (sheetCell + 4) + 4
  return sharp({ create: { width, height, channels: 3, background: { r: 255, g: 255, b: 255 } } })
    .composite(cells)
    .png()
    .toBuffer()
}

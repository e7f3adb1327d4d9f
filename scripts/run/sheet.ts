import { type ImageValues, joinedValues } from '../../src/data/image-values.js'
import { showcase } from '../../src/data/summary.js'
import { viewableImages } from '../../src/data/viewable-images.js'
import { writeSheetPng } from '../../src/files/images/sheet-png.js'
import { contactSheet, type SheetImage } from '../../src/report/contact-sheet.js'
import { truePartRectangle } from '../../src/report/routing-figure.js'
import type { ImageShape } from '../../src/shapes.js'
import type { InspectedHalf } from './inspection.js'
import { truePart } from './true-part.js'

/** How a contact sheet of images is made. */
export interface SheetRequest {
  /** One line above the images. */
  readonly title: string
  /** Images at most; 48 by default. */
  readonly most?: number
  /** Rounds the picture to 256 colours: a smaller file. */
  readonly fewColors?: boolean
}

/** A contact sheet that was written. */
export interface WrittenSheet {
  readonly path: string
  /** Images on it. */
  readonly images: number
  /** Images that were chosen for it and could not be decoded, each with the reason. */
  readonly unreadable: readonly string[]
}

const MOST_IMAGES = 48

/**
 * Writes a contact sheet: images of every class or group, the part that shows the class outlined.
 *
 * @param path of the PNG file
 * @throws Error when none of the images can be decoded, or the file cannot be written
 */
export async function writeContactSheet(
  path: string,
  half: InspectedHalf,
  { title, most = MOST_IMAGES, fewColors = false }: SheetRequest,
): Promise<WrittenSheet> {
  const { positions, values, unreadable } = await chosenImages(path, half, most)
  const { pixels, shape } = viewableImages(values, half.shape)
  const images = positions.map(position => sheetImage(half, position, shape))
  const sheet = contactSheet({ title, size: [shape[0], shape[1]], images })
  await writeSheetPng(path, sheet, pixels, shape, { fewColors })
  return { path, images: positions.length, unreadable }
}

/** Images that a sheet shows. */
export interface ChosenImages {
  /** In the half, at least 1. */
  readonly positions: readonly number[]
  /** Their values, (count, height, width, channels). */
  readonly values: ImageValues
  /** Why others that were chosen could not be decoded. */
  readonly unreadable: readonly string[]
}

/**
 * Chooses images of every class or group for a sheet, and reads them.
 *
 * @param path of the sheet, for errors
 * @param most images
 * @throws Error when none of the images can be decoded
 */
export async function chosenImages(path: string, half: InspectedHalf, most: number): Promise<ChosenImages> {
  const positions: number[] = []
  const values: ImageValues[] = []
  const unreadable: string[] = []
  for (const position of showcase(half, most)) {
    try {
      values.push(await half.pixels(position))
      positions.push(position)
    } catch (error) {
      unreadable.push((error as Error).message)
    }
  }
  if (positions.length === 0) {
    throw new Error(`${path}: contact sheet must show an image, got none that decodes: ${unreadable[0]}`)
  }
  return { positions, values: joinedValues(values), unreadable }
}

/** @param shape of the image as the sheet shows it */
function sheetImage(half: InspectedHalf, position: number, shape: ImageShape): SheetImage {
  const { labels, classNames, groups, groupNames } = half
  const group = groups && groupNames?.[groups[position] as number]
  const label = labels[position] as number
  const part = truePart(half, position)
  const outline = part && truePartRectangle(part, [shape[0], shape[1]])
  return { caption: group ?? classNames[label] ?? String(label), ...(outline && { outline }) }
}

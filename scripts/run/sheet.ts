import { showcase } from '../../src/data/summary.js'
import { writeSheetPng } from '../../src/files/sheet-png.js'
import { contactSheet, type SheetImage, type SheetRectangle } from '../../src/report/contact-sheet.js'
import { cellRectangle } from '../../src/report/routing-figure.js'
import type { InspectedHalf } from './inspection.js'

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
  const shown: number[] = []
  const pixels: Uint8Array[] = []
  const unreadable: string[] = []
  for (const position of showcase(half, most)) {
    try {
      pixels.push(await half.pixels(position))
      shown.push(position)
    } catch (error) {
      unreadable.push((error as Error).message)
    }
  }
  if (shown.length === 0) {
    throw new Error(`${path}: contact sheet must show an image, got none that decodes: ${unreadable[0]}`)
  }
  const { shape } = half
  const images = shown.map(position => sheetImage(half, position))
  const sheet = contactSheet({ title, size: [shape[0], shape[1]], images })
  const together = new Uint8Array(Buffer.concat(pixels))
  await writeSheetPng(path, sheet, together, shape, { fewColors })
  return { path, images: shown.length, unreadable }
}

function sheetImage(half: InspectedHalf, position: number): SheetImage {
  const { labels, classNames, groups, groupNames } = half
  const group = groups && groupNames?.[groups[position] as number]
  const label = labels[position] as number
  const outline = outlineOf(half, position)
  return { caption: group ?? classNames[label] ?? String(label), ...(outline && { outline }) }
}

/** The cell or the box that shows the class, where it is known. */
function outlineOf(
  { cells, trueCell, objectBox, shape }: InspectedHalf,
  position: number,
): SheetRectangle | undefined {
  const [y, x, height, width] = objectBox?.subarray(4 * position, 4 * position + 4) ?? []
  if (y !== undefined && x !== undefined && height !== undefined && width !== undefined) {
    return { x, y, width, height }
  }
  const cell = trueCell?.[position]
  return cells && cell !== undefined ? cellRectangle(cells, cell, [shape[0], shape[1]]) : undefined
}

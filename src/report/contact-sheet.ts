import type { Size2D } from '../shapes.js'
import { escapeHtml } from './escape.js'

/** One image of a contact sheet, without its pixels. */
export interface SheetImage {
  /** The text below the image: its class, or its group. */
  readonly caption: string
  /** The part that shows the class, in pixels of the image. */
  readonly outline?: SheetRectangle
}

/** A rectangle, in pixels. */
export interface SheetRectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** What a contact sheet shows. */
export interface SheetOptions {
  /** One line above the images. */
  readonly title: string
  /** Height and width of every image, in pixels. */
  readonly size: Size2D
  readonly images: readonly SheetImage[]
  /** Images a row; 8 by default. */
  readonly columns?: number
}

/** Where the images of a contact sheet go, and what is drawn over them. */
export interface ContactSheet {
  /** Width and height of the sheet, in pixels. */
  readonly width: number
  readonly height: number
  /** Position and size of each image on the sheet. */
  readonly tiles: readonly SheetRectangle[]
  /** Title, captions and outlines as an SVG document of the sheet's size, transparent elsewhere. */
  readonly overlay: string
}

/** Approximate side of a small image on the sheet: it is enlarged by a whole factor, so that its pixels stay square. */
const TILE_PX = 96
/** Images with a longer side than this are shrunk to it. */
const MAX_PX = 160
const GAP_PX = 12
const LINE_PX = 13
const TITLE_PX = 30
const FONT_PX = 11
/** Approximate width of a letter of this font size. */
const LETTER_PX = 6
/** Height of a caption besides its lines. */
const CAPTION_PX = 6

/**
 * Lays a contact sheet out: a grid of images with their classes below, and the part that shows the class outlined.
 *
 * @throws RangeError when there are no images or no columns
 */
export function contactSheet({ title, size, images, columns = 8 }: SheetOptions): ContactSheet {
  if (images.length === 0) throw new RangeError('contactSheet: images must be at least 1, got 0')
  if (!Number.isInteger(columns) || columns < 1) {
    throw new RangeError(`contactSheet: columns must be a positive integer, got ${columns}`)
  }
  const factor = magnification(size)
  const tile: Size2D = [Math.round(size[0] * factor), Math.round(size[1] * factor)]
  const columnWidth = Math.max(tile[1], TILE_PX)
  const captions = images.map(({ caption }) => captionLines(caption, Math.floor(columnWidth / LETTER_PX)))
  const captionHeight = Math.max(...captions.map(lines => lines.length)) * LINE_PX + CAPTION_PX
  const step = { x: columnWidth + GAP_PX, y: tile[0] + captionHeight + GAP_PX }
  const usedColumns = Math.min(columns, images.length)
  const width = Math.max(
    GAP_PX + usedColumns * step.x,
    Math.ceil(2 * GAP_PX + title.length * LETTER_PX * 1.25),
  )
  const tiles = images.map((_, i) => ({
    x: GAP_PX + (i % columns) * step.x,
    y: TITLE_PX + GAP_PX + Math.floor(i / columns) * step.y,
    width: tile[1],
    height: tile[0],
  }))
  const height = TITLE_PX + GAP_PX + Math.ceil(images.length / columns) * step.y
  const marks = images.map(
    ({ outline }, i) => outlineMark(outline, tiles[i]!, factor) + captionMark(captions[i]!, tiles[i]!),
  )
  const overlay = `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" font-family="DejaVu Sans, Arial, sans-serif" font-size="${FONT_PX}" fill="#1d2733">
<text x="${GAP_PX}" y="${TITLE_PX - 6}" font-size="13" font-weight="bold">${escapeHtml(title)}</text>
${marks.join('\n')}
</svg>`
  return { width, height, tiles, overlay }
}

function magnification([height, width]: Size2D): number {
  const longer = Math.max(height, width)
  return longer > MAX_PX ? MAX_PX / longer : Math.max(1, Math.round(TILE_PX / longer))
}

function captionMark(lines: readonly string[], { x, y, height }: SheetRectangle): string {
  const texts = lines.map(
    (line, i) => `<text x="${x}" y="${y + height + (i + 1) * LINE_PX}">${escapeHtml(line)}</text>`,
  )
  return texts.join('')
}

/** The outline of a part of an image: a dark line under a bright one, visible on any background. */
function outlineMark(outline: SheetRectangle | undefined, { x, y }: SheetRectangle, factor: number): string {
  if (!outline) return ''
  const position = `x="${x + outline.x * factor}" y="${y + outline.y * factor}" width="${outline.width * factor}" height="${outline.height * factor}"`
  return `<g fill="none"><rect ${position} stroke="#10161d" stroke-width="4"/><rect ${position} stroke="#00c2ff" stroke-width="2"/></g>`
}

/** A caption in at most two lines, broken between words if possible. */
function captionLines(caption: string, maxLetters: number): string[] {
  if (caption.length <= maxLetters) return [caption]
  const space = caption.lastIndexOf(' ', maxLetters)
  const end = space > 0 ? space : maxLetters
  const rest = caption.slice(end).trim()
  return [caption.slice(0, end), rest.length <= maxLetters ? rest : `${rest.slice(0, maxLetters - 1)}…`]
}

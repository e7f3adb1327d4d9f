import type { Size2D } from '../shapes.js'
import { escapeHtml } from './escape.js'
import { expertTitle, type NamedExpert } from './expert-title.js'

/** The patches that one expert read of a large image. */
export interface KeptRegions extends NamedExpert {
  /** Gate of each patch, at least 0; the largest first. */
  readonly gates: readonly number[]
  /** Top, left, height and width of each patch in pixels of the image; they may reach past it. */
  readonly boxes: readonly (readonly number[])[]
  /** Each patch as a data URI, pixel by pixel as it is. */
  readonly crops: readonly string[]
}

/** A large image, drawn small, and the parts of it that experts read at full resolution. */
export interface LookedAtImage {
  /** Name of the image for people. */
  readonly name: string
  /** The image drawn small, as a data URI. */
  readonly uri: string
  /** Height and width of the image itself, in pixels. */
  readonly pixels: Size2D
  readonly regions: readonly KeptRegions[]
}

/** Colours of experts, in turn. */
const COLOURS = ['#ff9d1e', '#00c2ff', '#8bd450', '#ff5fa2', '#b794ff', '#f4e04d']
/** Longer side of the drawing, in units of its own. */
const SIDE = 480

/**
 * The image drawn small, with a numbered box around every patch; boxes of larger gates are stronger.
 *
 * @returns SVG
 * @throws RangeError when boxes, gates and crops of an expert differ in number
 */
export function boxesFigure(image: LookedAtImage): string {
  const [height, width] = drawnSize(image)
  const content = drawing(image, [height, width])
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(`${image.name}: the patches that were read`)}" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" font-family="system-ui, DejaVu Sans, Arial, sans-serif">${content}</svg>`
}

function drawnSize({ pixels }: LookedAtImage): Size2D {
  const scale = SIDE / Math.max(...pixels)
  return [Math.max(1, Math.round(pixels[0] * scale)), Math.max(1, Math.round(pixels[1] * scale))]
}

function drawing({ uri, pixels, regions }: LookedAtImage, [height, width]: Size2D): string {
  const [down, across] = [height / pixels[0], width / pixels[1]]
  const numbers: Rectangle[] = []
  const drawn = regions.flatMap((region, expert) => {
    checkRegions(region, expert)
    const strongest = Math.max(...region.gates, Number.MIN_VALUE)
    const colour = colourOf(expert)
    return region.boxes.map(([top = 0, left = 0, boxHeight = 0, boxWidth = 0], i) => {
      const box = { x: left * across, y: top * down, width: boxWidth * across, height: boxHeight * down }
      const text = `${i + 1}`
      const number = numberPlace(box, text, numbers, [height, width])
      numbers.push(number)
      const opacity = (0.55 + 0.45 * ((region.gates[i] ?? 0) / strongest)).toFixed(2)
      return {
        box: `<g opacity="${opacity}"><rect x="${box.x.toFixed(1)}" y="${box.y.toFixed(1)}" width="${box.width.toFixed(1)}" height="${box.height.toFixed(1)}" fill="none" stroke="${colour}" stroke-width="2"/></g>`,
        number: `<text x="${number.x.toFixed(1)}" y="${(number.y + DIGIT.ascent).toFixed(1)}" font-size="11" font-weight="700" fill="${colour}" stroke="#10161d" stroke-width="2.5" paint-order="stroke">${text}</text>`,
      }
    })
  })
  // The strongest are drawn last, over the others, and all numbers over the boxes.
  const content = [...drawn.map(({ box }) => box).reverse(), ...drawn.map(({ number }) => number)]
  return `<image href="${escapeHtml(uri)}" width="${width}" height="${height}" preserveAspectRatio="none"/>${content.join('')}`
}

/** In units of the drawing. */
interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/** The room that a digit of a box's number takes, and how far its top is above the line of the text. */
const DIGIT = { width: 7, height: 11, ascent: 9 }

/** A place for the number of a box: at one of its corners, or as near as there is room in the drawing beside the other numbers. */
function numberPlace(
  box: Rectangle,
  text: string,
  others: readonly Rectangle[],
  [height, width]: Size2D,
): Rectangle {
  const size = { width: DIGIT.width * text.length, height: DIGIT.height }
  const columns = [
    box.x + box.width + 2,
    box.x - size.width - 2,
    box.x + 2,
    box.x + box.width - size.width - 2,
  ]
  const within = (value: number, end: number): number => Math.min(Math.max(value, 0), Math.max(0, end))
  const places = columns.flatMap(x =>
    [box.y, box.y + box.height - size.height, box.y - size.height - 1, box.y + box.height + 1].map(y => ({
      ...size,
      x: within(x, width - size.width),
      y: within(y, height - size.height),
    })),
  )
  const rows = Math.floor(height / size.height)
  const columnsInAll = Math.floor(width / size.width)
  const elsewhere = Array.from({ length: rows * columnsInAll }, (_, i) => ({
    ...size,
    x: (i % columnsInAll) * size.width,
    y: Math.floor(i / columnsInAll) * size.height,
  }))
  const distance = ({ x, y }: Rectangle): number => Math.hypot(x - (box.x + box.width), y - box.y)
  elsewhere.sort((a, b) => distance(a) - distance(b))
  const isFree = (place: Rectangle): boolean => !others.some(other => overlap(place, other))
  return [...places, ...elsewhere].find(isFree) ?? (places[0] as Rectangle)
}

function overlap(a: Rectangle, b: Rectangle): boolean {
  return a.x < b.x + b.width && b.x < a.x + a.width && a.y < b.y + b.height && b.y < a.y + a.height
}

function checkRegions({ boxes, gates, crops }: KeptRegions, expert: number): void {
  if (boxes.length === gates.length && boxes.length === crops.length) return
  throw new RangeError(
    `boxesFigure: boxes, gates and crops of an expert must be as many, got ${boxes.length}, ${gates.length} and ` +
      `${crops.length} (expert ${expert + 1})`,
  )
}

function colourOf(expert: number): string {
  return COLOURS[expert % COLOURS.length] as string
}

/** A gate as people read it: `31%`. */
function gateText(gate: number | undefined): string {
  return `${((gate ?? Number.NaN) * 100).toFixed(0)}%`
}

/** HTML of the drawing and, beside it or below it on a phone, the patches at full resolution with their gates. */
export function lookedAtHtml(image: LookedAtImage): string {
  const lists = image.regions.map((region, expert) => {
    const items = region.crops.map(
      (crop, i) =>
        `<li><img src="${escapeHtml(crop)}" alt="patch ${i + 1}" style="border-color:${colourOf(expert)}"><span>${i + 1} · ${gateText(region.gates[i])}</span></li>`,
    )
    const title = image.regions.length > 1 ? `<h3>${escapeHtml(expertTitle(region, expert))}</h3>` : ''
    return `${title}<ol class="crops">${items.join('')}</ol>`
  })
  return `<div class="looked"><div>${boxesFigure(image)}</div><div>${lists.join('')}</div></div>`
}

/** The style of {@link lookedAtHtml}. */
export const lookedAtStyle =
  '.looked{display:grid;grid-template-columns:minmax(0,1fr) minmax(0,1fr);gap:20px;margin:12px 0}.looked svg{display:block;width:100%;height:auto;image-rendering:auto}.crops{list-style:none;padding:0;margin:0;display:grid;grid-template-columns:repeat(auto-fill,minmax(84px,1fr));gap:10px}.crops img{display:block;width:100%;border:2px solid;image-rendering:pixelated}.crops span{font-size:.82rem;color:var(--quiet);font-variant-numeric:tabular-nums}.looked h3{margin:0 0 6px}.looked ol+h3{margin-top:16px}@media (max-width:720px){.looked{grid-template-columns:minmax(0,1fr)}}'

const TILE = 84
const GAP = 10
const COLUMNS = 5

/**
 * One picture of the drawing and the patches beside it, as it is drawn into a PNG.
 *
 * @param title line below the drawing
 * @returns SVG
 */
export function lookedAtFigure(image: LookedAtImage, title: string): string {
  const [height, width] = drawnSize(image)
  const right = width + 2 * GAP
  let top = GAP
  const tiles: string[] = []
  for (const [expert, region] of image.regions.entries()) {
    if (image.regions.length > 1) {
      tiles.push(
        `<text x="${right}" y="${top + 12}" font-size="13">${escapeHtml(expertTitle(region, expert))}</text>`,
      )
      top += 20
    }
    for (const [i, crop] of region.crops.entries()) {
      const [x, y] = [right + (i % COLUMNS) * (TILE + GAP), top + Math.floor(i / COLUMNS) * (TILE + GAP + 16)]
      tiles.push(
        `<image x="${x}" y="${y}" width="${TILE}" height="${TILE}" href="${escapeHtml(crop)}"/><rect x="${x}" y="${y}" width="${TILE}" height="${TILE}" fill="none" stroke="${colourOf(expert)}" stroke-width="2"/><text x="${x}" y="${y + TILE + 14}" font-size="12" fill="#1d2733">${i + 1} · ${gateText(region.gates[i])}</text>`,
      )
    }
    top += Math.ceil(region.crops.length / COLUMNS) * (TILE + GAP + 16)
  }
  const fullWidth = right + COLUMNS * (TILE + GAP)
  const fullHeight = Math.max(height + 2 * GAP + 20, top)
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(title)}" width="${fullWidth}" height="${fullHeight}" viewBox="0 0 ${fullWidth} ${fullHeight}" font-family="system-ui, DejaVu Sans, Arial, sans-serif"><rect width="${fullWidth}" height="${fullHeight}" fill="#fff"/><g transform="translate(${GAP} ${GAP})">${drawing(image, [height, width])}</g><text x="${GAP}" y="${height + GAP + 18}" font-size="14" fill="#1d2733">${escapeHtml(title)}</text>${tiles.join('')}</svg>`
}

import type { Size2D } from '../shapes.js'
import { escapeHtml } from './escape.js'
import { expertTitle, type NamedExpert } from './expert-title.js'

/** The patches that one expert kept of one image. */
export interface KeptPatches extends NamedExpert {
  /** Numbers of the kept patches, row by row in the grid, each in [0, rows * columns). */
  readonly patches: readonly number[]
  /** Gate of each kept patch, in the order of `patches`; at least 0. */
  readonly gates: readonly number[]
}

/** One test image, what the model said of it, and where its experts looked. */
export interface RoutedImage {
  /** The image as a data URI, `data:image/...`. */
  readonly uri: string
  /** Height and width of the image, in pixels. */
  readonly size: Size2D
  readonly trueClass: string
  readonly predictedClass: string
  /** Probability of the predicted class, in [0, 1]. */
  readonly probability: number
  /** The grid of patches that the experts choose from, [rows, columns]. */
  readonly grid: Size2D
  readonly experts: readonly KeptPatches[]
  /** Where the class is shown, if that is known. */
  readonly truth?: TruePart
}

/**
 * The part of an image that shows its class: a cell of the grid, [rows, columns], that the image was composed of, or the
 * box of an object on a background.
 */
export type TruePart = { readonly cells: Size2D; readonly cell: number } | { readonly box: Rectangle }

/** A part of an image, in its pixels. */
export interface Rectangle {
  readonly x: number
  readonly y: number
  readonly width: number
  readonly height: number
}

/**
 * One image as an HTML figure: the image with the part that shows its class outlined, then one tile an expert in which kept
 * patches stay visible, tinted by their gate, under a veil over the rest.
 *
 * @param id unique in the page: the image is stored once and shown in every tile
 * @throws RangeError when a patch is outside the grid, or patches and gates differ in number;
 *   TypeError when the image is not a data URI
 */
export function routingFigure(image: RoutedImage, id: string): string {
  checkRoutedImage(image)
  const tiles = image.experts.map((expert, i) => expertTile(image, expert, i, id))
  return `<figure class="routing">
<figcaption>${verdict(image)}</figcaption>
<div class="tiles${image.experts.length > 4 ? ' many' : ''}">
${originalTile(image, id)}
${tiles.join('\n')}
</div>
</figure>`
}

/** The rectangle of cell `index`, counted row by row, of a grid that covers an image. */
export function cellRectangle([rows, columns]: Size2D, index: number, [height, width]: Size2D): Rectangle {
  return {
    x: (index % columns) * (width / columns),
    y: Math.floor(index / columns) * (height / rows),
    width: width / columns,
    height: height / rows,
  }
}

/** The rectangle of a true part in an image of the given height and width, in pixels. */
export function truePartRectangle(part: TruePart, size: Size2D): Rectangle {
  return 'box' in part ? part.box : cellRectangle(part.cells, part.cell, size)
}

function verdict({ trueClass, predictedClass, probability }: RoutedImage): string {
  const right = trueClass === predictedClass
  const mark = right ? '<span aria-label="right">✓</span>' : '<span aria-label="wrong">✗</span>'
  const share = `<span class="quiet">${(probability * 100).toFixed(0)}%</span>`
  const truth = right ? '' : ` <span class="quiet">· true class ${escapeHtml(trueClass)}</span>`
  return `<span class="${right ? 'right' : 'wrong'}">${mark} ${escapeHtml(predictedClass)}</span> ${share}${truth}`
}

function originalTile(image: RoutedImage, id: string): string {
  const { size, uri, truth, trueClass, predictedClass } = image
  const truthNote = truth ? `; ${describeTruth(truth)} shows the class` : ''
  const label = `test image of ${trueClass}, classified as ${predictedClass}${truthNote}`
  const picture = `<image id="${escapeHtml(id)}" href="${escapeHtml(uri)}" width="${size[1]}" height="${size[0]}"/>`
  return tile(size, label, picture + outlineOf(image), 'image')
}

function describeTruth(truth: TruePart): string {
  if ('cell' in truth) return `cell ${truth.cell}`
  const { x, y, width, height } = truth.box
  return `the part of ${width}x${height} pixels from (${x}, ${y})`
}

/** A picture in the image's own pixels, with its name below. */
function tile([height, width]: Size2D, label: string, content: string, name: string): string {
  return `<div class="tile"><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">${content}</svg><span>${escapeHtml(name)}</span></div>`
}

function expertTile(image: RoutedImage, expert: KeptPatches, position: number, id: string): string {
  const { patches, gates } = expert
  const title = expertTitle(expert, position)
  const [height, width] = image.size
  const strongest = Math.max(...gates, Number.MIN_VALUE)
  const cells = patches.map((patch, i) => ({
    ...cellRectangle(image.grid, patch, image.size),
    name: `patch ${patch}: gate ${formatGate(gates[i]!)}`,
    strength: (0.04 + 0.46 * (gates[i]! / strongest)).toFixed(2),
  }))
  const holes = cells.map(({ x, y, width: w, height: h }) => `M${x} ${y}h${w}v${h}h${-w}z`).join('')
  const veil = `<path class="veil" fill-rule="evenodd" d="M0 0h${width}v${height}h${-width}z${holes}"/>`
  const tints = cells.map(
    ({ x, y, width: w, height: h, strength, name }) =>
      `<rect x="${x}" y="${y}" width="${w}" height="${h}" fill-opacity="${strength}"><title>${name}</title></rect>`,
  )
  const content = `<use href="#${escapeHtml(id)}"/>${veil}<g class="kept">${tints.join('')}</g>${outlineOf(image)}`
  const label = `${title} keeps ${cells.map(({ name }) => name).join(', ')}`
  return tile(image.size, label, content, title)
}

/** The outline of the part that shows the class, where it is known. */
function outlineOf({ truth, size }: RoutedImage): string {
  if (!truth) return ''
  const { x, y, width, height } = truePartRectangle(truth, size)
  return `<rect class="truth" x="${x}" y="${y}" width="${width}" height="${height}"/>`
}

function formatGate(gate: number): string {
  return gate >= 0.001 || gate === 0 ? String(Number(gate.toFixed(3))) : gate.toExponential(1)
}

function checkRoutedImage({ uri, grid, experts }: RoutedImage): void {
  if (!uri.startsWith('data:image/')) {
    throw new TypeError(`routingFigure: uri must begin with data:image/, got ${uri.slice(0, 20)}`)
  }
  experts.forEach((patches, expert) => {
    checkKeptPatches(patches, expert, grid, 'routingFigure')
  })
}

/**
 * Checks that what an expert kept fits the grid of patches.
 *
 * @param expert its number, for errors
 * @throws RangeError when a patch is outside the grid, or patches and gates differ in number
 */
export function checkKeptPatches(
  { patches, gates }: KeptPatches,
  expert: number,
  [rows, columns]: Size2D,
  where: string,
): void {
  if (patches.length !== gates.length) {
    throw new RangeError(
      `${where}: gates must be one a patch, got ${gates.length} for ${patches.length} (expert ${expert})`,
    )
  }
  for (const patch of patches) {
    if (!Number.isInteger(patch) || patch < 0 || patch >= rows * columns) {
      throw new RangeError(
        `${where}: patches must be integers in [0, ${rows * columns - 1}], got ${patch} (expert ${expert}, ${rows}x${columns} grid)`,
      )
    }
  }
}

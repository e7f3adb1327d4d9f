import type { Size2D } from '../shapes.js'
import { type ChosenExperts, chosenTitle } from './chosen-experts.js'
import { escapeHtml } from './escape.js'
import { expertTitle } from './expert-title.js'
import { type KeptRegions, type LookedAtImage, lookedAtFigure } from './region-figure.js'
import { cellRectangle, checkKeptPatches, type KeptPatches } from './routing-figure.js'

/** One image, a model's prediction for it, and the patches that the prediction is made from. */
export interface ExplainedImage {
  /** Name of the image for people. */
  readonly name: string
  /** The image as the model sees it, as a data URI: after its crop, in the proportions of the model's input. */
  readonly uri: string
  /** Height and width of that picture, in pixels. */
  readonly size: Size2D
  /** Every class with its probability, in [0, 1]; the largest first. */
  readonly classes: readonly { readonly name: string; readonly probability: number }[]
  /** The grid of patches, [rows, columns]; absent for a model that keeps every patch. */
  readonly grid?: Size2D
  readonly experts: readonly KeptPatches[]
  /** For a model that reads large images in parts: which parts, and the height and width of the image itself in pixels. */
  readonly regions?: readonly KeptRegions[]
  readonly pixels?: Size2D
  /** Which experts computed the image, for each layer that sends whole samples to experts. */
  readonly choices?: readonly ChosenExperts[]
  /** For each patch of the grid, how much of the predicted class's probability is lost without it. */
  readonly sensitivity?: ArrayLike<number>
}

const tileWidth = 240
const gap = 12
const titleHeight = 22
const maxColumns = 6

/** One tile of a figure: what it shows, and what is drawn over the image. */
interface Tile {
  readonly title: string
  readonly overlay: string
}

/**
 * One image as a picture of tiles: the image itself, one tile an expert with the kept patches uncovered and tinted by
 * their gates, and one tile that shows how much each kept patch counts.
 *
 * @param id unique in a page: the picture is stored once and shown in every tile
 * @returns SVG of a fixed size, to be drawn into a PNG
 * @throws RangeError when a patch is outside the grid, or patches and gates differ in number
 */
export function explanationFigure(image: ExplainedImage, id: string): string {
  if (isLookedAt(image)) return lookedAtFigure(image, `${image.name}: ${bestClass(image)}`)
  const size = tileSize(image)
  const tiles = tilesOf(image, size)
  const rows = Math.ceil(tiles.length / maxColumns)
  const columns = Math.ceil(tiles.length / rows)
  const [stepX, stepY] = [tileWidth + gap, size[0] + titleHeight + gap]
  const [width, height] = [gap + columns * stepX, gap + rows * stepY]
  const placed = tiles.map(({ title, overlay }, i) => {
    const [x, y] = [gap + (i % columns) * stepX, gap + Math.floor(i / columns) * stepY]
    const name = `<text y="${size[0] + 16}" fill="#1d2733">${escapeHtml(title)}</text>`
    return `<g transform="translate(${x} ${y})">${tileContent(overlay, size, id)}${name}</g>`
  })
  const label = `${image.name}: ${bestClass(image)}`
  return `<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="${escapeHtml(label)}" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, DejaVu Sans, Arial, sans-serif" font-size="13"><rect width="${width}" height="${height}" fill="#fff"/>${definition(image, size, id)}${placed.join('')}</svg>`
}

/**
 * The same tiles as HTML, as many beside each other as the page has room for.
 *
 * @param id unique in a page: the picture is stored once and shown in every tile
 * @throws RangeError when a patch is outside the grid, or patches and gates differ in number
 */
export function explanationTiles(image: ExplainedImage, id: string): string {
  const size = tileSize(image)
  const [height, width] = size
  const tiles = tilesOf(image, size).map(({ title, overlay }, i) => {
    const content = `${i === 0 ? definition(image, size, id) : ''}${tileContent(overlay, size, id)}`
    const label = `${image.name}: ${title}`
    return `<figure><svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${escapeHtml(label)}">${content}</svg><figcaption>${escapeHtml(title)}</figcaption></figure>`
  })
  return `<div class="explained">${tiles.join('\n')}</div>`
}

/** The style of {@link explanationTiles}. */
export const explanationTilesStyle =
  '.explained{display:grid;grid-template-columns:repeat(auto-fill,minmax(min(46%,165px),1fr));gap:16px 14px;margin:14px 0}.explained svg{display:block;width:100%;height:auto}.explained figcaption{font-size:.88rem;color:var(--quiet);margin-top:4px;overflow-wrap:anywhere}'

function tileSize({ size: [height, width] }: ExplainedImage): Size2D {
  return [Math.round((tileWidth * height) / width), tileWidth]
}

function tilesOf(image: ExplainedImage, size: Size2D): Tile[] {
  return [
    { title: bestClass(image), overlay: '' },
    ...(image.choices ?? []).map(choice => choiceTile(choice, size)),
    ...overlays(image, size),
  ]
}

/** The picture, to be shown by its id. */
function definition({ uri }: ExplainedImage, [height, width]: Size2D, id: string): string {
  return `<defs><image id="${escapeHtml(id)}" href="${escapeHtml(uri)}" width="${width}" height="${height}" preserveAspectRatio="none"/></defs>`
}

function tileContent(overlay: string, [height, width]: Size2D, id: string): string {
  const frame = `<rect width="${width}" height="${height}" fill="none" stroke="#c5ccd3"/>`
  return `<use href="#${escapeHtml(id)}"/>${overlay}${frame}`
}

/** Whether a model read the image in parts. */
export function isLookedAt(image: ExplainedImage): image is ExplainedImage & LookedAtImage {
  return image.regions !== undefined && image.pixels !== undefined
}

/** The largest class and its probability, as people read them: `bag 93%`. */
export function bestClass({ classes: [best] }: ExplainedImage): string {
  return best ? `${best.name} ${(best.probability * 100).toFixed(0)}%` : ''
}

/** Side of the room that a bar with a name needs, in pixels. */
const leastNamedBar = 12

/** The scores of all experts as bars to both sides of 0, the chosen ones in colour, over the image. */
function choiceTile(choice: ChosenExperts, [height, width]: Size2D): Tile {
  const scores = choice.scores.map(score => (Number.isFinite(score) ? score : 0))
  const [lowest, highest] = [Math.min(0, ...scores), Math.max(0, ...scores)]
  const across = (score: number) => 4 + ((width - 8) * (score - lowest)) / (highest - lowest || 1)
  const step = height / scores.length
  const bars = scores.map((score, expert) => {
    const [from, to] = [across(Math.min(score, 0)), across(Math.max(score, 0))]
    const colour = choice.experts.includes(expert) ? '#ff9d1e' : '#7d8791'
    const bar = `<rect x="${from.toFixed(1)}" y="${(step * (expert + 0.1)).toFixed(1)}" width="${Math.max(to - from, 1).toFixed(1)}" height="${(step * 0.8).toFixed(1)}" fill="${colour}"/>`
    if (step < leastNamedBar) return bar
    const middle = (step * (expert + 0.5) + 4).toFixed(1)
    return `${bar}<text x="${width - 6}" y="${middle}" text-anchor="end" font-size="11" fill="#fff">${escapeHtml(chosenTitle(choice, expert))}</text>`
  })
  const veil = `<rect width="${width}" height="${height}" fill="#10161d" fill-opacity=".78"/>`
  const chosen = choice.experts.map(expert => chosenTitle(choice, expert)).join(', ')
  return { title: `${chosen}, by its score`, overlay: veil + bars.join('') }
}

function overlays({ grid, experts, sensitivity }: ExplainedImage, size: Size2D): Tile[] {
  if (!grid) return []
  const expertTiles = experts.map((expert, i) => {
    checkKeptPatches(expert, i, grid, 'explanationFigure')
    return { title: expertTitle(expert, i), overlay: expertOverlay(expert, grid, size) }
  })
  return sensitivity
    ? [
        ...expertTiles,
        { title: 'lost without the patch', overlay: sensitivityOverlay(sensitivity, grid, size) },
      ]
    : expertTiles
}

/** A veil over the patches that the expert did not keep, and a tint over those it kept: stronger for larger gates. */
function expertOverlay({ patches, gates }: KeptPatches, grid: Size2D, size: Size2D): string {
  const strongest = Math.max(...gates, Number.MIN_VALUE)
  const cells = patches.map(patch => cellRectangle(grid, patch, size))
  const holes = cells.map(({ x, y, width, height }) => `M${x} ${y}h${width}v${height}h${-width}z`).join('')
  const tints = cells.map(({ x, y, width, height }, i) => {
    const opacity = 0.06 + 0.44 * ((gates[i] ?? 0) / strongest)
    return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="#ff9d1e" fill-opacity="${opacity.toFixed(2)}"/>`
  })
  const [height, width] = size
  return `<path fill="#10161d" fill-opacity=".78" fill-rule="evenodd" d="M0 0h${width}v${height}h${-width}z${holes}"/>${tints.join('')}`
}

/** Red where the predicted class loses without the patch, blue where it gains; with the number where there is room. */
function sensitivityOverlay(lost: ArrayLike<number>, grid: Size2D, size: Size2D): string {
  const values = Array.from(lost)
  const strongest = Math.max(...values.map(Math.abs), Number.MIN_VALUE)
  return values
    .map((value, patch) => {
      const { x, y, width, height } = cellRectangle(grid, patch, size)
      if (value === 0) {
        return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="#10161d" fill-opacity=".78"/>`
      }
      const opacity = (0.08 + 0.6 * (Math.abs(value) / strongest)).toFixed(2)
      const number =
        width < 34
          ? ''
          : `<text x="${x + width / 2}" y="${y + height / 2 + 4}" text-anchor="middle" font-size="12" fill="#fff" stroke="#10161d" stroke-width="2.5" paint-order="stroke">${signed(value)}</text>`
      return `<rect x="${x}" y="${y}" width="${width}" height="${height}" fill="${value > 0 ? '#d7301f' : '#2b6cb0'}" fill-opacity="${opacity}"/>${number}`
    })
    .join('')
}

/** A difference of probabilities in points: `+12`, `−3`, `0`. */
function signed(value: number): string {
  const points = Math.round(value * 100)
  return points === 0 ? '0' : `${points > 0 ? '+' : '−'}${Math.abs(points)}`
}

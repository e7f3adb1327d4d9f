import { escapeHtml } from './escape.js'
import { coordinateText } from './estimate-text.js'

/** Predictions of about the same confidence, as `reliability` of the statistics gives them. */
export interface ReliabilityBin {
  readonly lower: number
  readonly upper: number
  readonly count: number
  /** Mean confidence and share of right ones, in [0, 1]; NaN for an empty bin. */
  readonly confidence: number
  readonly accuracy: number
}

const SIDE = 260
const LEFT = 44
const TOP = 12
/** Height of the bars that show how many images a bin has. */
const COUNTS = 54
const GAP = 12
const BOTTOM = 40

/**
 * Draws a reliability diagram as an SVG document: for predictions of about the same confidence the share that is right,
 * a thick line, which should lie on the dashed one, and below how many predictions there are. The distance to the mean
 * confidence of the bin is painted orange.
 *
 * @param label names the figure for those who do not see it
 */
export function reliabilityFigure(bins: readonly ReliabilityBin[], label: string): string {
  const [width, height] = [LEFT + SIDE + 12, TOP + SIDE + GAP + COUNTS + BOTTOM]
  const most = bins.reduce((count, bin) => Math.max(count, bin.count), 1)
  const ticks = [0, 0.25, 0.5, 0.75, 1].map(tickMark)
  return `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" aria-label="${escapeHtml(label)}" font-family="DejaVu Sans, Arial, sans-serif" font-size="11" fill="#56616d">
${ticks.join('\n')}
${bins.map(bin => binMark(bin, most)).join('\n')}
<path class="ideal" d="M${LEFT} ${TOP + SIDE}L${LEFT + SIDE} ${TOP}" stroke="#56616d" stroke-dasharray="4 4" fill="none"/>
<text x="${LEFT + SIDE / 2}" y="${height - 6}" text-anchor="middle">confidence</text>
<text transform="translate(11 ${TOP + SIDE / 2}) rotate(-90)" text-anchor="middle">share that is right</text>
<text transform="translate(11 ${TOP + SIDE + GAP + COUNTS / 2}) rotate(-90)" text-anchor="middle">images</text>
</svg>`
}

/** How a page paints these figures on dark ground. */
export const reliabilityStyle = `.reliability svg{display:block;max-width:100%;height:auto}
@media (prefers-color-scheme:dark){.reliability text{fill:var(--quiet)}.reliability .grid{stroke:var(--line)}.reliability .ideal{stroke:var(--quiet)}.reliability .bar{fill:#56b4e9}.reliability .gap{fill:#ff9a4d}.reliability .level{fill:var(--ink)}}`

function tickMark(share: number): string {
  const [x, y] = [LEFT + share * SIDE, TOP + (1 - share) * SIDE]
  const text = `${share * 100}%`
  const anchor = share === 1 ? 'end' : 'middle'
  return (
    `<path class="grid" d="M${LEFT} ${y}h${SIDE}" stroke="#dfe4e9"/>` +
    `<text x="${LEFT - 6}" y="${y + 4}" text-anchor="end">${text}</text>` +
    `<text x="${x}" y="${TOP + SIDE + GAP + COUNTS + 16}" text-anchor="${anchor}">${text}</text>`
  )
}

function binMark({ lower, upper, count, confidence, accuracy }: ReliabilityBin, most: number): string {
  if (count === 0) return ''
  const [x, width] = [LEFT + lower * SIDE + 1, (upper - lower) * SIDE - 2]
  const base = TOP + SIDE
  const floor = base + GAP + COUNTS
  const counted = Math.max(1, (count / most) * COUNTS)
  const [low, high] = [Math.min(accuracy, confidence), Math.max(accuracy, confidence)]
  const title = `${percent(lower)} to ${percent(upper)}: ${count} images, mean confidence ${percent(confidence)}, ${percent(accuracy)} right`
  return (
    `<g><title>${title}</title>` +
    `<rect class="bar" ${rectangle(x, base - low * SIDE, width, low * SIDE)} fill="#0072b2" fill-opacity=".75"/>` +
    `<rect class="gap" ${rectangle(x, base - high * SIDE, width, (high - low) * SIDE)} fill="#d55e00" fill-opacity=".45"/>` +
    `<rect class="level" ${rectangle(x, base - accuracy * SIDE - 1.5, width, 3)} fill="#1d2733"/>` +
    `<rect class="bar" ${rectangle(x, floor - counted, width, counted)} fill="#0072b2" fill-opacity=".45"/></g>`
  )
}

function rectangle(...[x, y, width, height]: readonly [number, number, number, number]): string {
  const [left, top, across, down] = [x, y, width, height].map(coordinateText)
  return `x="${left}" y="${top}" width="${across}" height="${down}"`
}

function percent(share: number): string {
  return `${(share * 100).toFixed(1)}%`
}

import type { KeptPart, PatchDescription, PatchLosses } from '../../src/explore/description.js'
import { cellRectangle, type Rectangle } from '../../src/report/routing-figure.js'
import type { Size2D } from '../../src/shapes.js'
import { element, svg } from './elements.js'
import { picture } from './pictures.js'
import type { ExplorerState } from './state.js'

/** Colours of experts, in turn: seen on photographs, with a dark line on both sides. */
const COLOURS = ['#ff9d1e', '#00c2ff', '#8bd450', '#ff5fa2', '#b794ff', '#f4e04d']
/** Lines of experts after as many as there are colours. */
const DASHES = ['', '6 3', '2 3']

/** Side of the square in whose units outlines are drawn, whatever the picture's proportions. */
const SIDE = 1000
/** Line widths of the weakest and the strongest gate, in pixels. */
const LINES = [1.5, 4] as const
/** Cells from this share of the picture's side on have their number written in them. */
const NAMED_SHARE = 0.09

/** The colour of an expert. */
export function expertColour(expert: number): string {
  return COLOURS[expert % COLOURS.length] as string
}

/** What is drawn on a photograph. */
export interface Drawing {
  /** Experts and what they kept; the numbers decide the colours. */
  readonly kept?: readonly (readonly [expert: number, part: KeptPart])[]
  readonly losses?: PatchLosses
  /** Whether gates are written where there is room. */
  readonly gates?: boolean
}

/** A photograph as it is, with what experts kept as outlines on it. */
export class Photograph {
  readonly element: HTMLElement
  private readonly overlay = svg('svg', {
    viewBox: `0 0 ${SIDE} ${SIDE}`,
    preserveAspectRatio: 'none',
    'aria-hidden': 'true',
  })

  constructor(state: ExplorerState, image: number, { longest, alt }: { longest: number; alt: string }) {
    const shown = picture(state, image, longest, alt)
    this.element = element('div', { class: 'x-photograph' }, shown, this.overlay)
  }

  /** Draws on the photograph in the place of what was drawn before. */
  draw({ kept = [], losses, gates = false }: Drawing, patches: PatchDescription | undefined): void {
    const ranks = new Map<number, number>()
    const outlines = kept.flatMap(([expert, part]) => {
      const strongest = Math.max(...part.gates, Number.MIN_VALUE)
      return part.patches.map((patch, i) => {
        const rank = ranks.get(patch) ?? 0
        ranks.set(patch, rank + 1)
        const rectangle = rectangleOf(part, i, patches?.grid ?? [1, 1])
        const share = (part.gates[i] ?? 0) / strongest
        const width = LINES[0] + (LINES[1] - LINES[0]) * share
        const line = { colour: expertColour(expert), width, dash: dashOf(expert) }
        const text = gates ? gateText(part.gates[i] ?? 0) : ''
        return outlined(inset(rectangle, rank), line, text)
      })
    })
    this.overlay.replaceChildren(...(losses ? lossOutlines(losses) : []), ...outlines)
  }
}

function dashOf(expert: number): string {
  return DASHES[Math.floor(expert / COLOURS.length) % DASHES.length] as string
}

function rectangleOf({ boxes, patches }: KeptPart, position: number, grid: Size2D): Rectangle {
  const [top, left, height, width] = boxes?.[position] ?? []
  if (top === undefined || left === undefined || height === undefined || width === undefined) {
    return cellRectangle(grid, patches[position] ?? 0, [SIDE, SIDE])
  }
  return { x: left * SIDE, y: top * SIDE, width: width * SIDE, height: height * SIDE }
}

/** A cell that several experts keep has one outline within the other. */
function inset({ x, y, width, height }: Rectangle, rank: number): Rectangle {
  const [across, down] = [width, height].map(side => side * Math.min(0.4, 0.03 + 0.08 * rank)) as [
    number,
    number,
  ]
  return { x: x + across, y: y + down, width: width - 2 * across, height: height - 2 * down }
}

interface Line {
  readonly colour: string
  /** In pixels. */
  readonly width: number
  readonly dash?: string
}

function outlined(rectangle: Rectangle, { colour, width, dash = '' }: Line, text: string): SVGElement {
  const { x, y, width: across, height: down } = rectangle
  const place = { x, y, width: across, height: down, fill: 'none', 'vector-effect': 'non-scaling-stroke' }
  const drawn = svg(
    'g',
    {},
    svg('rect', { ...place, stroke: '#10161d', 'stroke-width': width + 2, 'stroke-opacity': 0.75 }),
    svg('rect', {
      ...place,
      stroke: colour,
      'stroke-width': width,
      ...(dash && { 'stroke-dasharray': dash }),
    }),
  )
  if (text !== '' && across / SIDE >= NAMED_SHARE) drawn.append(written(rectangle, text, colour))
  return drawn
}

/** A number in the upper left corner of a rectangle. */
function written({ x, y, width, height }: Rectangle, text: string, colour: string): SVGElement {
  return svg(
    'text',
    {
      x: x + width * 0.08,
      y: y + Math.min(height * 0.5, 34),
      'font-size': 30,
      'font-weight': 700,
      fill: colour,
      stroke: '#10161d',
      'stroke-width': 6,
      'paint-order': 'stroke',
    },
    text,
  )
}

/** Red outlines where the answer loses without the part, blue where it gains; the stronger, the more, with the points where there is room. */
function lossOutlines({ grid, lost, boxes }: PatchLosses): SVGElement[] {
  const strongest = Math.max(...lost.map(Math.abs), 1e-6)
  return lost.flatMap((value, cell) => {
    const share = Math.abs(value) / strongest
    // What counts for nearly nothing is not drawn.
    if (share < 0.05) return []
    const colour = value > 0 ? '#ff6a5c' : '#6cb8ec'
    const width = LINES[0] + (LINES[1] - LINES[0]) * share
    const rectangle = inset(
      rectangleOf({ patches: lost.map((_, i) => i), gates: [], ...(boxes && { boxes }) }, cell, grid),
      0,
    )
    return [outlined(rectangle, { colour, width }, pointsText(value))]
  })
}

function gateText(gate: number): string {
  return gate >= 0.005 ? gate.toFixed(2).replace(/^0/, '') : ''
}

/** A difference of probabilities in points: `+12`, `−3`. */
export function pointsText(value: number): string {
  const points = Math.round(value * 100)
  return points === 0 ? '' : `${points > 0 ? '+' : '−'}${Math.abs(points)}`
}

import type { NetworkDescription } from '../../../src/explore/description.js'
import { counted, element, shortCount, svg } from '../elements.js'
import { type Block, blockGraph, mainLayer } from './blocks.js'
import { layOut, type PlacedBox } from './layout.js'

/** Height of a line of text and of the space around lines in a box, and the width of a letter, in pixels. */
const LINE = 17
const SPACE = 16
const LETTER = 6.9
const LEAST_WIDTH = 120
const MOST_LETTERS = 30

/** The layers of a network as boxes from top to bottom, the mixture marked; a box tells its layers. */
export class GraphView {
  readonly element = element('div', { class: 'x-view' })
  private readonly network: NetworkDescription
  private readonly drawing = element('div', {
    class: 'x-graph',
    tabindex: 0,
    role: 'region',
    'aria-label': 'Layers of the network',
  })
  private readonly details = element('div', { class: 'x-panel x-details', 'aria-live': 'polite' })
  private readonly open = new Set<string>()

  constructor(network: NetworkDescription) {
    this.network = network
    this.element.append(
      element('p', { class: 'x-quiet' }, this.summary()),
      element('div', { class: 'x-columns' }, this.drawing, this.details),
    )
    this.draw()
    const { graph } = network
    const mixture = graph.nodes.find(node => node.mixture !== undefined)
    const [first] = graph.nodes
    const shown = mixture ?? first
    if (shown) this.tell({ id: shown.path, layers: [shown], times: 1 })
  }

  /** The view comes to be seen: its mixture is scrolled into the middle. */
  enter(): void {
    const mixture = this.drawing.querySelector('.x-mixture')
    if (!mixture) return
    const { top, height } = mixture.getBoundingClientRect()
    const frame = this.drawing.getBoundingClientRect()
    this.drawing.scrollTop += top + height / 2 - (frame.top + frame.height / 2)
  }

  private summary(): string {
    const { graph, parameters, multiplyAdds } = this.network
    const mixtures = graph.nodes.filter(({ mixture }) => mixture !== undefined)
    const where =
      mixtures.length === 0
        ? 'No layer chooses patches or experts.'
        : `${mixtures.map(({ path, mixture }) => `${path}: ${mixture}`).join('; ')}.`
    return `${counted(graph.nodes.length, 'layer')}, ${counted(parameters, 'parameter')}, ${counted(multiplyAdds, 'multiply-add')} an image. ${where}`
  }

  private draw(): void {
    const graph = blockGraph(this.network.graph, this.open)
    const texts = graph.blocks.map(boxText)
    const sizes = texts.map(lines => {
      const letters = Math.max(...lines.map(line => line.length))
      return [Math.max(LEAST_WIDTH, letters * LETTER + 2 * SPACE), lines.length * LINE + SPACE] as const
    })
    const { width, height, boxes, lines } = layOut(graph, sizes)
    const paths = lines.map(points =>
      svg('path', { class: 'x-edge', d: curve(points), 'marker-end': 'url(#x-arrow)' }),
    )
    const drawn = graph.blocks.map((block, i) => this.box(block, boxes[i] as PlacedBox, texts[i] ?? []))
    this.drawing.replaceChildren(
      svg(
        'svg',
        { viewBox: `0 0 ${width} ${height}`, width, height, role: 'group', 'aria-label': 'Layers' },
        svg(
          'defs',
          {},
          svg(
            'marker',
            {
              id: 'x-arrow',
              viewBox: '0 0 8 8',
              refX: 7,
              refY: 4,
              markerWidth: 7,
              markerHeight: 7,
              orient: 'auto',
            },
            svg('path', { d: 'M0 0L8 4L0 8z', class: 'x-arrow' }),
          ),
        ),
        ...paths,
        ...drawn,
      ),
    )
  }

  private box(block: Block, { x, y, width, height }: PlacedBox, lines: readonly string[]): SVGElement {
    const isMixture = block.layers.some(({ mixture }) => mixture !== undefined)
    const kind = `x-box${isMixture ? ' x-mixture' : ''}${block.times > 1 ? ' x-repeated' : ''}`
    const texts = lines.map((line, i) =>
      svg(
        'text',
        {
          x,
          y: y - height / 2 + SPACE / 2 + LINE * (i + 0.75),
          'text-anchor': 'middle',
          class: i === 0 ? 'x-strong' : '',
        },
        line,
      ),
    )
    const stack = block.times > 1 ? [4, 8].map(by => frame(x + by, y + by, width, height)).reverse() : []
    const group = svg(
      'g',
      { class: kind, tabindex: 0, role: 'button', 'aria-label': lines.join(', ') },
      ...stack,
      frame(x, y, width, height),
      ...texts,
    )
    const press = () => this.press(block)
    group.addEventListener('click', press)
    group.addEventListener('keydown', event => {
      if (event.key !== 'Enter' && event.key !== ' ') return
      event.preventDefault()
      press()
    })
    return group
  }

  private press(block: Block): void {
    if (block.times > 1) {
      this.open.add(block.id)
      this.draw()
    }
    this.tell(block)
  }

  /** Lists the layers of a box. */
  private tell(block: Block): void {
    const rows = block.layers.map(layer =>
      element(
        'tr',
        {},
        element('th', { scope: 'row' }, layer.path),
        element('td', {}, layer.className),
        element('td', {}, layer.shape.map(side => side ?? '?').join('×')),
        element('td', {}, layer.parameters.toLocaleString('en-US')),
        element('td', {}, layer.multiplyAdds.toLocaleString('en-US')),
      ),
    )
    const { mixture, networks = [] } = mainLayer(block)
    const head = ['Layer', 'Kind', 'Output', 'Parameters', 'Multiply-adds']
    const words = [
      ...(mixture === undefined ? [] : [`${mixture}.`]),
      ...networks.map(({ name, layers }) => `${name} is a network of ${counted(layers, 'layer')}.`),
    ]
    this.details.replaceChildren(
      element('h3', {}, block.times > 1 ? `${block.times} times the same` : mainLayer(block).path),
      ...words.map(text => element('p', {}, text)),
      element(
        'div',
        { class: 'x-scroll' },
        element(
          'table',
          {},
          element('thead', {}, element('tr', {}, ...head.map(name => element('th', { scope: 'col' }, name)))),
          element('tbody', {}, ...rows),
        ),
      ),
    )
  }
}

function frame(x: number, y: number, width: number, height: number): SVGElement {
  return svg('rect', { x: x - width / 2, y: y - height / 2, width, height, rx: 8 })
}

/** What stands in a box. */
function boxText(block: Block): readonly string[] {
  const main = mainLayer(block)
  const { layers, times } = block
  if (times > 1) {
    const mains = layers.filter(({ parameters }) => parameters > 0).length / times
    return [
      `${times} × the same`,
      `${main.className} and others`,
      `${counted(Math.round(mains), 'layer')} with weights each`,
    ]
  }
  const others = layers.filter(layer => layer !== main).map(({ className }) => shortName(className))
  const last = layers.at(-1) ?? main
  const size = last.shape.map(side => side ?? '?').join('×')
  return [
    shortened(main.className),
    ...(main.mixture === undefined ? [] : shortLines(main.mixture)),
    ...(others.length > 0 ? [shortened(others.join(', '))] : []),
    main.parameters > 0 ? `${size} · ${shortCount(main.parameters)}` : size,
  ]
}

/** A text in lines of about the longest length. */
function shortLines(text: string): string[] {
  const lines = ['']
  for (const word of text.split(' ')) {
    const line = lines.at(-1) as string
    if (line.length + word.length >= MOST_LETTERS) lines.push(word)
    else lines[lines.length - 1] = line === '' ? word : `${line} ${word}`
  }
  return lines
}

function shortName(className: string): string {
  return className === 'BatchNormalization' ? 'BatchNorm' : className
}

function shortened(text: string): string {
  return text.length <= MOST_LETTERS ? text : `${text.slice(0, MOST_LETTERS - 1)}…`
}

/** A line through points, rounded at those between the ends. */
function curve(points: readonly { readonly x: number; readonly y: number }[]): string {
  const [first, ...rest] = points
  if (!first) return ''
  const steps = rest.map((point, i) => {
    const next = rest[i + 1]
    if (!next) return `L${point.x} ${point.y}`
    return `Q${point.x} ${point.y} ${(point.x + next.x) / 2} ${(point.y + next.y) / 2}`
  })
  return `M${first.x} ${first.y}${steps.join('')}`
}

import type { Look, NetworkName, WallImages } from '../protocol.js'
import { taskRanges } from '../setting.js'
import type { PageState } from '../state.js'
import { element, setText } from './element.js'
import { lightOf, VEIL } from './light.js'
import { pixelCanvas } from './pixels.js'
import type { Actions, View } from './view.js'

/** Pixels of the page between images, and below each for what the networks say of it. */
const GAP = 6
const CAPTION = 20

/** Test images, on which the patches light up that experts keep. */
export function wallView(actions: Actions): View {
  const canvas = element('canvas', { role: 'img', class: 'wall-canvas' })
  const frame = element('div', { class: 'wall-frame' }, canvas)
  const chips = chipsView(actions)
  const question = element('p', { class: 'question' })
  const truth = legendEntry('truth', 'what decides')
  const caption = element('p', { class: 'hint wall-caption' })
  const view = element(
    'div',
    { class: 'wall panel', role: 'group', 'aria-label': 'Test images' },
    element('div', { class: 'wall-head' }, element('h3', {}, 'Where the mixture looks'), legend(truth)),
    question,
    chips.element,
    frame,
    caption,
  )
  const painter = new WallPainter(canvas)
  let shown: readonly unknown[] = []
  const redraw = (state: PageState): void => {
    const width = Math.floor(frame.clientWidth)
    // Room for the images before they are there, so that nothing below moves when they come.
    const layout = layoutOf(width, state)
    frame.style.minHeight = `${layout.height}px`
    const parts = [state.wall, state.look, state.expert, width, devicePixelRatio, themeOf(view)]
    if (parts.every((part, i) => part === shown[i])) return
    shown = parts
    painter.paint(state, width, layout)
  }
  return {
    element: view,
    update(state) {
      chips.update(state)
      truth.hidden = state.setting.task === 'own'
      setText(question, taskRanges[state.setting.task].question)
      redraw(state)
      canvas.setAttribute('aria-label', description(state))
      setText(caption, captionOf(state))
    },
  }
}

/** Colours change with the reader's choice of light or dark. */
function themeOf(view: Element): string {
  return getComputedStyle(view).color
}

function legendEntry(kind: string, text: string): HTMLElement {
  return element('li', {}, element('span', { class: `swatch ${kind}`, 'aria-hidden': 'true' }), text)
}

function legend(truth: HTMLElement): HTMLElement {
  const lit = legendEntry('lit', 'kept, brighter with its gate')
  return element('ul', { class: 'legend' }, lit, legendEntry('veiled', 'kept by no expert'), truth)
}

function captionOf({ setting, wall }: PageState): string {
  if (!wall) return setting.task === 'own' ? 'Your test pictures come here.' : 'Images are on their way …'
  return 'Below each image what the networks say of it: the dense one on the left, the mixture on the right.'
}

function description({ wall, look }: PageState): string {
  if (!wall) return 'No images yet'
  const right = (name: NetworkName) =>
    look ? look.predicted[name].reduce((sum, label, i) => sum + (label === wall.labels[i] ? 1 : 0), 0) : 0
  return (
    `${wall.count} test images with the patches that the experts keep. ` +
    `The dense network names ${right('dense')} of them rightly, the mixture ${right('mixture')}.`
  )
}

/** Whose patches are lit. */
function chipsView(actions: Actions): View {
  const list = element('fieldset', { class: 'chips' })
  let count = -1
  return {
    element: list,
    update({ setting: { k }, expert }) {
      if (count !== k) {
        count = k
        const chips = Array.from({ length: k + 1 }, (_, i) => chip(i === 0 ? undefined : i - 1, actions))
        list.replaceChildren(
          element('legend', { class: 'unseen' }, 'Experts whose patches are lit'),
          ...chips,
        )
      }
      for (const input of list.querySelectorAll('input'))
        input.checked = input.value === String(expert ?? 'all')
    },
  }
}

function chip(expert: number | undefined, actions: Actions): HTMLElement {
  const input = element('input', {
    type: 'radio',
    name: 'playground-expert',
    value: expert ?? 'all',
    onchange: () => actions.selectExpert(expert),
  })
  return element(
    'label',
    { class: 'chip', title: expert === undefined ? 'All experts' : `Expert ${expert + 1}` },
    input,
    element('span', {}, expert === undefined ? 'All experts' : String(expert + 1)),
  )
}

/** Where the images of the wall are, in pixels of the page. */
interface Layout {
  readonly columns: number
  readonly side: number
  readonly height: number
}

/** Images of a task that are on the wall where it has as many. */
const usualCount = (isLarge: boolean) => (isLarge ? 12 : 24)

function layoutOf(width: number, { wall, setting }: PageState): Layout {
  const isLarge = taskRanges[setting.task].side > 100
  const columns = width > 620 ? (isLarge ? 4 : 6) : isLarge ? 3 : 4
  const count = wall?.count ?? usualCount(isLarge)
  const side = Math.max(0, Math.floor((width - (columns - 1) * GAP) / columns))
  return { columns, side, height: Math.ceil(count / columns) * (side + CAPTION + GAP) - GAP }
}

interface Colours {
  readonly veil: string
  readonly kept: string
  readonly truth: string
  readonly right: string
  readonly wrong: string
  readonly quiet: string
}

/** Paints the wall; images are made from their pixels once. */
class WallPainter {
  private readonly canvas: HTMLCanvasElement
  private images: { readonly of: WallImages; readonly canvases: readonly HTMLCanvasElement[] } | undefined

  constructor(canvas: HTMLCanvasElement) {
    this.canvas = canvas
  }

  paint({ wall, look, expert }: PageState, width: number, { columns, side, height }: Layout): void {
    const context = this.canvas.getContext('2d') as CanvasRenderingContext2D
    if (!wall || width === 0) {
      this.canvas.width = 0
      return
    }
    this.resize(width, height)
    const colours = coloursOf(this.canvas)
    const isSame = look?.predicted.mixture.length === wall.count
    for (const [i, image] of this.canvasesOf(wall).entries()) {
      const [x, y] = [(i % columns) * (side + GAP), Math.floor(i / columns) * (side + CAPTION + GAP)]
      context.imageSmoothingEnabled = wall.shape[0] > side * devicePixelRatio
      context.drawImage(image, x, y, side, side)
      if (look && isSame) {
        if (look.grid) paintLight(context, { x, y, side }, look, lightOf(look, i, expert), colours)
        paintAnswers(context, { x, y, side }, wall, look, i, colours)
      }
      paintTruth(context, { x, y, side }, wall, i, colours)
    }
  }

  private resize(width: number, height: number): void {
    const { canvas } = this
    const scale = devicePixelRatio || 1
    canvas.width = Math.round(width * scale)
    canvas.height = Math.round(height * scale)
    canvas.style.width = `${width}px`
    canvas.style.height = `${height}px`
    canvas.getContext('2d')?.scale(scale, scale)
  }

  private canvasesOf(wall: WallImages): readonly HTMLCanvasElement[] {
    if (this.images?.of === wall) return this.images.canvases
    const size = wall.shape[0] * wall.shape[1] * wall.shape[2]
    const canvases = Array.from({ length: wall.count }, (_, i) =>
      pixelCanvas(wall.pixels.subarray(i * size, (i + 1) * size), wall.shape),
    )
    this.images = { of: wall, canvases }
    return canvases
  }
}

function coloursOf(canvas: HTMLElement): Colours {
  const style = getComputedStyle(canvas)
  const token = (name: string, otherwise: string) => style.getPropertyValue(name).trim() || otherwise
  return {
    veil: token('--veil', '#10161d'),
    kept: token('--kept', '#ff9d1e'),
    truth: token('--truth', '#00c2ff'),
    right: token('--right', '#00694d'),
    wrong: token('--wrong', '#b3261e'),
    quiet: token('--quiet', '#56616d'),
  }
}

interface Place {
  readonly x: number
  readonly y: number
  readonly side: number
}

function paintLight(
  context: CanvasRenderingContext2D,
  { x, y, side }: Place,
  { grid }: Look,
  light: Float32Array,
  { veil, kept }: Colours,
): void {
  const [rows, columns] = grid as NonNullable<Look['grid']>
  const edge = (position: number, count: number) => Math.round((position * side) / count)
  const brightest = light.reduce((most, value, patch) => (value > (light[most] as number) ? patch : most), 0)
  for (const [patch, value] of light.entries()) {
    const [row, column] = [Math.floor(patch / columns), patch % columns]
    const [left, top] = [edge(column, columns), edge(row, rows)]
    const [width, height] = [edge(column + 1, columns) - left, edge(row + 1, rows) - top]
    context.globalAlpha = VEIL * (1 - value)
    context.fillStyle = veil
    context.fillRect(x + left, y + top, width, height)
    if (patch !== brightest || value === 0) continue
    context.globalAlpha = 1
    context.strokeStyle = kept
    context.lineWidth = 2
    context.strokeRect(x + left + 1, y + top + 1, width - 2, height - 2)
  }
  context.globalAlpha = 1
}

function paintTruth(
  context: CanvasRenderingContext2D,
  { x, y, side }: Place,
  { boxes, shape }: WallImages,
  image: number,
  { truth }: Colours,
): void {
  const [top, left, height, width] = boxes?.subarray(4 * image, 4 * image + 4) ?? []
  if (!height) return
  const [down, right] = [side / shape[0], side / shape[1]]
  context.strokeStyle = truth
  context.lineWidth = 1.5
  context.setLineDash([3, 2])
  context.strokeRect(
    x + (left as number) * right,
    y + (top as number) * down,
    (width as number) * right,
    height * down,
  )
  context.setLineDash([])
}

function paintAnswers(
  context: CanvasRenderingContext2D,
  { x, y, side }: Place,
  { labels, classNames }: WallImages,
  { predicted }: Look,
  image: number,
  colours: Colours,
): void {
  context.textBaseline = 'middle'
  context.font = '600 11px system-ui, -apple-system, "Segoe UI", Roboto, "DejaVu Sans", Arial, sans-serif'
  for (const [i, name] of (['dense', 'mixture'] as const).entries()) {
    const answer = predicted[name][image] as number
    const isRight = answer === labels[image]
    const room = side / 2 - 4
    const left = x + i * (side / 2 + 2)
    context.fillStyle = isRight ? colours.right : colours.wrong
    context.textAlign = 'left'
    context.fillText(
      fitted(context, `${isRight ? '✓' : '✗'} ${classNames[answer] ?? ''}`, room),
      left,
      y + side + CAPTION / 2,
    )
  }
}

/** Text that is cut to what there is room for. */
function fitted(context: CanvasRenderingContext2D, text: string, room: number): string {
  if (context.measureText(text).width <= room) return text
  for (let length = text.length - 1; length > 2; length--) {
    const cut = `${text.slice(0, length)}…`
    if (context.measureText(cut).width <= room) return cut
  }
  return text.slice(0, 1)
}

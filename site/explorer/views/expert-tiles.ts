import type { KeptPart } from '../../../src/explore/description.js'
import { element } from '../elements.js'
import { expertColour, Photograph } from '../photograph.js'
import type { ExplorerState } from '../state.js'
import { expertSwitch } from './expert-switch.js'
import { seesAll } from './sight-text.js'

/** Experts that have a tile of their own. */
const MOST_TILES = 64
/** Patches that are named where no squares are drawn. */
const MOST_NAMED = 6

/** One small photograph an expert, with the patches that it kept; a click draws these alone in the large one. */
export class ExpertTiles {
  readonly element = element('div', { class: 'x-tiles' })
  private readonly state: ExplorerState
  private readonly switches: readonly HTMLElement[]
  private tiles: readonly {
    readonly photograph: Photograph
    readonly button: HTMLButtonElement
    readonly kept: HTMLElement
  }[] = []

  constructor(state: ExplorerState) {
    this.state = state
    const { patches } = state.network
    this.switches = (patches?.experts ?? [])
      .slice(0, MOST_TILES)
      .map(({ place, title }) => (place ? expertSwitch(state, place, title) : element('span')))
    state.listen(() => this.mark())
  }

  /** Makes tiles of another image. */
  show(image: number): void {
    const { state } = this
    const { experts = [] } = state.network.patches ?? {}
    this.tiles = experts.slice(0, MOST_TILES).map(({ title }, expert) => {
      const photograph = new Photograph(state, image, { longest: 320, alt: '' })
      const kept = element('span', { class: 'x-kept' })
      const choose = () => state.change({ expert: state.look.expert === expert ? undefined : expert })
      const button = element(
        'button',
        { type: 'button', 'aria-label': `${title}: draw its patches alone`, onClick: choose },
        photograph.element,
      )
      button.style.setProperty('--expert', expertColour(expert))
      return { photograph, button, kept }
    })
    const { patches } = state.network
    const isPlaced = patches !== undefined && !seesAll(patches)
    const figures = this.tiles.map(({ button, kept }, expert) =>
      element(
        'figure',
        {},
        ...(isPlaced ? [button] : []),
        element('figcaption', {}, experts[expert]?.title ?? '', this.switches[expert] as HTMLElement),
        kept,
      ),
    )
    const more = experts.length - figures.length
    this.element.replaceChildren(...figures)
    if (more > 0) this.element.append(element('p', { class: 'x-quiet' }, `and ${more} more experts`))
    this.mark()
  }

  /** Draws what the experts kept. */
  draw(experts: readonly KeptPart[]): void {
    const { patches } = this.state.network
    const isPlaced = patches !== undefined && !seesAll(patches)
    for (const [expert, { photograph, kept }] of this.tiles.entries()) {
      const part = experts[expert]
      photograph.draw({ kept: part && isPlaced ? [[expert, part]] : [] }, patches)
      kept.textContent = part ? (isPlaced ? '' : keptText(part)) : keepsAll(this.state)
    }
  }

  private mark(): void {
    for (const [expert, { button }] of this.tiles.entries()) {
      button.setAttribute('aria-pressed', String(this.state.look.expert === expert))
      const place = this.state.network.patches?.experts[expert]?.place
      button.classList.toggle('x-off', place !== undefined && this.state.isOff(place))
    }
  }
}

/** With L = N there is nothing to choose, and no route is told. */
function keepsAll(state: ExplorerState): string {
  const { patches } = state.network
  const asked = state.look.patchesPerExpert[state.look.network] ?? patches?.trained
  return asked === patches?.most ? 'keeps every patch' : ''
}

function keptText({ patches, gates }: KeptPart): string {
  const named = patches.slice(0, MOST_NAMED).map((patch, i) => `${patch} (${(gates[i] ?? 0).toPrecision(2)})`)
  const more = patches.length - named.length
  return `kept patches ${named.join(', ')}${more > 0 ? ` and ${more} more` : ''}`
}

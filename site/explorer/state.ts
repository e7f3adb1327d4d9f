import type { Contents, ExpertPlace, NetworkDescription, Setting } from '../../src/explore/description.js'
import type { ExplorerSource } from './source.js'

/** What the visitor looks at. */
export interface Look {
  /** The network that is explored: 0, or 1 of two. */
  readonly network: number
  readonly image: number
  /** L of each network; undefined as in training. */
  readonly patchesPerExpert: readonly (number | undefined)[]
  /** Experts that are switched off, of each network. */
  readonly off: readonly (readonly ExpertPlace[])[]
  /** The expert whose patches alone are drawn; undefined for all. */
  readonly expert: number | undefined
  /** Whether it is drawn what is lost without a part. */
  readonly losses: boolean
}

/** The state of the page: what there is, and what is looked at. */
export class ExplorerState {
  readonly source: ExplorerSource
  contents: Contents = { networks: [], images: [], notes: [] }
  look: Look = {
    network: 0,
    image: 0,
    patchesPerExpert: [],
    off: [],
    expert: undefined,
    losses: false,
  }
  private readonly listeners = new Set<(before: Look) => void>()

  constructor(source: ExplorerSource) {
    this.source = source
  }

  /** The network that is looked at. */
  get network(): NetworkDescription {
    return this.contents.networks[this.look.network] as NetworkDescription
  }

  /** Reads again what there is. */
  async load(): Promise<void> {
    this.contents = await this.source.ask({ ask: 'contents' })
  }

  /** How a network is asked now. */
  settingOf(network: number): Setting {
    const { patchesPerExpert, off } = this.look
    const asked = patchesPerExpert[network]
    const gone = off[network] ?? []
    return {
      ...(asked !== undefined && { patchesPerExpert: asked }),
      ...(gone.length > 0 && { off: gone }),
    }
  }

  /** Whether a network is asked otherwise than it was trained. */
  isChanged(network: number): boolean {
    return Object.keys(this.settingOf(network)).length > 0
  }

  isOff(place: ExpertPlace): boolean {
    return (this.look.off[this.look.network] ?? []).some(other => isSamePlace(other, place))
  }

  /** Switches an expert of the network off, or on again. */
  switchExpert(place: ExpertPlace): void {
    const off = this.look.off[this.look.network] ?? []
    const others = off.filter(other => !isSamePlace(other, place))
    this.change({ off: this.replaced(this.look.off, others.length < off.length ? others : [...off, place]) })
  }

  /** Sets L of the network; that of training for its own number. */
  keepPatches(count: number): void {
    const asked = count === this.network.patches?.trained ? undefined : count
    this.change({ patchesPerExpert: this.replaced(this.look.patchesPerExpert, asked) })
  }

  /** Asks the network as it was trained. */
  reset(): void {
    this.change({
      patchesPerExpert: this.replaced(this.look.patchesPerExpert, undefined),
      off: this.replaced(this.look.off, []),
    })
  }

  change(changed: Partial<Look>): void {
    const before = this.look
    this.look = { ...before, ...changed }
    for (const listen of this.listeners) listen(before)
  }

  /** Calls a view when what is looked at changes. */
  listen(view: (before: Look) => void): void {
    this.listeners.add(view)
  }

  /** Drops all views, before new ones are made. */
  forgetViews(): void {
    this.listeners.clear()
  }

  private replaced<Value>(values: readonly Value[], value: Value): readonly Value[] {
    return this.contents.networks.map((_, network) =>
      network === this.look.network ? value : (values[network] as Value),
    )
  }
}

function isSamePlace(a: ExpertPlace, b: ExpertPlace): boolean {
  return a.mixture === b.mixture && a.expert === b.expert
}

import type { ImageAnswer, PatchDescription, Setting } from '../../src/explore/description.js'
import { confusions } from '../../src/statistics/confusion-matrix.js'
import { wilsonInterval } from '../../src/statistics/wilson-interval.js'
import type { ExplorerState } from './state.js'
import { seesAll } from './views/sight-text.js'

/** Images that one question is about. */
const AT_A_TIME = 32
/** Favourites of an expert that are shown. */
const FAVOURITES = 12
/** Passes that are kept. */
const MOST_KEPT = 8

/** A patch that an expert kept with a large gate, or an image that was sent to it. */
export interface Favourite {
  readonly image: number
  readonly gate: number
  /** Number of the patch in the grid; absent where whole images are sent. */
  readonly patch?: number
  /** Of images that are read in parts: top, left, height and width as shares of the image. */
  readonly box?: readonly number[]
}

/** What a network says of all images. */
export interface Pass {
  /** (images) class numbers; undefined where an image could not be read. */
  readonly predicted: readonly (number | undefined)[]
  /** (images) probability of the predicted class. */
  readonly probability: readonly number[]
  readonly problems: readonly { readonly image: number; readonly problem: string }[]
  /** By the titles of experts: what each kept or was sent with the largest gates, the largest first. */
  readonly favourites: ReadonlyMap<string, readonly Favourite[]>
}

/** Asks networks about all images, some at a time, and remembers what they said. */
export class Passes {
  private readonly state: ExplorerState
  private kept = new Map<string, Pass>()

  constructor(state: ExplorerState) {
    this.state = state
  }

  /** Forgets everything, as when there are other images. */
  clear(): void {
    // What is being asked is about what there was: it goes into the map that it began with.
    this.kept = new Map()
  }

  /** @param progress is called with the number of images that were asked about */
  async of(
    network: number,
    setting: Setting,
    signal: AbortSignal,
    progress: (done: number) => void,
  ): Promise<Pass> {
    const key = JSON.stringify([network, setting])
    const { kept } = this
    const known = kept.get(key)
    if (known) return known
    const pass = await this.ask(network, setting, signal, progress)
    for (const oldest of kept.keys()) if (kept.size >= MOST_KEPT) kept.delete(oldest)
    kept.set(key, pass)
    return pass
  }

  private async ask(
    network: number,
    setting: Setting,
    signal: AbortSignal,
    progress: (done: number) => void,
  ): Promise<Pass> {
    const { source, contents } = this.state
    const all = contents.images.map((_, image) => image)
    const predicted: (number | undefined)[] = []
    const probability: number[] = []
    const problems: { image: number; problem: string }[] = []
    const favourites = new FavouriteLists(contents.networks[network]?.patches)
    for (let first = 0; first < all.length; first += AT_A_TIME) {
      const images = all.slice(first, first + AT_A_TIME)
      const answers = await source.ask({ ask: 'answers', network, images, setting }, signal)
      signal.throwIfAborted()
      for (const [i, answer] of answers.entries()) {
        const image = first + i
        if ('problem' in answer) problems.push({ image, problem: answer.problem })
        else favourites.add(image, answer)
        predicted.push('problem' in answer ? undefined : answer.predicted)
        probability.push(
          'problem' in answer ? Number.NaN : (answer.probabilities[answer.predicted] ?? Number.NaN),
        )
      }
      progress(first + images.length)
    }
    return { predicted, probability, problems, favourites: favourites.lists }
  }
}

class FavouriteLists {
  readonly lists = new Map<string, Favourite[]>()
  private readonly titles: readonly string[]
  private readonly areImages: boolean

  constructor(patches: PatchDescription | undefined) {
    this.titles = patches?.experts.map(({ title }) => title) ?? []
    this.areImages = patches !== undefined && seesAll(patches)
  }

  add(image: number, { experts, choices = [] }: ImageAnswer): void {
    for (const [expert, { patches, gates, boxes }] of experts.entries()) {
      const title = this.titles[expert] ?? `expert ${expert + 1}`
      for (const [i, patch] of patches.entries()) {
        const box = boxes?.[i]
        this.insert(title, { image, patch, gate: gates[i] ?? 0, ...(box && { box }) })
      }
    }
    for (const { layer, names, experts: chosen, gates } of choices) {
      for (const [i, expert] of chosen.entries()) {
        const name = names[expert] ?? String(expert)
        const title = /^\d+$/.test(name) ? `expert ${Number(name) + 1}` : name
        this.insert(choices.length > 1 ? `${title} of ${layer}` : title, { image, gate: gates[i] ?? 0 })
      }
    }
  }

  private insert(title: string, favourite: Favourite): void {
    const list = this.lists.get(title) ?? []
    this.lists.set(title, list)
    // Where places say nothing, an image is shown once: by the largest gate, as gates come best first.
    if (!this.areImages || !list.some(({ image }) => image === favourite.image)) place(list, favourite)
  }
}

function place(list: Favourite[], favourite: Favourite): void {
  const position = list.findIndex(other => other.gate < favourite.gate)
  list.splice(position < 0 ? list.length : position, 0, favourite)
  list.length = Math.min(list.length, FAVOURITES)
}

/** How right a network is, on the images whose class is known. */
export interface Score {
  readonly right: number
  readonly count: number
  /** right / count, with Wilson's interval; undefined without images. */
  readonly accuracy?: { readonly value: number; readonly lower: number; readonly upper: number }
  /** Class numbers of true and predicted class, and how often. */
  readonly cells: readonly { readonly label: number; readonly predicted: number; readonly count: number }[]
}

/** Scores a pass over images. */
export function scoreOf(state: ExplorerState, network: number, { predicted }: Pass): Score {
  const { classNames = [] } = state.contents.networks[network] ?? {}
  const known = predicted.flatMap((guess, image) => {
    const label = labelOf(state, image, classNames)
    return guess === undefined || label < 0 ? [] : [{ label, guess }]
  })
  const cells = confusions(
    known.map(({ label }) => label),
    known.map(({ guess }) => guess),
  )
  const right = cells.reduce((sum, cell) => sum + (cell.label === cell.predicted ? cell.count : 0), 0)
  const count = known.length
  const interval = wilsonInterval(right, count)
  return { right, count, cells, ...(interval && { accuracy: { value: right / count, ...interval } }) }
}

/** The class number of an image; -1 where it is not known, or no class of the network. */
export function labelOf(state: ExplorerState, image: number, classNames: readonly string[]): number {
  const label = state.contents.images[image]?.label
  return label === undefined ? -1 : classNames.indexOf(label)
}

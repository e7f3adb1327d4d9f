import { counted, element } from '../elements.js'
import { Latest } from '../latest.js'
import { labelOf, type Pass, type Passes, scoreOf } from '../passes.js'
import type { ExplorerState } from '../state.js'
import { gallery } from './gallery.js'
import { settingWords } from './setting-bar.js'

/** What of two networks is right about an image. */
type Verdict = 'both are right' | 'the first alone is right' | 'the second alone is right' | 'both are wrong'

const verdicts: readonly Verdict[] = [
  'both are right',
  'the first alone is right',
  'the second alone is right',
  'both are wrong',
]

/** Two networks on the same images: how right each is, and where they differ. */
export class CompareView {
  readonly element = element('div', { class: 'x-view' })
  private readonly state: ExplorerState
  private readonly passes: Passes
  private readonly open: (image: number) => void
  private readonly asking = new Latest()
  private readonly progress = element('progress', { max: 1, value: 0, 'aria-label': 'Images asked about' })
  private readonly verdict = element('p', { class: 'x-verdict', role: 'status' })
  private readonly shown = element('div')
  private readonly opened = element('div')

  /** @param open shows one image */
  constructor(state: ExplorerState, passes: Passes, open: (image: number) => void) {
    this.state = state
    this.passes = passes
    this.open = open
    this.progress.hidden = true
    this.element.append(this.verdict, this.progress, this.shown, this.opened)
  }

  /** The view comes to be seen: images are asked about then. */
  enter(): void {
    const { state, passes } = this
    const { length } = state.contents.images
    const step = (before: number) => (done: number) => {
      this.progress.hidden = false
      this.progress.value = (before + done) / Math.max(1, 2 * length)
    }
    void this.asking.run(
      async signal => [
        await passes.of(0, state.settingOf(0), signal, step(0)),
        await passes.of(1, state.settingOf(1), signal, step(length)),
      ],
      ([first, second]) => {
        this.progress.hidden = true
        this.show(first as Pass, second as Pass)
      },
      error => {
        this.progress.hidden = true
        this.verdict.classList.add('x-problem')
        this.verdict.textContent = error.message
      },
    )
  }

  /** The view is left: what is not asked yet is not asked. */
  leave(): void {
    this.asking.stop()
  }

  private show(first: Pass, second: Pass): void {
    const { state } = this
    const { networks, images } = state.contents
    const passes = [first, second]
    const differing = images.flatMap((_, image) => {
      const [said, other] = [0, 1].map(network => this.saidBy(network, passes[network] as Pass, image))
      return said === undefined || other === undefined || said === other ? [] : [image]
    })
    const problems = passes.flatMap(pass => pass.problems)
    const unread = new Set(problems.map(({ image }) => image)).size
    const without =
      unread > 0 ? ` ${counted(unread, 'image')} could not be read: ${problems[0]?.problem}` : ''
    this.verdict.classList.remove('x-problem')
    this.verdict.textContent = `They differ in ${differing.length} of ${counted(images.length - unread, 'image')}.${without}`
    const rows = networks.map((network, i) => {
      const { accuracy, right, count } = scoreOf(state, i, passes[i] as Pass)
      const share = accuracy ? `${(accuracy.value * 100).toFixed(1)}%` : 'no classes known'
      return element(
        'tr',
        {},
        element('th', { scope: 'row' }, `${i === 0 ? 'first' : 'second'}: ${network.name}`),
        element('td', {}, settingWords(state, i)),
        element('td', {}, share),
        element('td', {}, count > 0 ? `${right} of ${count}` : ''),
        element('td', {}, network.parameters.toLocaleString('en-US')),
        element('td', {}, network.multiplyAdds.toLocaleString('en-US')),
      )
    })
    const head = ['Network', 'Asked', 'Accuracy', 'Right', 'Parameters', 'Multiply-adds']
    this.shown.replaceChildren(
      element(
        'div',
        { class: 'x-scroll', tabindex: 0, role: 'region', 'aria-label': 'Both networks' },
        element(
          'table',
          {},
          element('thead', {}, element('tr', {}, ...head.map(name => element('th', { scope: 'col' }, name)))),
          element('tbody', {}, ...rows),
        ),
      ),
      this.verdictButtons(first, second),
    )
    this.openGallery('Answers that differ', differing, passes)
  }

  private verdictButtons(first: Pass, second: Pass): HTMLElement {
    const passes = [first, second]
    const groups = new Map<Verdict, number[]>(verdicts.map(verdict => [verdict, []]))
    for (const [image] of this.state.contents.images.entries()) {
      const verdict = this.verdictOn(image, passes)
      if (verdict) groups.get(verdict)?.push(image)
    }
    const buttons = [...groups].map(([verdict, images]) => {
      const show = () => this.openGallery(verdict[0]?.toUpperCase() + verdict.slice(1), images, passes)
      return element(
        'button',
        { type: 'button', class: 'x-button', onClick: show },
        `${verdict}: ${images.length}`,
      )
    })
    return element('div', { class: 'x-row' }, ...buttons)
  }

  private verdictOn(image: number, passes: readonly Pass[]): Verdict | undefined {
    const label = this.state.contents.images[image]?.label
    const said = passes.map((pass, network) => this.saidBy(network, pass, image))
    const { networks } = this.state.contents
    const isKnown = networks.every(({ classNames }) => labelOf(this.state, image, classNames) >= 0)
    if (!isKnown || said.includes(undefined)) return undefined
    const [isFirst, isSecond] = said.map(name => name === label)
    if (isFirst && isSecond) return 'both are right'
    if (isFirst) return 'the first alone is right'
    return isSecond ? 'the second alone is right' : 'both are wrong'
  }

  private saidBy(network: number, { predicted }: Pass, image: number): string | undefined {
    const guess = predicted[image]
    return guess === undefined ? undefined : this.state.contents.networks[network]?.classNames[guess]
  }

  private openGallery(heading: string, images: readonly number[], passes: readonly Pass[]): void {
    const captions = images.map(image =>
      passes.map((pass, network) => this.saidBy(network, pass, image) ?? 'unread').join(' | '),
    )
    this.opened.replaceChildren(gallery(this.state, heading, images, { captions, open: this.open }))
  }
}

import { counted, element, percent } from '../elements.js'
import { Latest } from '../latest.js'
import { labelOf, type Pass, type Passes, type Score, scoreOf } from '../passes.js'
import type { ExplorerState } from '../state.js'
import { type ConfusedClasses, confusionTable } from './confusion-table.js'
import { favourites } from './favourites.js'
import { gallery } from './gallery.js'
import { settingBar, settingWords } from './setting-bar.js'
import { seesAll } from './sight-text.js'

/** What the network says of all images: its accuracy, its confusions, what its experts like, and what a setting changes. */
export class FolderView {
  readonly element = element('div', { class: 'x-view' })
  private readonly state: ExplorerState
  private readonly passes: Passes
  private readonly open: (image: number) => void
  private readonly asking = new Latest()
  private readonly progress = element('progress', { max: 1, value: 0, 'aria-label': 'Images asked about' })
  private readonly verdict = element('p', { class: 'x-verdict', role: 'status' })
  private readonly shown = element('div')
  private readonly opened = element('div')
  private isOpen = false

  /** @param open shows one image */
  constructor(state: ExplorerState, passes: Passes, open: (image: number) => void) {
    this.state = state
    this.passes = passes
    this.open = open
    this.progress.hidden = true
    this.element.append(
      settingBar(state, 'x-kept-folder'),
      this.verdict,
      this.progress,
      this.opened,
      this.shown,
    )
    state.listen(before => {
      const { patchesPerExpert, off } = state.look
      if (patchesPerExpert === before.patchesPerExpert && off === before.off) return
      if (this.isOpen) this.ask()
    })
  }

  /** The view comes to be seen: images are asked about then. */
  enter(): void {
    this.isOpen = true
    this.ask()
  }

  /** The view is left: what is not asked yet is not asked. */
  leave(): void {
    this.isOpen = false
    this.asking.stop()
  }

  private ask(): void {
    const { state } = this
    const { network } = state.look
    const { length } = state.contents.images
    const setting = state.settingOf(network)
    this.element.setAttribute('aria-busy', 'true')
    const step = (done: number) => {
      this.progress.hidden = false
      this.progress.value = done / Math.max(1, length)
    }
    void this.asking.run(
      async signal => ({
        trained: await this.passes.of(network, {}, signal, step),
        pass: await this.passes.of(network, setting, signal, step),
      }),
      ({ trained, pass }) => {
        this.progress.hidden = true
        this.element.removeAttribute('aria-busy')
        this.show(trained, pass)
      },
      error => {
        this.progress.hidden = true
        this.element.removeAttribute('aria-busy')
        this.verdict.classList.add('x-problem')
        this.verdict.textContent = error.message
      },
    )
  }

  private show(trained: Pass, pass: Pass): void {
    const { state } = this
    const { network } = state.look
    const score = scoreOf(state, network, pass)
    const isChanged = state.isChanged(network)
    this.verdict.classList.remove('x-problem')
    this.verdict.textContent = `${scoreText(score, settingWords(state, network))}${isChanged ? ` ${scoreText(scoreOf(state, network, trained), 'as trained')}` : ''}`
    this.opened.replaceChildren()
    this.shown.replaceChildren(
      ...(isChanged ? [this.changes(trained, pass)] : []),
      ...this.confusion(pass, score),
      ...(pass.favourites.size > 0
        ? [
            element('h3', {}, 'What experts like'),
            element('p', { class: 'x-quiet' }, favouritesText(state)),
            favourites(state, pass, this.open),
          ]
        : []),
      ...(pass.problems.length > 0 ? [problemList(state, pass)] : []),
    )
  }

  private confusion(pass: Pass, score: Score): HTMLElement[] {
    const { classNames } = this.state.network
    if (score.count === 0) {
      return [
        element(
          'p',
          { class: 'x-quiet' },
          'For a confusion matrix, images must lie in folders that are named as the classes.',
        ),
      ]
    }
    const matrix = confusionTable(classNames, score, cell => this.openCell(pass, cell))
    const how = 'Each row is a true class, each column what the network said. A cell opens its images.'
    return [element('h3', {}, 'What is taken for what'), element('p', { class: 'x-quiet' }, how), matrix]
  }

  private openCell(pass: Pass, { label, predicted, named }: ConfusedClasses): void {
    const { state } = this
    const { classNames } = state.network
    const isIn = (name: string | undefined, cell: string | undefined) =>
      name !== undefined && (cell === undefined ? !named.has(name) : name === cell)
    const images = pass.predicted.flatMap((guess, image) => {
      const own = classNames[labelOf(state, image, classNames)]
      return guess !== undefined && isIn(own, label) && isIn(classNames[guess], predicted) ? [image] : []
    })
    const heading = `${label ?? 'other classes'} taken for ${predicted ?? 'other classes'}`
    this.openGallery(heading, images, pass)
  }

  private openGallery(heading: string, images: readonly number[], pass: Pass): void {
    const { state } = this
    const { classNames } = state.network
    const captions = images.map(
      image =>
        `${classNames[pass.predicted[image] ?? -1] ?? ''} ${percent(pass.probability[image] ?? Number.NaN)}`,
    )
    const panel = gallery(state, heading, images, { captions, open: this.open })
    this.opened.replaceChildren(panel)
    panel.querySelector('h3')?.focus()
    panel.scrollIntoView({ block: 'nearest' })
  }

  /** What the setting changes, image by image: the preview of a pruning. */
  private changes(trained: Pass, pass: Pass): HTMLElement {
    const { state } = this
    const { classNames } = state.network
    const changed = pass.predicted.flatMap((guess, image) =>
      guess !== trained.predicted[image] ? [image] : [],
    )
    const captions = changed.map(image => {
      const name = (guess: number | undefined) => classNames[guess ?? -1] ?? 'none'
      return `${name(trained.predicted[image])} → ${name(pass.predicted[image])}`
    })
    if (changed.length === 0) return element('p', {}, 'No image changes its answer.')
    return gallery(state, 'Answers that change', changed, { captions, open: this.open })
  }
}

function scoreText({ right, count, accuracy }: Score, how: string): string {
  if (!accuracy) return `Asked about all images, ${how}.`
  const range = `${percent(accuracy.lower)} to ${percent(accuracy.upper)}`
  return `${percent(accuracy.value)} right ${how}: ${right} of ${counted(count, 'image')} (95% interval ${range}).`
}

function favouritesText({ network }: ExplorerState): string {
  const { patches } = network
  if (!patches) return 'The images that were sent to each expert with the largest gates.'
  return seesAll(patches)
    ? 'The images of which each expert kept patches with the largest gates; a patch is computed from the whole image.'
    : 'The patches that each expert kept with the largest gates, over all images; half a patch is shown around each.'
}

function problemList({ contents }: ExplorerState, { problems }: Pass): HTMLElement {
  const lines = problems.slice(0, 20).map(({ image, problem }) => {
    const { name = '' } = contents.images[image] ?? {}
    return element('li', {}, problem.startsWith(name) ? problem : `${name}: ${problem}`)
  })
  const more = problems.length - lines.length
  return element(
    'div',
    { class: 'x-panel' },
    element('h3', {}, `${counted(problems.length, 'image')} could not be read`),
    element('ul', {}, ...lines, ...(more > 0 ? [element('li', {}, `and ${more} more`)] : [])),
  )
}

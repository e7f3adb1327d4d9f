import type { TruthMetrics } from '../../../src/train/routing/routing-metrics.js'
import type { ExpertPicture, Look } from '../protocol.js'
import type { Task } from '../setting.js'
import { element, setText } from './element.js'
import { natsText, percentText } from './numbers.js'
import { paint } from './pixels.js'
import type { Actions, View } from './view.js'

/** The experts, one card each: what their routers are, what they keep, and for which classes. */
export function expertsView(actions: Actions): View {
  const cards = element('div', { class: 'expert-cards' })
  const summary = summaryView()
  const view = element(
    'div',
    { class: 'experts panel', role: 'group', 'aria-label': 'Experts' },
    element('h3', {}, 'Who keeps what'),
    summary.element,
    cards,
  )
  let shown: readonly unknown[] = []
  let list: readonly ExpertCard[] = []
  return {
    element: view,
    update(state) {
      summary.update(state)
      const { look, expert, setting, wall } = state
      const count = look?.grid ? look.numExperts : setting.k
      if (list.length !== count) {
        list = Array.from({ length: count }, (_, i) => expertCard(i, actions))
        cards.replaceChildren(...list.map(card => card.element))
        shown = []
      }
      const parts = [look, expert, wall?.classNames]
      if (parts.every((part, i) => part === shown[i])) return
      shown = parts
      for (const [i, card] of list.entries()) card.update(look, i, expert === i, wall?.classNames ?? [])
    },
  }
}

/** The numbers of the routing as a whole. */
function summaryView(): View {
  const facts = [
    fact('Finds what decides', ({ truth }) => percentText(truth?.recall.at(-1)), ['own']),
    fact(
      'Entropy of classes in experts',
      ({ truth }) => natsText(truth && tellsClasses(truth) ? truth.dispatch.entropy : undefined),
      ['own', 'defect'],
    ),
    fact(
      'Experts that no deciding patch goes to',
      ({ truth, numExperts }) => (truth ? `${truth.deadExperts.length} of ${numExperts}` : '–'),
      ['own'],
    ),
    fact('Patches that no expert keeps', ({ coverage }) => percentText(coverage.none)),
    fact(
      'Experts that always keep the same places',
      ({ fixedExperts, numExperts }) => `${fixedExperts.length} of ${numExperts}`,
    ),
  ]
  return {
    element: element('dl', { class: 'facts' }, ...facts.map(one => one.element)),
    update({ look, setting }) {
      for (const one of facts) one.update(look?.metrics, setting.task)
    },
  }
}

/** @param unknownIn tasks whose images do not tell it */
function fact(
  title: string,
  text: (metrics: NonNullable<Look['metrics']>) => string,
  unknownIn: readonly Task[] = [],
) {
  const value = element('dd', {}, '–')
  const row = element('div', {}, element('dt', {}, title), value)
  return {
    element: row,
    update(metrics: Look['metrics'], task: Task) {
      row.hidden = unknownIn.includes(task)
      setText(value, metrics ? text(metrics) : '–')
    },
  }
}

interface ExpertCard {
  readonly element: HTMLElement
  update(look: Look | undefined, expert: number, isSelected: boolean, classNames: readonly string[]): void
}

function expertCard(expert: number, actions: Actions): ExpertCard {
  const router = pictureView('Router')
  const mean = pictureView('Keeps, on average')
  const classes = element('p', { class: 'hint expert-classes' })
  const state = element('span', { class: 'tag' })
  const button = element(
    'button',
    { type: 'button', class: 'expert-name', 'aria-pressed': 'false' },
    `Expert ${expert + 1}`,
  )
  const card = element(
    'div',
    { class: 'expert' },
    element('div', { class: 'expert-head' }, button, state),
    element('div', { class: 'expert-pictures' }, router.element, mean.element),
    classes,
  )
  let selected = false
  button.addEventListener('click', () => actions.selectExpert(selected ? undefined : expert))
  return {
    element: card,
    update(look, i, isSelected, classNames) {
      selected = isSelected
      button.setAttribute('aria-pressed', String(isSelected))
      router.update(look?.routers?.[i])
      mean.update(look?.meanPatches?.[i])
      setText(classes, classesText(look, i, classNames))
      setText(state, tagOf(look, i))
    },
  }
}

function tagOf(look: Look | undefined, expert: number): string {
  const { truth, fixedExperts = [] } = look?.metrics ?? {}
  if (truth?.deadExperts.includes(expert)) return 'dead'
  return fixedExperts.includes(expert) ? 'fixed' : ''
}

/** Whether images of several classes show what decides, so that experts can differ in the classes that they get. */
function tellsClasses({ dispatch: { counts } }: TruthMetrics): boolean {
  return counts.filter(row => row.some(count => count > 0)).length > 1
}

/** The shares of the classes among the deciding patches that go to an expert. */
function classesText(look: Look | undefined, expert: number, classNames: readonly string[]): string {
  const metrics = look?.metrics
  if (!metrics) return ' '
  const { truth, gates } = metrics
  const shares = truth?.dispatch.classShares[expert]
  if (!truth || !tellsClasses(truth) || !shares || Number.isNaN(shares[0]))
    return `largest gate ${percentText(gates[expert]?.largestShare, 0)}`
  return shares
    .map((share, label) => ({ share, name: classNames[label] ?? String(label) }))
    .sort((a, b) => b.share - a.share)
    .slice(0, 2)
    .filter(({ share }) => share >= 0.005)
    .map(({ share, name }) => `${percentText(share, 0)} “${name}”`)
    .join(', ')
}

function pictureView(title: string) {
  const canvas = element('canvas', { role: 'img', 'aria-label': title, width: 8, height: 8 })
  const figure = element('figure', { class: 'expert-picture' }, canvas, element('figcaption', {}, title))
  return {
    element: figure,
    update(picture: ExpertPicture | undefined) {
      figure.hidden = picture === undefined
      if (!picture) return
      const [height, width, channels] = picture.shape
      if (canvas.width !== width) canvas.width = width
      if (canvas.height !== height) canvas.height = height
      paint(canvas, picture.pixels, channels)
    },
  }
}

import type { ImageAnswer, PatchLosses, UnreadAnswer } from '../../../src/explore/description.js'
import { element } from '../elements.js'
import { Latest } from '../latest.js'
import { Photograph } from '../photograph.js'
import type { ExplorerState, Look } from '../state.js'
import { answerBars, answerText } from './answer-bars.js'
import { choiceBars } from './choice-bars.js'
import { ExpertTiles } from './expert-tiles.js'
import { imageStrip } from './image-strip.js'
import { settingBar, settingWords } from './setting-bar.js'
import { seesAll, sightText } from './sight-text.js'

/** What one image is, and what the network says of it: its photograph, its patches, its answer. */
export class ImageView {
  readonly element = element('div', { class: 'x-view' })
  private readonly state: ExplorerState
  private readonly answers = new Latest()
  private readonly losing = new Latest()
  private readonly others = new Latest()
  private readonly stage = element('div', { class: 'x-stage' })
  private readonly says = element('div', { class: 'x-says' })
  private readonly verdict = element('p', { class: 'x-verdict', role: 'status' })
  private readonly bars = element('div')
  private readonly explains = element('p', { class: 'x-quiet' })
  private readonly other = element('p', { class: 'x-quiet' })
  private readonly tiles: ExpertTiles
  private photograph: Photograph | undefined
  private answer: ImageAnswer | undefined
  private trained: { readonly key: string; readonly answer: ImageAnswer } | undefined
  private losses: PatchLosses | undefined

  constructor(state: ExplorerState) {
    this.state = state
    this.tiles = new ExpertTiles(state)
    const { patches } = state.network
    this.says.append(this.verdict, this.bars, this.other, this.tiles.element)
    this.element.append(
      imageStrip(state),
      settingBar(state, 'x-kept-image'),
      element(
        'div',
        { class: 'x-columns' },
        element('div', {}, this.stage, this.lossSwitch(), this.explains),
        this.says,
      ),
    )
    this.explains.textContent = patches ? sightText(state.network) : ''
    state.listen(before => this.changed(before))
    this.showImage()
  }

  /** The switch of what is lost without a part. */
  private lossSwitch(): HTMLElement {
    const { patches } = this.state.network
    const box = element('input', { type: 'checkbox' })
    box.addEventListener('change', () => this.state.change({ losses: box.checked }))
    const what = patches && !seesAll(patches) ? 'a patch' : 'a part of the picture'
    return element('label', { class: 'x-check' }, box, ` What is lost without ${what}`)
  }

  private changed(before: Look): void {
    const { look } = this.state
    if (look.image !== before.image) this.showImage()
    else if (look.patchesPerExpert !== before.patchesPerExpert || look.off !== before.off) this.askAll()
    else if (look.losses !== before.losses) this.askLosses()
    this.draw()
  }

  private showImage(): void {
    const { image } = this.state.look
    const { name = '' } = this.state.contents.images[image] ?? {}
    this.photograph = new Photograph(this.state, image, { longest: 960, alt: name })
    this.stage.replaceChildren(this.photograph.element)
    this.answer = undefined
    this.losses = undefined
    this.tiles.show(image)
    this.askAll()
    this.askOther()
  }

  private askAll(): void {
    this.losses = undefined
    this.askAnswer()
    this.askLosses()
  }

  private askAnswer(): void {
    const { state } = this
    const { network, image } = state.look
    const key = `${network} ${image}`
    this.element.setAttribute('aria-busy', 'true')
    void this.answers.run(
      async signal => {
        const ask = (setting: object) =>
          state.source.ask({ ask: 'answers', network, images: [image], setting }, signal)
        const [answer] = (await ask(state.settingOf(network))) as [ImageAnswer | UnreadAnswer]
        if (!state.isChanged(network) || this.trained?.key === key) return { answer }
        const [trained] = (await ask({})) as [ImageAnswer | UnreadAnswer]
        return { answer, trained }
      },
      ({ answer, trained }) => {
        this.element.removeAttribute('aria-busy')
        if ('problem' in answer) return this.fail(answer.problem)
        if (!state.isChanged(network)) this.trained = { key, answer }
        if (trained && !('problem' in trained)) this.trained = { key, answer: trained }
        this.answer = answer
        this.showAnswer(answer)
        this.draw()
      },
      error => this.fail(error.message),
    )
  }

  /** What the other of two networks says, in a line. */
  private askOther(): void {
    const { state } = this
    const network = 1 - state.look.network
    const described = state.contents.networks[network]
    if (!described) return
    const { image } = state.look
    const setting = state.settingOf(network)
    this.other.textContent = ''
    void this.others.run(
      signal => state.source.ask({ ask: 'answers', network, images: [image], setting }, signal),
      ([answer]) => {
        const says =
          answer && !('problem' in answer) ? answerText(answer, described.classNames) : answer?.problem
        this.other.textContent = `The ${network === 0 ? 'first' : 'second'} network, ${described.name}: ${says}, ${settingWords(state, network)}.`
      },
      error => {
        this.other.textContent = error.message
      },
    )
  }

  private showAnswer(answer: ImageAnswer): void {
    const { state } = this
    const { network, image } = state.look
    const { classNames } = state.network
    const label = state.contents.images[image]?.label
    const isChanged = state.isChanged(network)
    const { trained } = this
    const words = [`${answerText(answer, classNames)}, ${settingWords(state, network)}.`]
    if (isChanged && trained) words.push(`As trained: ${answerText(trained.answer, classNames)}.`)
    if (label !== undefined) {
      words.push(classNames[answer.predicted] === label ? 'That is right.' : `It is ${label}.`)
    }
    this.verdict.classList.remove('x-problem')
    this.verdict.textContent = words.join(' ')
    this.verdict.dataset.probabilities = JSON.stringify(answer.probabilities)
    this.bars.replaceChildren(
      answerBars(answer, classNames, { label, trained: isChanged ? trained?.answer : undefined }),
      ...(answer.choices ?? []).map(choice => choiceBars(state, choice)),
    )
  }

  private askLosses(): void {
    const { state } = this
    if (!state.look.losses) {
      this.losing.stop()
      this.losses = undefined
      this.draw()
      return
    }
    const { network, image } = state.look
    void this.losing.run(
      signal =>
        state.source.ask({ ask: 'losses', network, image, setting: state.settingOf(network) }, signal),
      losses => {
        this.losses = losses
        this.draw()
      },
      error => this.fail(error.message),
    )
  }

  private draw(): void {
    const { patches } = this.state.network
    const { expert } = this.state.look
    const experts = this.answer?.experts ?? []
    this.tiles.draw(experts)
    const isDrawn = patches && !seesAll(patches) && !this.losses
    const kept = experts.flatMap((part, number) =>
      isDrawn && (expert === undefined || expert === number) ? [[number, part] as const] : [],
    )
    this.photograph?.draw(
      { kept, gates: expert !== undefined, ...(this.losses && { losses: this.losses }) },
      patches,
    )
  }

  private fail(problem: string): void {
    this.element.removeAttribute('aria-busy')
    this.verdict.classList.add('x-problem')
    this.verdict.textContent = problem
    this.bars.replaceChildren()
  }
}

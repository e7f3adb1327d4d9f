/** The playground: a dense network and a mixture learn beside each other on the same images, in a worker of the page. */
import { addressOf, settingOf } from './address.js'
import type { Assets, ModelFile, Order, PictureClass, Report } from './protocol.js'
import { changed, type Setting } from './setting.js'
import { firstState, opened, type PageState, reported } from './state.js'
import { playgroundStyle } from './style.js'
import { accuracyView } from './views/accuracy.js'
import { controlsView } from './views/controls.js'
import { costsView } from './views/costs.js'
import { element } from './views/element.js'
import { expertsView } from './views/experts.js'
import { noticesView } from './views/notices.js'
import { ownPicturesView } from './views/own-pictures.js'
import { sharingView } from './views/sharing.js'
import { tasksView } from './views/tasks.js'
import { transportView } from './views/transport.js'
import type { Actions, View } from './views/view.js'
import { wallView } from './views/wall.js'

/** What the playground needs of the site. */
export interface PlaygroundOptions extends Assets {
  /** Starts the worker: `worker/worker.ts`, bundled as a module. */
  startWorker(): Worker
  /** Whether training begins at once; true unless given. */
  readonly autoStart?: boolean
}

/** A setting is followed when nothing was changed for so long, in milliseconds. */
const SETTLE_MS = 150

/**
 * Fills an element with the playground; the part of the page's address after `#` is its setting.
 *
 * @returns a function that ends it: the worker, and what listens on the page
 */
export function mountPlayground(root: HTMLElement, options: PlaygroundOptions): () => void {
  const playground = new Playground(root, options)
  return () => playground.end()
}

class Playground {
  private state: PageState
  private readonly worker: Worker
  private readonly options: PlaygroundOptions
  private readonly views: readonly View[]
  private readonly ending = new AbortController()
  private frame = 0
  private settling: ReturnType<typeof setTimeout> | undefined

  constructor(root: HTMLElement, options: PlaygroundOptions) {
    this.options = options
    const { setting, notes } = settingOf(location.hash)
    this.state = { ...firstState(setting, notes), wantsRunning: options.autoStart ?? true }
    this.worker = options.startWorker()
    this.worker.onmessage = ({ data }: MessageEvent<Report>) => this.hear(data)
    this.worker.onerror = event => {
      event.preventDefault()
      this.fail(`Worker: it must run, got: ${event.message || 'a script that does not load'}`)
    }
    const actions = this.actions()
    const above = [tasksView(actions), ownPicturesView(actions), noticesView(actions)]
    const below = [
      transportView(actions),
      controlsView(actions),
      wallView(actions),
      accuracyView(),
      costsView(),
      expertsView(actions),
      sharingView(actions),
    ]
    this.views = [...above, ...below]
    const grid = element('div', { class: 'playground-grid' }, ...below.map(view => view.element))
    root.classList.add('playground')
    root.replaceChildren(element('style', {}, playgroundStyle), ...above.map(view => view.element), grid)
    const { signal } = this.ending
    addEventListener('hashchange', () => this.followAddress(), { signal })
    addEventListener('resize', () => this.draw(), { signal })
    matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => this.draw(), { signal })
    // Sites that have a switch of their own say so by a class.
    const theme = new MutationObserver(() => this.draw())
    theme.observe(document.documentElement, { attributes: true, attributeFilter: ['class'] })
    signal.addEventListener('abort', () => theme.disconnect())
    this.open(setting)
  }

  end(): void {
    this.ending.abort()
    cancelAnimationFrame(this.frame)
    clearTimeout(this.settling)
    for (const view of this.views) view.end?.()
    this.worker.terminate()
  }

  private actions(): Actions {
    return {
      change: change => this.settle(changed(this.state.setting, change)),
      run: () => this.want(true),
      pause: () => this.want(false),
      step: () => this.order({ type: 'step' }),
      reset: () => this.open(this.state.setting),
      selectExpert: expert => this.set({ ...this.state, expert }),
      save: network => this.order({ type: 'save', network }),
      load: files => void this.load(files),
      share: () => this.share(),
      goOnWithWasm: () =>
        this.open({ ...this.state.setting, backend: 'wasm' }, { goesOn: this.state.facts !== undefined }),
      setClasses: classes => this.setClasses(classes),
      readPictures: () => this.order({ type: 'pictures', classes: this.state.own.classes }),
      fail: message => this.fail(message),
    }
  }

  private set(state: PageState): void {
    this.state = state
    this.draw()
  }

  /** Shows the state in the next frame, however often it changes before. */
  private draw(): void {
    if (this.frame !== 0) return
    this.frame = requestAnimationFrame(() => {
      this.frame = 0
      for (const view of this.views) view.update(this.state)
    })
  }

  private order(order: Order): void {
    this.worker.postMessage(order)
  }

  private want(isRunning: boolean): void {
    this.set({ ...this.state, wantsRunning: isRunning, problem: undefined })
    this.order({ type: isRunning ? 'run' : 'pause' })
  }

  /** Shows a setting at once, and follows it when it no longer changes. */
  private settle(setting: Setting): void {
    const { backend, ...networks } = setting
    const { backend: before, ...trained } = this.state.setting
    const isSameNetworks =
      addressOf({ ...networks, backend: 'auto' }) === addressOf({ ...trained, backend: 'auto' })
    const goesOn = isSameNetworks && backend !== before && this.state.facts !== undefined
    this.set({ ...this.state, setting })
    clearTimeout(this.settling)
    this.settling = setTimeout(() => this.open(setting, { goesOn }), SETTLE_MS)
  }

  private open(
    setting: Setting,
    others: { readonly goesOn?: boolean; readonly model?: readonly ModelFile[] } = {},
  ): void {
    clearTimeout(this.settling)
    this.set(opened(this.state, setting))
    history.replaceState(history.state, '', `#${addressOf(setting)}`)
    const { session, wantsRunning, own } = this.state
    const hasImages = setting.task !== 'own' || (own.result !== undefined && own.result.problem === undefined)
    if (!hasImages && !others.model) {
      this.order({ type: 'close', session })
      return
    }
    const [samples, wasm] = [this.options.samples, this.options.wasm].map(address => absolute(address)) as [
      string,
      string,
    ]
    this.order({
      type: 'open',
      session,
      setting,
      assets: { samples, wasm },
      isRunning: wantsRunning,
      ...others,
    })
  }

  private followAddress(): void {
    const { setting, notes } = settingOf(location.hash)
    if (addressOf(setting) === addressOf(this.state.setting)) return
    this.open(setting)
    this.set({ ...this.state, remarks: notes })
  }

  private hear(report: Report): void {
    this.set(reported(this.state, report))
    if ('session' in report && report.session !== this.state.session) return
    if (report.type === 'loaded') history.replaceState(history.state, '', `#${addressOf(report.setting)}`)
    if (report.type === 'saved') download(report.files)
    if (report.type === 'pictures') this.usePictures(report)
  }

  private setClasses(classes: readonly PictureClass[]): void {
    this.set({ ...this.state, own: { ...this.state.own, classes } })
  }

  private usePictures({ problem }: Extract<Report, { readonly type: 'pictures' }>): void {
    if (this.state.setting.task === 'own') this.open(this.state.setting)
    if (problem !== undefined) this.fail(problem)
  }

  private async load(chosen: readonly File[]): Promise<void> {
    try {
      const model = await Promise.all(
        chosen.map(async file => ({ name: file.name, bytes: new Uint8Array(await file.arrayBuffer()) })),
      )
      this.open(this.state.setting, { model })
    } catch (error) {
      const names = chosen.map(({ name }) => name).join(', ')
      this.fail(`Load: files must be readable, got ${names} (${(error as Error).message})`)
    }
  }

  private async share(): Promise<string> {
    try {
      await navigator.clipboard.writeText(location.href)
      return 'The address is copied.'
    } catch {
      return `The address is ${location.href}`
    }
  }

  private fail(message: string): void {
    this.set({ ...this.state, problem: { message, offersWasm: false } })
  }
}

function absolute(address: string): string {
  return new URL(address, document.baseURI).href
}

/** Hands files to the visitor. */
function download(files: readonly ModelFile[]): void {
  for (const { name, bytes } of files) {
    const address = URL.createObjectURL(new Blob([bytes]))
    element('a', { href: address, download: name }).click()
    // The download has begun by then.
    setTimeout(() => URL.revokeObjectURL(address), 60_000)
  }
}

import { counted, element } from './elements.js'
import { GraphView } from './graph/graph-view.js'
import { Passes } from './passes.js'
import type { ExplorerSource } from './source.js'
import { ExplorerState } from './state.js'
import { explorerStyle } from './style.js'
import { makeTabs, type Tabs, type View } from './tabs.js'
import { CompareView } from './views/compare-view.js'
import { dropZone } from './views/drop-zone.js'
import { FolderView } from './views/folder-view.js'
import { ImageView } from './views/image-view.js'

export type { ExplorerSource } from './source.js'

/**
 * Puts the explorer into a page.
 *
 * @param root is emptied
 * @param source where the answers come from: `httpSource()` of `pmoe explore`, or `droppedSource(worker)` of files that a visitor
 *   drops
 */
export function mountExplorer(root: HTMLElement, source: ExplorerSource): void {
  const state = new ExplorerState(source)
  const page = new ExplorerPage(root, state)
  void page.load()
}

class ExplorerPage {
  private readonly state: ExplorerState
  private readonly passes: Passes
  private tab = ''
  private tabs: Tabs | undefined
  private readonly head = element('header', { class: 'x-head' })
  private readonly body = element('div')
  private readonly problem = element('p', { class: 'x-problem', role: 'alert' })

  constructor(root: HTMLElement, state: ExplorerState) {
    this.state = state
    this.passes = new Passes(state)
    root.classList.add('explorer')
    const given = (files: readonly File[]) => this.take(files)
    root.replaceChildren(element('style', {}, explorerStyle), this.head, this.problem, this.body)
    root.addEventListener('dragover', event => event.preventDefault())
    root.addEventListener('drop', event => {
      event.preventDefault()
      void droppedFiles(event.dataTransfer).then(given, error => this.fail(error))
    })
  }

  /** Reads what there is, and shows it. */
  async load(): Promise<void> {
    try {
      await this.state.load()
      this.problem.textContent = ''
      this.show()
    } catch (error) {
      this.fail(error)
    }
  }

  private fail(error: unknown): void {
    this.problem.textContent = error instanceof Error ? error.message : String(error)
  }

  /** Takes files that the visitor gives: a network where one is among them, else images. */
  private async take(files: readonly File[]): Promise<void> {
    const { source, contents } = this.state
    // The first images are what a visitor wants to see.
    if (contents.images.length === 0) this.tab = ''
    const isNetwork = files.some(({ name }) => /(^|\/)model\.json$|\.bin$|\.keras$|\.h5$/i.test(name))
    this.problem.textContent = ''
    this.body.setAttribute('aria-busy', 'true')
    try {
      if (isNetwork && source.addNetwork) await source.addNetwork(files)
      else await source.addImages(files)
    } catch (error) {
      this.fail(error)
    }
    this.body.removeAttribute('aria-busy')
    const problem = this.problem.textContent
    this.passes.clear()
    await this.load()
    if (problem) this.problem.textContent = problem
  }

  private show(): void {
    const { state } = this
    this.tabs?.leave()
    state.forgetViews()
    const { networks, notes } = state.contents
    this.head.replaceChildren(...(networks.length > 0 ? this.heading() : []))
    const zone = dropZone(state, files => void this.take(files))
    const remarks = notes.map(note => element('p', { class: 'x-quiet' }, note))
    this.body.replaceChildren(...remarks, ...(networks.length > 0 ? this.views() : []), zone)
  }

  private heading(): HTMLElement[] {
    const { state } = this
    const { networks } = state.contents
    const { name, source, input, classNames, parameters } = state.network
    const [height, width, channels] = input
    const what = `${source}: takes ${height}×${width}×${channels}, tells ${counted(classNames.length, 'class', 'classes')} apart, ${counted(parameters, 'parameter')}.`
    const choice = networks.map((network, i) => {
      const box = element('input', { type: 'radio', name: 'x-network', value: i })
      box.checked = i === state.look.network
      box.addEventListener('change', () => {
        state.change({ network: i, expert: undefined })
        this.show()
      })
      return element('label', { class: 'x-check' }, box, ` ${i === 0 ? 'first' : 'second'}: ${network.name}`)
    })
    return [
      element('h1', {}, name),
      element('p', { class: 'x-quiet' }, what),
      ...(networks.length > 1
        ? [element('fieldset', { class: 'x-row' }, element('legend', {}, 'Network'), ...choice)]
        : []),
    ]
  }

  private views(): HTMLElement[] {
    const { state, passes } = this
    const { images, networks } = state.contents
    const views: View[] = [{ name: 'Network', make: () => new GraphView(state.network) }]
    if (images.length > 0) {
      if (state.look.image >= images.length) state.look = { ...state.look, image: 0 }
      const open = (image: number) => {
        state.change({ image })
        tabs.select('One image')
      }
      views.unshift({ name: 'One image', make: () => new ImageView(state) })
      views.push({ name: 'All images', make: () => new FolderView(state, passes, open) })
      if (networks.length > 1)
        views.push({ name: 'Both networks', make: () => new CompareView(state, passes, open) })
    }
    const tabs = makeTabs(views, this.tab, name => {
      this.tab = name
    })
    this.tabs = tabs
    return [tabs.element]
  }
}

/** The files of a drop, with those in folders; their paths are kept. */
async function droppedFiles(transfer: DataTransfer | null): Promise<File[]> {
  const entries = [...(transfer?.items ?? [])].flatMap(item => item.webkitGetAsEntry() ?? [])
  if (entries.length === 0) return [...(transfer?.files ?? [])]
  return (await Promise.all(entries.map(entry => filesOf(entry)))).flat()
}

async function filesOf(entry: FileSystemEntry): Promise<File[]> {
  if (entry.isFile) {
    const file = await new Promise<File>((resolve, reject) =>
      (entry as FileSystemFileEntry).file(resolve, reject),
    )
    // What a chooser of folders says of its files, a dropped one says in its entry.
    Object.defineProperty(file, 'webkitRelativePath', { value: entry.fullPath.replace(/^\//, '') })
    return [file]
  }
  const reader = (entry as FileSystemDirectoryEntry).createReader()
  const files: File[] = []
  for (;;) {
    const some = await new Promise<FileSystemEntry[]>((resolve, reject) =>
      reader.readEntries(resolve, reject),
    )
    if (some.length === 0) return files
    files.push(...(await Promise.all(some.map(filesOf))).flat())
  }
}

import { element } from './elements.js'

/** A view that comes to be seen and is left again. */
interface Shown {
  readonly element: HTMLElement
  enter?(): void
  leave?(): void
}

/** A view by its name; it is made when it is seen first. */
export interface View {
  readonly name: string
  make(): Shown
}

/** Views of which one is seen at a time. */
export interface Tabs {
  readonly element: HTMLElement
  /** Shows a view. */
  select(name: string): void
  /** Leaves the view that is seen, before others take the place of all. */
  leave(): void
}

/**
 * Makes tabs; arrow keys go from one to the next.
 *
 * @param first the view that is shown, where there is one of this name; else the first of all
 * @param chosen is told which view is shown
 */
export function makeTabs(views: readonly View[], first: string, chosen: (name: string) => void): Tabs {
  const made = new Map<string, Shown>()
  const panel = element('div', { role: 'tabpanel', id: 'x-panel' })
  const buttons = views.map(({ name }) =>
    element(
      'button',
      { type: 'button', role: 'tab', 'aria-controls': 'x-panel', onClick: () => select(name) },
      name,
    ),
  )
  const bar = element('div', { role: 'tablist', 'aria-label': 'Views', class: 'x-tabs' }, ...buttons)
  let current = ''
  function select(name: string): void {
    const view = views.find(other => other.name === name)
    if (!view || name === current) return
    made.get(current)?.leave?.()
    current = name
    chosen(name)
    const shown = made.get(name) ?? view.make()
    made.set(name, shown)
    panel.replaceChildren(shown.element)
    panel.setAttribute('aria-label', name)
    for (const [i, button] of buttons.entries()) {
      const isShown = views[i]?.name === name
      button.setAttribute('aria-selected', String(isShown))
      button.tabIndex = isShown ? 0 : -1
    }
    shown.enter?.()
  }
  bar.addEventListener('keydown', event => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    if (step === 0) return
    const now = views.findIndex(({ name }) => name === current)
    const next = (now + step + views.length) % views.length
    select(views[next]?.name ?? '')
    buttons[next]?.focus()
    event.preventDefault()
  })
  select(views.some(({ name }) => name === first) ? first : (views[0]?.name ?? ''))
  return { element: element('div', {}, bar, panel), select, leave: () => made.get(current)?.leave?.() }
}

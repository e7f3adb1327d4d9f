import { element } from '../elements.js'
import { thumbnail } from '../pictures.js'
import type { ExplorerState } from '../state.js'

/** All images in a row; arrow keys go from one to the next. */
export function imageStrip(state: ExplorerState): HTMLElement {
  const buttons = state.contents.images.map((_, image) =>
    thumbnail(state, image, { act: () => state.change({ image }) }),
  )
  const strip = element('div', { class: 'x-strip', role: 'group', 'aria-label': 'Images' }, ...buttons)
  const mark = () => {
    for (const [image, button] of buttons.entries()) {
      const isShown = image === state.look.image
      button.setAttribute('aria-pressed', String(isShown))
      button.tabIndex = isShown ? 0 : -1
    }
  }
  strip.addEventListener('keydown', event => {
    const step = event.key === 'ArrowRight' ? 1 : event.key === 'ArrowLeft' ? -1 : 0
    const next = buttons[state.look.image + step]
    if (step === 0 || !next) return
    event.preventDefault()
    next.focus()
    state.change({ image: state.look.image + step })
  })
  mark()
  state.listen(before => {
    if (before.image === state.look.image) return
    mark()
    const shown = buttons[state.look.image]
    if (!shown) return
    // Only within the strip: the page itself stays where it is.
    const { offsetLeft, offsetWidth } = shown
    const isSeen =
      offsetLeft >= strip.scrollLeft && offsetLeft + offsetWidth <= strip.scrollLeft + strip.clientWidth
    if (!isSeen) strip.scrollLeft = offsetLeft - strip.clientWidth / 2
  })
  return strip
}

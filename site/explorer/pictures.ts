import { element } from './elements.js'
import type { ExplorerState } from './state.js'

/** Longest side of pictures that are shown pixel by pixel. */
const SMALL = 100

/** Pictures that come when they are about to be seen, of both kinds of sources. */
const shown = new WeakMap<Element, () => void>()
let observer: IntersectionObserver | undefined

function whenSeen(target: Element, act: () => void): void {
  observer ??= new IntersectionObserver(
    entries => {
      for (const { target: seen, isIntersecting } of entries) {
        if (!isIntersecting) continue
        observer?.unobserve(seen)
        shown.get(seen)?.()
      }
    },
    { rootMargin: '200px' },
  )
  shown.set(target, act)
  observer.observe(target)
}

/**
 * A picture of an image, as the network that is looked at sees it.
 *
 * @param longest about how many pixels along its longer side
 * @param alt empty where the name stands beside it
 */
export function picture(state: ExplorerState, image: number, longest: number, alt: string): HTMLImageElement {
  const img = element('img', { alt, decoding: 'async' })
  const { network } = state.look
  img.addEventListener('error', () => img.classList.add('x-unread'))
  // Small ones are shown pixel by pixel.
  img.addEventListener('load', () => {
    img.classList.toggle('x-pixels', Math.max(img.naturalWidth, img.naturalHeight) < SMALL)
  })
  whenSeen(img, () => {
    state.source.picture(network, image, longest).then(
      address => {
        img.src = address
      },
      () => img.classList.add('x-unread'),
    )
  })
  return img
}

/** A button with the picture of an image, which shows it. */
export function thumbnail(
  state: ExplorerState,
  image: number,
  { caption, act }: { readonly caption?: string; readonly act: () => void },
): HTMLButtonElement {
  const { name = `image ${image + 1}` } = state.contents.images[image] ?? {}
  const label = caption === undefined ? name : `${name}, ${caption}`
  return element(
    'button',
    { type: 'button', class: 'x-thumbnail', title: label, 'aria-label': label, onClick: act },
    picture(state, image, 128, ''),
    ...(caption === undefined ? [] : [element('span', {}, caption)]),
  )
}

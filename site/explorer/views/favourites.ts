import type { NetworkDescription } from '../../../src/explore/description.js'
import { cellRectangle } from '../../../src/report/routing-figure.js'
import { element } from '../elements.js'
import type { Favourite, Pass } from '../passes.js'
import { picture } from '../pictures.js'
import type { ExplorerState } from '../state.js'
import { seesAll } from './sight-text.js'

/** For each expert the patches that it kept with the largest gates over all images, or the images that were sent to it. */
export function favourites(
  state: ExplorerState,
  { favourites: lists }: Pass,
  open: (image: number) => void,
): HTMLElement {
  const { network } = state
  const rows = [...lists].map(([title, list]) =>
    element(
      'li',
      {},
      element('h4', {}, title),
      element(
        'div',
        { class: 'x-crops' },
        ...list.map(favourite => crop(state, network, favourite, () => open(favourite.image))),
      ),
    ),
  )
  return element('ul', { class: 'x-favourites' }, ...rows)
}

function crop(
  state: ExplorerState,
  network: NetworkDescription,
  favourite: Favourite,
  act: () => void,
): HTMLElement {
  const { image, gate } = favourite
  const { name = '' } = state.contents.images[image] ?? {}
  const label = `${name}, gate ${gate.toPrecision(2)}`
  const inner = picture(state, image, 384, '')
  const button = element('button', { type: 'button', title: label, 'aria-label': label, onClick: act }, inner)
  const part = partOf(network, favourite)
  if (part) {
    // The patch and half of it around, as large as the button.
    const [top, left, height, width] = part as [number, number, number, number]
    inner.style.width = `${100 / (2 * width)}%`
    inner.style.height = `${100 / (2 * height)}%`
    inner.style.left = `${(-100 * (left - width / 2)) / (2 * width)}%`
    inner.style.top = `${(-100 * (top - height / 2)) / (2 * height)}%`
    button.append(element('span'))
  }
  return button
}

/** Top, left, height and width of the patch as shares of the image; undefined where it is not a place in the image. */
function partOf({ patches }: NetworkDescription, { patch, box }: Favourite): readonly number[] | undefined {
  if (box) return box
  if (!patches || patch === undefined || seesAll(patches)) return undefined
  const { x, y, width, height } = cellRectangle(patches.grid, patch, [1, 1])
  return [y, x, height, width]
}

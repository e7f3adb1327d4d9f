import { counted, element } from '../elements.js'
import { thumbnail } from '../pictures.js'
import type { ExplorerState } from '../state.js'

/** Images of a gallery at first, and more at each press of the button. */
const STEP = 24

/**
 * Images under a heading; each opens in the view of one image.
 *
 * @param captions what is written under each
 */
export function gallery(
  state: ExplorerState,
  heading: string,
  images: readonly number[],
  { captions, open }: { readonly captions: readonly string[]; readonly open: (image: number) => void },
): HTMLElement {
  const title = element('h3', { tabindex: -1 }, `${heading}: ${counted(images.length, 'image')}`)
  const shown = element('div', { class: 'x-gallery' })
  const more = element('button', { type: 'button', class: 'x-button', onClick: () => add() }, 'Show more')
  const add = () => {
    const first = shown.childElementCount
    for (let i = first; i < Math.min(images.length, first + STEP); i++) {
      const image = images[i] as number
      shown.append(thumbnail(state, image, { caption: captions[i] ?? '', act: () => open(image) }))
    }
    more.hidden = shown.childElementCount >= images.length
  }
  add()
  return element('div', { class: 'x-panel' }, title, shown, more)
}

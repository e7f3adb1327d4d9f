import type { ExpertPlace } from '../../../src/explore/description.js'
import { element } from '../elements.js'
import type { ExplorerState } from '../state.js'

/** The switch of one expert: off, it answers 0. */
export function expertSwitch(state: ExplorerState, place: ExpertPlace, title: string): HTMLElement {
  const box = element('input', { type: 'checkbox', role: 'switch', 'aria-label': `${title} is on` })
  box.checked = !state.isOff(place)
  box.addEventListener('change', () => state.switchExpert(place))
  state.listen(() => {
    box.checked = !state.isOff(place)
  })
  return element('label', { class: 'x-check' }, box, ' on')
}

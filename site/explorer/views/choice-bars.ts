import { type ChosenExperts, chosenTitle } from '../../../src/report/chosen-experts.js'
import { element } from '../elements.js'
import type { ExplorerState } from '../state.js'
import { expertSwitch } from './expert-switch.js'

/** Which experts a layer sends an image to: the scores of all of them, with switches. */
export function choiceBars(state: ExplorerState, choice: ChosenExperts): HTMLElement {
  const { layer, names, experts, gates, scores } = choice
  const mixture = state.network.mixtures.find(({ path }) => path === layer || path.endsWith(`/${layer}`))
  const rows = names.map((_, expert) => {
    const rank = experts.indexOf(expert)
    const gate = rank < 0 ? '' : `gate ${(gates[rank] ?? Number.NaN).toPrecision(2)}`
    const place = mixture && { mixture: mixture.path, expert }
    return element(
      'li',
      rank < 0 ? {} : { class: 'x-chosen' },
      element('span', { class: 'x-name' }, chosenTitle(choice, expert)),
      element('span', { class: 'x-number' }, (scores[expert] ?? Number.NaN).toPrecision(3)),
      element('span', { class: 'x-number' }, gate),
      ...(place ? [expertSwitch(state, place, chosenTitle(choice, expert))] : []),
    )
  })
  return element(
    'div',
    { class: 'x-choice' },
    element('h3', {}, `Scores of the experts of ${layer}`),
    element('ol', {}, ...rows),
  )
}

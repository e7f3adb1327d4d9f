import type { ModelCost } from '../../../src/models/cost.js'
import { NETWORKS, type NetworkName } from '../protocol.js'
import type { PageState } from '../state.js'
import { element, setText } from './element.js'
import { shortText, wholeText } from './numbers.js'
import type { View } from './view.js'

const measures: readonly { readonly title: string; of(cost: ModelCost): number }[] = [
  { title: 'Multiply-adds to classify an image', of: ({ multiplyAdds }) => multiplyAdds.forward },
  { title: 'Multiply-adds to learn from one', of: ({ multiplyAdds }) => multiplyAdds.training },
  { title: 'Parameters', of: ({ parameters }) => parameters.total },
]

const titles: Readonly<Record<NetworkName, string>> = { dense: 'Dense', mixture: 'Mixture' }

/** What both networks cost, as bars. */
export function costsView(): View {
  const groups = measures.map(({ title, of }) => {
    const bars = NETWORKS.map(name => barView(name))
    const group = element('div', { class: 'cost' }, element('h4', {}, title), ...bars.map(bar => bar.element))
    return {
      group,
      update(costs: Readonly<Record<NetworkName, ModelCost>> | undefined) {
        const most = costs ? Math.max(...NETWORKS.map(name => of(costs[name]))) : 0
        for (const [i, name] of NETWORKS.entries()) bars[i]?.update(costs && of(costs[name]), most)
      },
    }
  })
  const dense = element('p', { class: 'hint' })
  const view = element(
    'div',
    { class: 'costs panel', role: 'group', 'aria-label': 'Costs' },
    element('h3', {}, 'What they cost'),
    ...groups.map(({ group }) => group),
    dense,
  )
  let shown: PageState['facts']
  return {
    element: view,
    update({ facts }) {
      if (facts === shown) return
      shown = facts
      for (const group of groups) group.update(facts?.costs)
      setText(dense, facts ? `${facts.denseTitle}.` : '')
    },
  }
}

function barView(name: NetworkName) {
  const fill = element('span', { class: `bar-fill ${name}` })
  const value = element('span', { class: 'bar-value' }, '–')
  const row = element(
    'div',
    { class: 'bar-row' },
    element('span', { class: 'bar-name' }, titles[name]),
    element('span', { class: 'bar', 'aria-hidden': 'true' }, fill),
    value,
  )
  return {
    element: row,
    update(cost: number | undefined, most: number) {
      fill.style.width = cost === undefined || most === 0 ? '0' : `${(100 * cost) / most}%`
      setText(value, cost === undefined ? '–' : shortText(cost))
      value.title = cost === undefined ? '' : wholeText(cost)
    },
  }
}

import { element } from '../elements.js'
import type { ExplorerState } from '../state.js'

/** The bar that says how the network is asked: a slider of L, how many experts are off, and back to training. */
export function settingBar(state: ExplorerState, id: string): HTMLElement {
  const { patches, mixtures } = state.network
  if (!patches && mixtures.length === 0) return element('div')
  const bar = element('div', { class: 'x-setting' })
  const said = element('output', { for: id })
  const off = element('span', { class: 'x-quiet' })
  const back = element(
    'button',
    { type: 'button', class: 'x-button', onClick: () => state.reset() },
    'As trained',
  )
  const slider = element('input', { type: 'range', id, min: 1, max: patches?.most ?? 1, step: 1 })
  slider.addEventListener('input', () => state.keepPatches(slider.valueAsNumber))
  if (patches && patches.most > 1) {
    bar.append(element('label', { for: id }, 'Patches per expert'), slider, said)
  }
  bar.append(off, back)
  const show = () => {
    const { network, patchesPerExpert, off: gone } = state.look
    const count = patchesPerExpert[network] ?? patches?.trained ?? 1
    slider.value = String(count)
    said.textContent = `${count} of ${patches?.most ?? 1}`
    const { length } = gone[network] ?? []
    off.textContent = length === 0 ? '' : `${length} expert${length === 1 ? '' : 's'} off`
    back.hidden = !state.isChanged(network)
    bar.hidden = !patches && back.hidden
  }
  show()
  state.listen(show)
  return bar
}

/** Says in words how the network is asked. */
export function settingWords(state: ExplorerState, network: number): string {
  const { patchesPerExpert, off = [] } = state.settingOf(network)
  const words = []
  if (patchesPerExpert !== undefined) {
    words.push(`with ${patchesPerExpert} patch${patchesPerExpert === 1 ? '' : 'es'} per expert`)
  }
  if (off.length > 0) words.push(`with ${off.length} expert${off.length === 1 ? '' : 's'} off`)
  return words.length === 0 ? 'as trained' : words.join(' and ')
}

import { element, setText } from './element.js'
import type { Actions, View } from './view.js'

/** What went wrong, and what the library noticed. */
export function noticesView(actions: Actions): View {
  const message = element('span', { class: 'problem-text' })
  const wasm = element(
    'button',
    { type: 'button', onclick: () => actions.goOnWithWasm() },
    'Go on with WebAssembly',
  )
  const problem = element('div', { class: 'problem', role: 'alert' }, message, wasm)
  const remarks = element('ul', { class: 'remarks', 'aria-label': 'Remarks' })
  let shown: readonly string[] = []
  return {
    element: element('div', { class: 'notices' }, problem, remarks),
    update(state) {
      problem.hidden = state.problem === undefined
      setText(message, state.problem?.message ?? '')
      wasm.hidden = !state.problem?.offersWasm
      if (shown === state.remarks) return
      shown = state.remarks
      remarks.replaceChildren(...shown.map(remark => element('li', {}, remark)))
      remarks.hidden = shown.length === 0
    },
  }
}

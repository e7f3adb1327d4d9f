import { element, setText } from './element.js'
import type { Actions, View } from './view.js'

/** The address of a setting, and networks as files. */
export function sharingView(actions: Actions): View {
  const told = element('span', { class: 'hint', role: 'status' })
  const share = element(
    'button',
    { type: 'button', onclick: async () => setText(told, await actions.share()) },
    'Copy the address',
  )
  const save = element(
    'button',
    { type: 'button', onclick: () => actions.save('mixture') },
    'Save the mixture',
  )
  const saveDense = element(
    'button',
    { type: 'button', onclick: () => actions.save('dense') },
    'Save the dense',
  )
  const files = element('input', {
    type: 'file',
    multiple: true,
    class: 'unseen',
    id: 'playground-load',
    accept: '.json,.bin',
  })
  files.addEventListener('change', () => {
    const chosen = [...(files.files ?? [])]
    files.value = ''
    if (chosen.length > 0) actions.load(chosen)
  })
  const load = element('label', { class: 'button', for: 'playground-load' }, 'Load a network')
  const view = element(
    'div',
    { class: 'sharing panel', role: 'group', 'aria-label': 'Share, save and load' },
    element('div', { class: 'buttons' }, share, save, saveDense, files, load),
    told,
    element(
      'p',
      { class: 'hint' },
      'A network is two files, model.json and weights.bin, which tf.loadLayersModel and pmoe read.',
    ),
  )
  return {
    element: view,
    update({ facts }) {
      save.disabled = facts === undefined
      saveDense.disabled = facts === undefined
    },
  }
}

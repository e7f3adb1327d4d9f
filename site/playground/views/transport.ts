import { BACKENDS, type BackendName } from '../setting.js'
import type { PageState } from '../state.js'
import { element, setText } from './element.js'
import type { Actions, View } from './view.js'

const backendTitles: Readonly<Record<BackendName, string>> = {
  auto: 'Automatic',
  webgpu: 'WebGPU',
  webgl: 'WebGL',
  wasm: 'WebAssembly',
  'webgpu-software': 'WebGPU on the processor',
  'webgl-software': 'WebGL on the processor',
}

/** Train, one epoch, anew, and what computes. */
export function transportView(actions: Actions): View {
  let state: PageState | undefined
  const toggle = element('button', {
    type: 'button',
    class: 'primary',
    onclick: () => (state?.isRunning ? actions.pause() : actions.run()),
  })
  const step = element('button', { type: 'button', onclick: () => actions.step() }, 'One epoch')
  const reset = element('button', { type: 'button', onclick: () => actions.reset() }, 'Start anew')
  const epoch = element('span', { class: 'epoch' })
  const bar = element('progress', { max: 1, value: 0, 'aria-label': 'Epochs that are done' })
  const options = BACKENDS.map(name => element('option', { value: name }, backendTitles[name]))
  const backend = element(
    'select',
    { onchange: () => actions.change({ backend: backend.value as BackendName }) },
    ...options,
  )
  const reason = element('p', { class: 'reason', role: 'status' })
  const view = element(
    'div',
    { class: 'transport panel' },
    element('div', { class: 'buttons', role: 'group', 'aria-label': 'Training' }, toggle, step, reset),
    element('div', { class: 'clock' }, epoch, bar),
    element(
      'div',
      { class: 'backend' },
      element('label', {}, element('span', {}, 'Computes on'), backend),
      reason,
    ),
  )
  return {
    element: view,
    update(next) {
      state = next
      setText(toggle, next.isRunning ? 'Pause' : 'Train')
      const cannot = next.facts === undefined || next.isDone
      toggle.disabled = cannot && !next.isRunning
      step.disabled = cannot || next.isRunning
      reset.disabled = next.facts === undefined
      setText(epoch, epochText(next))
      bar.value = shareDone(next)
      if (backend.value !== next.setting.backend) backend.value = next.setting.backend
      setText(reason, reasonText(next))
    },
  }
}

function reasonText({ backend, setting, own }: PageState): string {
  if (backend) return `${backend.name}: ${backend.reason}.`
  return setting.task === 'own' && !own.result ? 'Begins when there are pictures.' : 'Opening …'
}

function epochText({ history, facts, isDone }: PageState): string {
  if (!facts) return 'Epoch –'
  const { epoch = 0 } = history.mixture.at(-1) ?? {}
  return `Epoch ${epoch} of ${facts.epochs}${isDone ? ', done' : ''}`
}

/** Share of all steps of both networks that are done. */
function shareDone({ history, progress, facts }: PageState): number {
  if (!facts) return 0
  const epochs = history.dense.length + history.mixture.length
  const running = (progress.dense?.share ?? 0) + (progress.mixture?.share ?? 0)
  return (epochs + running) / (2 * facts.epochs)
}

import { changed, mostKept, patchCount, type RouterTraining, type Setting, taskRanges } from '../setting.js'
import { element, setText } from './element.js'
import type { Actions, View } from './view.js'

interface Slider {
  readonly label: string
  /** What the slider sets, in a few words. */
  readonly hint: (setting: Setting) => string
  readonly name: 'k' | 'l' | 'patch' | 'n'
  values(setting: Setting): readonly number[]
  text(value: number): string
}

const sliders: readonly Slider[] = [
  {
    label: 'Experts (k)',
    hint: () => 'networks that share the width of the dense one',
    name: 'k',
    values: ({ task }) => taskRanges[task].numExperts,
    text: String,
  },
  {
    label: 'Patches kept by each (l)',
    hint: setting => `of the ${patchCount(setting)} patches of an image`,
    name: 'l',
    values: setting => Array.from({ length: mostKept(setting) }, (_, i) => i + 1),
    text: String,
  },
  {
    label: 'Side of a patch',
    hint: ({ task }) => `of images of ${taskRanges[task].side} x ${taskRanges[task].side} pixels`,
    name: 'patch',
    values: ({ task }) => taskRanges[task].patchSizes,
    text: value => `${value} px`,
  },
  {
    label: 'Training images (N)',
    hint: ({ task }) => (task === 'own' ? 'all of your pictures are taken' : 'the same for both networks'),
    name: 'n',
    values: ({ task }) => taskRanges[task].images,
    text: String,
  },
]

const gateTitles: Readonly<Record<string, string>> = {
  'softmax-selected': 'Softmax, kept patches',
  'softmax-all': 'Softmax, all patches',
  uniform: 'Uniform',
  product: 'Router and expert',
}

/** The settings of the mixture, and of what both networks learn from. */
export function controlsView(actions: Actions): View {
  const parts = [
    ...sliders.map(slider => sliderView(slider, actions)),
    gateView(actions),
    routersView(actions),
  ]
  const seed = element(
    'button',
    { type: 'button', class: 'quiet-button', onclick: () => actions.change({ seed: randomSeed() }) },
    'Other seed',
  )
  const seedText = element('span', { class: 'value' })
  const view = element(
    'div',
    { class: 'controls panel', role: 'group', 'aria-label': 'Settings' },
    element('h3', {}, 'Settings'),
    ...parts.map(part => part.element),
    element('div', { class: 'seed' }, element('span', {}, 'Seed ', seedText), seed),
  )
  return {
    element: view,
    update(state) {
      for (const part of parts) part.update(state)
      setText(seedText, String(state.setting.seed))
    },
  }
}

function randomSeed(): number {
  return 1 + Math.floor(Math.random() * 9999)
}

function sliderView({ label, hint, name, values, text }: Slider, actions: Actions): View {
  let setting: Setting | undefined
  const id = `playground-${name}`
  const value = element('output', { class: 'value', for: id })
  const note = element('span', { class: 'hint', id: `${id}-hint` })
  const valueAt = (position: string) => (setting && values(setting)[Number(position)]) ?? 0
  const input = element('input', {
    type: 'range',
    id,
    min: 0,
    step: 1,
    'aria-describedby': `${id}-hint`,
    oninput: () => setText(value, text(valueAt(input.value))),
    onchange: () => actions.change({ [name]: valueAt(input.value) }),
  })
  const head = element('span', { class: 'slider-head' }, element('label', { for: id }, label), value)
  return {
    element: element('div', { class: 'slider' }, head, input, note),
    update(state) {
      if (setting === state.setting) return
      setting = state.setting
      const all = values(setting)
      const current = setting[name]
      input.max = String(all.length - 1)
      input.value = String(all.indexOf(current))
      input.disabled = all.length === 1 || (name === 'n' && setting.task === 'own')
      input.setAttribute('aria-valuetext', text(current))
      setText(value, text(current))
      setText(note, hint(setting))
    },
  }
}

function gateView(actions: Actions): View {
  let task: string | undefined
  const select = element('select', {
    id: 'playground-gate',
    onchange: () => actions.change({ gate: select.value }),
  })
  return {
    element: element('div', { class: 'field' }, element('label', { for: 'playground-gate' }, 'Gate'), select),
    update({ setting }) {
      if (task !== setting.task) {
        task = setting.task
        const gates = taskRanges[setting.task].gates
        select.replaceChildren(
          ...gates.map(gate => element('option', { value: gate }, gateTitles[gate] ?? gate)),
        )
      }
      select.value = setting.gate
    },
  }
}

function routersView(actions: Actions): View {
  const radio = (value: RouterTraining, title: string) => {
    const input = element('input', {
      type: 'radio',
      name: 'playground-routers',
      value,
      onchange: () => actions.change({ routers: value }),
    })
    return { input, element: element('label', { class: 'choice' }, input, element('span', {}, title)) }
  }
  const joint = radio('joint', 'With the experts')
  const separate = radio('separate', 'Before them')
  const hint = element('span', { class: 'hint' })
  const view = element(
    'fieldset',
    { class: 'field' },
    element('legend', {}, 'Routers learn'),
    element('div', { class: 'choices' }, joint.element, separate.element),
    hint,
  )
  return {
    element: view,
    update({ setting }) {
      const { separateExperts } = taskRanges[setting.task]
      joint.input.checked = setting.routers === 'joint'
      separate.input.checked = setting.routers === 'separate'
      separate.input.disabled = separateExperts === undefined
      setText(hint, routersHint(setting))
    },
  }
}

function routersHint(setting: Setting): string {
  const { separateExperts } = taskRanges[setting.task]
  if (separateExperts === undefined) return 'of this network only with the experts'
  const { k } = changed(setting, { routers: 'separate' })
  return `before them takes as many experts as classes, ${k}`
}

import { TASKS, type Task, taskRanges } from '../setting.js'
import { element } from './element.js'
import type { Actions, View } from './view.js'

/** The choice of a task. */
export function tasksView(actions: Actions): View {
  const inputs = TASKS.map(task =>
    element('input', {
      type: 'radio',
      name: 'playground-task',
      value: task,
      onchange: () => actions.change({ task }),
    }),
  )
  const cards = TASKS.map((task: Task, i) =>
    element(
      'label',
      { class: 'task' },
      inputs[i] as HTMLInputElement,
      element('span', { class: 'task-title' }, taskRanges[task].title),
      element('span', { class: 'task-question' }, taskRanges[task].question),
    ),
  )
  return {
    element: element(
      'fieldset',
      { class: 'tasks' },
      element('legend', { class: 'unseen' }, 'Task'),
      ...cards,
    ),
    update({ setting }) {
      for (const input of inputs) input.checked = input.value === setting.task
    },
  }
}

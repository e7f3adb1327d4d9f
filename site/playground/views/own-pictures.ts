import { classesOf, freeName, joinedClasses, type PlacedFile } from '../pictures/class-folders.js'
import { chosenFiles, droppedFiles } from '../pictures/dropped-files.js'
import type { PictureClass } from '../protocol.js'
import type { OwnPictures } from '../state.js'
import { cameraView } from './camera.js'
import { element, setText } from './element.js'
import type { Actions, View } from './view.js'

/** Where visitors bring their own pictures. */
export function ownPicturesView(actions: Actions): View {
  const camera = cameraView()
  let classes: readonly PictureClass[] = []
  const add = (files: readonly PlacedFile<Blob>[]) =>
    actions.setClasses(joinedClasses(classes, classesOf(files)))
  const openCamera = async (name: string) => {
    try {
      await camera.open(name, picture =>
        actions.setClasses(joinedClasses(classes, [{ name, pictures: [picture] }])),
      )
    } catch (error) {
      actions.fail((error as Error).message)
    }
  }
  const rows = element('ul', { class: 'class-list' })
  const train = element(
    'button',
    { type: 'button', class: 'primary', onclick: () => actions.readPictures() },
    'Train on these',
  )
  const newClass = element(
    'button',
    {
      type: 'button',
      onclick: () =>
        actions.setClasses([...classes, { name: freeName(classes.map(one => one.name)), pictures: [] }]),
    },
    'Add a class',
  )
  const progress = progressView()
  const view = element(
    'div',
    { class: 'own panel', role: 'group', 'aria-label': 'Your own pictures' },
    dropArea(add, actions),
    rows,
    camera.element,
    element('div', { class: 'buttons' }, newClass, train),
    progress.element,
  )
  let shown: readonly PictureClass[] | undefined
  return {
    element: view,
    update({ setting, own }) {
      view.hidden = setting.task !== 'own'
      if (view.hidden) camera.close()
      classes = own.classes
      train.disabled = classes.length === 0 || own.decoding !== undefined
      progress.update(own)
      if (shown === classes) return
      shown = classes
      // The camera takes pictures of a class by its name.
      if (hasOtherNames(rows, classes)) camera.close()
      showRows(rows, classes, name => classRow(name, () => classes, actions, openCamera))
    },
    end: camera.close,
  }
}

function dropArea(add: (files: readonly PlacedFile<Blob>[]) => void, actions: Actions): HTMLElement {
  const folder = element('input', {
    type: 'file',
    id: 'playground-folder',
    class: 'unseen',
    webkitdirectory: true,
    multiple: true,
  })
  folder.addEventListener('change', () => {
    add(chosenFiles(folder))
    folder.value = ''
  })
  const area = element(
    'div',
    { class: 'drop' },
    element('p', {}, element('strong', {}, 'Drop folders here, one for each class.')),
    element(
      'p',
      { class: 'hint' },
      'Two to ten classes. The pictures are read in this page and never leave it.',
    ),
    folder,
    element('label', { for: 'playground-folder', class: 'button' }, 'Choose a folder of folders'),
  )
  const isOver = (over: boolean) => area.classList.toggle('over', over)
  area.addEventListener('dragover', event => {
    event.preventDefault()
    isOver(true)
  })
  area.addEventListener('dragleave', () => isOver(false))
  area.addEventListener('drop', async event => {
    event.preventDefault()
    isOver(false)
    if (!event.dataTransfer) return
    try {
      add(await droppedFiles(event.dataTransfer))
    } catch (error) {
      actions.fail((error as Error).message)
    }
  })
  return area
}

function hasOtherNames(list: HTMLElement, classes: readonly PictureClass[]): boolean {
  const shown = [...list.querySelectorAll<HTMLInputElement>('.class-name')].map(input => input.dataset.name)
  return shown.length !== classes.length || classes.some(({ name }, i) => name !== shown[i])
}

/** Shows the classes; rows stay where only their pictures change, so that what has the focus keeps it. */
function showRows(
  list: HTMLElement,
  classes: readonly PictureClass[],
  classRow: (name: string) => HTMLElement,
): void {
  if (hasOtherNames(list, classes)) list.replaceChildren(...classes.map(({ name }) => classRow(name)))
  for (const [i, count] of list.querySelectorAll('.class-count').entries()) {
    const { length } = classes[i]?.pictures ?? []
    setText(count, length === 1 ? '1 picture' : `${length} pictures`)
  }
}

function classRow(
  name: string,
  classes: () => readonly PictureClass[],
  actions: Actions,
  openCamera: (name: string) => Promise<void>,
): HTMLElement {
  const take = () => void openCamera(name)
  const remove = () => actions.setClasses(classes().filter(one => one.name !== name))
  return element(
    'li',
    { class: 'class-row' },
    nameField(name, classes, actions),
    element('span', { class: 'class-count' }),
    element('label', { class: 'button' }, filesField(name, classes, actions), 'Add files'),
    element('button', { type: 'button', 'aria-label': `Take pictures of ${name}`, onclick: take }, 'Camera'),
    element('button', { type: 'button', 'aria-label': `Remove ${name}`, onclick: remove }, 'Remove'),
  )
}

/** The name of a class, which can be changed to another that is free. */
function nameField(name: string, classes: () => readonly PictureClass[], actions: Actions): HTMLElement {
  const input = element('input', {
    type: 'text',
    class: 'class-name',
    value: name,
    maxlength: 60,
    'aria-label': `Name of class ${name}`,
  })
  input.dataset.name = name
  input.addEventListener('change', () => {
    const wanted = input.value.trim()
    if (wanted !== '' && classes().every(one => one.name !== wanted))
      return actions.setClasses(classes().map(one => (one.name === name ? { ...one, name: wanted } : one)))
    input.value = name
    if (wanted === name) return
    actions.fail(`Own pictures: names of classes must differ and not be empty, got ${JSON.stringify(wanted)}`)
  })
  return input
}

function filesField(name: string, classes: () => readonly PictureClass[], actions: Actions): HTMLElement {
  const files = element('input', {
    type: 'file',
    multiple: true,
    accept: 'image/*',
    class: 'unseen',
    'aria-label': `Add pictures to ${name}`,
  })
  files.addEventListener('change', () => {
    const pictures = [...(files.files ?? [])]
    files.value = ''
    actions.setClasses(joinedClasses(classes(), [{ name, pictures }]))
  })
  return files
}

function progressView() {
  const bar = element('progress', { max: 1, value: 0, 'aria-label': 'Pictures that are read' })
  const text = element('span', { role: 'status' })
  const view = element('div', { class: 'reading' }, bar, text)
  return {
    element: view,
    update({ decoding, result }: OwnPictures) {
      bar.hidden = !decoding
      if (decoding) bar.value = decoding.done / Math.max(1, decoding.total)
      setText(
        text,
        decoding ? `Reading picture ${decoding.done} of ${decoding.total}` : result ? resultText(result) : '',
      )
    },
  }
}

function resultText({ counts, unreadable }: NonNullable<OwnPictures['result']>): string {
  const read = counts.reduce((sum, { count }) => sum + count, 0)
  const text = `${read} pictures of ${counts.length} ${counts.length === 1 ? 'class' : 'classes'} are read.`
  if (unreadable.length === 0) return text
  const first = unreadable.slice(0, 3).map(({ name, why }) => `${name} (${why})`)
  const others = unreadable.length > 3 ? ` and ${unreadable.length - 3} more` : ''
  return `${text} Left out: ${first.join(', ')}${others}.`
}

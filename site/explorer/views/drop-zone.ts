import { element } from '../elements.js'
import type { ExplorerState } from '../state.js'

/**
 * Where files are chosen or dropped: images, and a network where it comes from the visitor.
 *
 * @param take gets the files
 */
export function dropZone(state: ExplorerState, take: (files: readonly File[]) => void): HTMLElement {
  const { networks } = state.contents
  const choosers = [chooser('Choose images', { accept: 'image/*', multiple: true }, take)]
  if (networks.length > 0)
    choosers.push(chooser('Choose a folder of images', { webkitdirectory: true }, take))
  if (state.source.addNetwork && networks.length < 2) {
    const name = networks.length === 0 ? 'Choose the files of a network' : 'Choose a network to compare with'
    choosers.unshift(
      chooser(name, { multiple: true }, take),
      chooser('Choose its folder', { webkitdirectory: true }, take),
    )
  }
  return element(
    'div',
    { class: 'x-drop' },
    element('p', {}, words(state)),
    element('div', { class: 'x-row' }, ...choosers),
  )
}

function words({ source, contents: { networks } }: ExplorerState): string {
  if (!source.addNetwork) return 'Drop more images anywhere on this page. They stay on this computer.'
  if (networks.length > 0)
    return 'Drop images, or a second network, anywhere on this page. Nothing leaves it.'
  return 'Drop a network: model.json and its weights, or the folder of a run. Then drop images. Nothing leaves this page.'
}

function chooser(
  name: string,
  attributes: Readonly<Record<string, string | boolean>>,
  take: (files: readonly File[]) => void,
): HTMLElement {
  const input = element('input', { type: 'file', ...attributes })
  input.addEventListener('change', () => {
    take([...(input.files ?? [])])
    input.value = ''
  })
  return element('label', { class: 'x-button' }, name, input)
}

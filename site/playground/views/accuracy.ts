import type { EpochResult, NetworkName } from '../protocol.js'
import { NETWORKS } from '../protocol.js'
import type { PageState } from '../state.js'
import { drawn, element, setText } from './element.js'
import { percentText } from './numbers.js'
import type { View } from './view.js'

const WIDTH = 320
const HEIGHT = 190
const LEFT = 40
const BOTTOM = 20

const titles: Readonly<Record<NetworkName, string>> = { dense: 'Dense', mixture: 'Mixture' }

/** Accuracy of both networks on the test images, over epochs. */
export function accuracyView(): View {
  const lines = {
    dense: drawn('path', { class: 'line dense' }),
    mixture: drawn('path', { class: 'line mixture' }),
  }
  const last = { dense: tile('dense'), mixture: tile('mixture') }
  const lastEpoch = drawn('text', { x: WIDTH - 2, y: HEIGHT - 4, 'text-anchor': 'end' })
  const chart = drawn(
    'svg',
    {
      viewBox: `0 0 ${WIDTH} ${HEIGHT}`,
      class: 'accuracy-chart',
      role: 'img',
      'aria-label': 'Accuracy over epochs',
    },
    ...[0, 0.5, 1].flatMap(gridLine),
    drawn('text', { x: LEFT, y: HEIGHT - 4 }, 'epoch 0'),
    lastEpoch,
    lines.dense,
    lines.mixture,
  )
  const view = element(
    'div',
    { class: 'accuracy panel', role: 'group', 'aria-label': 'Accuracy' },
    element('h3', {}, 'Accuracy on test images'),
    element('div', { class: 'tiles' }, last.dense.element, last.mixture.element),
    chart,
  )
  let shown: PageState['history'] | undefined
  return {
    element: view,
    update({ history, facts }) {
      if (shown === history) return
      shown = history
      const epochs = Math.max(10, ...NETWORKS.map(name => history[name].length))
      setText(lastEpoch, String(epochs))
      for (const name of NETWORKS) {
        lines[name].setAttribute('d', pathOf(history[name], epochs))
        last[name].update(history[name].at(-1)?.testAccuracy)
      }
      const says = NETWORKS.map(name => `${titles[name]} ${percentText(history[name].at(-1)?.testAccuracy)}`)
      chart.setAttribute(
        'aria-label',
        `Accuracy on ${facts?.testImages ?? 0} test images: ${says.join(', ')}`,
      )
    },
  }
}

function tile(name: NetworkName) {
  const value = element('span', { class: 'tile-value', id: `playground-accuracy-${name}` }, '–')
  const title = element('span', { class: 'tile-title' }, titles[name])
  return {
    element: element('div', { class: `tile-number ${name}` }, title, value),
    update: (accuracy: number | undefined) => setText(value, percentText(accuracy)),
  }
}

function heightAt(share: number): number {
  return 6 + (HEIGHT - BOTTOM - 10) * (1 - share)
}

function gridLine(share: number): SVGElement[] {
  const y = heightAt(share)
  return [
    drawn('line', { class: 'grid-line', x1: LEFT, x2: WIDTH, y1: y, y2: y }),
    drawn('text', { x: LEFT - 5, y: y + 3.5, 'text-anchor': 'end' }, `${100 * share} %`),
  ]
}

function pathOf(epochs: readonly EpochResult[], count: number): string {
  const x = (epoch: number) => LEFT + ((WIDTH - LEFT - 2) * epoch) / count
  return epochs
    .map(({ epoch, testAccuracy }, i) => {
      const y = heightAt(testAccuracy)
      return `${i === 0 ? 'M' : 'L'}${x(epoch).toFixed(1)} ${y.toFixed(1)}`
    })
    .join('')
}

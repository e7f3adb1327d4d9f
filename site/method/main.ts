import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs-backend-cpu'
import type { TwoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { modelCost } from '../../src/models/cost.js'
import { escapeHtml } from '../../src/report/escape.js'
import { routingStyle } from '../../src/report/page-style.js'
import { routingFigure } from '../../src/report/routing-figure.js'
import { digits } from './digits.js'
import { type DigitsSettings, digitsModel, trainedSettings } from './model.js'

const SIDE = 32
const CELLS = 16
const gates = ['softmax-selected', 'softmax-all', 'uniform'] as const

const style = `${routingStyle}
.live-method{border:1px solid var(--line);border-radius:12px;background:var(--card);padding:16px}
.live-method form{display:flex;flex-wrap:wrap;gap:12px 24px;align-items:end;margin:0 0 14px}
.live-method label{display:grid;gap:4px;font-size:.88rem;color:var(--quiet);flex:1 1 160px}
.live-method select{font:inherit;color:var(--ink);background:var(--page);border:1px solid var(--line);border-radius:6px;padding:5px 8px}
.live-method input{width:100%;accent-color:var(--accent)}
.live-method fieldset{border:0;padding:0;margin:0;display:flex;gap:6px;flex:1 1 100%}
.live-method legend{font-size:.88rem;color:var(--quiet);padding:0;margin-bottom:4px}
.live-method fieldset button{padding:0;border:2px solid transparent;border-radius:6px;background:none;cursor:pointer;line-height:0}
.live-method fieldset button[aria-pressed=true]{border-color:var(--accent)}
.live-method fieldset img{width:44px;height:44px;border-radius:4px;image-rendering:pixelated;background:none}
.live-method figcaption{font-weight:600}
.live-method output{display:block;margin-top:12px;color:var(--quiet);font-variant-numeric:tabular-nums;min-height:4.8em}
@media (max-width:640px){.live-method .tiles{grid-auto-flow:row;grid-template-columns:repeat(3,1fr)}}`

/**
 * Puts the figure of the method's page into an element: a small trained network that a reader can ask, with other numbers of kept
 * patches and other gates than it was trained with. It computes in the page, in plain JavaScript.
 *
 * @param root its content is replaced once the figure can be shown
 */
export async function mountMethodFigure(root: HTMLElement): Promise<void> {
  await tf.setBackend('cpu')
  const uris = digits.labels.map((_, image) => pictureOf(image))
  root.innerHTML = `<style>${style}</style><div class="live-method">${controls(uris)}<div class="shown"></div><output></output></div>`
  const form = root.querySelector('form') as HTMLFormElement
  let image = 0
  const show = () => {
    const settings = settingsOf(form)
    const asked = ask(image, settings)
    for (const button of form.querySelectorAll('button'))
      button.setAttribute('aria-pressed', String(button.value === String(image)))
    const kept = form.querySelector('.count') as HTMLElement
    kept.textContent = String(settings.patchesPerExpert)
    const shown = root.querySelector('.shown') as HTMLElement
    shown.innerHTML = routingFigure(
      {
        uri: uris[image] as string,
        size: [SIDE, SIDE],
        trueClass: String(digits.labels[image]),
        predictedClass: asked.predicted,
        probability: asked.probability,
        grid: [4, 4],
        experts: asked.experts,
      },
      'live-digits',
    )
    const output = root.querySelector('output') as HTMLElement
    output.textContent = sentence(asked, settings)
  }
  form.addEventListener('input', show)
  form.addEventListener('submit', event => event.preventDefault())
  form.addEventListener('click', event => {
    const button = (event.target as Element).closest('button')
    if (!button) return
    image = Number(button.value)
    show()
  })
  show()
}

/** What the network says of an image, and what its experts did. */
interface Answer {
  readonly predicted: string
  readonly probability: number
  readonly experts: readonly { readonly patches: readonly number[]; readonly gates: readonly number[] }[]
  /** What each expert adds to the logit, whose sign is the class. */
  readonly contributions: readonly number[]
  /** Multiply-adds of one image. */
  readonly multiplyAdds: number
}

function ask(image: number, settings: DigitsSettings): Answer {
  const model = digitsModel(settings)
  try {
    return tidied((): Answer => {
      model.setWeights(
        model.weights.map((weight, i) =>
          tf.tensor(floats(digits.weights[i] as string), weight.shape as number[]),
        ),
      )
      const pixels = Float32Array.from(pixelsOf(image), value => value / 255)
      const x = tf.tensor4d(pixels, [1, SIDE, SIDE, 1])
      const layer = model.getLayer('logits') as TwoLayerExperts
      const { indices, gates } = layer.route(x)
      const [patches, weights] = [indices.arraySync()[0] ?? [], gates.arraySync()[0] ?? []]
      const contributions = (layer.contributions(x).arraySync()[0] ?? []).map(([logit = 0]) => logit)
      const one = 1 / (1 + Math.exp(-contributions.reduce((sum, logit) => sum + logit, 0)))
      return {
        predicted: one >= 0.5 ? '1' : '0',
        probability: Math.max(one, 1 - one),
        experts: patches.map((kept, expert) => ({ patches: kept, gates: weights[expert] ?? [] })),
        contributions,
        multiplyAdds: modelCost(model).multiplyAdds.forward,
      }
    })
  } finally {
    model.dispose()
  }
}

/** Computes plain values, and disposes the tensors that this takes. */
function tidied<Value>(compute: () => Value): Value {
  const values: Value[] = []
  tf.tidy(() => {
    values.push(compute())
  })
  return values[0] as Value
}

function sentence(
  { contributions, multiplyAdds }: Answer,
  { patchesPerExpert, gate }: DigitsSettings,
): string {
  const parts = contributions.map(
    (logit, i) => `expert ${i + 1}: ${logit >= 0 ? '+' : '−'}${Math.abs(logit).toFixed(1)}`,
  )
  const isTrained = patchesPerExpert === trainedSettings.patchesPerExpert && gate === trainedSettings.gate
  const work = `${patchesPerExpert} of ${CELLS} patches each, ${multiplyAdds.toLocaleString('en-US')} multiply-adds`
  const note = isTrained
    ? 'as it was trained'
    : 'the weights are those of training with 4 patches and softmax-selected'
  return `${parts.join(', ')} (above 0 speaks for a one). ${work}; ${note}.`
}

function settingsOf(form: HTMLFormElement): DigitsSettings {
  const values = new FormData(form)
  return {
    patchesPerExpert: Number(values.get('kept')),
    gate: String(values.get('gate')) as DigitsSettings['gate'],
  }
}

function controls(uris: readonly string[]): string {
  const images = uris.map(
    (uri, i) =>
      `<button type="button" value="${i}" aria-pressed="false" aria-label="image ${i + 1}, a ${digits.labels[i]}"><img src="${uri}" alt="" width="44" height="44"></button>`,
  )
  const options = gates.map(gate => `<option>${escapeHtml(gate)}</option>`)
  return `<form><fieldset><legend>Test image: a zero or a one among fifteen other digits</legend>${images.join('')}</fieldset>
<label><span>Patches each expert keeps, l: <b class="count"></b></span><input type="range" name="kept" min="1" max="${CELLS}" value="${trainedSettings.patchesPerExpert}"></label>
<label>Gate<select name="gate">${options.join('')}</select></label></form>`
}

function pixelsOf(image: number): Uint8Array {
  return bytes(digits.images).subarray(image * SIDE * SIDE, (image + 1) * SIDE * SIDE)
}

/** An image as a data URI. */
function pictureOf(image: number): string {
  const canvas = document.createElement('canvas')
  canvas.width = SIDE
  canvas.height = SIDE
  const context = canvas.getContext('2d') as CanvasRenderingContext2D
  const rgba = Uint8ClampedArray.from([...pixelsOf(image)].flatMap(value => [value, value, value, 255]))
  context.putImageData(new ImageData(rgba, SIDE, SIDE), 0, 0)
  return canvas.toDataURL('image/png')
}

function bytes(base64: string): Uint8Array {
  return Uint8Array.from(atob(base64), character => character.charCodeAt(0))
}

function floats(base64: string): Float32Array {
  return new Float32Array(bytes(base64).buffer)
}

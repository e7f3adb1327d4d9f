// A page that classifies an image in the browser and draws the patches that each expert kept.
import * as tf from '@tensorflow/tfjs'
import { checkedModel, explain, frozenClassifier, UnsupportedModelError, useBackend } from 'patch-moe'

const $ = id => document.getElementById(id)
const asked = new URLSearchParams(location.search)
const { name: backend } = await useBackend(asked.get('backend') ?? 'auto', { wasmPaths: './wasm/' })
const model = await tf.loadLayersModel(checkedModel(tf.io.http(asked.get('model') ?? './model/model.json')))
// Answers faster than the model; one with a layer that cannot be frozen answers itself.
const frozen = await frozenClassifier(model, { routes: true }).catch(error => {
  if (!(error instanceof UnsupportedModelError)) throw error
  console.warn(`Not frozen: ${error.message}`)
})
const shape = model.inputs[0].shape.slice(1)
const names = model.getUserDefinedMetadata()?.classNames ?? []
$('verdict').textContent = `Ready, on ${backend}.`

/** The picture, stretched to the size that the model takes; pixels 0..255, RGB or grey. */
function pixelsOf(picture) {
  const [height, width, channels] = shape
  const canvas = new OffscreenCanvas(width, height)
  const context = canvas.getContext('2d')
  context.fillStyle = '#fff'
  context.fillRect(0, 0, width, height)
  context.imageSmoothingQuality = 'high'
  context.drawImage(picture, 0, 0, width, height)
  const rgba = context.getImageData(0, 0, width, height).data
  return Uint8Array.from({ length: height * width * channels }, (_, i) => {
    const at = 4 * Math.floor(i / channels)
    if (channels === 3) return rgba[at + (i % 3)]
    return Math.round(0.299 * rgba[at] + 0.587 * rgba[at + 1] + 0.114 * rgba[at + 2])
  })
}

function tile(picture, title, [rows, columns] = [1, 1], kept) {
  const canvas = document.createElement('canvas')
  const scale = 360 / Math.max(picture.width, picture.height)
  canvas.width = Math.round(picture.width * scale)
  canvas.height = Math.round(picture.height * scale)
  const context = canvas.getContext('2d')
  context.drawImage(picture, 0, 0, canvas.width, canvas.height)
  if (kept) {
    const strongest = Math.max(...kept.gates)
    for (let patch = 0; patch < rows * columns; patch++) {
      const place = kept.patches.indexOf(patch)
      context.fillStyle =
        place < 0 ? '#10161dc8' : `rgb(255 157 30 / ${0.05 + (0.4 * kept.gates[place]) / strongest})`
      const [x, y] = [patch % columns, Math.floor(patch / columns)]
      const [w, h] = [canvas.width / columns, canvas.height / rows]
      context.fillRect(x * w, y * h, w, h)
    }
  }
  const figure = document.createElement('figure')
  const caption = document.createElement('figcaption')
  caption.textContent = title
  figure.append(canvas, caption)
  return figure
}

async function show(file) {
  $('problem').textContent = ''
  try {
    const picture = await createImageBitmap(file)
    const began = performance.now()
    const { images, grid } = await explain(model, pixelsOf(picture), shape, { sensitivity: false, frozen })
    const [{ probabilities, predicted, experts }] = images
    const milliseconds = (performance.now() - began).toFixed(0)
    const name = names[predicted] ?? `class ${predicted}`
    $('verdict').textContent =
      `${name}, ${(probabilities[predicted] * 100).toFixed(1)} % (${milliseconds} ms on ${backend})`
    $('verdict').dataset.probabilities = JSON.stringify([...probabilities])
    $('verdict').dataset.patches = JSON.stringify(experts.map(({ patches }) => patches))
    const tiles = experts.map((kept, i) => tile(picture, `expert ${i + 1}`, grid, kept))
    $('tiles').replaceChildren(tile(picture, 'image'), ...tiles)
  } catch (error) {
    $('problem').textContent = `${file.name}: ${error.message}`
  }
}

$('file').addEventListener('change', ({ target }) => target.files[0] && show(target.files[0]))
for (const type of ['dragover', 'dragleave', 'drop']) {
  $('drop').addEventListener(type, event => {
    event.preventDefault()
    $('drop').classList.toggle('over', type === 'dragover')
    if (type === 'drop' && event.dataTransfer.files[0]) show(event.dataTransfer.files[0])
  })
}

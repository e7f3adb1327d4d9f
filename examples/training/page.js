// Trains the same network on one backend of the page after the other, and shows the losses side by side.
import { useBackend } from 'patch-moe'
import { trainDigits } from './digits.js'

const $ = id => document.getElementById(id)
const asked = new URLSearchParams(location.search)
const settings = { epochs: Number(asked.get('epochs') ?? 20), samples: Number(asked.get('samples') ?? 300) }
const colours = { webgpu: '#0072b2', webgl: '#d55e00', wasm: '#009e73', cpu: '#cc79a7' }
$('software').checked = asked.has('software')
/** By backend: its epochs, and the seconds that they took. */
const runs = new Map()

const source = {
  list: async () =>
    ['train', 't10k'].flatMap(half => [`${half}-images-idx3-ubyte.gz`, `${half}-labels-idx1-ubyte.gz`]),
  describe: path => `digits8/${path}`,
  exists: async path => (await fetch(`./digits8/${path}`, { method: 'HEAD' })).ok,
  async read(path) {
    const answer = await fetch(`./digits8/${path}`)
    if (!answer.ok)
      throw new Error(`digits8/${path} must be there, got ${answer.status} ${answer.statusText}`)
    return new Uint8Array(await answer.arrayBuffer())
  },
}

async function run(backend) {
  $('problem').textContent = ''
  const buttons = document.querySelectorAll('button')
  for (const button of buttons) button.disabled = true
  try {
    $('status').textContent = `Opening ${backend} …`
    const onGpu = backend === 'webgpu' || backend === 'webgl'
    const name = onGpu && $('software').checked ? await softwareName(backend) : backend
    const choice = await useBackend(name, { wasmPaths: './wasm/' })
    $('status').textContent = `Training on ${choice.name}: ${choice.reason}. The first step takes longest.`
    const epochs = []
    runs.set(backend, epochs)
    const began = performance.now()
    await trainDigits({ source, ...settings }, epoch => {
      epochs.push(epoch)
      $('status').textContent =
        `Epoch ${epoch.epoch} of ${settings.epochs} on ${choice.name}, test accuracy ${percent(epoch.testAccuracy)}.`
      show()
    })
    const seconds = ((performance.now() - began) / 1000).toFixed(1)
    $('status').textContent = `${choice.name} is done, after ${seconds} s: ${choice.reason}.`
    document.body.dataset.done = [...runs.keys()].join(' ')
  } catch (error) {
    $('status').textContent = ''
    $('problem').textContent = error.message
  } finally {
    for (const button of buttons) button.disabled = false
  }
}

/** The name under which the processor may stand in, where the graphics card itself is not there. */
async function softwareName(backend) {
  try {
    return (await useBackend(backend)).name
  } catch {
    return `${backend}-software`
  }
}

const percent = share => `${(100 * share).toFixed(1)} %`

function show() {
  const names = [...runs.keys()]
  const rows = Array.from({ length: settings.epochs }, (_, i) => [
    i + 1,
    ...names.map(name => runs.get(name)[i]?.trainLoss.toFixed(6) ?? ''),
  ])
  const last = ['accuracy', ...names.map(name => percent(runs.get(name).at(-1)?.testAccuracy ?? 0))]
  $('losses').replaceChildren(
    row('th', ['epoch', ...names]),
    ...rows.map(cells => row('td', cells)),
    row('td', last),
  )
  $('chart').innerHTML = chart(names)
  const done = names.filter(name => runs.get(name).length === settings.epochs)
  const spread = runs.get(done[0])?.map((_, i) => {
    const losses = done.map(name => runs.get(name)[i].trainLoss)
    return Math.max(...losses) - Math.min(...losses)
  })
  $('difference').textContent =
    done.length > 1
      ? `Largest difference of a loss between ${done.join(', ')}: ${Math.max(...spread).toExponential(1)}.`
      : ''
}

function row(tag, cells) {
  const element = document.createElement('tr')
  element.append(...cells.map(text => Object.assign(document.createElement(tag), { textContent: text })))
  return element
}

/** Losses over epochs; later backends are drawn thinner, so that lines that lie on each other all show. */
function chart(names) {
  const losses = names.flatMap(name => runs.get(name).map(({ trainLoss }) => trainLoss))
  const [least, most] = [Math.min(...losses), Math.max(...losses)]
  const x = i => (100 * i) / Math.max(1, settings.epochs - 1)
  const y = loss => (most > least ? 95 - (90 * (loss - least)) / (most - least) : 50)
  const lines = names.map((name, i) => {
    const points = runs.get(name).map(({ trainLoss }, epoch) => `${x(epoch)},${y(trainLoss)}`)
    return `<polyline points="${points.join(' ')}" stroke="${colours[name]}" stroke-width="${9 - 2.5 * i}" />`
  })
  const legend = names.map(name => `<span><i style="background: ${colours[name]}"></i> ${name}</span>`)
  return `<p class="legend">${legend.join(' ')}</p>
    <svg viewBox="0 0 100 100" preserveAspectRatio="none" role="img" aria-label="Loss in training over epochs">${lines.join('')}</svg>
    <p class="legend">Loss in training over ${settings.epochs} epochs, from ${most.toFixed(2)} to ${least.toFixed(2)}</p>`
}

for (const button of document.querySelectorAll('button'))
  button.addEventListener('click', () => run(button.dataset.backend))

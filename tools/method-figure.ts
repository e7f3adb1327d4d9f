/**
 * Trains the small network of the figure in docs/method.md, writes its weights with a few test images into site/method/digits.ts, and
 * draws the picture that stands for the figure where no script runs, docs/method-routing.png. Half a minute on two cores.
 *
 * Usage: npx tsx tools/method-figure.ts
 */
import { writeFile } from 'node:fs/promises'
import { fileURLToPath } from 'node:url'
import sharp from 'sharp'
import { digitsModel } from '../site/method/model.js'
import { useBackend } from '../src/backend/choose.js'
import { datasetEntry } from '../src/data/datasets/datasets.js'
import type { ImageSet } from '../src/data/image-set.js'
import { explain } from '../src/explain/explain.js'
import { samplesFolder } from '../src/files/data-folder.js'
import { figurePng } from '../src/files/images/figure-png.js'
import { explanationFigure } from '../src/report/explanation-figure.js'
import { train } from '../src/train/loop.js'

const root = new URL('../', import.meta.url)
const path = (name: string) => fileURLToPath(new URL(name, root))
const shown = 6
const side = 32

const base64 = (values: Float32Array | Uint8Array) =>
  Buffer.from(values.buffer, values.byteOffset, values.byteLength).toString('base64')

await useBackend()
const options = { samples: 1000, testSamples: 500, seed: 1 }
const digits = await datasetEntry('digits-patches').load(samplesFolder('digits8'), options)
const test = digits.test as ImageSet
const model = digitsModel()
const settings = {
  epochs: 40,
  batchSize: 20,
  optimizer: { name: 'sgd', learningRate: 0.2 },
  seed: 1,
} as const
let accuracy = Number.NaN
for await (const event of train(model, { train: digits.train as ImageSet, test, ...settings }))
  if (event.type === 'epoch') accuracy = event.testAccuracy ?? accuracy
const pixels = (test.images as Uint8Array).slice(0, shown * side * side)
const weights = model.getWeights().map(weight => base64(weight.dataSync() as Float32Array))
const lines = [
  '// Written by tools/method-figure.ts: the weights of the figure of docs/method.md, and test images of 32x32 bytes.',
  '// biome-ignore format: generated',
  `export const digits = ${JSON.stringify({ accuracy, labels: [...test.labels.slice(0, shown)], weights, images: base64(pixels) })}`,
]
await writeFile(path('site/method/digits.ts'), `${lines.join('\n')}\n`)

const first = pixels.slice(0, side * side)
const { images, grid } = await explain(model, first, [side, side, 1], { sensitivity: false })
const [explanation] = images
if (!explanation || !grid)
  throw new Error('method-figure: the network must keep patches, got one that keeps all')
const raw = { width: side, height: side, channels: 1 } as const
const large = await sharp(first, { raw }).resize(256, 256, { kernel: 'nearest' }).png().toBuffer()
const svg = explanationFigure(
  {
    name: 'a zero or a one among fifteen other digits',
    uri: `data:image/png;base64,${large.toString('base64')}`,
    size: [side, side],
    classes: [...explanation.probabilities]
      .map((probability, label) => ({ name: String(label), probability }))
      .sort((a, b) => b.probability - a.probability),
    grid,
    experts: explanation.experts,
  },
  'digits',
)
await writeFile(path('docs/method-routing.png'), await figurePng(svg))
console.log(`test accuracy ${(100 * accuracy).toFixed(1)} %`)

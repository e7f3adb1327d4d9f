/**
 * Measures an epoch of training the head of a frozen network on 1,000 images of 224x224: the body computed in every epoch, its features
 * computed once and read, and with --whole the whole network trained (wasm has no derivative of depthwise convolutions). A MobileNet
 * (Howard et al. 2017) of half the width with weights drawn at random, images of noise: time does not depend on them. Prints processor
 * time. Results are in bench/NOTES.md.
 *
 *     npx tsx bench/head-training.ts [--backend wasm] [--images 1000] [--size 224] [--epochs 5] [--whole]
 */
import { mkdtemp, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import * as tfl from '@tensorflow/tfjs-layers'
import { type BackendName, useBackend } from '../src/backend/choose.js'
import type { ImageSet } from '../src/data/image-set.js'
import { featureFiles } from '../src/files/features/feature-files.js'
import { withFasterLayers } from '../src/models/faster-layers.js'
import { random } from '../src/random.js'
import { type TrainOptions, train } from '../src/train/loop.js'
import { type EpochTime, epochTimes } from './epoch-time.js'

const { values } = parseArgs({
  options: {
    backend: { type: 'string', default: 'wasm' },
    images: { type: 'string', default: '1000' },
    size: { type: 'string', default: '224' },
    epochs: { type: 'string', default: '5' },
    whole: { type: 'boolean', default: false },
  },
})
const [images, size, epochs] = [values.images, values.size, values.epochs].map(Number) as [
  number,
  number,
  number,
]
const classes = 5

/** Strides and filters of the thirteen separable convolutions, at half the width. */
const blocks = [
  [1, 32],
  [2, 64],
  [1, 64],
  [2, 128],
  [1, 128],
  [2, 256],
  ...Array.from({ length: 5 }, () => [1, 256] as const),
  [2, 512],
  [1, 512],
] as const

function mobileNet(): tfl.LayersModel {
  const model = tfl.sequential()
  const convolution = { padding: 'same', useBias: false } as const
  model.add(
    tfl.layers.conv2d({
      ...convolution,
      inputShape: [size, size, 3],
      filters: 16,
      kernelSize: 3,
      strides: 2,
    }),
  )
  const normalized = () => {
    model.add(tfl.layers.batchNormalization())
    model.add(tfl.layers.reLU({ maxValue: 6 }))
  }
  normalized()
  for (const [strides, filters] of blocks) {
    model.add(tfl.layers.depthwiseConv2d({ ...convolution, kernelSize: 3, strides }))
    normalized()
    model.add(tfl.layers.conv2d({ ...convolution, filters, kernelSize: 1 }))
    normalized()
  }
  model.add(tfl.layers.globalAveragePooling2d({ name: 'pool' }))
  model.add(tfl.layers.dense({ units: classes, name: 'logits' }))
  return withFasterLayers(model)
}

function noise(): ImageSet {
  const source = random(1, 'noise')
  return {
    images: Uint8Array.from({ length: images * size * size * 3 }, () => source.below(256)),
    labels: Int32Array.from({ length: images }, (_, i) => i % classes),
    count: images,
    shape: [size, size, 3],
    classNames: Array.from({ length: classes }, (_, i) => `class ${i}`),
  }
}

/** @returns processor time of an epoch for one image, in seconds */
async function measured(what: string, set: ImageSet, options: Partial<TrainOptions>): Promise<number> {
  const optimizer = { name: 'adam', learningRate: 0.001 } as const
  const run = { train: set, epochs, batchSize: 32, optimizer, seed: 1, ...options }
  const { first, typical } = await epochTimes(train(mobileNet(), run))
  const text = ({ clock, processor }: EpochTime) =>
    `${processor.toFixed(2)} s (${clock.toFixed(2)} s by the clock)`
  console.log(`${what}: an epoch of ${set.count} images takes ${text(typical)}, the first ${text(first)}`)
  return typical.processor / set.count
}

await useBackend(values.backend as BackendName)
const set = noise()
// An epoch of the whole network takes minutes; a part of it says as much.
const part = {
  ...set,
  count: 96,
  images: set.images.subarray(0, 96 * size * size * 3),
  labels: set.labels.subarray(0, 96),
}
const folder = await mkdtemp(join(tmpdir(), 'head-training-'))
try {
  const whole = values.whole ? await measured('whole network trained', part, { epochs: 1 }) : undefined
  const computed = await measured('body frozen, computed', set, { freezeUntil: 'pool', epochs: 1 })
  const cached = await measured('body frozen, features kept', set, {
    freezeUntil: 'pool',
    features: featureFiles(folder),
  })
  console.log(`kept / computed: ${(cached / computed).toFixed(4)}`)
  if (whole !== undefined) console.log(`computed / whole: ${(computed / whole).toFixed(3)}`)
} finally {
  await rm(folder, { recursive: true, force: true })
}

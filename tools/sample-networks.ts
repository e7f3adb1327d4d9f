/**
 * Measures the table of docs/sample-networks.md: one small network against four of which each image chooses one, trained
 * alike on images at four angles.
 *
 * Usage: npx tsx tools/sample-networks.ts [--seeds N] [--epochs N] [--samples N]
 */
import * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'
import { Command } from 'commander'
import { datasetEntry } from '../src/data/datasets/datasets.js'
import type { ImageSet } from '../src/data/image-set.js'
import { samplesFolder } from '../src/files/data-folder.js'
import { SampleExperts } from '../src/layers/moe/sample-experts.js'
import { disposeModel } from '../src/models/dispose-model.js'
import { sampleExpertsModel } from '../src/models/sample-experts.js'
import { useBackend } from '../src/node.js'
import { evaluate } from '../src/train/evaluate.js'
import { train } from '../src/train/loop.js'
import { dispatchMetrics } from '../src/train/routing/dispatch-metrics.js'
import { upload } from '../src/train/upload.js'

const single = { numExperts: 1, gate: 'uniform' } as const
const mixture = { numExperts: 4 } as const

interface Budget {
  readonly seeds: number
  readonly epochs: number
  readonly samples: number
}

async function measureAll({ seeds, epochs, samples }: Budget): Promise<void> {
  console.log(
    '| network | seed | accuracy | 0 | 90 | 180 | 270 degrees | entropy, training | entropy, test |',
  )
  console.log('|---|---|---|---|---|---|---|---|---|')
  for (let seed = 1; seed <= seeds; seed++) {
    for (const [name, options] of Object.entries({ single, mixture })) {
      console.log(
        `| ${name} | ${seed} | ${(await measured(options, { seed, epochs, samples })).join(' | ')} |`,
      )
    }
  }
}

async function measured(
  options: typeof single | typeof mixture,
  { seed, epochs, samples }: { seed: number; epochs: number; samples: number },
): Promise<string[]> {
  const source = samplesFolder('fashion-mini')
  const data = await datasetEntry('fashion-rotated').load(source, { seed, samples })
  const model = sampleExpertsModel({
    ...{ inputShape: data.train.shape, numClasses: 10, filters: 8, seed },
    ...options,
  })
  const isMixture = options.numExperts > 1
  const layerRates = [{ pattern: 'experts/router*', learningRate: 1e-5 }]
  const run = train(model, {
    ...{ train: data.train, epochs, batchSize: 32, seed, loadBalance: isMixture ? 0.1 : 0 },
    optimizer: { name: 'adam', learningRate: 3e-3, layerRates },
  })
  for await (const _ of run);
  const { accuracy, perGroup = [] } = await evaluate(model, data.test, { batchSize: 100 })
  const entropies = [data.train, data.test].map(set => (isMixture ? entropyOf(model, set).toFixed(3) : '–'))
  disposeModel(model)
  return [...[accuracy, ...perGroup].map(share => (100 * share).toFixed(1)), ...entropies]
}

/** How much the expert of an image tells about its angle, without noise. */
function entropyOf(model: tfl.LayersModel, { images, shape, count, groups }: ImageSet): number {
  const layer = model.layers.find(layer => layer instanceof SampleExperts) as SampleExperts
  const counts = Array.from({ length: 4 }, () => new Array<number>(layer.numExperts).fill(0))
  const size = shape[0] * shape[1] * shape[2]
  for (let start = 0; start < count; start += 100) {
    const chosen = tf.tidy(() => {
      const x = upload(images.slice(start * size, (start + 100) * size), shape)
      return layer.route(x as tf.Tensor4D).indices.dataSync()
    })
    for (const [i, expert] of chosen.entries()) {
      const row = counts[groups?.[start + i] ?? 0] as number[]
      row[expert] = (row[expert] as number) + 1
    }
  }
  return dispatchMetrics(counts).entropy
}

const program = new Command()
  .option('--seeds <count>', 'runs of each network', Number, 3)
  .option('--epochs <count>', 'passes over the training images', Number, 8)
  .option('--samples <count>', 'training images', Number, 1000)
program.parse()
await useBackend('tensorflow')
await measureAll(program.opts<Budget>())

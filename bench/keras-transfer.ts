/**
 * Trains the head of a frozen network here and in Keras: the same network and weights, images, epochs, batches and optimizer, no
 * augmentation; seeds decide the first weights of the head and the order of the images. Prints how far the features differ, test
 * accuracies and training losses over the seeds, and an epoch's time with the body computed in every epoch and with its features computed once. Results are in bench/NOTES.md.
 *
 * The network, three convolutions with BatchNorm, is first trained here on five classes of fashion-mnist, and its head then on the five
 * others.
 *
 *     npx tsx bench/keras-transfer.ts --python .peers/bin/python [--backend tensorflow] [--seeds 5] [--epochs 20]
 */
import { execFile } from 'node:child_process'
import { mkdtemp, readdir, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { fileURLToPath } from 'node:url'
import { parseArgs, promisify } from 'node:util'
import * as tfl from '@tensorflow/tfjs-layers'
import { loadData } from '../scripts/run/run-data.js'
import { type BackendName, useBackend } from '../src/backend/choose.js'
import type { ImageSet } from '../src/data/image-set.js'
import { featureFiles } from '../src/files/features/feature-files.js'
import { disposeModel } from '../src/models/dispose-model.js'
import { withFasterLayers } from '../src/models/faster-layers.js'
import { withNewHead } from '../src/models/new-head.js'
import { mean, standardDeviation } from '../src/statistics/descriptive.js'
import { evaluate } from '../src/train/evaluate.js'
import { type TrainOptions, train } from '../src/train/loop.js'
import { type EpochTime, epochTimes, medianTime } from './epoch-time.js'

const { values } = parseArgs({
  options: {
    python: { type: 'string' },
    backend: { type: 'string', default: 'tensorflow' },
    seeds: { type: 'string', default: '5' },
    epochs: { type: 'string', default: '20' },
  },
})
const [seeds, epochs] = [Number(values.seeds), Number(values.epochs)]
const blocks = [
  [16, 1],
  [32, 2],
  [64, 2],
] as const
const classes = 5
const batchSize = 32
const rate = 0.01

function network(inputShape: readonly number[]): tfl.LayersModel {
  const model = tfl.sequential()
  for (const [i, [filters, strides]] of blocks.entries()) {
    const first = i === 0 ? { inputShape: [...inputShape] } : {}
    const kernelInitializer = tfl.initializers.glorotUniform({ seed: i + 1 })
    model.add(
      tfl.layers.conv2d({
        ...first,
        filters,
        strides,
        kernelSize: 3,
        padding: 'same',
        useBias: false,
        kernelInitializer,
      }),
    )
    model.add(tfl.layers.batchNormalization())
    model.add(tfl.layers.reLU())
  }
  model.add(tfl.layers.globalAveragePooling2d({ name: 'pool' }))
  model.add(
    tfl.layers.dense({
      units: classes,
      kernelInitializer: tfl.initializers.glorotUniform({ seed: 9 }),
      name: 'logits',
    }),
  )
  return withFasterLayers(model)
}

/** The images of five classes, numbered from 0. */
function someClasses(set: ImageSet, first: number): ImageSet {
  const chosen = [...set.labels.keys()].filter(i => {
    const label = (set.labels[i] as number) - first
    return label >= 0 && label < classes
  })
  const pixels = set.shape[0] * set.shape[1] * set.shape[2]
  const images = new Uint8Array(chosen.length * pixels)
  for (const [to, from] of chosen.entries()) {
    images.set(set.images.subarray(from * pixels, (from + 1) * pixels), to * pixels)
  }
  return {
    images,
    labels: Int32Array.from(chosen, i => (set.labels[i] as number) - first),
    count: chosen.length,
    shape: set.shape,
    classNames: set.classNames.slice(first, first + classes),
  }
}

async function writeTask(
  folder: string,
  model: tfl.LayersModel,
  halves: Record<string, ImageSet>,
): Promise<void> {
  const weights = model.layers.slice(0, -1).flatMap(layer => layer.weights)
  for (const [i, weight] of weights.entries()) {
    await writeFile(join(folder, `weight${i}`), (await weight.read().data()) as Float32Array)
  }
  for (const [name, { images, labels }] of Object.entries(halves)) {
    await writeFile(join(folder, `${name}.images`), images)
    await writeFile(join(folder, `${name}.labels`), labels)
  }
  const counts = Object.fromEntries(Object.entries(halves).map(([name, { count }]) => [name, { count }]))
  const shapes = weights.map(({ shape }) => shape)
  await writeFile(
    join(folder, 'task.json'),
    JSON.stringify({ ...counts, shape: halves.train?.shape, blocks, classes, weights: shapes }),
  )
}

const text = (accuracies: readonly number[]): string =>
  `${(100 * mean(accuracies)).toFixed(2)} ± ${(100 * standardDeviation(accuracies)).toFixed(2)} % (${accuracies.map(value => (100 * value).toFixed(1)).join(', ')})`
const lossText = (losses: readonly number[]): string =>
  `${mean(losses).toFixed(4)} ± ${standardDeviation(losses).toFixed(4)}`
const allEpochs = (model: tfl.LayersModel, options: TrainOptions) => epochTimes(train(model, options))
const ms = ({ clock, processor }: EpochTime): string =>
  `${(1000 * processor).toFixed(0)} ms of processor time (${(1000 * clock).toFixed(0)} ms by the clock)`

await useBackend(values.backend as BackendName)
const request = { name: 'fashion-mnist', data: null, samples: null, testSamples: null }
const data = await loadData(request, 1)
const [all, allTest] = [data.train, data.test] as [ImageSet, ImageSet]
const options = { batchSize, optimizer: { name: 'adam', learningRate: rate }, seed: 1 } as const
const trained = network(all.shape)
await allEpochs(trained, { ...options, train: someClasses(all, 0), epochs: 10 })
const [set, test] = [someClasses(all, classes), someClasses(allTest, classes)]
console.log(`${set.count} training images, ${test.count} test images of ${set.classNames.join(', ')}`)

const folder = await mkdtemp(join(tmpdir(), 'keras-transfer-'))
try {
  await writeTask(folder, trained, { train: set, test })
  const [accuracies, losses]: [number[], number[]] = [[], []]
  const [computed, kept]: [EpochTime[], EpochTime[]] = [[], []]
  const features = join(folder, 'features')
  for (let seed = 1; seed <= seeds; seed++) {
    const { model } = withNewHead(trained, classes, seed)
    const heads = { ...options, seed, epochs, train: set, trainOnly: ['logits'] }
    const { typical, trainLoss } = await allEpochs(model, { ...heads, features: featureFiles(features) })
    kept.push(typical)
    losses.push(trainLoss)
    accuracies.push((await evaluate(model, test, { batchSize: 128 })).accuracy)
    // The same numbers come out; the time does not depend on the seed.
    if (seed === 1) computed.push((await allEpochs(model, heads)).typical)
    disposeModel(model)
  }
  console.log(`here (${values.backend}): accuracy ${text(accuracies)}, training loss ${lossText(losses)}`)
  const own = { computed: medianTime(computed), kept: medianTime(kept) }
  const spoken = (who: string, times: typeof own) =>
    `${who}: an epoch takes ${ms(times.computed)} with the body computed, ${ms(times.kept)} with features kept`
  console.log(spoken('here', own))
  if (values.python !== undefined) {
    const script = fileURLToPath(new URL('./peers/keras_transfer.py', import.meta.url))
    const [file = ''] = await readdir(features)
    const words = [script, folder, '--seeds', values.seeds, '--epochs', values.epochs]
    words.push('--features', join(features, file))
    const { stdout } = await promisify(execFile)(values.python, [...words, '--rate', String(rate)])
    const keras = JSON.parse(stdout.trim().split('\n').at(-1) ?? '')
    console.log(
      `Keras ${keras.versions.keras}: accuracy ${text(keras.accuracies)}, training loss ${lossText(keras.losses)}`,
    )
    console.log(
      `features differ by ${keras.difference.toExponential(1)} at most, of up to ${keras.largest.toFixed(2)}`,
    )
    console.log(spoken('Keras', keras))
    const ratio = (part: keyof typeof own) => (own[part].processor / keras[part].processor).toFixed(2)
    console.log(`processor time here / Keras: ${ratio('computed')} computed, ${ratio('kept')} kept`)
  }
} finally {
  await rm(folder, { recursive: true, force: true })
}

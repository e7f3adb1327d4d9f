/**
 * Writes what this checkout saves, and the numbers that it computes from it, so that later versions can show that they
 * read the same: `npx tsx test/compat/write.ts test/compat/written-by-VERSION`. For an older version, put this file
 * and `every-layer.ts` into a checkout of it.
 */
import { spawn } from 'node:child_process'
import { createHash } from 'node:crypto'
import { cp, mkdir, mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import type * as tf from '@tensorflow/tfjs'
import sharp from 'sharp'
import { writeSafetensors } from '../../src/data/formats/safetensors.js'
import { type ImageSet, wideResNet } from '../../src/index.js'
import { fileSystem, openPrepared, useBackend } from '../../src/node.js'
import { random } from '../../src/random.js'
import { drawMaps, drawWeights, everyLayer, mapShape } from './every-layer.js'

const [target] = process.argv.slice(2)
if (!target) throw new Error('write: the folder to write must be given')
const out = resolve(target)
await mkdir(out)
const work = await mkdtemp(join(tmpdir(), 'compat-'))
await useBackend('wasm')

await saveModel('every-layer', everyLayer(), [2, ...mapShape])
await saveModel(
  'wrn-pmoe',
  wideResNet({
    ...{ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1 },
    pmoe: { numExperts: 4, patchesPerExpert: 2, patchSize: 2, kernelSize: 1 },
  }),
  [2, 16, 16, 3],
)

const digits = ['--dataset', 'digits-patches', '--samples', '12', '--test-samples', '6', '--backend', 'wasm']
const experts = ['--model', 'two-layer-pmoe', '--experts', '2', '--patches-per-expert', '3']
const twoLayer = [...digits, ...experts, '--hidden-units', '4', '--batch-size', '1', '--optimizer', 'adam']
const wide = [...digits, '--model', 'wrn-pmoe', '--widen', '1', '--kernel-size', '1', '--batch-size', '2']
const runs = join(out, 'trained')
await pmoe(['train', ...twoLayer, '--lr', '0.01', '--epochs', '2', '--out', join(runs, 'finished')])
await stopInSecondEpoch(['train', ...twoLayer, '--lr', '0.01', '--epochs', '2'], join(runs, 'stopped'))
await stopInSecondEpoch(['train', ...wide, '--epochs', '2'], join(runs, 'stopped-wrn'))

const prepared = join(out, 'prepared')
await pmoe(['data', 'prepare', ...digits.slice(1, -2), '--out', join(prepared, 'digits-patches')])
await drawPhotos(join(work, 'photos'))
const imageFolder = ['prepare', 'image-folder', '--data', join(work, 'photos'), '--image-size', '8']
await pmoe(['data', ...imageFolder, '--out', join(prepared, 'image-folder')])

const study = join(out, 'study')
const small = ['study', 'fig8', '--scale', 'small', '--seeds', '1', '--backend', 'wasm']
await pmoe([...small, '--out', join(work, 'study')])
// Its figure and page follow from its cells.
await mkdir(study)
for (const part of ['study.json', 'cells']) {
  await cp(join(work, 'study', part), join(study, part), { recursive: true })
}

const numbers = {
  runs: Object.fromEntries(
    await Promise.all(
      ['finished', 'stopped', 'stopped-wrn'].map(async name => [name, await runNumbers(name)]),
    ),
  ),
  prepared: {
    'digits-patches': await preparedContent('digits-patches'),
    'image-folder': await preparedContent('image-folder'),
  },
  trainedOnPrepared: await trainedOnPrepared(),
  study: JSON.parse(await readFile(join(work, 'study', 'results.json'), 'utf8')).cells,
}
await writeFile(join(out, 'numbers.json'), `${JSON.stringify(numbers, undefined, 2)}\n`)
await rm(work, { recursive: true })

/** Saves a model with drawn weights, and beside it what it makes of drawn maps. */
async function saveModel(name: string, model: tf.LayersModel, shape: readonly number[]): Promise<void> {
  const folder = join(out, 'models', name)
  drawWeights(model, 1)
  await model.save(fileSystem(folder))
  const maps = drawMaps(shape, 2)
  const outputs = [model.predict(maps)].flat() as tf.Tensor[]
  const tensors = [
    ['maps', maps] as const,
    ...outputs.map((output, i) => [model.outputNames[i] as string, output] as const),
  ].map(
    ([key, tensor]) =>
      [key, { dtype: 'F32', shape: tensor.shape, data: tensor.dataSync() as Float32Array }] as const,
  )
  await writeFile(join(folder, 'outputs.safetensors'), writeSafetensors(new Map(tensors)))
}

/** Images of one colour each, with some noise: three a class. */
async function drawPhotos(folder: string): Promise<void> {
  const numbers = random(3, 'photos')
  for (const half of ['train', 'test']) {
    for (const [channel, name] of ['red', 'green', 'blue'].entries()) {
      await mkdir(join(folder, half, name), { recursive: true })
      for (let i = 0; i < 3; i++) {
        const pixels = Uint8Array.from({ length: 10 * 12 * 3 }, (_, position) =>
          position % 3 === channel ? 200 + numbers.below(50) : numbers.below(60),
        )
        await sharp(pixels, { raw: { width: 10, height: 12, channels: 3 } })
          .png()
          .toFile(join(folder, half, name, `${i}.png`))
      }
    }
  }
}

/** What `evaluate` says of a run as it is written, and what every epoch measured when a copy has gone on to its end. */
async function runNumbers(name: string) {
  const copy = join(work, name)
  await cp(join(runs, name), copy, { recursive: true })
  await pmoe(['train', '--resume', '--epochs', name === 'finished' ? '3' : '2', '--out', copy])
  return { epochs: await epochs(copy), evaluation: await evaluation(copy) }
}

async function preparedContent(name: string) {
  const { train, test } = await openPrepared(join(prepared, name))
  return { train: imagesOf(train as ImageSet), test: imagesOf(test as ImageSet) }
}

function imagesOf({ shape, classNames, labels, images }: ImageSet) {
  const sha256 = createHash('sha256').update(images).digest('hex')
  return { shape, classNames, labels: [...labels], sha256 }
}

async function trainedOnPrepared() {
  const copy = join(work, 'on-prepared')
  const data = ['--dataset', 'image-folder', '--data', join(prepared, 'image-folder'), '--backend', 'wasm']
  const mixture = ['--patch-size', '4', ...experts, '--hidden-units', '4', '--batch-size', '2', '--lr', '0.1']
  await pmoe(['train', ...data, ...mixture, '--epochs', '2', '--out', copy])
  return { settings: mixture, epochs: await epochs(copy) }
}

async function epochs(run: string) {
  const lines = (await readFile(join(run, 'metrics.jsonl'), 'utf8')).trimEnd().split('\n')
  return lines.map(line => {
    const { seconds: _, wallTime: __, ...measured } = JSON.parse(line)
    return measured
  })
}

async function evaluation(run: string) {
  const { run: _, ...measured } = JSON.parse(await pmoe(['evaluate', run, '--backend', 'wasm', '--json']))
  return measured
}

/** Runs a training, presses Ctrl-C at its first step of epoch 2, and asks again where it had ended already. */
async function stopInSecondEpoch(words: readonly string[], run: string): Promise<void> {
  for (let trial = 1; trial <= 20; trial++) {
    const folder = join(work, `trial-${trial}`)
    const trained = join(folder, 'run')
    await pmoe([...words, '--json', '--out', trained], '{"type":"step","epoch":2,"step":1')
    // The model is saved when a training ends.
    const stopped = !(await readdir(trained)).includes('model')
    if (stopped) await cp(trained, run, { recursive: true })
    await rm(folder, { recursive: true })
    if (stopped) return
  }
  throw new Error(`write: ${run} must stop in its second epoch, got 20 trainings that had ended before`)
}

/** Runs the command line of this checkout; returns what it wrote. */
function pmoe(words: readonly string[], interruptAt?: string): Promise<string> {
  const child = spawn(process.execPath, ['--import', 'tsx', 'scripts/cli.ts', ...words], {
    stdio: ['ignore', 'pipe', 'inherit'],
  })
  let written = ''
  let interrupted = false
  child.stdout.setEncoding('utf8').on('data', (text: string) => {
    written += text
    if (interruptAt && !interrupted && written.includes(interruptAt)) interrupted = child.kill('SIGINT')
  })
  return new Promise((done, fail) => {
    child.on('error', fail)
    child.on('close', code => {
      if (code === 0 || interrupted) done(written)
      else fail(new Error(`write: pmoe ${words.join(' ')} must succeed, got exit code ${code}`))
    })
  })
}

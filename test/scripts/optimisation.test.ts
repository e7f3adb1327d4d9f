import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { rateText } from '../../scripts/commands/find-rate-action.js'
import { fileSystem } from '../../src/files/model-files.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string

beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-optimisation-'))
})

afterAll(() => rm(root, { recursive: true, force: true }))

const optimised = [
  ...['--optimizer', 'adamw', '--weight-decay', '0.05', '--epsilon', '1e-6', '--clip-norm', '1'],
  ...['--schedule', 'plateau', '--patience-epochs', '1', '--decay-rate', '0.5', '--warmup-epochs', '0.5'],
  ...['--label-smoothing', '0.1', '--class-weights', 'balanced', '--ema-decay', '0.9'],
]

const models = {
  'two-layer-pmoe': [
    '--dataset',
    'digits-patches',
    '--samples',
    '20',
    '--test-samples',
    '10',
    '--batch-size',
    '10',
  ],
  routed: [
    ...['--dataset', 'megapixel-digits', '--samples', '20', '--test-samples', '10', '--batch-size', '10'],
    ...['--image-size', '64x48', '--strokes', '3', '--patches-per-expert', '4'],
  ],
}

test.each(Object.entries(models))(
  'all settings together train %s, and a longer run goes on as if it had been asked for at once',
  async (model, flags) => {
    const train = (out: string, epochs: string) =>
      callPmoe([
        ...['train', ...flags, '--model', model, ...optimised, '--backend', 'wasm'],
        ...['--epochs', epochs, '--out', join(root, out)],
      ])
    expect(await train(`${model}-whole`, '4')).toMatchObject({ code: 0 })
    expect(await train(`${model}-part`, '2')).toMatchObject({ code: 0 })
    const part = join(root, `${model}-part`)
    expect(await callPmoe(['train', '--resume', '--out', part, '--epochs', '4'])).toMatchObject({ code: 0 })
    const [whole, resumed] = await Promise.all(
      ['whole', 'part'].map(async name => {
        const run = join(root, `${model}-${name}`)
        const epochs = jsonLines(await readFile(join(run, 'metrics.jsonl'), 'utf8'))
        return {
          epochs: epochs.map(({ seconds: _, wallTime: __, ...rest }) => rest),
          weights: await readFile(join(run, 'model', 'weights.bin')),
        }
      }),
    )
    expect(whole?.epochs).toHaveLength(4)
    expect(resumed).toEqual(whole)
    const config = JSON.parse(await readFile(join(part, 'config.json'), 'utf8'))
    expect(config.training).toMatchObject({
      ...{ optimizer: 'adamw', weightDecay: 0.05, epsilon: 1e-6, clipNorm: 1 },
      ...{ schedule: 'plateau', patienceEpochs: 1, decayRate: 0.5, warmupEpochs: 0.5 },
      ...{ labelSmoothing: 0.1, classWeights: 'balanced', emaDecay: 0.9 },
    })
  },
)

test.each([
  [
    ['--class-weights', 'one=2,zebra=3'],
    /--class-weights must be for classes of the training set, got one \(its classes: /,
  ],
  [['--class-weights', 'one=0'], /It must be balanced, or NAME=NUMBER,\.\.\. above 0: cat=2,dog=0\.5\./],
  [['--class-weights', 'one=1,one=2'], /It must be balanced, or NAME=NUMBER/],
  [['--class-weights', 'heavy'], /It must be balanced, or NAME=NUMBER/],
  [
    ['--warmup-epochs', '40', '--epochs', '30'],
    /--warmup-epochs must be less than epochs, got 40 \(epochs 30\)/,
  ],
  [
    ['--schedule', 'step', '--decay-epochs', '30', '--epochs', '30'],
    /--decay-epochs must be less than epochs, got 30 \(schedule step, epochs 30\)/,
  ],
  [['--decay-epochs', '3'], /--decay-epochs must be left out for schedule constant, got 3/],
  [['--optimizer', 'sgd', '--epsilon', '1'], /--epsilon must be left out for sgd, got 1/],
  [['--ema-decay', '1'], /It must be a number in \(0, 1\)\./],
  [['--label-smoothing', '1'], /It must be a number in \[0, 1\)\./],
])('%j is refused before a folder is made', async (flags, message) => {
  const out = join(root, 'refused')
  const { code, err } = await callPmoe([
    ...[
      'train',
      '--dataset',
      'digits-patches',
      '--model',
      'two-layer',
      '--samples',
      '10',
      '--test-samples',
      '10',
    ],
    ...['--backend', 'wasm', '--out', out, ...flags],
  ])
  expect([code, err]).toEqual([2, expect.stringMatching(message)])
  expect(existsSync(out)).toBe(false)
})

describe('pmoe find-rate', () => {
  const findRate = (...flags: string[]) =>
    callPmoe([
      'find-rate',
      ...models['two-layer-pmoe'],
      '--model',
      'two-layer-pmoe',
      '--backend',
      'wasm',
      ...flags,
    ])

  test('draws a curve and suggests a rate that pmoe train takes', async () => {
    const out = join(root, 'curve.svg')
    const found = await findRate('--out', out, '--optimizer', 'adam')
    expect(found).toMatchObject({ code: 0, err: '' })
    expect(found.out).toMatch(
      /^Suggested: --lr [\d.e-]+ \(\d+ steps with rates up to .*; the curve is in .*curve\.svg\)\n$/,
    )
    expect(await readFile(out, 'utf8')).toContain('digits-patches two-layer-pmoe, adam, batches of 10')
    const again = await findRate('--out', out)
    expect([again.code, again.err]).toEqual([
      2,
      expect.stringContaining(`--out must not be there yet, got ${out}`),
    ])
    const json = JSON.parse((await findRate('--json', '--out', join(root, 'json.svg'))).out)
    expect(json.tried.length).toBeGreaterThan(10)
  })

  test('says where no rate lowered the loss, and where there is none to lower', async () => {
    const tried = [1e-6, 2e-6].map(learningRate => ({ learningRate, loss: 0.7, smoothed: 0.7 }))
    expect(rateText({ tried, suggestion: undefined }, 'curve.svg')).toBe(
      'No learning rate lowered the loss: 2 steps with rates up to 0.0000020; the curve is in curve.svg\n',
    )
    const model = tf.sequential({
      layers: [tf.layers.flatten({ inputShape: [32, 32, 1] }), tf.layers.dense({ units: 1 })],
    })
    model.setWeights([tf.fill([32 * 32, 1], Number.NaN), tf.zeros([1])])
    await model.save(fileSystem(join(root, 'diverged')))
    const curve = join(root, 'diverged.svg')
    const { code, err } = await callPmoe([
      ...['find-rate', '--dataset', 'digits-patches', '--samples', '20', '--test-samples', '4'],
      ...['--init', join(root, 'diverged'), '--keep-head', '--backend', 'wasm', '--out', curve],
    ])
    expect([code, err]).toEqual([
      1,
      expect.stringContaining('find-rate: loss must be finite before the first step, got one that is not'),
    ])
    expect(existsSync(curve)).toBe(false)
  })

  test('refuses before it reads anything', async () => {
    const refusal = async (...words: string[]) => (await callPmoe(['find-rate', ...words])).err
    expect(await refusal('--out', 'a.png')).toContain('find-rate: --out must end in .svg, got a.png')
    expect(await refusal('--out', join(root, 'no', 'a.svg'))).toContain(
      'find-rate: --out must be in a folder that exists',
    )
    expect(await refusal('--model', 'wrn')).toContain(
      'find-rate: --dataset must be given (see pmoe find-rate --help)',
    )
    expect(await refusal('--dataset', 'digits-patches')).toContain(
      'find-rate: --model must be given, one of wrn',
    )
  })
})

test.each(Object.entries(models))(
  '%s takes a batch size that is measured, and keeps it when resumed',
  async (model, flags) => {
    const out = join(root, `${model}-auto`)
    const images = flags.map((word, i) => (flags[i - 1] === '--samples' ? '30' : word))
    const train = [
      'train',
      ...images,
      '--model',
      model,
      '--batch-size',
      'auto',
      '--schedule',
      'constant',
      '--epochs',
      '1',
    ]
    const { code, out: log } = await callPmoe([...train, '--backend', 'wasm', '--out', out])
    expect(code).toBe(0)
    expect(log).toMatch(
      /Batch size 8: the tensors of a step take \d+ MB of \d+ MB that are free; an epoch of 30 images/,
    )
    const { training } = JSON.parse(await readFile(join(out, 'config.json'), 'utf8'))
    expect(training.batchSize).toBe(8)
    const resume = ['train', '--resume', '--out', out, '--batch-size', 'auto', '--epochs', '2']
    expect((await callPmoe(resume)).code).toBe(0)
  },
)

import { existsSync } from 'node:fs'
import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, test } from 'vitest'
import { callPmoe, jsonLines } from './run-pmoe.js'

let root: string

beforeAll(async () => {
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
    /classWeights must be for classes of the training set, got one \(its classes: /,
  ],
  [['--class-weights', 'one=0'], /It must be balanced, or NAME=NUMBER,\.\.\. above 0: cat=2,dog=0\.5\./],
  [['--class-weights', 'one=1,one=2'], /It must be balanced, or NAME=NUMBER/],
  [['--class-weights', 'heavy'], /It must be balanced, or NAME=NUMBER/],
  [
    ['--warmup-epochs', '40', '--epochs', '30'],
    /warmupEpochs must be less than epochs, got 40 \(epochs 30\)/,
  ],
  [
    ['--schedule', 'step', '--decay-epochs', '30', '--epochs', '30'],
    /decayEpochs must be less than epochs, got 30 \(schedule step, epochs 30\)/,
  ],
  [['--decay-epochs', '3'], /decayEpochs must be left out for schedule constant, got 3/],
  [['--optimizer', 'sgd', '--epsilon', '1'], /epsilon must be left out for sgd, got 1/],
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

import { mkdtemp, readdir, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { fileSystem, loadModelFolder } from '../../src/files/model-files.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root = ''
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-frozen-'))
  const model = wideResNet({ inputShape: [32, 32, 3], numClasses: 4, widenFactor: 1, seed: 3 })
  await model.save(fileSystem(join(root, 'trained')))
  model.dispose()
})
afterAll(() => rm(root, { recursive: true, force: true }))

const words = (out: string, ...flags: string[]) => [
  ...[
    'train',
    '--dataset',
    'fashion-quadrants',
    '--samples',
    '32',
    '--test-samples',
    '16',
    '--batch-size',
    '16',
  ],
  ...['--init', join(root, 'trained'), '--keep-head', '--backend', 'wasm', '--out', join(root, out)],
  ...flags,
]
const weightsIn = async (folder: string) => {
  const model = await loadModelFolder(join(root, folder))
  return new Map(model.weights.map(weight => [weight.originalName, [...weight.read().dataSync()]]))
}

describe('pmoe train with frozen layers', () => {
  test('computes the body once, trains the head, and saves the whole network', async () => {
    const { code, out, err } = await callPmoe(words('head', '--freeze-until', 'pool', '--epochs', '2'))
    expect([code, err]).toEqual([0, ''])
    expect(out.match(/features of 48 images after pool: 0\.0123 MB, made in \d+\.\d s/g)).toHaveLength(1)
    const [before, after] = [await weightsIn('trained'), await weightsIn('head/model')]
    expect([...after.keys()].filter(name => `${before.get(name)}` !== `${after.get(name)}`)).toEqual([
      'logits/kernel',
      'logits/bias',
    ])
    const { training } = JSON.parse(await readFile(join(root, 'head', 'config.json'), 'utf8'))
    expect(training).toMatchObject({ freezeUntil: 'pool' })
    expect(await readdir(join(root, 'head', 'features'))).toHaveLength(2)
    const more = await callPmoe(['train', '--resume', '--out', join(root, 'head'), '--epochs', '3'])
    expect([more.code, more.err]).toEqual([0, ''])
    expect(more.out).toMatch(/features of 48 images after pool: 0\.0123 MB, found in/)
  })

  test('goes on exactly after Ctrl-C, with features or without', async () => {
    const flags = [
      '--freeze-until',
      'group3_block1_relu1',
      '--unfreeze-every',
      '1',
      '--epochs',
      '3',
      '--ema-decay',
      '0.9',
    ]
    const whole = await callPmoe(words('whole', ...flags))
    expect([whole.code, whole.err]).toEqual([0, ''])
    expect(whole.out).toContain(
      'Unfreezes a block every epoch: what follows group1_block1_add from epoch 2, what follows stem from epoch 3; 1 of 3 blocks',
    )
    const stopped = await runPmoe(words('stopped', ...flags, '--json', '--checkpoint-steps', '1'), {
      interruptAt: '"type":"checkpoint","epoch":2',
    })
    expect(stopped.code, stopped.err).toBe(130)
    const resumed = await callPmoe([
      'train',
      '--resume',
      '--out',
      join(root, 'stopped'),
      '--no-feature-cache',
    ])
    expect([resumed.code, resumed.err]).toEqual([0, ''])
    expect(await weightsIn('stopped/model')).toEqual(await weightsIn('whole/model'))
    const metrics = async (name: string) =>
      jsonLines(await readFile(join(root, name, 'metrics.jsonl'), 'utf8')).map(({ testLoss }) => testLoss)
    expect(await metrics('stopped')).toEqual(await metrics('whole'))
    const other = await callPmoe([
      ...['train', '--resume', '--out', join(root, 'stopped'), '--freeze-until', 'pool'],
    ])
    expect(other.code).toBe(2)
    expect(other.err).toContain('training.freezeUntil is "group3_block1_relu1", asked for "pool"')
  })

  test.each([
    [
      ['--freeze-until', 'pol'],
      'train: --freeze-until must be a layer of the model, got "pol" (nearest: pool; layers: image, stem,',
    ],
    [
      ['--train-only', 'head'],
      'train: --train-only must match a layer with weights, or one of its weights, got "head"',
    ],
    [
      ['--freeze-until', 'logits'],
      'train: model must have trainable weights, got 0 (of 50 weights, which are frozen by --freeze-until logits)',
    ],
    [['--freeze-routers'], 'train: --freeze-routers must be for a model with a mixture of experts'],
    [
      ['--unfreeze-every', '2'],
      'train: --unfreeze-every must come with --freeze-until, got 2 without a layer',
    ],
    [['--unfreeze-every', '0', '--freeze-until', 'pool'], 'It must be a positive integer'],
    [
      ['--freeze-until', 'pool', '--train-only', 'logits'],
      'train: --freeze-until must be left out with --train-only, got pool and logits',
    ],
    [
      ['--feature-cache'],
      'train: --feature-cache must come with frozen layers before the first one that is trained',
    ],
    [
      ['--feature-cache', '--freeze-until', 'pool', '--augment', 'light'],
      'train: --feature-cache must come with training images that are the same in every epoch, got augmented ones',
    ],
    [
      ['--no-feature-cache', '--freeze-until', 'pool', '--feature-folder', 'kept'],
      'train: --feature-folder must be left out with --no-feature-cache, got',
    ],
    [
      ['--freeze-until', 'pool', '--frozen-statistics', 'moved'],
      "'moved' is invalid. Allowed choices are kept, followed",
    ],
  ])('refuses %s', async (flags, message) => {
    const { code, err } = await callPmoe(words('refused', ...flags))
    expect(err).toContain(message)
    expect(code).toBe(2)
    expect(await readdir(root)).not.toContain('refused')
  })
})

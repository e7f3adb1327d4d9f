import { mkdtemp, readFile, rm } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import type * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, test } from 'vitest'
import { trainSettings, withFlags } from '../../scripts/run/train-settings.js'
import { fileSystem, loadModelFolder } from '../../src/files/model-files.js'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { runConfig } from '../../src/run/run-config.js'
import { openRun } from '../../src/run/run-folder.js'
import { settingPath } from '../../src/run/setting.js'
import { modelRouters } from '../../src/run/starting-routers.js'
import { useTestBackend } from '../backend-under-test.js'
import type { Finished } from '../child-processes.js'
import { callPmoe, jsonLines, runPmoe } from './run-pmoe.js'

let root = ''
beforeAll(async () => {
  await useTestBackend()
  root = await mkdtemp(join(tmpdir(), 'pmoe-init-'))
  const shape = [32, 32, 3] as const
  for (const [name, numClasses] of Object.entries({ same: 4, other: 7 })) {
    const model = wideResNet({ inputShape: shape, numClasses, widenFactor: 1, seed: 3 })
    await model.save(fileSystem(join(root, name)))
    model.dispose()
  }
})
afterAll(() => rm(root, { recursive: true, force: true }))

const small = [
  '--dataset',
  'fashion-quadrants',
  '--samples',
  '32',
  '--test-samples',
  '16',
  '--batch-size',
  '16',
]
const words = (init: string, out: string, ...flags: string[]) => [
  ...['train', ...small, '--init', join(root, init), '--backend', 'wasm', '--out', join(root, out)],
  ...flags,
]
const mixture = ['--experts', '4', '--patch-size', '2', '--anneal-patches', '16:4:1', '--epochs', '2']
const groups = ['--freeze', 'stem,group1_*', '--lr-for', 'group3_block1_conv2=0.05']

const trained = (out: string) => loadModelFolder(join(root, out, 'model'))

/** Weights by name, those of a mixture apart. */
function weightsOf(model: tf.LayersModel, name: string): number[] {
  return model
    .getLayer(name)
    .getWeights()
    .flatMap(weight => [...weight.dataSync()])
}

describe('pmoe train --init', () => {
  let finished: Finished
  beforeAll(async () => {
    finished = await callPmoe(words('same', 'tuned', ...mixture, ...groups))
  })

  test('puts the mixture in, freezes, anneals, and says what it does', async () => {
    expect([finished.code, finished.err]).toEqual([0, ''])
    expect(finished.out).toContain(
      'New head logits with 4 outputs: the model does not say which classes it knows (--keep-head keeps the old one, ',
    )
    expect(finished.out).toMatch(
      /4 experts in the place of group3_block1_conv2: with all 16 patches outputs differ by (0|\d(\.\d)?e-\d+) at most, with 4 by [\d.e-]+ before training/,
    )
    expect(finished.out).toContain('epoch 1/2  16 patches')
    expect(finished.out).toContain('epoch 2/2  4 patches')
    const [before, after] = await Promise.all([loadModelFolder(join(root, 'same')), trained('tuned')])
    const layer = after.getLayer('group3_block1_conv2') as PatchMoE
    expect(layer).toBeInstanceOf(PatchMoE)
    expect([layer.patchesPerExpert, layer.numExperts]).toEqual([4, 4])
    for (const name of ['stem', 'group1_block1_conv1', 'group1_block1_bn2'])
      expect(weightsOf(after, name), name).toEqual(weightsOf(before, name))
    for (const name of ['group2_block1_conv1', 'logits'])
      expect(weightsOf(after, name), name).not.toEqual(weightsOf(before, name))
    expect(after.getLayer('stem').trainable).toBe(true)
  })

  test('keeps the routers that the training began with', async () => {
    const run = await openRun(join(root, 'tuned'))
    const [initial, atStart] = await Promise.all([run.loadInitial(), run.startingRouters()])
    expect([...(atStart?.keys() ?? [])]).toEqual(['group3_block1_conv2/router'])
    expect(atStart).toEqual(await modelRouters(initial))
    expect(atStart).not.toEqual(await modelRouters(await run.loadModel()))
  })

  test('keeps everything in the configuration', async () => {
    const { model, training } = JSON.parse(await readFile(join(root, 'tuned', 'config.json'), 'utf8'))
    expect(model).toEqual({
      name: 'init',
      options: {
        kind: 'init',
        from: join(root, 'same'),
        inputScaling: '0..1',
        insert: { numExperts: 4, patchesPerExpert: 4, patchSize: 2 },
      },
    })
    expect(training).toMatchObject({
      learningRate: 0.01,
      freeze: ['stem', 'group1_*'],
      layerRates: [{ pattern: 'group3_block1_conv2', learningRate: 0.05 }],
      annealPatches: { from: 16, to: 4, epochs: 1 },
    })
    const metrics = jsonLines(await readFile(join(root, 'tuned', 'metrics.jsonl'), 'utf8'))
    expect(metrics.map(({ patchesPerExpert }) => patchesPerExpert)).toEqual([16, 4])
  })

  test('goes on exactly after Ctrl-C, without the model that it came from', async () => {
    const init = join(root, 'moved')
    const model = await loadModelFolder(join(root, 'same'))
    await model.save(fileSystem(init))
    // Once: a second Ctrl-C would end it at once, and the stop stores a checkpoint itself.
    const stopped = await runPmoe(
      words('moved', 'stopped', ...mixture, ...groups, '--json', '--checkpoint-steps', '1'),
      { interruptAt: '"type":"checkpoint"' },
    )
    expect(stopped.code, stopped.err).toBe(130)
    await rm(init, { recursive: true })
    const resumed = await callPmoe(['train', '--resume', '--out', join(root, 'stopped')])
    expect([resumed.code, resumed.err]).toEqual([0, ''])
    const [once, twice] = await Promise.all([trained('tuned'), trained('stopped')])
    expect(twice.weights.map(weight => [...weight.read().dataSync()])).toEqual(
      once.weights.map(weight => [...weight.read().dataSync()]),
    )
    const changed = await callPmoe([
      'train',
      '--resume',
      '--out',
      join(root, 'stopped'),
      '--init',
      join(root, 'other'),
    ])
    expect(changed.code).toBe(2)
    expect(changed.err).toContain(`model.options.from is "${init}", asked for "${join(root, 'other')}"`)
  })

  test('goes on from a run, and gives other classes a new head', async () => {
    const again = await callPmoe(words('tuned', 'further', '--epochs', '1'))
    expect(again.err).toBe('')
    expect(again.out).toContain(`Kept the head of ${join(root, 'tuned')}.`)
    expect((await trained('further')).getLayer('group3_block1_conv2')).toBeInstanceOf(PatchMoE)
    const head = await callPmoe(words('other', 'head', '--epochs', '1'))
    expect(head.out).toContain(
      'New head logits with 4 outputs: the model tells 7 classes apart, the images have 4.',
    )
    expect((await trained('head')).outputs[0]?.shape).toEqual([null, 4])
    const digits = ['--dataset', 'digits-patches', '--samples', '32', '--test-samples', '16', '--epochs', '1']
    const refused = await callPmoe([
      'train',
      ...digits,
      '--init',
      join(root, 'same'),
      '--out',
      join(root, 'x'),
    ])
    expect([refused.code, refused.err]).toEqual([
      2,
      `pmoe: train: images must be 32x32x3 for the model of ${join(root, 'same')}, got 32x32x1\n`,
    ])
  })

  test.each([
    [['--model', 'wrn'], 'train: --model must be init or left out with --init, got wrn'],
    [['--patch-size', '2'], 'train: --experts must be given with other flags of a mixture, got none'],
    [['--experts', '4'], 'train: --patches-per-expert or --anneal-patches must be given with --experts'],
    [
      ['--experts', '4', '--patches-per-expert', '8', '--anneal-patches', '16:4:1'],
      'train: --patches-per-expert must be left out with --anneal-patches, got 8',
    ],
    [
      ['--experts', '4', '--patches-per-expert', '8', '--layer', 'conv9'],
      'got conv9 (wide_resnet_10_1 has stem; ',
    ],
    [['--depth', '16'], 'train: --depth must be used with wrn, wrn-pmoe, got model init'],
    [['--freeze', 'nothing*'], 'train: --freeze must match a layer with weights, got "nothing*"'],
    [
      ['--lr-for', 'conv9=0.1'],
      'must match a layer with weights, or one of its weights, got "conv9" (layers: stem, ',
    ],
    [
      ['--anneal-patches', '8:2:1', '--epochs', '2'],
      'train: --anneal-patches must be for a model with a PatchMoE, got none',
    ],
    [['--anneal-patches', '2:8:1'], 'It must be FROM:TO:EPOCHS in whole numbers, FROM at least TO'],
  ])('refuses %j and writes nothing', async (flags, message) => {
    const { code, err } = await callPmoe(words('same', 'refused', ...flags))
    expect(err).toContain(message)
    expect(code).toBe(2)
    await expect(readFile(join(root, 'refused', 'config.json'))).rejects.toThrow('ENOENT')
  })

  test('needs --init with model init', async () => {
    const { code, err } = await callPmoe([
      'train',
      ...small,
      '--model',
      'init',
      '--out',
      join(root, 'refused'),
    ])
    expect([code, err]).toEqual([2, 'pmoe: train: model init must come with --init, got none\n'])
  })
})

test('every flag of init leads to a setting that the configuration knows', () => {
  const values: Record<string, unknown> = {
    inputScaling: 'caffe',
    gate: 'uniform',
    gateScale: 'none',
    border: 'zero',
    layer: 'conv',
    freeze: ['conv'],
    batchNorm: 'local',
    lrFor: [{ pattern: 'conv', learningRate: 0.1 }],
    annealPatches: { from: 4, to: 2, epochs: 1 },
  }
  const versions = { patchMoe: '0', tfjs: '0', node: '0' }
  const base = {
    dataset: { name: 'd', data: null, samples: 1, testSamples: null, classNames: ['0', '1'] },
    model: { name: 'init', options: { kind: 'init', from: '/m', insert: { numExperts: 2 } } },
    training: { epochs: 1, batchSize: 1, optimizer: 'sgd', learningRate: 1, bnStatistics: 'moving' },
    ...{ seed: 1, backend: 'wasm', precision: 'float32', memory: 'normal', versions },
  }
  for (const { option, name: key, setting, sets: meant } of trainSettings) {
    const name = option.attributeName()
    const path = settingPath(key, setting, 'init')
    const value = meant ?? values[name] ?? (path?.[0] === 'model' ? 3 : undefined)
    if (value === undefined || path === undefined) continue
    const config = runConfig(withFlags(base, 'init', { [name]: meant ? true : value }), 'test')
    const found = path.reduce<unknown>((inner, part) => Reflect.get(inner as object, part), config)
    expect(found, name).toEqual(value)
  }
  expect(() => withFlags(base, 'init', { newHead: true, keepHead: true })).toThrow(
    'train: --new-head and --keep-head must not be given together',
  )
  expect(() => withFlags(base, 'wrn', { inputScaling: 'auto' })).toThrow(
    'train: --input-scaling must be used with init, got model wrn',
  )
  expect(() => withFlags(base, 'wrn', { newHead: true })).toThrow(
    'train: --new-head must be used with init, got model wrn',
  )
})

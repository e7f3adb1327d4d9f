import { beforeAll, describe, expect, test } from 'vitest'
import { panelText } from '../../scripts/run/pruning/panel-text.js'
import { prunedConfig, startOfPruned } from '../../scripts/run/pruning/pruned-run.js'
import { recordText } from '../../scripts/run/pruning/pruning-record.js'
import type { StoredTensor } from '../../src/data/formats/safetensors.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import type { PruningReceipt } from '../../src/prune/index.js'
import type { RunFolder } from '../../src/run/run-folder.js'
import { useTestBackend } from '../backend-under-test.js'
import { runConfigOf } from '../files/run-configs.js'

beforeAll(async () => {
  await useTestBackend()
})

describe('the configuration of a pruned run', () => {
  test('keeps the settings at a tenth of the rates, without what is over and what is gone', () => {
    const model = wideResNet({ inputShape: [8, 8, 3], numClasses: 2, widenFactor: 1, seed: 1 })
    const before = runConfigOf()
    const training = {
      ...before.training,
      annealPatches: { from: 16, to: 4, epochs: 1 },
      routerTraining: 'separate',
      routerEpochs: 2,
      routerBatchSize: 4,
      routerLearningRate: 0.3,
      freeze: ['stem', 'expert3_*'],
      layerRates: [
        { pattern: 'logits', learningRate: 0.5 },
        { pattern: 'logits/bias', learningRate: 0.3 },
        { pattern: 'expert3_gate', learningRate: 0.2 },
      ],
      earlyStop: 2,
    } as const
    const source = { directory: '/runs/whole', config: { ...before, training } } as unknown as RunFolder
    const dataset = { ...before.dataset, data: '/moved' }
    const backend = { name: 'wasm' } as Parameters<typeof prunedConfig>[2]['backend']
    const config = prunedConfig(source, model, { dataset, seed: 7, epochs: 5, backend })
    expect(config).toMatchObject({ dataset, seed: 7, backend: 'wasm', precision: 'float32' })
    expect(config.model).toEqual({
      name: 'init',
      options: { kind: 'init', from: '/runs/whole', head: 'keep' },
    })
    expect(config.training).toEqual({
      epochs: 5,
      batchSize: 20,
      optimizer: 'sgd',
      learningRate: 0.01,
      bnStatistics: 'recomputed',
      earlyStop: 2,
      freeze: ['stem'],
      layerRates: [
        { pattern: 'logits', learningRate: 0.05 },
        { pattern: 'logits/bias', learningRate: 0.03 },
      ],
    })
    disposeModel(model)
  })
})

describe('the routers of the start of a pruned run', () => {
  const router = (shape: number[], ...values: number[]): StoredTensor => ({
    dtype: 'F32',
    shape,
    data: Float32Array.from(values),
  })

  test('are those of the experts that stay', () => {
    const start = new Map([
      ['a/router', router([1, 1, 2, 3], 1, 2, 3, 4, 5, 6)],
      ['gate/router', router([1, 1, 1, 1], 7)],
      ['gone/router', router([1, 1, 1, 1], 8)],
      ['narrower/router', router([1, 1, 2, 2], 1, 2, 3, 4)],
    ])
    const pruned = new Map([
      ['a/router', router([1, 1, 2, 2], 0, 0, 0, 0)],
      ['gate/router', router([1, 1, 1, 1], 0)],
      // It reads fewer channels: what it started with cannot be compared.
      ['narrower/router', router([1, 1, 1, 2], 0, 0)],
      ['new/router', router([1, 1, 1, 1], 0)],
    ])
    const routers = startOfPruned(start, pruned, [{ layer: 'a', kept: [0, 2] }])
    expect([...routers]).toEqual([
      ['a/router', router([1, 1, 2, 2], 1, 3, 4, 6)],
      ['gate/router', router([1, 1, 1, 1], 7)],
    ])
  })
})

const receipt: PruningReceipt = {
  layer: 'patch_moe',
  criterion: 'router-norm',
  scores: [0.1, 0.3, 0.1, 0.2],
  kept: [1, 3],
  removed: [0, 2],
  expertNames: ['1', '3'],
  tied: [],
  operator: 'remove',
  compensate: 'mean',
  ratio: 0.5,
  parameters: { before: 4000, after: 3000 },
  multiplyAdds: { before: 10_000, after: 9000 },
  changedLayers: [],
  difference: 0,
  reference: { path: 'runs/pretrained', norms: [1, 1, 1, 1] },
  warnings: ['look twice'],
}

test('a receipt says what stays and what that saves', () => {
  const record = {
    from: '/runs/whole',
    seed: 1,
    layers: [receipt],
    bytes: { before: 20_000, after: 15_000 },
    accuracy: { before: 0.9, after: 0.875, images: 1200 },
  }
  expect(
    recordText(record),
  ).toBe(`patch_moe: 2 of 4 experts stay (2, 4), chosen by router-norm against runs/pretrained; operator remove, compensated by mean.
Note: look twice

                               before   after  after / before
-----------------------------  ------  ------  --------------
parameters                      4,000   3,000           75.0%
multiply-adds                  10,000   9,000           90.0%
bytes on disk                  20,000  15,000           75.0%
accuracy on 1,200 test images   90.0%   87.5%     -2.5 points

Outputs are those of the unpruned network with the same experts masked, to the last bit.`)
  const kept = { ...receipt, kept: [0, 1, 2, 3], removed: [], tied: [], warnings: [], difference: 2e-7 }
  expect(recordText({ from: '', seed: 1, layers: [kept] })).toMatch(
    /^patch_moe: all 4 experts stay\.[\s\S]*differ by 2\.0e-7 at most from those of the unpruned .*: rounding\.$/,
  )
  const tied = recordText({ from: '', seed: 1, layers: [{ ...receipt, tied: [0, 2, 3] }] })
  expect(tied).toContain('Scores of 3 experts are equal across the cut: the lower numbers stay.')
})

test('a panel shows scores, orders and accuracies by the names of the experts', () => {
  const row = { scores: [1.5e-5, 12.345], order: [0, 1], warnings: ['careful'] }
  const text = panelText({
    layer: 'moe',
    expertNames: ['2', 'sky'],
    criteria: { 'router-norm': { ...row, accuracy: { 1: 0.5 } }, random: { ...row, accuracy: { 1: 0.25 } } },
    refused: { usage: 'it is the same for all' },
    operator: 'zero',
  })
  expect(text).toBe(`moe: 2 experts, operator zero

score        expert 3  expert sky
-----------  --------  ----------
router-norm   1.50e-5        12.3
random        1.50e-5        12.3

goes first to last  experts  1 left
------------------  -------  ------
router-norm           3 sky   50.0%
random                3 sky   25.0%

To be read with care:
  router-norm, random: careful

Not computed:
  usage: it is the same for all`)
})

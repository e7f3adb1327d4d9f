import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { allPlacedLayers } from '../../../src/layers/layer-paths.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { routedModel } from '../../../src/models/routed-model.js'
import { sampleExpertsModel } from '../../../src/models/sample-experts.js'
import { sampleMoEModel } from '../../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../../src/models/two-layer.js'
import { automaticBatchSize } from '../../../src/train/batch-size.js'
import { findLearningRate } from '../../../src/train/find-learning-rate.js'
import { freezeLayers } from '../../../src/train/frozen/frozen-layers.js'
import type { FreezeOptions } from '../../../src/train/frozen/frozen-part.js'
import { train } from '../../../src/train/loop.js'
import { useTestBackend } from '../../backend-under-test.js'
import { brightRows, historyOf, weightsOf } from '../tasks.js'
import { layerValues, residualNetwork, residualTask } from './networks.js'

beforeAll(() => useTestBackend())

/** `layer/weight` of each trained weight. */
function trainedWeights(model: tf.LayersModel, options: FreezeOptions): string[] {
  const frozen = freezeLayers(model, options)
  const trained = new Set(model.trainableWeights)
  const names = allPlacedLayers(model).flatMap(({ path, layer }) =>
    'networks' in layer && path.includes('experts')
      ? layer.weights.filter(weight => trained.has(weight)).map(({ originalName }) => originalName)
      : layer.weights
          .filter(weight => trained.has(weight))
          .map(({ originalName }) => `${path}/${originalName.slice(originalName.lastIndexOf('/') + 1)}`),
  )
  frozen.restore()
  return [...new Set(names)]
}

describe('which weights are trained', () => {
  const of = (options: FreezeOptions) => {
    const model = residualNetwork()
    const names = trainedWeights(model, options)
    model.dispose()
    return names
  }

  it('freezes a layer and those that it is computed from, not those beside it', () => {
    expect(of({ freezeUntil: 'branch' })).toEqual([
      'shortcut/kernel',
      'shortcut/bias',
      'logits/kernel',
      'logits/bias',
    ])
    expect(of({ freezeUntil: 'pool' })).toEqual(['logits/kernel', 'logits/bias'])
  })

  it('trains layers and single weights by pattern, and nothing else', () => {
    expect(of({ trainOnly: ['logits'] })).toEqual(['logits/kernel', 'logits/bias'])
    expect(of({ trainOnly: ['conv*/bias', 'norm2'] })).toEqual([
      'conv1/bias',
      'conv2/bias',
      'norm2/gamma',
      'norm2/beta',
    ])
    expect(of({ trainOnly: ['logits', 'norm2'], freeze: ['norm2'] })).toEqual([
      'logits/kernel',
      'logits/bias',
    ])
  })

  it.each([
    [
      { freezeUntil: 'conv9' },
      'train: freezeUntil must be a layer of the model, got "conv9" (nearest: conv1; layers: image, conv1, norm1, relu1, ' +
        'conv2, norm2, relu2, branch, shortcut, sum, pool, dropout, and 1 more)',
    ],
    [
      { trainOnly: ['head'] },
      'train: trainOnly must match a layer with weights, or one of its weights, got "head" (layers: conv1, norm1, conv2,',
    ],
    [
      { trainOnly: ['logits/scale'] },
      'train: trainOnly must match a layer with weights, or one of its weights, got "logits/scale" (weights of logits: kernel, bias)',
    ],
    [
      { freezeUntil: 'pool', trainOnly: ['logits'] },
      'train: freezeUntil must be left out with trainOnly, got pool and logits',
    ],
    [
      { freezeRouters: true },
      'train: freezeRouters must be for a model with a mixture of experts, got residual',
    ],
  ])('refuses %o and leaves the model as it was', (options, message) => {
    const model = residualNetwork()
    expect(() => freezeLayers(model, options)).toThrow(message)
    expect(model.trainableWeights.length).toBe(14)
    model.dispose()
  })

  it.each([
    [{ freezeUntil: 'logits' }, 'got 0 (of 18 weights, which are frozen by freezeUntil logits)'],
    [
      { trainOnly: ['logits'], freeze: ['log*'] },
      'got 0 (of 18 weights, which are frozen by freeze log* and trainOnly logits)',
    ],
  ])('refuses to train nothing, %o', async (options, message) => {
    const model = residualNetwork()
    await expect(historyOf(train(model, { ...residualTask, ...options }))).rejects.toThrow(
      `train: model must have trainable weights, ${message}`,
    )
    expect(model.trainableWeights.length).toBe(14)
    model.dispose()
  })
})

describe('freezeRouters', () => {
  const cases: readonly (readonly [string, () => tf.LayersModel])[] = [
    [
      'PatchMoE',
      () =>
        tf.sequential({
          layers: [
            tf.layers.inputLayer({ inputShape: [4, 4, 2] }),
            patchMoE({
              filters: 2,
              numExperts: 2,
              patchesPerExpert: 2,
              patchSize: 2,
              kernelSize: 1,
              name: 'moe',
            }),
          ],
        }),
    ],
    [
      'TwoLayerExperts',
      () =>
        twoLayerPatchModel({
          inputShape: [8, 8, 1],
          numClasses: 2,
          patchSize: 4,
          numExperts: 2,
          patchesPerExpert: 2,
          hiddenUnits: 4,
        }),
    ],
    [
      'SampleMoE',
      () => sampleMoEModel({ inputShape: [8, 8, 1], patchSize: 4, numExperts: 2, numClasses: 2 }),
    ],
    [
      'SampleExperts',
      () => sampleExpertsModel({ inputShape: [8, 8, 1], numExperts: 2, filters: 2, numClasses: 2 }),
    ],
    [
      'PatchExperts',
      () =>
        routedModel({
          imageShape: [32, 32, 1],
          numClasses: 2,
          viewScale: 4,
          cellSize: 8,
          patchesPerExpert: 2,
        }).model,
    ],
  ]

  it.each(cases)('of %s freezes its router and nothing else', (_, build) => {
    const model = build()
    const names = () => model.trainableWeights.map(({ originalName }) => originalName)
    const routers = names().filter(name => /\/router(_bias|\/.*)?$/.test(name))
    expect(routers.length).toBeGreaterThan(0)
    const all = names()
    const frozen = freezeLayers(model, { freezeRouters: true })
    expect(names().sort()).toEqual(all.filter(name => !routers.includes(name)).sort())
    frozen.restore()
    expect(names()).toEqual(all)
    model.dispose()
  })
})

describe('normalizations of a frozen part', () => {
  const statistics = (model: tf.LayersModel) => layerValues(model, 'norm1').slice(2)
  const options = { ...residualTask, epochs: 1, bnStatistics: 'moving', freezeUntil: 'sum' } as const

  it('follow the batches where they are to, with weights that stay', async () => {
    const model = residualNetwork()
    const [before, gamma] = [statistics(model), layerValues(model, 'norm1')[0]]
    await historyOf(train(model, options))
    expect(statistics(model)).toEqual(before)
    await historyOf(train(model, { ...options, frozenStatistics: 'followed' }))
    expect(statistics(model)).not.toEqual(before)
    expect(layerValues(model, 'norm1')[0]).toEqual(gamma)
    await expect(
      historyOf(train(model, { ...options, frozenStatistics: 'moved' as 'kept' })),
    ).rejects.toThrow('train: frozenStatistics must be kept or followed, got moved')
    model.dispose()
  })

  it('keeps the optimizer, decay and averages away from what is frozen', async () => {
    const model = residualNetwork()
    const before = layerValues(model, 'conv1')
    const task = {
      ...residualTask,
      train: brightRows(30, 3, 1, 8),
      optimizer: { name: 'adamw', learningRate: 0.1, weightDecay: 0.5 },
    } as const
    await historyOf(train(model, { ...task, trainOnly: ['logits'], emaDecay: 0.5 }))
    expect(layerValues(model, 'conv1')).toEqual(before)
    model.dispose()
  })
})

it('lets searches leave a network as it was, whatever of it is frozen', async () => {
  const model = residualNetwork()
  const before = weightsOf(model)
  const { train: images, optimizer, seed } = residualTask
  const search = { train: images, optimizer, seed, freezeUntil: 'conv2', freeze: ['logits'] }
  await findLearningRate(model, { ...search, batchSize: 8, steps: 10 })
  expect(weightsOf(model)).toEqual(before)
  await automaticBatchSize(model, { ...search, memory: 1e9 })
  expect(weightsOf(model)).toEqual(before)
  model.dispose()
})

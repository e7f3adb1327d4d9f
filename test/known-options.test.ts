import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { explain } from '../src/explain/explain.js'
import { exportOnnx } from '../src/export/onnx/onnx.js'
import { exportSavedModel } from '../src/export/saved-model/saved-model.js'
import { checkOptionNames } from '../src/known-options.js'
import { patchGate } from '../src/layers/moe/patch-gate.js'
import { patchMoE } from '../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../src/layers/moe/sample-moe.js'
import { twoLayerExperts } from '../src/layers/moe/two-layer-experts.js'
import { insertPatchMoE } from '../src/models/insert-patch-moe.js'
import { planPatchMoE } from '../src/models/plan-patch-moe.js'
import { recipe } from '../src/models/recipes.js'
import { sampleMoEModel } from '../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../src/models/two-layer.js'
import { wideResNet } from '../src/models/wide-resnet.js'
import { recomputeStatistics } from '../src/train/bn-statistics.js'
import { evaluate } from '../src/train/evaluate.js'
import { train } from '../src/train/loop.js'
import { trainRouters } from '../src/train/routing/routers.js'
import { recordRouting } from '../src/train/routing/routing-record.js'
import { trainSeparately } from '../src/train/routing/separate.js'
import { useTestBackend } from './backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

describe('checkOptionNames', () => {
  const names = { numExperts: true, patchSize: true, gate: true } as const

  it('lets known and undefined options pass', () => {
    expect(() => checkOptionNames('f', {}, names)).not.toThrow()
    expect(() => checkOptionNames('f', { gate: 1, numExpert: undefined }, names)).not.toThrow()
  })

  it.each([
    [{ numExpert: 4 }, 'f: options must be among those that it has, got numExpert (nearest: numExperts)'],
    [{ numexperts: 4 }, 'f: options must be among those that it has, got numexperts (nearest: numExperts)'],
    [{ patch_size: 4 }, 'f: options must be among those that it has, got patch_size (nearest: patchSize)'],
    [
      { strides: 2, gates: 1 },
      'f: options must be among those that it has, got strides (its options: numExperts, patchSize, gate), ' +
        'gates (nearest: gate)',
    ],
    [{ toString: 1 }, 'got toString (its options'],
    [{ k: 1 }, 'got k (its options'],
  ])('refuses %o', (options, message) => {
    expect(() => checkOptionNames('f', options, names)).toThrow(RangeError)
    expect(() => checkOptionNames('f', options, names)).toThrow(message)
  })

  it.each([
    [undefined, 'undefined'],
    [null, 'null'],
    [3, '3'],
    [[1], 'an array'],
  ])('refuses %o', (value, text) => {
    expect(() => checkOptionNames('f', value as never, names)).toThrow(
      new TypeError(`f: options must be an object, got ${text}`),
    )
  })
})

describe('options of the library', () => {
  const mixture = { numExperts: 2, patchesPerExpert: 3, patchSize: 2 } as const
  const model = () => tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })] })
  const images = {
    images: new Uint8Array(3),
    labels: new Int32Array(1),
    count: 1,
    shape: [1, 1, 3],
    classNames: ['a', 'b'],
  } as never
  const training = {
    train: images,
    epochs: 1,
    batchSize: 1,
    seed: 1,
    optimizer: { name: 'sgd', learningRate: 1 },
  }
  const first = (events: AsyncGenerator<unknown>) => events.next()

  it.each<[string, string, () => unknown]>([
    [
      'PatchMoE',
      'filterz (nearest: filters)',
      () => patchMoE({ ...mixture, filters: 4, filterz: 3 } as never),
    ],
    ['PatchGate', 'numExperts (its options', () => patchGate(mixture as never)],
    [
      'TwoLayerExperts',
      'hiddenUnit (nearest: hiddenUnits)',
      () => twoLayerExperts({ ...mixture, outputs: 2, hiddenUnit: 4 } as never),
    ],
    [
      'SampleMoE',
      'filterPerOutput (nearest: filtersPerOutput)',
      () => sampleMoE({ numExperts: 2, outputs: 2, patchSize: 1, filterPerOutput: 4 } as never),
    ],
    [
      'sampleMoEModel',
      'numExpert (nearest: numExperts)',
      () => sampleMoEModel({ inputShape: [1, 1, 3], numClasses: 2, patchSize: 1, numExpert: 2 } as never),
    ],
    ['wideResNet', 'widenFacter (nearest: widenFactor)', () => wideResNet({ widenFacter: 2 } as never)],
    [
      'wideResNet: pmoe',
      'patchsize (nearest: patchSize)',
      () => wideResNet({ inputShape: [32, 32, 3], numClasses: 2, pmoe: { patchsize: 2 } } as never),
    ],
    ['twoLayerPatchModel', 'hidden (its options', () => twoLayerPatchModel({ hidden: 2 } as never)],
    ['planPatchMoE', 'numExpert (nearest', () => planPatchMoE(model(), { numExpert: 2 } as never)],
    [
      'insertPatchMoE',
      'patchesPerExperts (nearest',
      () => insertPatchMoE(model(), { patchesPerExperts: 2 } as never),
    ],
    ['train', 'epoch (nearest: epochs)', () => first(train(model(), { ...training, epoch: 1 } as never))],
    [
      'optimizer',
      'learningrate (nearest: learningRate)',
      () =>
        first(
          train(
            tf.sequential({
              layers: [
                tf.layers.flatten({ inputShape: [1, 1, 3] }),
                tf.layers.dense({ units: 2, activation: 'softmax' }),
              ],
            }),
            { ...training, optimizer: { name: 'sgd', learningRate: 1, learningrate: 2 } } as never,
          ),
        ),
    ],
    [
      'train: earlyStop',
      'patients (nearest: patience)',
      () => first(train(model(), { ...training, test: images, earlyStop: { patients: 1 } } as never)),
    ],
    [
      'train',
      'batchsize (nearest',
      () => first(trainSeparately(model(), { ...training, batchsize: 1 } as never)),
    ],
    [
      'trainRouters',
      'epoch (nearest',
      () => first(trainRouters(model(), { train: images, seed: 1, epoch: 1 } as never)),
    ],
    ['evaluate', 'treshold (nearest: threshold)', () => evaluate(model(), images, { treshold: 1 } as never)],
    ['recordRouting', 'batch (its options', () => recordRouting(model(), images, { batch: 1 } as never)],
    [
      'recomputeStatistics',
      'example (nearest',
      () => recomputeStatistics(model(), images, { example: 1 } as never),
    ],
    [
      'explain',
      'sensitive (nearest',
      () => explain(model(), new Uint8Array(3), [1, 1, 3], { sensitive: 1 } as never),
    ],
    ['exportOnnx', 'layouts (nearest: layout)', () => exportOnnx(model(), { layouts: 1 } as never)],
    ['exportSavedModel', 'pixel (nearest: pixels)', () => exportSavedModel(model(), { pixel: 1 } as never)],
  ])('%s refuses %s', async (where, got, call) => {
    await expect((async () => call())()).rejects.toThrow(
      `${where}: options must be among those that it has, got ${got}`,
    )
  })

  it.each([
    { strides: 2 },
    { strides: [1, 2] },
    { padding: 'valid' },
    { dilationRate: 2 },
    { dataFormat: 'channelsFirst' },
    { groups: 2 },
  ])('patchMoE has no %o of conv2d', option => {
    const [[name, value]] = Object.entries(option) as [[string, unknown]]
    expect(() => patchMoE({ ...mixture, filters: 4, ...option } as never)).toThrow(
      new RegExp(`^PatchMoE: ${name} must be \\S+, got ${value} \\(it keeps the size of its map\\)$`),
    )
  })

  it('are those of tfjs layers as well, and what a PatchMoE does anyway', () => {
    const same = { strides: [1, 1], padding: 'same', dilationRate: 1, dataFormat: 'channelsLast', groups: 1 }
    const ofLayers = { name: 'a', trainable: false, inputShape: [8, 8, 3], dtype: 'float32', batchSize: 2 }
    const layer = patchMoE({ ...mixture, filters: 4, ...same, ...ofLayers } as never)
    expect([layer.name, layer.trainable, layer.batchInputShape]).toEqual(['a', false, [2, 8, 8, 3]])
  })

  it.each([
    ['PatchMoE', () => patchMoE({ ...mixture, filters: 4, inputShape: [8, 8, 3] } as never)],
    ['PatchGate', () => patchGate({ patchesPerExpert: 3, patchSize: 2, inputShape: [8, 8, 3] } as never)],
    [
      'TwoLayerExperts',
      () => twoLayerExperts({ ...mixture, hiddenUnits: 4, outputs: 2, inputShape: [8, 8, 3] }),
    ],
  ])('of %s include all of its configuration, as models load it', async (_, make) => {
    const before = tf.sequential({ layers: [make()] })
    const artifacts = await new Promise<tf.io.ModelArtifacts>(resolve => {
      void before.save(
        tf.io.withSaveHandler(async saved => {
          resolve(saved)
          return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
        }),
      )
    })
    const after = await tf.loadLayersModel(tf.io.fromMemory(artifacts))
    // JSON has no undefined: tfjs stores it as null.
    const config = (model: tf.LayersModel) =>
      JSON.stringify(model.layers[0]?.getConfig(), (_, value) => (value === undefined ? null : value))
    expect(config(after)).toEqual(config(before))
  })

  it('of a recipe go to its own network only', () => {
    const { model: two } = recipe('digits-patches', 'two-layer')
    const { model: wide } = recipe('cifar10', 'wrn')
    expect(() => wideResNet({ ...two, inputShape: [8, 8, 1], numClasses: 2 } as never)).toThrow(
      /^wideResNet: /,
    )
    expect(() => twoLayerPatchModel({ ...wide, inputShape: [8, 8, 1], numClasses: 2 } as never)).toThrow(
      /^twoLayerPatchModel: /,
    )
    expect(() => twoLayerPatchModel({ kind: 'wide-resnet', numClasses: 2 } as never)).toThrow(
      `twoLayerPatchModel: kind must be 'two-layer', got "wide-resnet"`,
    )
    expect(() => wideResNet({ oneLogit: true, numClasses: 2, inputShape: [8, 8, 1] } as never)).toThrow(
      'wideResNet: numClasses must be 1 where oneLogit is true, got 2',
    )
  })
})

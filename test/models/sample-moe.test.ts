import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { isSampleRouting, routingLayers, sampleRoutingLayers } from '../../src/layers/moe/routing-layers.js'
import type { SampleMoE } from '../../src/layers/moe/sample-moe.js'
import { rebuildModel } from '../../src/models/rebuild.js'
import { type SampleMoEModelOptions, sampleMoEModel } from '../../src/models/sample-moe.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor } from '../layers/random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const OPTIONS: SampleMoEModelOptions = {
  inputShape: [4, 4, 2],
  patchSize: 2,
  numExperts: 3,
  filtersPerOutput: 2,
  numClasses: 2,
  initialScale: 1,
  routerInitializer: tf.initializers.randomNormal({ stddev: 0.5, seed: 3 }),
}

const modelOf = (options: Partial<SampleMoEModelOptions> = {}) => sampleMoEModel({ ...OPTIONS, ...options })
const mixtureOf = (model: tf.LayersModel) => model.getLayer('logits') as SampleMoE
const samples = (count = 6) => drawTensor<tf.Tensor4D>([count, 4, 4, 2], 3)
const answers = (model: tf.LayersModel, x = samples()) =>
  Array.from((model.predict(x) as tf.Tensor).dataSync())
const weightsOf = (model: tf.LayersModel) => model.getWeights().map(weight => Array.from(weight.dataSync()))

describe('sampleMoEModel', () => {
  it('ends in the probabilities of each class, or in one logit', () => {
    const model = modelOf()
    const logits = mixtureOf(model).apply(samples()) as tf.Tensor
    expectAllClose(answers(model), tf.softmax(logits).dataSync())
    const single = modelOf({ numClasses: 1 })
    expect(single.outputShape).toEqual([null, 1])
    expect(answers(single).some(logit => logit < 0)).toBe(true)
  })

  it('has with one expert and gate uniform the single model: sums of its filters', () => {
    const model = modelOf({ numExperts: 1, gate: 'uniform', filtersPerOutput: 3 })
    const [, kernel, bias] = model.getWeights() as [tf.Tensor, tf.Tensor4D, tf.Tensor1D]
    const maps = tf.conv2d(samples(), kernel, 2, 'valid')
    const filters = tf.sum(tf.pow(tf.add(maps, bias), 3), [1, 2])
    const logits = tf.sum(tf.reshape(filters, [6, 2, 3]), 2)
    expectAllClose((mixtureOf(model).apply(samples()) as tf.Tensor).dataSync(), logits.dataSync())
  })

  it('starts by its seed and scale', () => {
    expect(weightsOf(modelOf({ seed: 1 }))).toEqual(weightsOf(modelOf({ seed: 1 })))
    expect(weightsOf(modelOf({ seed: 1 }))[1]).not.toEqual(weightsOf(modelOf({ seed: 2 }))[1])
    const largest = (scale: number) =>
      Math.max(
        ...weightsOf(modelOf({ initialScale: scale, filtersPerOutput: 50 }))
          .slice(1)
          .flat()
          .map(Math.abs),
      )
    for (const scale of [1e-3, 1]) {
      expect(largest(scale)).toBeLessThanOrEqual(scale / Math.sqrt(8))
      expect(largest(scale)).toBeGreaterThan((0.9 * scale) / Math.sqrt(8))
    }
  })

  it('learns in fit, with noise of its own', async () => {
    const model = modelOf({ initialScale: 0.3 })
    const x = samples(40)
    const bright = tf.greater(tf.sum(x, [1, 2, 3]), 0)
    const y = tf.oneHot(tf.cast(bright, 'int32'), 2)
    model.compile({ optimizer: tf.train.adam(0.02), loss: 'categoricalCrossentropy' })
    const { history } = await model.fit(x, y, { epochs: 30, verbose: 0 })
    const losses = history.loss as number[]
    expect(losses.at(-1)).toBeLessThan(losses[0]! * 0.8)
  })

  it('is saved and loaded whole', async () => {
    const model = modelOf({ expertNames: ['2', '5', '6'], gate: 'raw', activation: 'relu' })
    let saved: tf.io.ModelArtifacts | undefined
    await model.save(
      tf.io.withSaveHandler(async artifacts => {
        saved = JSON.parse(JSON.stringify({ ...artifacts, weightData: undefined }))
        saved!.weightData = artifacts.weightData as ArrayBuffer
        return { modelArtifactsInfo: { dateSaved: new Date(), modelTopologyType: 'JSON' } }
      }),
    )
    const loaded = await tf.loadLayersModel(tf.io.fromMemory(saved!))
    expect(answers(loaded)).toEqual(answers(model))
    expect(mixtureOf(loaded).getConfig()).toEqual(mixtureOf(model).getConfig())
    expect(mixtureOf(loaded).expertNames).toEqual(['2', '5', '6'])
  })

  it('is built again with the same weights and shares nothing', () => {
    const model = modelOf()
    const rebuilt = rebuildModel(model, new Map(), 'T')
    expect(answers(rebuilt)).toEqual(answers(model))
    mixtureOf(model).setWeights(mixtureOf(model).getWeights().map(tf.zerosLike))
    expect(answers(rebuilt)).not.toEqual(answers(model))
  })

  it('refuses', () => {
    expect(() => modelOf({ numClasses: 0 })).toThrow(
      new RangeError('sampleMoEModel: numClasses must be a positive integer, got 0'),
    )
    expect(() => modelOf({ initialScale: 0 })).toThrow(
      new RangeError('sampleMoEModel: initialScale must be in (0, Infinity), got 0'),
    )
    expect(() => modelOf({ numExperts: 0 })).toThrow(
      new RangeError('SampleMoE: numExperts must be a positive integer, got 0'),
    )
    expect(() => modelOf({ patchSize: 3 })).toThrow(
      new RangeError('SampleMoE: patchSize must divide the map, got 3x3 (map 4x4)'),
    )
    expect(() => modelOf({ expert: 3 } as object)).toThrow(/^sampleMoEModel: options must be among/)
    expect(() => sampleMoEModel({ ...OPTIONS, kind: 'two-layer' } as SampleMoEModelOptions)).toThrow(
      new RangeError(`sampleMoEModel: kind must be 'sample-moe', got "two-layer"`),
    )
  })
})

describe('sampleRoutingLayers', () => {
  it('are the layers that send samples to experts, in nested models too', () => {
    const inner = modelOf()
    const outer = tf.sequential({ layers: [inner] })
    expect(sampleRoutingLayers(outer)).toEqual([inner.getLayer('logits')])
    expect(inner.layers.map(isSampleRouting)).toEqual([false, true, false])
    expect(routingLayers(inner)).toBeUndefined()
    expect(
      sampleRoutingLayers(tf.sequential({ layers: [tf.layers.flatten({ inputShape: [2, 2, 1] })] })),
    ).toEqual([])
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import type { TwoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { type TwoLayerPatchModelOptions, twoLayerPatchModel } from '../../src/models/two-layer.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const OPTIONS: TwoLayerPatchModelOptions = {
  inputShape: [8, 12, 2],
  patchSize: 4,
  numExperts: 2,
  patchesPerExpert: 3,
  hiddenUnits: 10,
  numClasses: 4,
}

function modelOf(options: Partial<TwoLayerPatchModelOptions> = {}): tf.LayersModel {
  return twoLayerPatchModel({ ...OPTIONS, ...options })
}

const weightsOf = (model: tf.LayersModel) => model.getWeights().map(weight => Array.from(weight.dataSync()))
const logitsLayer = (model: tf.LayersModel) => model.getLayer('logits') as TwoLayerExperts
const images = () => tf.randomNormal([5, 8, 12, 2], 0, 1, 'float32', 3)

describe('twoLayerPatchModel', () => {
  it('ends in the probabilities of each class', () => {
    const model = modelOf({ routerInitializer: 'randomNormal' })
    const x = images()
    const probabilities = model.predict(x) as tf.Tensor2D
    const logits = (logitsLayer(model).apply(x) as tf.Tensor2D).arraySync()
    const expected = logits.map(row => {
      const total = row.reduce((sum, logit) => sum + Math.exp(logit), 0)
      return row.map(logit => Math.exp(logit) / total)
    })
    expect(probabilities.shape).toEqual([5, 4])
    expectAllClose(probabilities.arraySync(), expected)
  })

  it('of one class is its logit, of either sign', () => {
    const model = modelOf({ numClasses: 1, headInitializer: 'ones' })
    const flipped = modelOf({
      numClasses: 1,
      headInitializer: tf.initializers.constant({ value: -1 }),
    })
    const x = images()
    const logits = model.predict(x) as tf.Tensor2D
    expect(logits.shape).toEqual([5, 1])
    expect(tf.min(logits).arraySync()).toBeGreaterThan(0)
    expectAllClose((flipped.predict(x) as tf.Tensor).dataSync(), tf.neg(logits).dataSync())
  })

  it('of one expert that keeps all patches, gate uniform, is the CNN of eq. (5)', () => {
    const model = modelOf({ numClasses: 1, numExperts: 1, patchesPerExpert: 6, gate: 'uniform' })
    const [, kernel, head] = model.getWeights() as [tf.Tensor, tf.Tensor4D, tf.Tensor2D]
    const x = images() as tf.Tensor4D
    const hidden = tf.mean(tf.relu(tf.conv2d(x, kernel, [4, 4], 'valid')), [1, 2]) as tf.Tensor2D
    expectAllClose((model.predict(x) as tf.Tensor).dataSync(), tf.matMul(hidden, head).dataSync())
  })

  it('has the weights of the contract, of which the head is frozen', () => {
    const model = modelOf()
    const named = (weights: readonly tf.LayerVariable[]) =>
      weights.map(weight => [weight.originalName, weight.shape])
    const router = ['logits/router', [4, 4, 2, 2]]
    const kernel = ['logits/kernel', [4, 4, 2, 10]]
    expect(named(logitsLayer(model).weights)).toEqual([router, kernel, ['logits/head', [10, 4]]])
    expect(named(model.trainableWeights)).toEqual([router, kernel])
    expect(named(modelOf({ routerTrainable: false }).trainableWeights)).toEqual([kernel])
    expect(model.countParams()).toBe(4 * 4 * 2 * 2 + 4 * 4 * 2 * 10 + 10 * 4)
  })

  it('starts from the same numbers for the same seed, from others for another', () => {
    const start = weightsOf(modelOf({ seed: 5 }))
    expect(weightsOf(modelOf({ seed: 5 }))).toEqual(start)
    expect(weightsOf(modelOf({}))).toEqual(weightsOf(modelOf({ seed: 0 })))
    weightsOf(modelOf({ seed: 6 })).forEach((numbers, i) => {
      expect(numbers).not.toEqual(start[i])
    })
  })

  it('starts with a tiny router, a kernel of N(0, 1/m) and a head of N(0, 1)', () => {
    const model = modelOf({
      inputShape: [16, 16, 4],
      patchSize: 8,
      hiddenUnits: 64,
      numExperts: 16,
      numClasses: 32,
    })
    const deviations = weightsOf(model).map(
      numbers => Math.sqrt(numbers.reduce((sum, value) => sum + value ** 2, 0) / numbers.length) as number,
    )
    // At least 2,048 numbers each, so that a deviation is known to within 5 %.
    expectAllClose(deviations, [1e-4, 1 / 8, 1], 0.05, 0)
  })

  it('learns, and leaves the head alone', async () => {
    const model = modelOf({ hiddenUnits: 16, seed: 1 })
    model.compile({ optimizer: tf.train.sgd(0.3), loss: 'sparseCategoricalCrossentropy' })
    const [router, kernel, head] = weightsOf(model)
    const labels = tf.tensor1d([0, 1, 2, 3, 0])
    const { history } = await model.fit(images(), labels, { epochs: 15, shuffle: false, verbose: 0 })
    const losses = history.loss as number[]
    expect(losses.at(-1)).toBeLessThan((losses[0] as number) * 0.8)
    const after = weightsOf(model)
    expect(after[0]).not.toEqual(router)
    expect(after[1]).not.toEqual(kernel)
    expect(after[2]).toEqual(head)
  })

  it.each([
    [{ numClasses: 0 }, 'twoLayerPatchModel: numClasses must be a positive integer, got 0'],
    [{ numClasses: 2.5 }, 'twoLayerPatchModel: numClasses must be a positive integer, got 2.5'],
    [{ hiddenUnits: 7 }, 'TwoLayerExperts: hiddenUnits must be a multiple of numExperts, got 7 (2 experts)'],
    [{ patchSize: 5 }, 'TwoLayerExperts: patchSize must divide the map, got 5x5 (map 8x12)'],
    [
      { patchesPerExpert: 7 },
      'TwoLayerExperts: patchesPerExpert must be an integer in [1, 6], got 7 (6 patches: 8x12 map in 4x4 patches)',
    ],
  ])('refuses %j', (options, message) => {
    expect(() => modelOf(options)).toThrow(new RangeError(message))
  })
})

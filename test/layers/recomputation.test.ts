import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { batchNormalization } from '../../src/layers/batch-norm.js'
import { convolution } from '../../src/layers/convolution.js'
import { recomputeActivations } from '../../src/layers/recomputation.js'
import { relu } from '../../src/layers/relu.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => {
  recomputeActivations(false)
  tf.engine().endScope()
})

const pmoe = { numExperts: 2, patchesPerExpert: 4, patchSize: 1 }

/** Gradients of a network's weights, its moving averages, and the maps that are kept for the backward pass. */
function pass(model: tf.LayersModel): { gradients: number[][]; moving: number[][]; kept: number } {
  const x = tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 1)
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  let kept = 0
  const { grads } = tf.variableGrads(() => {
    const before = tf.memory().numDataBuffers
    const loss = tf.tidy(
      () => tf.sum(tf.square(model.apply(x, { training: true }) as tf.Tensor)) as tf.Scalar,
    )
    kept = tf.memory().numDataBuffers - before
    return loss
  }, variables)
  return {
    gradients: variables.map(({ name }) => Array.from(grads[name]?.dataSync() ?? [])),
    moving: model.nonTrainableWeights.map(weight => Array.from(weight.read().dataSync())),
    kept,
  }
}

describe('recomputing activations', () => {
  it.each(['sparse', 'drop-in', 'authors'] as const)('changes no number of a network, %s', variant => {
    const build = () =>
      wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe, variant, seed: 2 })
    const kept = pass(build())
    recomputeActivations(true)
    const again = pass(build())
    expect(again.gradients).toEqual(kept.gradients)
    expect(again.moving).toEqual(kept.moving)
  })

  it('keeps none of the outputs of BatchNorm-ReLU', () => {
    const build = () => wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, seed: 2 })
    const kept = pass(build()).kept
    recomputeActivations(true)
    const again = pass(build()).kept
    // Seven ReLUs; the mean that follows the last keeps nothing of it either.
    expect(kept - again).toBe(7)
  })
})

describe('Convolution', () => {
  it.each([
    [{ filters: 4, kernelSize: 3, strides: 2, padding: 'same' }],
    [{ filters: 2, kernelSize: [3, 1], padding: 'valid', useBias: false }],
    [{ filters: 2, kernelSize: 1, activation: 'tanh' }],
    [{ filters: 2, kernelSize: 3, dilationRate: 2 }],
  ] as [Parameters<typeof convolution>[0]][])('equals tfjs’s own, value and gradients: %j', options => {
    const x = tf.randomNormal([2, 7, 6, 3], 0, 1, 'float32', 5)
    const [ours, standard] = [convolution(options), tf.layers.conv2d(options)]
    const [y, expected] = [ours.apply(x) as tf.Tensor, standard.apply(x) as tf.Tensor]
    ours.setWeights(standard.getWeights())
    expect((ours.apply(x) as tf.Tensor).dataSync()).toEqual(expected.dataSync())
    expect(ours.getClassName()).toBe(standard.getClassName())
    if (options.dilationRate) return
    const cotangent = tf.randomNormal(y.shape, 0, 1, 'float32', 6)
    const gradientsOf = (layer: tf.layers.Layer) => {
      const variables = layer.weights.map(weight => weight.read() as tf.Variable)
      const loss = (input: tf.Tensor) =>
        tf.sum(tf.mul(layer.apply(input) as tf.Tensor, cotangent)) as tf.Scalar
      const { grads } = tf.variableGrads(() => loss(x), variables)
      return [tf.grad(loss)(x), ...variables.map(({ name }) => grads[name] as tf.Tensor)]
    }
    const found = gradientsOf(ours)
    for (const [i, gradient] of gradientsOf(standard).entries()) {
      expectAllClose((found[i] as tf.Tensor).dataSync(), gradient.dataSync())
    }
  })

  it('learns the same behind BatchNorm and ReLU that are computed again', () => {
    const x = tf.randomNormal([2, 4, 4, 2], 3, 2, 'float32', 7)
    const layers = [batchNormalization(), relu(), convolution({ filters: 3, kernelSize: 3, padding: 'same' })]
    const forward = () => layers.reduce((y, layer) => layer.apply(y, { training: true }) as tf.Tensor, x)
    forward()
    const variables = layers.flatMap(layer =>
      layer.trainableWeights.map(weight => weight.read() as tf.Variable),
    )
    const gradients = () => {
      const { grads } = tf.variableGrads(() => tf.sum(tf.square(forward())) as tf.Scalar, variables)
      return variables.map(({ name }) => Array.from(grads[name]?.dataSync() ?? []))
    }
    const kept = gradients()
    recomputeActivations(true)
    expect(gradients()).toEqual(kept)
  })
})

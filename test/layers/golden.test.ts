import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, it } from 'vitest'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { golden } from './golden-values.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

describe('PatchGate equals the published gates', () => {
  it.each([
    ['gate_selected_mnist', 'softmax-selected', 28, 6],
    ['gate_all_celeba', 'softmax-all', 4, 2],
    ['gate_all_cifar', 'softmax-all', 1, 16],
  ] as const)('%s', (name, gate, patchSize, patchesPerExpert) => {
    const value = golden(name)
    const layer = patchGate({ patchSize, patchesPerExpert, gate })
    const x = value('x')
    layer.apply(x)
    layer.setWeights([value('router')])
    const loss = (input: tf.Tensor) =>
      tf.sum(tf.mul(layer.apply(input) as tf.Tensor, value('cotangent'))) as tf.Scalar
    const router = layer.weights[0]?.read() as tf.Variable
    expectAllClose((layer.apply(x) as tf.Tensor).dataSync(), value('y').dataSync())
    expectAllClose(tf.grad(loss)(x).dataSync(), value('dx').dataSync(), 1e-3)
    const { grads } = tf.variableGrads(() => loss(x), [router])
    expectAllClose((grads[router.name] as tf.Tensor).dataSync(), value('drouter').dataSync(), 1e-3)
  })
})

describe('TwoLayerExperts equals the published joint model', () => {
  it.each([
    ['two_layer_joint_mnist', 8, 6, 40, 28],
    ['two_layer_joint_small', 4, 3, 12, 7],
  ] as const)('%s', (name, numExperts, patchesPerExpert, hiddenUnits, patchSize) => {
    const value = golden(name)
    const layer = twoLayerExperts({
      numExperts,
      patchesPerExpert,
      hiddenUnits,
      patchSize,
      outputs: 1,
      normalizer: 'all',
    })
    const x = value('x')
    layer.apply(x)
    // There (K,P,P,1,neurons); here (P,P,1,K neurons), expert by expert.
    const router = tf.reshape(tf.transpose(value('router'), [1, 2, 3, 0, 4]), [
      patchSize,
      patchSize,
      1,
      numExperts,
    ])
    const kernel = tf.reshape(tf.transpose(value('expert'), [1, 2, 3, 0, 4]), [
      patchSize,
      patchSize,
      1,
      hiddenUnits,
    ])
    layer.setWeights([router, kernel, value('output')])
    const logits = () => tf.reshape(layer.apply(x) as tf.Tensor, [-1])
    expectAllClose(logits().dataSync(), value('logits').dataSync())

    const labels = tf.reshape(value('labels'), [-1])
    const variables = [layer.weights[0]?.read() as tf.Variable, layer.weights[1]?.read() as tf.Variable]
    const { value: loss, grads } = tf.variableGrads(
      () => tf.losses.sigmoidCrossEntropy(labels, logits()) as tf.Scalar,
      variables,
    )
    expectAllClose(loss.dataSync(), value('loss').dataSync())
    const back = (gradient: tf.Tensor) =>
      tf
        .transpose(tf.reshape(gradient, [patchSize, patchSize, 1, numExperts, -1]), [3, 0, 1, 2, 4])
        .dataSync()
    expectAllClose(
      back(grads[(variables[0] as tf.Variable).name] as tf.Tensor),
      value('drouter').dataSync(),
      1e-3,
    )
    expectAllClose(
      back(grads[(variables[1] as tf.Variable).name] as tf.Tensor),
      value('dexpert').dataSync(),
      1e-3,
    )
  })
})

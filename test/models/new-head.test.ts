import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { withFasterLayers } from '../../src/models/faster-layers.js'
import { withNewHead } from '../../src/models/new-head.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  applied,
  fillWeights,
  mobileNetLike,
  nestedModel,
  outputsOf,
  siameseModel,
  uniform,
  vggLike,
} from './example-models.js'
import { keep } from './kept-models.js'

beforeAll(async () => {
  await useTestBackend()
})

function weightsOf(model: tf.LayersModel, path: string): number[] {
  return model.weights
    .filter(({ originalName }) => originalName.includes(path))
    .flatMap(weight => [...weight.read().dataSync()])
}

describe('withNewHead', () => {
  it.each([
    ['a Dense with softmax', vggLike, 'head', 'conv3'],
    ['a 1x1 convolution and a Reshape', mobileNetLike, 'predictions', 'block2_pw'],
    ['a Dense behind a nested model', nestedModel, 'head', 'conv'],
  ])('replaces %s and keeps the rest', (_, build, path, other) => {
    const model = keep(build())
    const head = withNewHead(model, 2, 5)
    keep(head.model)
    expect(head.path).toBe(path)
    expect(head.model.outputs[0]?.shape).toEqual([null, 2])
    expect(weightsOf(head.model, other)).toEqual(weightsOf(model, other))
    const again = keep(withNewHead(model, 2, 5).model)
    expect(weightsOf(again, path)).toEqual(weightsOf(head.model, path))
    expect(weightsOf(keep(withNewHead(model, 2, 6).model), path)).not.toEqual(weightsOf(again, path))
  })

  it('finds a head inside a nested model', () => {
    const inner = tf.input({ shape: [4], name: 'features' })
    const classifier = tf.model({
      inputs: inner,
      outputs: applied(tf.layers.dense({ units: 3, name: 'logits' }), inner),
      name: 'classifier',
    })
    const image = tf.input({ shape: [2, 2, 1], name: 'image' })
    const flat = applied(tf.layers.flatten({ name: 'flat' }), image)
    const model = keep(tf.model({ inputs: image, outputs: classifier.apply(flat) as tf.SymbolicTensor }))
    const head = withNewHead(model, 7, 1)
    keep(head.model)
    expect([head.path, head.model.outputs[0]?.shape]).toEqual(['classifier/logits', [null, 7]])
  })

  it('says what is no head', () => {
    expect(() => withNewHead(keep(vggLike()), 0, 1)).toThrow(
      'withNewHead: outputs must be a positive integer, got 0',
    )
    expect(() => withNewHead(keep(siameseModel()), 2, 1)).toThrow(
      'withNewHead: model must have one output, got 2',
    )
    const normed = tf.sequential({
      layers: [tf.layers.dense({ units: 3, inputShape: [2] }), tf.layers.batchNormalization({ name: 'bn' })],
    })
    expect(() => withNewHead(keep(normed), 2, 1)).toThrow(
      'withNewHead: the last layer with weights must be a Dense or Conv2D, got BatchNormalization (bn)',
    )
    const input = tf.input({ shape: [2] })
    const dense = ['a', 'b'].map(name => applied(tf.layers.dense({ units: 3, name }), input))
    const sum = tf.model({ inputs: input, outputs: applied(tf.layers.add({ name: 'sum' }), dense) })
    expect(() => withNewHead(keep(sum), 2, 1)).toThrow(
      'withNewHead: layers behind the last one with weights must have one input, got 2 (layer sum)',
    )
  })
})

describe('withFasterLayers', () => {
  it('computes the same, in training too, with the layers of this library', () => {
    const plain = keep(fillWeights(mobileNetLike()))
    const faster = keep(withFasterLayers(plain))
    const x = uniform([2, 32, 32, 3])
    expectAllClose(outputsOf(faster, [x])[0] as number[], outputsOf(plain, [x])[0] as number[], 1e-4, 1e-6)
    const [a, b] = [plain, faster].map(model =>
      tf.tidy(() => (model.apply(x, { training: true }) as tf.Tensor).dataSync()),
    )
    expectAllClose(b as Float32Array, a as Float32Array, 1e-4, 1e-5)
    x.dispose()
    const own = wideResNet({ inputShape: [16, 16, 3], numClasses: 2, widenFactor: 1 })
    const classes = new Set(keep(own).layers.map(layer => layer.constructor))
    for (const name of ['conv1', 'conv1_bn', 'pool'])
      expect(classes).toContain(faster.getLayer(name).constructor)
    // Those of a MobileNet are cut at 6: tfjs's own.
    expect(faster.getLayer('conv1_relu').constructor).toBe(plain.getLayer('conv1_relu').constructor)
  })
})

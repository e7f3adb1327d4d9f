import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { wideResNet } from '../../../src/models/wide-resnet.js'
import { cutPoints, splitModel } from '../../../src/train/frozen/split-model.js'
import { useTestBackend } from '../../backend-under-test.js'
import { residualNetwork } from './networks.js'

beforeAll(() => useTestBackend())

describe('splitModel', () => {
  it('gives parts that compute what the network does, at every place where it can be cut', () => {
    const model = wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, seed: 2 })
    const x = tf.randomUniform([2, 16, 16, 3], 0, 1, 'float32', 3)
    const whole = [...(model.predict(x) as tf.Tensor).dataSync()]
    const cuts = cutPoints(model)
    expect(cuts.length).toBe(9)
    for (const { tensor } of cuts) {
      const { body, head, featureShape, path } = splitModel(model, tensor.sourceLayer.name)
      const features = body.predict(x) as tf.Tensor
      expect(features.shape.slice(1), path).toEqual(featureShape)
      const outputs = [...head(features, false).dataSync()]
      for (const [i, value] of outputs.entries()) expect(value, path).toBeCloseTo(whole[i] as number, 5)
    }
    model.dispose()
  })

  it('shares the layers of the network, and adds no call of them', () => {
    const model = residualNetwork()
    const { body } = splitModel(model, 'relu2')
    expect(body.getLayer('conv1')).toBe(model.getLayer('conv1'))
    expect(model.layers.map(layer => layer.inboundNodes.length)).toEqual(model.layers.map(() => 1))
    model.dispose()
  })

  it.each([
    [
      'branch',
      'splitModel: path must be a layer after which a single tensor passes, got branch: 2 tensors pass there, the outputs of ' +
        'relu2, branch (the network can be cut after relu2 or sum)',
    ],
    [
      'pol',
      'splitModel: path must be a layer of the model, got "pol" (nearest: pool; layers: image, conv1, norm1',
    ],
    ['relu', 'splitModel: path must be a layer of the model, got "relu" (nearest: relu1; layers'],
  ])('refuses %s and says where it can be cut', (path, message) => {
    const model = residualNetwork()
    expect(() => splitModel(model, path)).toThrow(message)
    model.dispose()
  })

  it('cuts inside nested models, and refuses a name that two layers have', () => {
    const relu = (name: string) => tf.layers.dense({ units: 3, activation: 'relu', name })
    const deepest = tf.sequential({
      name: 'deepest',
      layers: [tf.layers.dense({ units: 3, inputShape: [3] }), relu('inner')],
    })
    const a = tf.input({ shape: [4] })
    const sum = tf.layers
      .add({ name: 'sum' })
      .apply([
        relu('left').apply(a) as tf.SymbolicTensor,
        deepest.apply(relu('right').apply(a)) as tf.SymbolicTensor,
      ]) as tf.SymbolicTensor
    const base = tf.model({ inputs: a, outputs: relu('inner').apply(sum) as tf.SymbolicTensor, name: 'base' })
    const input = tf.input({ shape: [2] })
    const features = base.apply(
      tf.layers.dense({ units: 4, name: 'first' }).apply(input),
    ) as tf.SymbolicTensor
    const outputs = tf.layers.dense({ units: 2, name: 'logits' }).apply(features) as tf.SymbolicTensor
    const model = tf.model({ inputs: input, outputs })
    const x = tf.randomUniform([5, 2], 0, 1, 'float32', 2)
    const whole = [...(model.predict(x) as tf.Tensor).dataSync()]
    for (const path of ['first', 'base/sum', 'base', 'logits']) {
      const split = splitModel(model, path)
      expect(split.path).toBe(path)
      const outputs = split.head(split.body.predict(x) as tf.Tensor, false)
      expect([...outputs.dataSync()], path).toEqual(whole)
    }
    expect(() => splitModel(model, 'base/deepest/inner')).toThrow(
      'splitModel: path must be a layer after which a single tensor passes, got base/deepest/inner: 2 tensors pass there, the ' +
        'outputs of base/left, base/deepest (the network can be cut after first or base/sum)',
    )
    expect(() => splitModel(model, 'inner')).toThrow(
      'splitModel: path must be the path of one layer, got inner (that of base/deepest/inner, base/inner)',
    )
    // The layers of the model that a sequential one begins with stand in its own graph.
    const sequential = tf.sequential({ layers: [deepest, tf.layers.dense({ units: 1 })] })
    for (const path of ['deepest', 'deepest/inner'])
      expect(splitModel(sequential, path).path).toBe('deepest/inner')
    model.dispose()
  })

  it('cuts after a network that was called as Keras calls one that is not to be trained', () => {
    const base = tf.sequential({ name: 'base', layers: [tf.layers.dense({ units: 2, inputShape: [3] })] })
    const input = tf.input({ shape: [3] })
    const features = base.apply(input, { training: false }) as tf.SymbolicTensor
    const logits = tf.layers.dense({ units: 2, name: 'logits' }).apply(features) as tf.SymbolicTensor
    const model = tf.model({ inputs: input, outputs: logits })
    const x = tf.randomUniform([4, 3], 0, 1, 'float32', 2)
    const { body, head } = splitModel(model, 'base')
    const whole = [...(model.predict(x) as tf.Tensor).dataSync()]
    expect([...head(body.predict(x) as tf.Tensor, false).dataSync()]).toEqual(whole)
    model.dispose()
  })

  it('refuses models of several inputs, with numbers', () => {
    const inputs = [tf.input({ shape: [2] }), tf.input({ shape: [2] })]
    const sum = tf.layers.add({ name: 'sum' }).apply(inputs) as tf.SymbolicTensor
    const model = tf.model({ inputs, outputs: sum, name: 'two' })
    expect(() => splitModel(model, 'sum')).toThrow(
      'splitModel: path must be a layer after which a single tensor passes, got sum: two has several inputs, layers with several',
    )
    expect(cutPoints(model)).toEqual([])
  })
})

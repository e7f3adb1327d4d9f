import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { lossOf } from '../../src/train/loss.js'
import { useTestBackend } from '../backend-under-test.js'
import { twoByTwo } from './several-inputs.js'

beforeAll(() => useTestBackend())

/** A model whose logits are its two (or one) inputs, times `scale`, before the given last layer. */
function identityModel(units: number, last?: tf.layers.Layer, scale = 1): tf.LayersModel {
  const model = tf.sequential()
  model.add(tf.layers.flatten({ inputShape: [1, 1, units] }))
  const kernel = tf.tidy(() => tf.eye(units).mul(scale))
  model.add(tf.layers.dense({ units, useBias: false, weights: [kernel] }))
  if (last) model.add(last)
  return model
}

/** The model as one layer of another. */
function wrapped(inner: tf.LayersModel): tf.LayersModel {
  const input = tf.input({ shape: inner.inputs[0]?.shape.slice(1) ?? [] })
  return tf.model({ inputs: input, outputs: inner.apply(input) as tf.SymbolicTensor })
}

function lossAt(model: tf.LayersModel, x: number[][], labels: number[]): number {
  const classifier = lossOf(model)
  return tf.tidy(() => {
    const logits = classifier.logits(tf.tensor(x).reshape([x.length, 1, 1, -1]), false)
    return classifier.loss(logits, tf.tensor1d(labels, 'int32')).dataSync()[0] ?? Number.NaN
  })
}

describe('lossOf several outputs', () => {
  it('is the softmax cross-entropy, mean over the batch', () => {
    // softmax(0, ln 3) = (1/4, 3/4): -ln(3/4) and -ln(1/4), mean of 0.28768 and 1.38629
    const model = identityModel(2)
    expect(
      lossAt(
        model,
        [
          [0, Math.log(3)],
          [0, Math.log(3)],
        ],
        [1, 0],
      ),
    ).toBeCloseTo(0.836988, 5)
  })

  it.each([
    ['a softmax activation layer', () => tf.layers.activation({ activation: 'softmax' })],
    ['a softmax layer', () => tf.layers.softmax()],
  ])('takes the logits that enter %s, where probabilities round to 0', (_, last) => {
    // Logits (0, 200): the probability of class 0 underflows, its cross-entropy is 200.
    expect(lossAt(identityModel(2, last()), [[0, 200]], [0])).toBeCloseTo(200, 3)
  })

  it('takes the logits inside a dense layer with softmax, bias included', () => {
    const kernel = tf.tensor2d([
      [1, 0],
      [0, 1],
    ])
    const last = tf.layers.dense({ units: 2, activation: 'softmax', weights: [kernel, tf.tensor1d([0, 50])] })
    expect(lossAt(identityModel(2, last), [[0, 150]], [0])).toBeCloseTo(200, 3)
  })

  it('clips probabilities where the logits are out of reach', () => {
    const outer = wrapped(identityModel(2, tf.layers.softmax()))
    expect(lossAt(outer, [[0, Math.log(3)]], [1])).toBeCloseTo(-Math.log(0.75), 5)
    expect(lossAt(outer, [[0, 200]], [0])).toBeCloseTo(-Math.log(1e-7), 3)
  })

  it('takes the gradient through the logits: softmax minus the label', () => {
    const model = identityModel(2, tf.layers.softmax())
    const classifier = lossOf(model)
    const labels = tf.tensor1d([0], 'int32')
    const gradient = tf.grad(x => classifier.loss(classifier.logits(x.reshape([1, 1, 1, 2]), true), labels))(
      tf.tensor1d([0, Math.log(3)]),
    )
    const [first, second] = gradient.dataSync()
    expect(first).toBeCloseTo(0.25 - 1, 5)
    expect(second).toBeCloseTo(0.75, 5)
  })

  it('predicts the largest logit, the lower class of equals, and counts what is right', () => {
    const classifier = lossOf(identityModel(3))
    const logits = tf.tensor2d([
      [1, 2, 0],
      [3, 3, 1],
      [0, 1, 5],
    ])
    expect([...classifier.predictions(logits).dataSync()]).toEqual([1, 0, 2])
    expect(classifier.correct(logits, tf.tensor1d([1, 1, 2], 'int32')).dataSync()[0]).toBe(2)
    const [a, b] = classifier.probabilities(tf.tensor2d([[0, Math.log(2), 0]])).dataSync()
    expect(a).toBeCloseTo(0.25, 6)
    expect(b).toBeCloseTo(0.5, 6)
    expect(classifier.numClasses).toBe(3)
  })
})

describe('lossOf one output', () => {
  it('is the sigmoid cross-entropy of the logit, finite where the sigmoid is 0 or 1', () => {
    // sigmoid(ln 3) = 3/4
    expect(lossAt(identityModel(1), [[Math.log(3)], [Math.log(3)]], [1, 0])).toBeCloseTo(0.836988, 5)
    expect(lossAt(identityModel(1), [[200], [-200]], [0, 1])).toBeCloseTo(200, 3)
  })

  it('takes the logit that enters a sigmoid, in a layer of its own or in a dense layer', () => {
    const activation = tf.layers.activation({ activation: 'sigmoid' })
    expect(lossAt(identityModel(1, activation), [[200]], [0])).toBeCloseTo(200, 3)
    const dense = tf.layers.dense({
      units: 1,
      activation: 'sigmoid',
      useBias: false,
      weights: [tf.ones([1, 1])],
    })
    expect(lossAt(identityModel(1, dense), [[200]], [0])).toBeCloseTo(200, 3)
  })

  it('clips probabilities of a nested sigmoid', () => {
    const outer = wrapped(identityModel(1, tf.layers.activation({ activation: 'sigmoid' })))
    expect(lossAt(outer, [[Math.log(3)]], [0])).toBeCloseTo(Math.log(4), 4)
    expect(lossAt(outer, [[-200]], [1])).toBeCloseTo(-Math.log(1e-7), 2)
  })

  it('decides at logit 0, or at the threshold that is asked for', () => {
    const logits = tf.tensor2d([[-0.1], [0], [0.3], [0.7]])
    const model = identityModel(1)
    expect([...lossOf(model).predictions(logits).dataSync()]).toEqual([0, 0, 1, 1])
    expect([...lossOf(model, { threshold: 0.5 }).predictions(logits).dataSync()]).toEqual([0, 0, 0, 1])
  })

  it('gives the probabilities of both classes', () => {
    const classifier = lossOf(identityModel(1))
    const [no, yes] = classifier.probabilities(tf.tensor2d([[Math.log(3)]])).dataSync()
    expect(no).toBeCloseTo(0.25, 6)
    expect(yes).toBeCloseTo(0.75, 6)
    expect(classifier.numClasses).toBe(2)
  })
})

describe('lossOf refuses', () => {
  it('several outputs and outputs of another rank', () => {
    expect(() => lossOf(twoByTwo())).toThrow(
      'lossOf: model must have one output [batch, outputs], got [batch, 16] and [batch, 16]',
    )
    const maps = tf.sequential()
    maps.add(tf.layers.maxPooling2d({ inputShape: [4, 4, 1] }))
    expect(() => lossOf(maps)).toThrow(
      'lossOf: model must have one output [batch, outputs], got [batch, 2, 2, 1]',
    )
  })

  it('activations that do not suit the number of outputs', () => {
    expect(() => lossOf(identityModel(2, tf.layers.activation({ activation: 'sigmoid' })))).toThrow(
      'lossOf: the last activation must be linear or softmax for 2 outputs, got sigmoid',
    )
    expect(() => lossOf(identityModel(1, tf.layers.softmax()))).toThrow(
      'lossOf: the last activation must be linear or sigmoid for 1 output, got softmax',
    )
  })

  it('a threshold that is no number', () => {
    expect(() => lossOf(identityModel(1), { threshold: Number.NaN })).toThrow(
      'lossOf: threshold must be finite, got NaN',
    )
  })
})

it('leaves no tensor behind', () => {
  const model = identityModel(2, tf.layers.softmax())
  const classifier = lossOf(model)
  const before = tf.memory().numTensors
  for (let i = 0; i < 3; i++) {
    tf.tidy(() => {
      const logits = classifier.logits(tf.ones([4, 1, 1, 2]), true)
      classifier.loss(logits, tf.tensor1d([0, 1, 0, 1], 'int32'))
    })
  }
  expect(tf.memory().numTensors).toBe(before)
})

import * as tf from '@tensorflow/tfjs'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { RecordedPass } from '../../src/layers/recorded-pass.js'
import { releaseEarly } from '../../src/train/early-release.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(() => useTestBackend())

let weights: [tf.Variable, tf.Variable]
let x: tf.Tensor2D
beforeAll(() => {
  weights = [
    tf.variable(tf.tensor2d([0.5, -1, 2, 0.25], [2, 2])),
    tf.variable(tf.tensor2d([1, -0.5, 0.75, 2], [2, 2])),
  ]
  x = tf.tensor2d([1, 2, -3, 0.5, 0, 4], [3, 2])
})
afterAll(() => tf.dispose([...weights, x]))

const hidden = () => tf.relu(tf.matMul(x, weights[0] as unknown as tf.Tensor2D)) as tf.Tensor2D

function lossOf(features: () => tf.Tensor2D) {
  return tf.variableGrads(() => {
    const loss = tf.sum(tf.square(tf.matMul(features(), weights[1] as unknown as tf.Tensor2D))) as tf.Scalar
    releaseEarly()
    return loss
  }, weights)
}

describe('RecordedPass', () => {
  it('gives the numbers and gradients of the pass, which is not computed again', async () => {
    const before = tf.memory().numTensors
    const direct = lossOf(hidden)
    let computed = 0
    const pass = new RecordedPass(() => {
      computed++
      return hidden()
    })
    const values = await pass.value.data()
    const recorded = lossOf(() => pass.take())
    expect(computed).toBe(1)
    expect(values).toEqual(tf.tidy(() => hidden().dataSync()))
    expect(recorded.value.dataSync()).toEqual(direct.value.dataSync())
    for (const { name } of weights)
      expect(recorded.grads[name]?.dataSync()).toEqual(direct.grads[name]?.dataSync())
    tf.dispose([direct, recorded])
    expect(tf.memory().numTensors).toBe(before)
  })

  it('is a plain value where nothing is differentiated, and leaves nothing behind', () => {
    const before = tf.memory().numTensors
    const value = new RecordedPass(hidden).take()
    expect(value.dataSync()).toEqual(tf.tidy(() => hidden().dataSync()))
    value.dispose()
    new RecordedPass(hidden).dispose()
    const failing = () => {
      hidden()
      throw new RangeError('no more')
    }
    expect(() => new RecordedPass(failing)).toThrow('no more')
    expect(tf.memory().numTensors).toBe(before)
    // What comes after is recorded as ever.
    const { value: loss, grads } = lossOf(hidden)
    expect(Object.keys(grads)).toHaveLength(2)
    tf.dispose([loss, grads])
  })
})

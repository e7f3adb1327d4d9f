import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { activationFunction, type LayerActivation } from '../../src/layers/activations.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

type Name = NonNullable<Parameters<typeof tf.layers.activation>[0]>['activation']

/** The activation object inside tfjs's activation layer. */
function named(activation: Name): LayerActivation {
  return (tf.layers.activation({ activation }) as unknown as { activation: LayerActivation }).activation
}

const POINTS = [-2, -0.5, 0.25, 1.5]
const sigmoid = (x: number) => 1 / (1 + Math.exp(-x))

const CURVES: [Name, (x: number) => number, (x: number) => number][] = [
  ['relu', x => Math.max(x, 0), x => (x > 0 ? 1 : 0)],
  ['tanh', Math.tanh, x => 1 - Math.tanh(x) ** 2],
  ['sigmoid', sigmoid, x => sigmoid(x) * (1 - sigmoid(x))],
  ['elu', x => (x > 0 ? x : Math.expm1(x)), x => (x > 0 ? 1 : Math.exp(x))],
  ['softplus', x => Math.log1p(Math.exp(x)), sigmoid],
  ['swish', x => x * sigmoid(x), x => sigmoid(x) + x * sigmoid(x) * (1 - sigmoid(x))],
]

describe('activationFunction', () => {
  it('is undefined for the linear activation', () => {
    expect(activationFunction(named('linear'))).toBeUndefined()
  })

  it.each(CURVES)('%s and its derivative', (name, value, slope) => {
    const found = activationFunction(named(name))
    const x = tf.tensor1d(POINTS)
    const y = found?.apply(x) as tf.Tensor1D
    expectAllClose(y.dataSync(), POINTS.map(value))
    const gradient = found?.gradient(tf.tensor1d([1, 2, 3, 4]), x, y) as tf.Tensor1D
    expectAllClose(
      gradient.dataSync(),
      POINTS.map((point, i) => (i + 1) * slope(point)),
    )
  })

  it('can be differentiated within the backward pass of another gradient', () => {
    const tanh = activationFunction(named('tanh'))
    const layer = (x: tf.Tensor) =>
      tf.customGrad((input, save) => {
        const value = tf.tanh(input as tf.Tensor)
        ;(save as tf.GradSaveFunc)([input as tf.Tensor, value])
        const gradFunc = (dy: tf.Tensor, [at, y]: tf.Tensor[]) =>
          tanh?.gradient(dy, at as tf.Tensor, y as tf.Tensor) as tf.Tensor
        return { value, gradFunc }
      })(x)
    // d/dx of x^2 + tanh(tanh(x)), the second through two gradients of their own.
    const gradient = tf.grad(x => tf.sum(tf.add(tf.square(x), layer(layer(x)))))(tf.tensor1d([0.5, -1]))
    const slope = (x: number) => (1 - Math.tanh(Math.tanh(x)) ** 2) * (1 - Math.tanh(x) ** 2)
    expectAllClose(gradient.dataSync(), [1 + slope(0.5), -2 + slope(-1)])
  })

  it('lets the other gradient go on when its own fails', () => {
    const broken: LayerActivation = {
      apply: () => {
        throw new Error('no such curve')
      },
      getClassName: () => 'broken',
    }
    const found = activationFunction(broken)
    const layer = tf.customGrad(input => ({
      value: tf.square(input as tf.Tensor),
      gradFunc: dy => {
        expect(() => found?.gradient(dy, dy, dy)).toThrow('no such curve')
        return tf.mul(dy, 7)
      },
    }))
    const gradient = tf.grad(x => tf.sum(tf.add(x, layer(x))))(tf.tensor1d([3]))
    expect(Array.from(gradient.dataSync())).toEqual([8])
  })
})

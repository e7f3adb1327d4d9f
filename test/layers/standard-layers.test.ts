import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { convolution } from '../../src/layers/convolution.js'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { globalAveragePooling2d } from '../../src/layers/global-average-pooling.js'
import { layerOps, registerLayerOps } from '../../src/layers/ops.js'
import { relu } from '../../src/layers/relu.js'
import { residualAdd } from '../../src/layers/residual-add.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Runs `forward` and counts the maps that the tape keeps for the backward pass. */
function keptForBackward(forward: () => tf.Tensor): number {
  const before = tf.memory().numDataBuffers
  let kept = 0
  tf.variableGrads(() => {
    const loss = tf.tidy(() => tf.sum(forward()) as tf.Scalar)
    kept = tf.memory().numDataBuffers - before
    return loss
  }, [variable])
  return kept
}
let variable: tf.Variable
beforeEach(() => {
  variable = tf.variable(tf.tensor2d([[1, -2, 3]]))
})

describe('ReLU', () => {
  it('is 0 below 0, value and gradient', () => {
    const x = tf.tensor1d([-1, 0, 2])
    const layer = relu()
    expect(Array.from((layer.apply(x) as tf.Tensor).dataSync())).toEqual([0, 0, 2])
    const dx = tf.grad(t => layer.apply(t) as tf.Tensor)(x, tf.tensor1d([10, 20, 30]))
    expect(Array.from(dx.dataSync())).toEqual([0, 0, 30])
  })

  it('is tfjs’s own to whoever loads it', () => {
    const standard = tf.layers.reLU({ name: 'r' })
    expect(relu({ name: 'r' }).getClassName()).toBe(standard.getClassName())
    expect(relu({ name: 'r' }).getConfig()).toEqual(standard.getConfig())
  })
})

describe('Convolution', () => {
  it('sums its bias gradient once with the other convolution of a residual sum', () => {
    const { channelSums } = layerOps()
    const [left, right] = [1, 3].map(kernelSize =>
      convolution({ filters: 2, kernelSize, padding: 'same', kernelInitializer: 'ones' }),
    )
    const add = residualAdd()
    const x = tf.randomNormal([2, 4, 4, 3], 0, 1, 'float32', 1)
    const forward = () => add.apply([left?.apply(x) as tf.Tensor, right?.apply(x) as tf.Tensor]) as tf.Tensor
    const cotangent = tf.randomNormal(forward().shape, 0, 1, 'float32', 2)
    const biases = [left, right].map(layer => layer?.trainableWeights[1]?.read() as tf.Variable)
    const sums = vi.fn(channelSums)
    registerLayerOps(tf.getBackend(), { channelSums: sums })
    try {
      for (const scale of [1, -3]) {
        sums.mockClear()
        const loss = () => tf.sum(tf.mul(forward(), tf.mul(cotangent, scale))) as tf.Scalar
        const { grads } = tf.variableGrads(loss, biases)
        const expected = tf.mul(tf.sum(cotangent, [0, 1, 2]), scale).dataSync()
        for (const { name } of biases) expectAllClose(grads[name]?.dataSync() as Float32Array, expected, 1e-5)
        expect(sums).toHaveBeenCalledTimes(1)
        tf.dispose(grads)
      }
    } finally {
      registerLayerOps(tf.getBackend(), { channelSums })
    }
  })

  it('has the same weight gradients where its input is fixed', () => {
    const layer = convolution({ filters: 2, kernelSize: 3, padding: 'same' })
    const x = tf.randomNormal([2, 4, 4, 3], 0, 1, 'float32', 1)
    const gradients = (input: tf.Tensor) => {
      const loss = () => tf.sum(tf.square(layer.apply(input) as tf.Tensor)) as tf.Scalar
      layer.apply(input)
      const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
      return Object.values(tf.variableGrads(loss, variables).grads).map(gradient => [...gradient.dataSync()])
    }
    const free = gradients(x)
    expect(gradients(fixInput(tf.clone(x)))).toEqual(free)
    expect(free.map(values => values.length)).toEqual([3 * 3 * 3 * 2, 2])
  })
})

describe('ResidualAdd', () => {
  it('hands the gradient to both inputs', () => {
    const layer = residualAdd()
    const [a, b] = [tf.tensor1d([1, 2]), tf.tensor1d([10, 20])]
    expect(Array.from((layer.apply([a, b]) as tf.Tensor).dataSync())).toEqual([11, 22])
    const sum = (x: tf.Tensor, y: tf.Tensor) => layer.apply([x, y]) as tf.Tensor
    const [da, db] = tf.grads(sum)([a, b], tf.tensor1d([3, 4]))
    expect(Array.from((da as tf.Tensor).dataSync())).toEqual([3, 4])
    expect(Array.from((db as tf.Tensor).dataSync())).toEqual([3, 4])
  })

  it('adds one tensor to itself', () => {
    const layer = residualAdd()
    const dx = tf.grad(x => layer.apply([x, x]) as tf.Tensor)(tf.tensor1d([1, 2]), tf.tensor1d([3, 4]))
    expect(Array.from(dx.dataSync())).toEqual([6, 8])
  })

  it('leaves three inputs and other shapes to tfjs', () => {
    const one = tf.tensor2d([[1, 2]])
    expect(Array.from((residualAdd().apply([one, one, one]) as tf.Tensor).dataSync())).toEqual([3, 6])
    const [row, number] = [tf.tensor3d([[[1, 2]]]), tf.tensor3d([[[10]]])]
    expect(Array.from((residualAdd().apply([row, number]) as tf.Tensor).dataSync())).toEqual([11, 12])
  })

  it('is tfjs’s own to whoever loads it', () => {
    const standard = tf.layers.add({ name: 'a' })
    expect(residualAdd({ name: 'a' }).getClassName()).toBe(standard.getClassName())
    expect(residualAdd({ name: 'a' }).getConfig()).toEqual(standard.getConfig())
  })
})

describe('GlobalAveragePooling2D', () => {
  it.each(['channelsLast', 'channelsFirst'] as const)(
    'equals tfjs’s own, value and gradient, %s',
    dataFormat => {
      const options = { name: 'p', dataFormat }
      const standard = tf.layers.globalAveragePooling2d(options)
      const x = tf.randomNormal([2, 3, 4, 5], 0, 1, 'float32', 1)
      const y = standard.apply(x) as tf.Tensor
      const dy = tf.randomNormal(y.shape, 0, 1, 'float32', 2)
      const ours = globalAveragePooling2d(options)
      expectAllClose((ours.apply(x) as tf.Tensor).dataSync(), y.dataSync())
      const [dx, expected] = [ours, standard].map(layer =>
        tf
          .grad(t => layer.apply(t) as tf.Tensor)(x, dy)
          .dataSync(),
      )
      expectAllClose(dx as Float32Array, expected as Float32Array)
    },
  )

  it('is tfjs’s own to whoever loads it', () => {
    const standard = tf.layers.globalAveragePooling2d({ name: 'p' })
    expect(globalAveragePooling2d({ name: 'p' }).getClassName()).toBe(standard.getClassName())
    expect(globalAveragePooling2d({ name: 'p' }).getConfig()).toEqual(standard.getConfig())
  })
})

describe('for the backward pass', () => {
  const doubled = () => tf.mul(variable, 2)
  it('ReLU keeps only its output, which the next layer keeps anyway', () => {
    const squared = (layer: tf.layers.Layer) => () => tf.square(layer.apply(doubled()) as tf.Tensor)
    expect(keptForBackward(squared(relu()))).toBe(keptForBackward(squared(tf.layers.reLU())) - 1)
  })
  it('ResidualAdd keeps neither input', () => {
    const added = (layer: tf.layers.Layer) => () => layer.apply([doubled(), doubled()]) as tf.Tensor
    expect(keptForBackward(added(residualAdd()))).toBe(keptForBackward(added(tf.layers.add())) - 2)
  })
  it('GlobalAveragePooling2D keeps no map', () => {
    const pooled = (layer: tf.layers.Layer) => () =>
      layer.apply(tf.mul(variable, tf.ones([1, 2, 2, 3]))) as tf.Tensor
    const standard = tf.layers.globalAveragePooling2d({})
    expect(keptForBackward(pooled(globalAveragePooling2d()))).toBe(keptForBackward(pooled(standard)) - 1)
  })
})

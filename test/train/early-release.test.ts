import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { releaseEarly } from '../../src/train/early-release.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const pmoe = { numExperts: 2, patchesPerExpert: 4, patchSize: 1 }

/** Gradients of a small network's loss, and the most bytes that were in use while they were computed. */
function gradients(model: tf.LayersModel, early: boolean): { numbers: number[][]; peak: number } {
  const x = tf.randomNormal([4, 16, 16, 3], 0, 1, 'float32', 1)
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  let peak = 0
  const { runKernel } = tf.engine()
  const engine = tf.engine() as { runKernel: typeof runKernel }
  engine.runKernel = (...args) => {
    const result = runKernel.apply(tf.engine(), args)
    peak = Math.max(peak, tf.memory().numBytes)
    return result as never
  }
  try {
    const { grads } = tf.variableGrads(() => {
      const loss = tf.sum(tf.square(model.apply(x, { training: true }) as tf.Tensor)) as tf.Scalar
      if (early) releaseEarly()
      return loss
    }, variables)
    return { numbers: variables.map(({ name }) => Array.from(grads[name]?.dataSync() ?? [])), peak }
  } finally {
    engine.runKernel = runKernel
  }
}

describe('releaseEarly', () => {
  it.each(['sparse', 'drop-in', 'authors'] as const)('changes no gradient of a network, %s', variant => {
    const model = wideResNet({
      inputShape: [16, 16, 3],
      numClasses: 3,
      widenFactor: 1,
      pmoe,
      variant,
      seed: 2,
    })
    expect(gradients(model, true).numbers).toEqual(gradients(model, false).numbers)
  })

  it('lowers the peak of memory', () => {
    const model = wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 2, seed: 2 })
    expect(gradients(model, true).peak).toBeLessThan(0.8 * gradients(model, false).peak)
  })

  it('spares a derivative that an operation hands through', () => {
    const handThrough = tf.customGrad(x => ({ value: tf.mul(x as tf.Tensor, 1), gradFunc: dy => dy }))
    const variable = tf.variable(tf.tensor1d([1, 2]))
    const { grads } = tf.variableGrads(() => {
      const loss = tf.sum(tf.mul(handThrough(tf.mul(variable, 3)), [5, 7])) as tf.Scalar
      releaseEarly()
      return loss
    }, [variable])
    expect(Array.from(grads[variable.name]?.dataSync() ?? [])).toEqual([15, 21])
  })

  it('does nothing without a tape', () => {
    expect(() => releaseEarly()).not.toThrow()
  })
})

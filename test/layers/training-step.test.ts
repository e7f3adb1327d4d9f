import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it, vi } from 'vitest'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const shared = { numExperts: 2, patchesPerExpert: 3, patchSize: 2, filters: 4, useBias: true }

/** A model of PatchGate and of PatchMoE with and without BatchNorm and halo, and one step of its training. */
function training() {
  const model = tf.sequential({
    layers: [
      patchGate({ inputShape: [4, 8, 3], patchSize: 2, patchesPerExpert: 6, gate: 'softmax-all', seed: 1 }),
      patchMoE({ ...shared, border: 'halo', preActivation: 'batch-norm-relu', seed: 2 }),
      patchMoE({ ...shared, gate: 'softmax-all', activation: 'tanh', seed: 3 }),
      tf.layers.globalAveragePooling2d({}),
      tf.layers.dense({ units: 3, kernelInitializer: tf.initializers.glorotUniform({ seed: 4 }) }),
    ],
  })
  const x = drawTensor([12, 4, 8, 3], 5)
  const y = tf.oneHot(tf.tensor1d([0, 1, 2, 0, 1, 2, 0, 1, 2, 0, 1, 2], 'int32'), 3)
  const optimizer = tf.train.adam(0.01)
  const variables = model.trainableWeights.map(weight => weight.read() as tf.Variable)
  const loss = () =>
    tf.losses.softmaxCrossEntropy(y, model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar
  const step = () => optimizer.minimize(loss, false, variables)
  return { step, loss }
}

describe('a training step', () => {
  it('leaves no tensor behind, 60 times', () => {
    const { step, loss } = training()
    const before = tf.tidy(() => loss().dataSync()[0] as number)
    step()
    const { numTensors } = tf.memory()
    for (let i = 1; i < 60; i++) {
      step()
      expect(tf.memory().numTensors).toBe(numTensors)
    }
    expect(tf.tidy(() => loss().dataSync()[0])).toBeLessThan(before / 2)
  })

  it('reads nothing back from the backend', () => {
    const { step, loss } = training()
    const engine = [vi.spyOn(tf.engine(), 'readSync'), vi.spyOn(tf.engine(), 'read')]
    const backend = [vi.spyOn(tf.backend(), 'readSync'), vi.spyOn(tf.backend(), 'read')]
    const reads = (spies: typeof engine) =>
      spies.flatMap(spy => spy.mock.results.map(result => result.value as unknown))
    try {
      step()
      step()
      expect(reads(engine).length).toBe(0)
      // Slice and Unpack of wasm look into their own memory this way; no kernel may look at patch numbers.
      const own = reads(backend).filter(values => values instanceof Int32Array || tf.getBackend() !== 'wasm')
      expect(own.length).toBe(0)
      loss().dataSync()
      expect(reads(engine).length).toBe(1)
      expect(reads(backend).length).toBeGreaterThan(0)
    } finally {
      for (const spy of [...engine, ...backend]) spy.mockRestore()
    }
  })

  it('gives the same numbers from the same seed', () => {
    const run = () => {
      const { step, loss } = training()
      for (let i = 0; i < 5; i++) step()
      return loss().dataSync()[0]
    }
    expect(run()).toBe(run())
  })
})

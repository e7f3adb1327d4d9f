import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import {
  createOptimizer,
  disposeOptimizer,
  readSlots,
  restoreSlots,
} from '../../../src/train/optimizers/optimizer.js'
import type { OptimizerName, OptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(() => useTestBackend())

/** Steps w with gradient 2 (w - target). */
function step(optimizer: tf.Optimizer, weight: tf.Variable, target: number): void {
  optimizer.minimize(() => weight.sub(target).square().sum().asScalar(), false, [weight])
}

describe('createOptimizer', () => {
  it('steps as its equations say', () => {
    const cases: [OptimizerOptions, number][] = [
      // w = 1, g = 2: 1 - 0.1 * 2 = 0.8, then g = 1.6: 0.8 - 0.16
      [{ name: 'sgd', learningRate: 0.1 }, 0.64],
      // a = 2, w = 0.8; a = 0.5 * 2 + 1.6 = 2.6, w = 0.8 - 0.26
      [{ name: 'momentum', learningRate: 0.1, momentum: 0.5 }, 0.54],
      // momentum 0.9: a = 1.8 + 1.6 = 3.4, w = 0.8 - 0.34
      [{ name: 'momentum', learningRate: 0.1 }, 0.46],
    ]
    for (const [options, expected] of cases) {
      const optimizer = createOptimizer(options)
      const weight = tf.variable(tf.tensor1d([1]))
      step(optimizer, weight, 0)
      step(optimizer, weight, 0)
      expect(weight.dataSync()[0]).toBeCloseTo(expected, 6)
    }
  })

  it('moves by the learning rate in the first step of adam', () => {
    const weight = tf.variable(tf.tensor1d([1]))
    step(createOptimizer({ name: 'adam', learningRate: 0.01 }), weight, 0)
    expect(weight.dataSync()[0]).toBeCloseTo(0.99, 5)
  })

  it('refuses what is out of range', () => {
    expect(() => createOptimizer({ name: 'sgd', learningRate: 0 })).toThrow(
      'optimizer: learningRate must be greater than 0, got 0',
    )
    expect(() => createOptimizer({ name: 'sgd', learningRate: Number.POSITIVE_INFINITY })).toThrow(
      'optimizer: learningRate must be greater than 0, got Infinity',
    )
    expect(() => createOptimizer({ name: 'momentum', learningRate: 1, momentum: 1 })).toThrow(
      'optimizer: momentum must be in [0, 1), got 1',
    )
    expect(() => createOptimizer({ name: 'adam', learningRate: 1, momentum: 0.9 })).toThrow(
      'optimizer: momentum must be left out for adam, got 0.9',
    )
    expect(() => createOptimizer({ name: 'lion' as OptimizerName, learningRate: 1 })).toThrow(
      'optimizer: name must be sgd, momentum, adam, adamw, normalized-gd, got lion',
    )
  })
})

describe('slots', () => {
  it.each<OptimizerOptions>([
    { name: 'sgd', learningRate: 0.05 },
    { name: 'momentum', learningRate: 0.05 },
    { name: 'adam', learningRate: 0.05 },
  ])('carry $name on bit by bit', async options => {
    const original = createOptimizer(options)
    const weight = tf.variable(tf.tensor1d([1, -2, 0.3]))
    // Enough steps for pow() and repeated products of adam's decays to differ.
    for (let i = 0; i < 23; i++) step(original, weight, i / 7)
    const slots = await readSlots(original)
    const copied = createOptimizer(options)
    const copiedWeight = tf.variable(weight.clone())
    await restoreSlots(copied, slots, [copiedWeight])
    for (let i = 0; i < 5; i++) {
      step(original, weight, 3)
      step(copied, copiedWeight, 3)
      expect([...copiedWeight.dataSync()]).toEqual([...weight.dataSync()])
    }
  })

  it('are refused for other weights', async () => {
    const options: OptimizerOptions = { name: 'momentum', learningRate: 0.1 }
    const optimizer = createOptimizer(options)
    const weight = tf.variable(tf.tensor1d([1, 2]))
    step(optimizer, weight, 0)
    const slots = await readSlots(optimizer)
    await expect(restoreSlots(createOptimizer(options), slots, [weight, weight])).rejects.toThrow(
      'optimizer: state of Momentum must have 3 tensors for 2 weights, got 2',
    )
    await expect(restoreSlots(createOptimizer(options), slots, [tf.zeros([3])])).rejects.toThrow(
      'optimizer: state 0001/momentum of Momentum must have shape [3], got [2]',
    )
  })

  it.each<OptimizerName>(['sgd', 'momentum', 'adam'])('of %s leave no tensor behind', async name => {
    const weight = tf.variable(tf.tensor1d([1]))
    const before = tf.memory().numTensors
    const optimizer = createOptimizer({ name, learningRate: 0.1 })
    step(optimizer, weight, 0)
    const slots = await readSlots(optimizer)
    const other = createOptimizer({ name, learningRate: 0.1 })
    await restoreSlots(other, slots, [weight])
    step(other, weight, 0)
    disposeOptimizer(optimizer)
    disposeOptimizer(other)
    expect(tf.memory().numTensors).toBe(before)
  })
})

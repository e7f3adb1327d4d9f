import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it, onTestFinished } from 'vitest'
import { JointAdam } from '../../../src/train/optimizers/joint-adam.js'
import { useTestBackend } from '../../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

/** The last is too large to be stepped with others. */
const shapes = [[3, 2], [1], [2, 1, 5], [130, 130]]

/** Weights, and an optimizer that steps them. */
function stepped(optimizer: tf.Optimizer) {
  const weights = shapes.map((shape, i) => tf.variable(tf.randomNormal(shape, 0, 1, 'float32', i + 1)))
  onTestFinished(() => {
    tf.dispose(weights)
    optimizer.dispose()
  })
  return {
    optimizer,
    weights,
    /** Numbers of the weights; those that `without` names get no gradient. */
    step(seed: number, without: readonly number[] = []) {
      tf.tidy(() =>
        optimizer.applyGradients(
          weights.map(({ name, shape }, i) => ({
            name,
            tensor: without.includes(i)
              ? (null as unknown as tf.Tensor)
              : tf.randomNormal(shape, 0, 1, 'float32', 10 * seed + i + 11),
          })),
        ),
      )
      return weights.map(weight => [...weight.dataSync()])
    },
    async moments() {
      const [counter, ...slots] = await optimizer.getWeights()
      counter?.tensor.dispose()
      return slots.map(({ tensor }) => [...tensor.dataSync()])
    },
  }
}

const ours = () => stepped(new JointAdam(0.01, 0.9, 0.999))
const theirs = () => stepped(tf.train.adam(0.01))

describe('JointAdam', () => {
  it('steps as Adam of tfjs does, also where weights have no gradient for a while', async () => {
    const [own, other] = [ours(), theirs()]
    for (const [seed, without] of [[], [], [1], [1], [], [0, 1, 2], [0, 1, 2, 3], [3], []].entries()) {
      expect(own.step(seed, without), `step ${seed}`).toEqual(other.step(seed, without))
      if (seed % 3 === 1) expect(await own.moments()).toEqual(await other.moments())
    }
    expect(await own.moments()).toEqual(await other.moments())
  })

  it('goes on from a stored state', async () => {
    const [own, other] = [ours(), ours()]
    for (const seed of [1, 2, 3]) for (const one of [own, other]) one.step(seed)
    const state = await other.optimizer.getWeights()
    await other.optimizer.setWeights(state)
    state[0]?.tensor.dispose()
    const [expected, actual] = [own.step(4), other.step(4)]
    // Its powers of the decays are computed anew then, which rounds differently.
    for (const [i, weight] of expected.entries()) {
      for (const [j, value] of weight.entries()) expect(actual[i]?.[j]).toBeCloseTo(value, 5)
    }
  })

  it('keeps two vectors more than tfjs, and frees all', () => {
    const kept = (optimizer: tf.Optimizer) => {
      const before = tf.memory().numTensors
      const weights = shapes.map(shape => tf.variable(tf.ones(shape)))
      const step = () =>
        tf.tidy(() =>
          optimizer.applyGradients(weights.map(({ name, shape }) => ({ name, tensor: tf.ones(shape) }))),
        )
      step()
      const first = tf.memory().numTensors
      step()
      expect(tf.memory().numTensors).toBe(first)
      optimizer.dispose()
      tf.dispose(weights)
      return { stepping: first - before, after: tf.memory().numTensors - before }
    }
    const [own, other] = [kept(new JointAdam(0.01, 0.9, 0.999)), kept(tf.train.adam(0.01))]
    expect(own).toEqual({ stepping: other.stepping + 2, after: other.after })
  })

  it('is Adam by name and configuration', () => {
    const optimizer = new JointAdam(0.01, 0.9, 0.999)
    expect(optimizer.getClassName()).toBe('Adam')
    expect(optimizer.getConfig()).toEqual(tf.train.adam(0.01).getConfig())
    optimizer.dispose()
  })
})

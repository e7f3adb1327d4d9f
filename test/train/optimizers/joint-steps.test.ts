import * as tf from '@tensorflow/tfjs-core'
import '@tensorflow/tfjs'
import { beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { registerLayerOps, type StepRule, type WeightStep } from '../../../src/layers/ops.js'
import { stepJointly } from '../../../src/train/optimizers/joint-steps.js'
import { createOptimizer } from '../../../src/train/optimizers/optimizer.js'
import { useTestBackend } from '../../backend-under-test.js'

/** What the backend was asked for. */
let asked: { steps: readonly WeightStep[]; rule: StepRule; additions: object }[] = []
let canStep = true

beforeAll(async () => {
  await useTestBackend()
  registerLayerOps(tf.getBackend(), {
    stepWeights(steps, rule, additions) {
      asked.push({ steps, rule, additions })
      return canStep
    },
  })
})

beforeEach(() => {
  asked = []
  canStep = true
})

const weightsOf = (...sizes: number[]) => sizes.map(size => tf.variable(tf.ones([size])))
const gradientsOf = (...sizes: number[]) => sizes.map(size => tf.fill([size], 2))

describe('stepJointly', () => {
  it('hands weights with a gradient over, with decay, factor and clipping', () => {
    const weights = weightsOf(2, 3, 4)
    const [first, , last] = gradientsOf(2, 3, 4)
    const additions = { l2: 0.5, clipNorm: 7, weightDecays: [0, 0.1, 0.2], stepFactors: [1, 2, 3] }
    expect(stepJointly(tf.train.sgd(0.5), weights, [first, undefined, last], additions)).toBe(true)
    expect(asked).toEqual([
      {
        steps: [
          { weight: weights[0], gradient: first, slots: [], keptShare: 1, factor: 1 },
          { weight: weights[2], gradient: last, slots: [], keptShare: 0.9, factor: 3 },
        ],
        rule: { name: 'sgd', learningRate: 0.5 },
        additions: { l2: 0.5, clipNorm: 7 },
      },
    ])
  })

  it('keeps what momentum and Adam keep where tfjs does, under its names', async () => {
    for (const { options, suffixes } of [
      { options: { name: 'momentum', learningRate: 0.1 }, suffixes: ['momentum'] },
      { options: { name: 'adam', learningRate: 0.1 }, suffixes: ['m', 'v'] },
    ] as const) {
      const weights = weightsOf(2, 3)
      const optimizer = createOptimizer(options)
      stepJointly(optimizer, weights, gradientsOf(2, 3), { l2: 0 })
      const [iterations, ...slots] = await optimizer.getWeights()
      expect(await iterations?.tensor.data()).toEqual(Int32Array.of(1))
      expect(slots.map(({ name }) => name)).toEqual(
        suffixes.flatMap(suffix => weights.map(({ name }) => `${name}/${suffix}`)),
      )
      const handedOver = asked.at(-1)?.steps.map(step => step.slots.map(({ id }) => id))
      const ids = slots.map(({ tensor }) => tensor.id)
      expect(handedOver).toEqual([0, 1].map(place => suffixes.map((_, slot) => ids[2 * slot + place])))
    }
  })

  it("gives Adam's powers of the step, and makes those of the next", async () => {
    const optimizer = tf.train.adam(0.1, 0.5, 0.25)
    const powers: number[][] = []
    for (let i = 0; i < 2; i++) {
      const step = stepJointly(optimizer, weightsOf(2), gradientsOf(2), { l2: 0 })
      expect(step).toBe(true)
      const rule = asked.at(-1)?.rule as Extract<StepRule, { name: 'adam' }>
      // The same variables, which have moved on to the next step.
      powers.push(rule.powers.map(power => power.dataSync()[0] as number))
    }
    expect(powers).toEqual([
      [0.25, 0.0625],
      [0.125, 0.015625],
    ])
  })

  it('leaves other optimizers, and what the backend cannot step, to the optimizer', () => {
    expect(stepJointly(tf.train.rmsprop(0.1), weightsOf(2), gradientsOf(2), { l2: 0 })).toBe(false)
    expect(asked).toHaveLength(0)
    canStep = false
    const adam = tf.train.adam(0.1)
    expect(stepJointly(adam, weightsOf(2), gradientsOf(2), { l2: 0 })).toBe(false)
    expect(adam.iterations).toBe(0)
  })
})

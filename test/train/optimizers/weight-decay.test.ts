import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import type { ImageSet } from '../../../src/data/image-set.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { sampleMoE } from '../../../src/layers/moe/sample-moe.js'
import { train } from '../../../src/train/loop.js'
import { createOptimizer } from '../../../src/train/optimizers/optimizer.js'
import {
  checkOptimizerOptions,
  type OptimizerOptions,
} from '../../../src/train/optimizers/optimizer-options.js'
import { weightDecays } from '../../../src/train/optimizers/parameter-groups.js'
import { expectAllClose } from '../../all-close.js'
import { useTestBackend } from '../../backend-under-test.js'
import { historyOf, weightsOf } from '../tasks.js'

beforeAll(() => useTestBackend())

const numPixels = 4
const numClasses = 3

/** Six images of four values, which no line tells apart exactly. */
const images = Float32Array.from({ length: 6 * numPixels }, (_, i) => Math.sin(1 + 3 * i) / 2)
const set: ImageSet = {
  images,
  labels: Int32Array.from([0, 1, 2, 0, 2, 1]),
  count: 6,
  shape: [2, 2, 1],
  classNames: ['a', 'b', 'c'],
}

function linearModel(): tf.Sequential {
  const model = tf.sequential()
  model.add(tf.layers.flatten({ inputShape: [2, 2, 1] }))
  model.add(tf.layers.dense({ units: numClasses, name: 'logits' }))
  const kernel = Array.from({ length: numPixels * numClasses }, (_, i) => Math.cos(i))
  model.setWeights([tf.tensor(kernel, [numPixels, numClasses]), tf.tensor1d([0.5, -0.5, 0.25])])
  return model
}

interface Weights {
  kernel: number[]
  bias: number[]
}

/** The gradient of the mean cross-entropy of a linear model, in plain arithmetic. */
function gradientOf({ kernel, bias }: Weights): Weights {
  const gradient = { kernel: kernel.map(() => 0), bias: bias.map(() => 0) }
  for (const [image, label] of set.labels.entries()) {
    const x = [...images.slice(image * numPixels, (image + 1) * numPixels)]
    const logits = bias.map((b, c) =>
      x.reduce((sum, xi, i) => sum + xi * (kernel[i * numClasses + c] ?? 0), b),
    )
    const total = logits.reduce((sum, z) => sum + Math.exp(z), 0)
    for (const [c, z] of logits.entries()) {
      const error = (Math.exp(z) / total - (c === label ? 1 : 0)) / set.count
      gradient.bias[c] = (gradient.bias[c] ?? 0) + error
      for (const [i, xi] of x.entries()) {
        gradient.kernel[i * numClasses + c] = (gradient.kernel[i * numClasses + c] ?? 0) + error * xi
      }
    }
  }
  return gradient
}

/** A rule for one number: its gradient, the step from 1, and what it keeps give what is subtracted. */
type Rule = (gradient: number, step: number, kept: number[]) => number

/** Loshchilov and Hutter 2019, Algorithm 2, as PyTorch's AdamW computes it. */
const adam =
  (rate: number, epsilon: number): Rule =>
  (g, step, kept) => {
    const [m = 0, v = 0] = kept
    kept[0] = 0.9 * m + 0.1 * g
    kept[1] = 0.999 * v + 0.001 * g * g
    const first = kept[0] / (1 - 0.9 ** step)
    const second = kept[1] / (1 - 0.999 ** step)
    return (rate * first) / (Math.sqrt(second) + epsilon)
  }

/** Algorithm 1 of the same paper: what is kept is the sum of gradients alone. */
const momentum =
  (rate: number, share: number): Rule =>
  (g, _, kept) => {
    kept[0] = share * (kept[0] ?? 0) + g
    return rate * kept[0]
  }

/** The weights after so many steps on all images. */
function trainedPlainly(rule: Rule, steps: number, rates: (step: number) => number, decay: number): Weights {
  const weights: Weights = {
    kernel: Array.from({ length: 12 }, (_, i) => Math.cos(i)),
    bias: [0.5, -0.5, 0.25],
  }
  const kept = { kernel: weights.kernel.map(() => []), bias: weights.bias.map(() => []) }
  for (let step = 1; step <= steps; step++) {
    const gradient = gradientOf(weights)
    for (const name of ['kernel', 'bias'] as const) {
      const share = name === 'kernel' ? decay : 0
      const factor = rates(step)
      weights[name] = weights[name].map((w, i) => {
        const subtracted = rule(gradient[name][i] as number, step, kept[name][i] as unknown as number[])
        return w * (1 - factor * share) - (factor / rates(1)) * subtracted
      })
    }
  }
  return weights
}

async function trained(optimizer: OptimizerOptions, steps: number): Promise<number[][]> {
  const model = linearModel()
  await historyOf(train(model, { train: set, epochs: steps, batchSize: 6, seed: 1, optimizer }))
  return weightsOf(model)
}

describe('decoupled weight decay', () => {
  const rate = 0.05
  const constant = () => rate
  it.each([
    ['adamw as it is', { name: 'adamw' }, adam(rate, 1e-7), 0.01],
    ['adamw', { name: 'adamw', weightDecay: 2, epsilon: 1e-3 }, adam(rate, 1e-3), 2],
    ['adam that decays', { name: 'adam', weightDecay: 2 }, adam(rate, 1e-7), 2],
    ['adam that does not', { name: 'adam' }, adam(rate, 1e-7), 0],
    ['sgd', { name: 'sgd', weightDecay: 1 }, momentum(rate, 0), 1],
    ['momentum', { name: 'momentum', momentum: 0.8, weightDecay: 1 }, momentum(rate, 0.8), 1],
  ] as const)('is that of the published algorithms with %s', async (_, options, rule, decay) => {
    const { kernel, bias } = trainedPlainly(rule, 6, constant, decay)
    expectAllClose(await trained({ ...options, learningRate: rate }, 6), [kernel, bias], 1e-4, 1e-5)
  })

  it('follows the schedule, and the rates of layers', async () => {
    const decay = 2
    const scheduled = { name: 'adamw', learningRate: rate, schedule: 'cosine', weightDecay: decay } as const
    const rates = (step: number) => (rate * (1 + Math.cos((Math.PI * (step - 1)) / 6))) / 2
    const expected = trainedPlainly(adam(rate, 1e-7), 6, rates, decay)
    expectAllClose(await trained(scheduled, 6), [expected.kernel, expected.bias], 1e-4, 1e-5)
    const ownRate = {
      ...scheduled,
      schedule: 'constant',
      learningRate: 1,
      layerRates: [{ pattern: 'logits', learningRate: rate }],
    } as const
    const own = trainedPlainly(adam(rate, 1e-7), 6, constant, decay)
    expectAllClose(await trained(ownRate, 6), [own.kernel, own.bias], 1e-4, 1e-5)
  })

  it('shrinks neither biases nor the weights of normalizations, in mixtures neither', () => {
    const model = tf.sequential()
    model.add(tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', inputShape: [8, 8, 3] }))
    model.add(tf.layers.batchNormalization())
    model.add(tf.layers.prelu())
    model.add(patchMoE({ numExperts: 2, filters: 4, patchSize: 2, patchesPerExpert: 3, useBias: true }))
    model.add(sampleMoE({ numExperts: 2, patchSize: [4, 4], outputs: 2 }))
    const shares = weightDecays(model, { name: 'sgd', learningRate: 1, weightDecay: 0.5 })
    const named = model.trainableWeights.map(
      ({ originalName, shape }, i) => `${originalName.split('/').at(-1)} [${shape.join()}] ${shares?.[i]}`,
    )
    expect(named).toEqual([
      'kernel [3,3,3,4] 0.5',
      'bias [4] 0',
      'gamma [4] 0',
      'beta [4] 0',
      'alpha [8,8,4] 0',
      'router [2,2,4,2] 0.5',
      'kernel [3,3,4,4] 0.5',
      'bias [4] 0',
      'router [4,4,4,2] 0.5',
      'kernel [4,4,4,32] 0.5',
      'bias [32] 0',
    ])
    expect(weightDecays(model, { name: 'adam', learningRate: 1 })).toBeUndefined()
    expect(weightDecays(model, { name: 'adamw', learningRate: 1, weightDecay: 0 })).toBeUndefined()
    expect(weightDecays(model, { name: 'adamw', learningRate: 1 })?.[0]).toBe(0.01)
  })
})

it("adds the same epsilon on every backend: not the backend's own", () => {
  for (const name of ['adam', 'adamw'] as const) {
    expect(createOptimizer({ name, learningRate: 1 }).getConfig().epsilon).toBe(1e-7)
    expect(createOptimizer({ name, learningRate: 1, epsilon: 1e-4 }).getConfig().epsilon).toBe(1e-4)
  }
})

it.each([
  [{ weightDecay: -1 }, 'optimizer: weightDecay must be a number of at least 0, got -1'],
  [{ weightDecay: Number.NaN }, 'optimizer: weightDecay must be a number of at least 0, got NaN'],
  [
    { name: 'normalized-gd', weightDecay: 0.1 },
    'optimizer: weightDecay must be left out for normalized-gd, got 0.1 (it has l2)',
  ],
  [{ name: 'sgd', epsilon: 1e-8 }, 'optimizer: epsilon must be left out for sgd, got 1e-8'],
  [{ epsilon: 0 }, 'optimizer: epsilon must be a number greater than 0, got 0'],
] as const)('refuses %o', (options, message) => {
  expect(() => checkOptimizerOptions({ name: 'adamw', learningRate: 1, ...options })).toThrow(
    new RangeError(message),
  )
})

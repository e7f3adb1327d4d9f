import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { collectAuxiliaryTerms } from '../../src/layers/auxiliary-terms.js'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { BANK_ACTIVATIONS } from '../../src/layers/moe/filter-banks.js'
import { SampleMoE, sampleMoE } from '../../src/layers/moe/sample-moe.js'
import type { SampleMoEOptions } from '../../src/layers/moe/sample-moe-options.js'
import { GATE_NOISES_OF, perChoice, SAMPLE_GATES } from '../../src/layers/moe/sample-routing.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, drawTensor, sizeOf, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [5, 4, 6, 2] as const
const own = { numExperts: 3, outputs: 2, filtersPerOutput: 2, patchSize: [2, 3], seed: 4 } as const

/** A layer with weights of N(0, 1), so that products are no rounding errors. */
function layerOf(options: Partial<SampleMoEOptions> = {}, shape: readonly number[] = SHAPE): SampleMoE {
  const layer = sampleMoE({ ...own, ...options })
  layer.build([null, ...shape.slice(1)])
  layer.setWeights(layer.weights.map((weight, i) => drawTensor(weight.shape as number[], 20 + i)))
  return layer
}

interface Inputs {
  readonly x: Float64Array
  readonly router: Float64Array
  readonly kernel: Float64Array
  readonly bias: Float64Array
}

/** The layer as plain loops over float64 numbers, the choice being held where it is given. */
function byHand(
  layer: SampleMoE,
  { x, router, kernel, bias }: Inputs,
  noise: Float64Array,
  held?: readonly (readonly number[])[],
): { y: Float64Array; chosen: number[][] } {
  const [batch, height, width, channels] = SHAPE
  const [h, w] = layer.patchSize
  const { numExperts, outputs, filtersPerOutput, expertsPerSample } = layer
  const columns = numExperts * outputs * filtersPerOutput
  const activate = {
    cubic: (z: number) => z ** 3,
    linear: (z: number) => z,
    relu: (z: number) => Math.max(z, 0),
  }
  const product = (
    b: number,
    top: number,
    left: number,
    weights: Float64Array,
    count: number,
    column: number,
  ) => {
    let sum = 0
    for (let i = 0; i < h; i++)
      for (let j = 0; j < w; j++)
        for (let c = 0; c < channels; c++)
          sum +=
            x[((b * height + top + i) * width + left + j) * channels + c]! *
            weights[((i * w + j) * channels + c) * count + column]!
    return sum
  }
  const patches: [number, number][] = []
  for (let top = 0; top < height; top += h)
    for (let left = 0; left < width; left += w) patches.push([top, left])
  const y = new Float64Array(batch * outputs)
  const chosen: number[][] = []
  for (let b = 0; b < batch; b++) {
    const experts = Array.from({ length: numExperts }, (_, m) => m)
    const scores = experts.map(m =>
      patches.reduce((sum, [top, left]) => sum + product(b, top, left, router, numExperts, m), 0),
    )
    const noisy = scores.map((score, m) => score + noise[b * numExperts + m]!)
    const order =
      held?.[b] ?? [...experts].sort((p, q) => noisy[q]! - noisy[p]! || p - q).slice(0, expertsPerSample)
    chosen.push([...order])
    const weighedBy = layer.gateNoise === 'included' ? noisy : scores
    const total = weighedBy.reduce((sum, score) => sum + Math.exp(score), 0)
    for (const m of order) {
      const gate = { softmax: Math.exp(weighedBy[m]!) / total, raw: weighedBy[m]!, uniform: 1 }[layer.gate]
      for (let o = 0; o < outputs; o++)
        for (let j = 0; j < filtersPerOutput; j++)
          for (const [top, left] of patches) {
            const column = (m * outputs + o) * filtersPerOutput + j
            const z = product(b, top, left, kernel, columns, column) + bias[column]!
            y[b * outputs + o]! += gate * activate[layer.activation](z)
          }
    }
  }
  return { y, chosen }
}

const rules = SAMPLE_GATES.flatMap(gate => GATE_NOISES_OF[gate].map(gateNoise => ({ gate, gateNoise })))
const cases = rules.flatMap(rule =>
  BANK_ACTIVATIONS.flatMap(activation =>
    [1, 2].map(expertsPerSample => ({ ...rule, activation, expertsPerSample })),
  ),
)

describe('SampleMoE', () => {
  it.each(cases)('equals plain loops, values and gradients: %j', options => {
    const layer = layerOf(options)
    // Scores near 0, so that softmax is no choice by itself.
    const weights: Inputs = {
      x: draw(sizeOf(SHAPE), 1),
      router: draw(2 * 3 * 2 * 3, 2).map(value => Math.fround(value / 20)),
      kernel: draw(2 * 3 * 2 * 12, 3).map(value => Math.fround(value / 3)),
      bias: draw(12, 4),
    }
    const noise = draw(15, 5).map(Math.abs).map(Math.fround)
    layer.setWeights([
      tensorOf(weights.router, [2, 3, 2, 3]),
      tensorOf(weights.kernel, [2, 3, 2, 12]),
      tensorOf(weights.bias, [12]),
    ])
    const added = tensorOf(noise, [5, 3])
    const x = tensorOf<tf.Tensor4D>(weights.x, SHAPE)
    const answer = () => layer.apply(x, { noise: added, training: true }) as tf.Tensor
    const expected = byHand(layer, weights, noise)
    expectAllClose(answer().dataSync(), expected.y, 1e-3, 1e-4)
    const { indices } = layer.route(x, { noise: added as tf.Tensor2D })
    expect(perChoice(indices).arraySync()).toEqual(expected.chosen)
    expectAllClose(
      (layer.apply(x) as tf.Tensor).dataSync(),
      byHand(layer, weights, new Float64Array(15)).y,
      1e-3,
      1e-4,
    )

    const cotangent = draw(10, 6)
    const loss = (map: tf.Tensor) =>
      tf.sum(
        tf.mul(layer.apply(map, { noise: added }) as tf.Tensor, tensorOf(cotangent, [5, 2])),
      ) as tf.Scalar
    const gradientOf = (name: keyof Inputs) =>
      centralDifferences(
        weights[name],
        moved => byHand(layer, { ...weights, [name]: moved }, noise, expected.chosen).y,
        cotangent,
      )
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const { grads } = tf.variableGrads(() => loss(x), variables)
    for (const [i, name] of (['router', 'kernel', 'bias'] as const).entries())
      expectAllClose(grads[variables[i]!.name]!.dataSync(), gradientOf(name), 2e-3, 2e-3)
    expectAllClose(tf.grad(loss)(x).dataSync(), gradientOf('x'), 2e-3, 2e-3)
    const fixed = tf.variableGrads(() => loss(fixInput(tf.clone(x))), variables)
    for (const { name } of variables) expectAllClose(fixed.grads[name]!.dataSync(), grads[name]!.dataSync())
  })

  it('sorts large batches by expert with the same result as sample by sample', () => {
    const [batch, shape] = [3000, [3000, 4, 1, 10]] as const
    const layer = layerOf({ numExperts: 20, patchSize: 1, filtersPerOutput: 8 }, shape)
    const x = drawTensor<tf.Tensor4D>(shape, 8)
    const all = (layer.apply(x) as tf.Tensor).arraySync() as number[][]
    for (const sample of [0, 1, 1234, batch - 1]) {
      const alone = layer.apply(tf.slice(x, [sample, 0, 0, 0], [1, -1, -1, -1])) as tf.Tensor
      expectAllClose(alone.dataSync(), all[sample]!, 1e-3, 1e-3)
    }
  })

  it('has the documented weights', () => {
    const layer = layerOf()
    expect(layer.weights.map(({ originalName }) => originalName.split('/').at(-1))).toEqual([
      'router',
      'kernel',
      'bias',
    ])
    expect(layer.weights.map(({ shape }) => shape)).toEqual([[2, 3, 2, 3], [2, 3, 2, 12], [12]])
    expect(layerOf({ useBias: false }).weights).toHaveLength(2)
    expect(layerOf({ routerTrainable: false }).trainableWeights).toHaveLength(2)
    expect(() => {
      layer.weights = []
    }).toThrow(new TypeError('SampleMoE: weights must be set through setWeights(), got an assignment'))
  })

  it('starts with a router of zeros and small, seeded weights of uniform law', () => {
    const build = (seed: number | undefined) => {
      const layer = sampleMoE({
        numExperts: 4,
        outputs: 8,
        patchSize: 2,
        ...(seed !== undefined && { seed }),
      })
      layer.build([null, 4, 4, 3])
      return layer.getWeights().map(tensor => Array.from(tensor.dataSync()))
    }
    const [router, kernel, bias] = build(1)
    expect(new Set(router)).toEqual(new Set([0]))
    const bound = 1e-3 / Math.sqrt(12)
    for (const weights of [kernel!, bias!]) {
      expect(Math.max(...weights.map(Math.abs))).toBeLessThanOrEqual(bound)
      const meanSquare = weights.reduce((sum, value) => sum + value ** 2, 0) / weights.length
      // A uniform law on [-b, b] has the variance b^2 / 3.
      expect(meanSquare / (bound ** 2 / 3)).toBeGreaterThan(0.8)
      expect(meanSquare / (bound ** 2 / 3)).toBeLessThan(1.2)
    }
    expect(build(1)).toEqual([router, kernel, bias])
    expect(build(2)[1]).not.toEqual(kernel)
    expect(build(undefined)[1]).not.toEqual(build(undefined)[1])
  })

  it('answers chance at the start: every sample goes to expert 0, and the raw gate is 0', () => {
    const layer = sampleMoE({ ...own, gate: 'raw' })
    layer.build([null, ...SHAPE.slice(1)])
    const x = drawTensor<tf.Tensor4D>(SHAPE, 1)
    expect(layer.route(x).indices.arraySync()).toEqual([0, 0, 0, 0, 0])
    expect(new Set((layer.apply(x) as tf.Tensor).dataSync())).toEqual(new Set([0]))
  })

  it('round-trips its configuration', () => {
    const options: SampleMoEOptions[] = [
      own,
      { ...own, gate: 'raw', activation: 'relu', expertsPerSample: 2, useBias: false, routingNoise: 0.25 },
      { ...own, gate: 'softmax', gateNoise: 'included', expertNames: ['0', '3', '7'], prunedExperts: [1] },
      { ...own, gate: 'uniform', kernelInitializer: 'glorotNormal', routerTrainable: false },
      { numExperts: 1, outputs: 1, patchSize: 1 },
    ]
    for (const given of options) {
      const layer = sampleMoE(given)
      const config = JSON.parse(JSON.stringify(layer.getConfig()))
      const again = SampleMoE.fromConfig(SampleMoE as never, config) as SampleMoE
      expect(again.getConfig()).toEqual(layer.getConfig())
      expect(again.expertNames).toEqual(given.expertNames ?? layer.expertNames)
    }
    expect(sampleMoE(own).getConfig()).not.toHaveProperty('expertNames')
    expect(sampleMoE(own).getConfig()).not.toHaveProperty('prunedExperts')
  })

  it('names its experts, groups their weights, and takes its name from the class', () => {
    const layer = layerOf({ expertNames: ['a', 'b', 'c'] })
    expect(layer.expertNames).toEqual(['a', 'b', 'c'])
    expect(sampleMoE(own).expertNames).toEqual(['0', '1', '2'])
    expect(layer.normalizedGroups).toEqual([{ weights: layer.weights.slice(1), parts: 3 }])
    expect(layer.name).toMatch(/^sample_moe_/)
  })
})

describe('the noise of SampleMoE', () => {
  const layer = (options: Partial<SampleMoEOptions> = {}) =>
    layerOf({ gate: 'uniform', numExperts: 8, routingNoise: 50, ...options })
  const x = () => drawTensor<tf.Tensor4D>(SHAPE, 1)
  const answer = (one: SampleMoE, training: boolean) =>
    Array.from((one.apply(x(), { training }) as tf.Tensor).dataSync())

  it('is drawn in training alone, from U[0, a) with the seed of the step', () => {
    const one = layer({ routingNoise: 40 })
    one.useStepSeed(77)
    const noise = tf.randomUniform<tf.Rank.R2>([5, 8], 0, 40, 'float32', 77)
    const expected = Array.from((one.apply(x(), { noise }) as tf.Tensor).dataSync())
    expect(answer(one, true)).toEqual(expected)
    expect(answer(one, true)).toEqual(expected)
    const still = Array.from((one.apply(x()) as tf.Tensor).dataSync())
    expect(answer(one, false)).toEqual(still)
    expect(still).not.toEqual(expected)
    one.useStepSeed(78)
    expect(answer(one, true)).not.toEqual(expected)
  })

  it('comes from the seed of the layer where no run seeds it, other noise in each call', () => {
    const [one, same, other] = [layer({ seed: 1 }), layer({ seed: 1 }), layer({ seed: 2 })]
    const calls = [answer(one, true), answer(one, true)]
    expect(calls[0]).not.toEqual(calls[1])
    expect([answer(same, true), answer(same, true)]).toEqual(calls)
    expect(answer(other, true)).not.toEqual(calls[0])
    one.useStepSeed(5)
    one.useStepSeed(undefined)
    expect(answer(one, true)).toEqual(answer(same, true))
  })

  it('is absent with an amplitude of 0', () => {
    const one = layer({ routingNoise: 0 })
    expect(answer(one, true)).toEqual(answer(one, false))
  })

  it('must have a number for each sample and expert where it is given', () => {
    const one = layer({ numExperts: 3 })
    expect(() => one.route(x(), { noise: tf.ones([5, 2]) })).toThrow(
      new RangeError(
        'SampleMoE: noise must be a number for each sample and expert, of shape [5, 3], got [5, 2]',
      ),
    )
  })
})

describe('the balance loss of SampleMoE', () => {
  it('is a term that training collects, with the noise of the call', () => {
    const layer = layerOf({ gate: 'softmax' })
    layer.useStepSeed(9)
    const x = drawTensor<tf.Tensor4D>(SHAPE, 1)
    const noise = tf.randomUniform<tf.Rank.R2>([5, 3], 0, 1, 'float32', 9)
    const { terms } = collectAuxiliaryTerms(() => layer.apply(x, { training: true }))
    expectAllClose(terms.get('load-balance')!.dataSync(), layer.balanceLoss(x, { noise }).dataSync())
    expect(collectAuxiliaryTerms(() => layer.apply(x)).terms.size).toBe(0)
  })

  it('is differentiable by the router and by the samples', () => {
    const layer = layerOf({ gate: 'softmax' })
    const x = drawTensor<tf.Tensor4D>(SHAPE, 1)
    const router = layer.weights[0]!.read() as tf.Variable
    const { grads } = tf.variableGrads(() => layer.balanceLoss(x), [router])
    expect(grads[router.name]!.dataSync().some(value => value !== 0)).toBe(true)
    const byX = tf.grad((map: tf.Tensor) => layer.balanceLoss(map as tf.Tensor4D))(x)
    expect(byX.dataSync().some(value => value !== 0)).toBe(true)
  })
})

describe('SampleMoE and numbers that are not finite', () => {
  it.each(cases)('answers NaN for the sample that holds one, and for no other: %j', options => {
    const layer = layerOf(options)
    for (const value of [NaN, Infinity, -Infinity]) {
      for (const position of [0, 17, 47]) {
        const values = draw(sizeOf(SHAPE), 1)
        values[2 * 48 + position] = value
        const y = (layer.apply(tensorOf(values, SHAPE)) as tf.Tensor).arraySync() as number[][]
        expect(y.map(row => row.map(Number.isNaN))).toEqual(
          [false, false, true, false, false].map(damaged => [damaged, damaged]),
        )
      }
    }
  })

  it('has finite gradients where experts get no sample', () => {
    for (const gate of SAMPLE_GATES) {
      const layer = layerOf({ gate })
      const [router, ...experts] = layer.getWeights()
      // Expert 1 wins every sample.
      const column = tf.tensor2d([[-1, 1, -1]])
      layer.setWeights([tf.mul(tf.onesLike(router!), tf.reshape(column, [1, 1, 1, 3])), ...experts])
      const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
      const x = tf.abs(drawTensor<tf.Tensor4D>(SHAPE, 1))
      const { grads } = tf.variableGrads(
        () => tf.sum(layer.apply(x, { training: true, noise: tf.zeros([5, 3]) }) as tf.Tensor) as tf.Scalar,
        variables,
      )
      for (const gradient of Object.values(grads))
        expect(gradient.dataSync().every(Number.isFinite)).toBe(true)
      const kernel = grads[variables[1]!.name] as tf.Tensor
      const perExpert = tf.sum(tf.abs(tf.reshape(kernel, [12, 3, 4])), [0, 2]).dataSync()
      expect([perExpert[0], perExpert[2]]).toEqual([0, 0])
      expect(perExpert[1]).toBeGreaterThan(0)
    }
  })
})

describe('SampleMoE refuses', () => {
  const refusals: [Partial<SampleMoEOptions> | Record<string, unknown>, string][] = [
    [{ numExperts: 0 }, 'SampleMoE: numExperts must be a positive integer, got 0'],
    [{ numExperts: 1.5 }, 'SampleMoE: numExperts must be a positive integer, got 1.5'],
    [{ outputs: 0 }, 'SampleMoE: outputs must be a positive integer, got 0'],
    [{ filtersPerOutput: -2 }, 'SampleMoE: filtersPerOutput must be a positive integer, got -2'],
    [{ patchSize: 0 }, 'SampleMoE: patchSize must be a positive integer or [height, width] of them, got 0'],
    [
      { activation: 'quartic' },
      `SampleMoE: activation must be one of 'cubic', 'linear', 'relu', got "quartic"`,
    ],
    [{ gate: 'hard' }, `SampleMoE: gate must be one of 'softmax', 'raw', 'uniform', got "hard"`],
    [
      { gate: 'raw', gateNoise: 'selection-only' },
      `SampleMoE: gateNoise with gate 'raw' must be one of 'included', got "selection-only"`,
    ],
    [
      { gate: 'uniform', gateNoise: 'included' },
      `SampleMoE: gateNoise with gate 'uniform' must be one of 'selection-only', got "included"`,
    ],
    [
      { gateNoise: 'none' },
      `SampleMoE: gateNoise with gate 'softmax' must be one of 'selection-only', 'included', got "none"`,
    ],
    [{ routingNoise: -1 }, 'SampleMoE: routingNoise must be a number of at least 0, got -1'],
    [{ routingNoise: NaN }, 'SampleMoE: routingNoise must be a number of at least 0, got NaN'],
    [{ routingNoise: Infinity }, 'SampleMoE: routingNoise must be a number of at least 0, got Infinity'],
    [{ expertsPerSample: 4 }, 'SampleMoE: expertsPerSample must be an integer in [1, 3], got 4 (3 experts)'],
    [
      { expertNames: ['a', 'a', 'b'] },
      'SampleMoE: expertNames must be 3 different names, one for each expert, got ["a","a","b"]',
    ],
    [
      { prunedExperts: [0, 1, 2] },
      'SampleMoE: prunedExperts must be different experts in [0, 3), ascending and not all of them, got [0,1,2]',
    ],
    [
      { prunedExperts: [1, 0] },
      'SampleMoE: prunedExperts must be different experts in [0, 3), ascending and not all of them, got [1,0]',
    ],
    [
      { prunedExperts: [3] },
      'SampleMoE: prunedExperts must be different experts in [0, 3), ascending and not all of them, got [3]',
    ],
    [
      { numExpert: 3 },
      'SampleMoE: options must be among those that it has, got numExpert (nearest: numExperts)',
    ],
  ]
  it.each(refusals)('%j', (options, message) => {
    expect(() => sampleMoE({ ...own, ...options } as SampleMoEOptions)).toThrow(message)
  })

  it('a patch that does not divide the map, and use before it is built', () => {
    expect(() => sampleMoE(own).build([null, 5, 6, 2])).toThrow(
      new RangeError('SampleMoE: patchSize must divide the map, got 2x3 (map 5x6)'),
    )
    expect(() => sampleMoE(own).build([null, 6])).toThrow(
      new RangeError(
        'SampleMoE: input must have rank 4 (batch, height, width, channels), got shape (null, 6)',
      ),
    )
    const layer = sampleMoE({ ...own, name: 'mixture' })
    expect(() => layer.route(tf.ones([1, 4, 6, 2]))).toThrow(
      new Error('SampleMoE: the layer must be built before use, got layer mixture without input'),
    )
  })
})

import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fixInput, isFixed } from '../../src/layers/fixed-inputs.js'
import { patchGrid } from '../../src/layers/moe/patches.js'
import {
  balanceProxies,
  checkExpertsPerSample,
  GATE_NOISES,
  loadBalance,
  patchSums,
  perChoice,
  routeSamples,
  SAMPLE_GATES,
  type SampleRoutingRule,
  sampleScores,
} from '../../src/layers/moe/sample-routing.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, drawTensor, holds, innerProduct, settings, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const rules = SAMPLE_GATES.flatMap(gate =>
  GATE_NOISES.flatMap(gateNoise =>
    (gate === 'raw' && gateNoise !== 'included') || (gate === 'uniform' && gateNoise === 'included')
      ? []
      : [{ gate, gateNoise }],
  ),
)

/** Softmax in float64. */
function softmax(values: readonly number[]): number[] {
  const powers = values.map(Math.exp)
  const total = powers.reduce((sum, power) => sum + power, 0)
  return powers.map(power => power / total)
}

/** Experts of the k largest numbers, of equal ones the lower first. */
function best(values: readonly number[], count: number): number[] {
  return values
    .map((_, m) => m)
    .sort((a, b) => values[b]! - values[a]! || a - b)
    .slice(0, count)
}

describe('sampleScores', () => {
  it('are inner products of a router with every patch, summed over patches', () => {
    //  1  2 |  3  4     the sum of the patches is
    //  5  6 |  7  8       1 + 3 + 9 + 11 = 24     2 + 4 + 10 + 12 = 28
    //  9 10 | 11 12       5 + 7 + 13 + 15 = 40    6 + 8 + 14 + 16 = 44
    // 13 14 | 15 16     expert 0, all ones: 136; expert 1, [1 0; 0 -2]: 24 - 2 44 = -64
    const x = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [1, 4, 4, 1])
    const router = tf.tensor4d([1, 1, 1, 0, 1, 0, 1, -2], [2, 2, 1, 2])
    const grid = patchGrid([4, 4], [2, 2], 'T')
    expect(patchSums(x, grid).arraySync()).toEqual([[24, 28, 40, 44]])
    expect(sampleScores(x, router, grid).arraySync()).toEqual([[136, -64]])
  })

  it('are linear in the map and in the router, and their gradient is the adjoint of both', () => {
    holds(settings, ({ cells, patch, batch, channels, experts, seed }) => {
      const grid = patchGrid([cells[0] * patch[0], cells[1] * patch[1]], patch, 'T')
      const x: tf.Tensor4D = drawTensor([batch, ...grid.map, channels], seed)
      const router: tf.Tensor4D = drawTensor([...patch, channels, experts], seed + 1)
      const cotangent: tf.Tensor2D = drawTensor([batch, experts], seed + 2)
      const [dx, dRouter] = tf.grads((map, vectors) =>
        sampleScores(map as tf.Tensor4D, vectors as tf.Tensor4D, grid),
      )([x, router], cotangent)
      const expected = innerProduct(sampleScores(x, router, grid), cotangent)
      expectAllClose([innerProduct(x, dx!), innerProduct(router, dRouter!)], [expected, expected], 1e-4, 1e-3)
    })
  })

  it('stay fixed where the images are', () => {
    const grid = patchGrid([2, 2], [1, 1], 'T')
    const x = tf.ones<tf.Rank.R4>([1, 2, 2, 1])
    expect(isFixed(patchSums(x, grid))).toBe(false)
    expect(isFixed(patchSums(fixInput(x), grid))).toBe(true)
  })
})

describe('routeSamples', () => {
  // Softmax of the scores: 0.1, 0.5, 0.4; with the noise ln 2, 0, ln 4 it is 0.2/2.3, 0.5/2.3, 1.6/2.3.
  const scores = [1, 5, 4].map(Math.log)
  const noise = [2, 1, 4].map(Math.log)
  it.each([
    ['softmax', 'included', 1, 0.5, 2, 1.6 / 2.3],
    ['softmax', 'selection-only', 1, 0.5, 2, 0.4],
    ['raw', 'included', 1, Math.log(5), 2, Math.log(16)],
    ['uniform', 'selection-only', 1, 1, 2, 1],
  ] as const)('weighs by %s, noise %s', (gate, gateNoise, expert, gateOf, noisyExpert, noisyGate) => {
    const rule = { expertsPerSample: 1, gate, gateNoise }
    const routing = routeSamples(tf.tensor2d([scores]), rule)
    expect(routing.indices.dtype).toBe('int32')
    expect(routing.indices.arraySync()).toEqual([expert])
    expectAllClose(routing.gates.dataSync(), [gateOf])
    expectAllClose(routing.chosenBy.dataSync(), scores)
    const noisy = routeSamples(tf.tensor2d([scores]), rule, tf.tensor2d([noise]))
    expect(noisy.indices.arraySync()).toEqual([noisyExpert])
    expectAllClose(noisy.gates.dataSync(), [noisyGate])
    expectAllClose(noisy.scores.dataSync(), scores)
    expectAllClose(
      noisy.chosenBy.dataSync(),
      scores.map((score, m) => score + noise[m]!),
    )
  })

  it('weighs the k best by the softmax over all', () => {
    const { indices, gates } = routeSamples(tf.tensor2d([scores, [0, 0, 0]]), {
      expertsPerSample: 2,
      gate: 'softmax',
      gateNoise: 'selection-only',
    })
    expect(indices.arraySync()).toEqual([
      [1, 2],
      [0, 1],
    ])
    expectAllClose(gates.dataSync(), [0.5, 0.4, 1 / 3, 1 / 3])
  })

  it('chooses the largest, the lower number among equal ones; integers make ties likely', () => {
    const cases = fc.record({
      scores: fc.array(fc.integer({ min: -2, max: 2 }), { minLength: 1, maxLength: 9 }),
      share: fc.double({ min: 0, max: 1, noNaN: true }),
      rule: fc.constantFrom(...rules),
    })
    holds(
      cases,
      ({ scores: values, share, rule }) => {
        const expertsPerSample = 1 + Math.round(share * (values.length - 1))
        const { indices } = routeSamples(tf.tensor2d([values]), { ...rule, expertsPerSample })
        expect(perChoice(indices).arraySync()).toEqual([best(values, expertsPerSample)])
      },
      150,
    )
  })

  it.each(rules)('answers NaN for a sample with a score that is not finite, and for no other: %j', rule => {
    for (const value of [NaN, Infinity, -Infinity]) {
      for (const expertsPerSample of [1, 3]) {
        const values = [
          [1, 5, 4],
          [1, value, 4],
          [7, 2, 2],
        ]
        const { indices, gates } = routeSamples(tf.tensor2d(values), { ...rule, expertsPerSample })
        const chosen = perChoice(indices).arraySync() as number[][]
        expect(chosen[0]).toEqual(best(values[0]!, expertsPerSample))
        expect(chosen[1]).toEqual([0, 1, 2].slice(0, expertsPerSample))
        expect(chosen[2]).toEqual(best(values[2]!, expertsPerSample))
        const finite = (perChoice(gates).arraySync() as number[][]).map(row => row.map(Number.isFinite))
        expect(finite).toEqual([true, false, true].map(fine => Array(expertsPerSample).fill(fine)))
      }
    }
  })

  for (const rule of rules)
    for (const expertsPerSample of [1, 2, 4])
      it(`has the gradient of central differences, the choice being held: ${JSON.stringify(rule)}, k = ${expertsPerSample}`, () => {
        const [values, noiseValues, cotangent] = [draw(12, 5), draw(12, 6), draw(3 * expertsPerSample, 7)]
        const whole: SampleRoutingRule = { ...rule, expertsPerSample }
        const added = tensorOf<tf.Tensor2D>(noiseValues, [3, 4])
        const routed = (h: tf.Tensor) => routeSamples(h as tf.Tensor2D, whole, added)
        const chosen = perChoice(routed(tensorOf(values, [3, 4])).indices).arraySync() as number[][]
        const byHand = (h: Float64Array): Float64Array =>
          Float64Array.from(
            chosen.flatMap((experts, b) => {
              const own = [0, 1, 2, 3].map(
                m => h[4 * b + m]! + (rule.gateNoise === 'included' ? noiseValues[4 * b + m]! : 0),
              )
              const shares = { softmax: softmax(own), raw: own, uniform: [1, 1, 1, 1] }[rule.gate]
              return experts.map(m => shares[m]!)
            }),
          )
        const gates = (h: tf.Tensor) => perChoice(routed(h).gates)
        const actual = tf.grad(gates)(tensorOf(values, [3, 4]), tensorOf(cotangent, [3, expertsPerSample]))
        expectAllClose(gates(tensorOf(values, [3, 4])).dataSync(), byHand(values))
        expectAllClose(actual.dataSync(), centralDifferences(values, byHand, cotangent))
      })

  it('leaves no tensor behind, taped or not', () => {
    const h = tf.tensor2d([[1, 2, 3]])
    const rule = { expertsPerSample: 1, gate: 'softmax', gateNoise: 'included' } as const
    const before = tf.memory().numTensors
    tf.dispose(routeSamplesTidily(h, rule))
    tf.dispose(tf.grad((scores: tf.Tensor) => routeSamples(scores as tf.Tensor2D, rule).gates)(h))
    expect(tf.memory().numTensors).toBe(before)
  })
})

function routeSamplesTidily(scores: tf.Tensor2D, rule: SampleRoutingRule): tf.Tensor {
  return tf.tidy(() => routeSamples(scores, rule).gates)
}

describe('loadBalance', () => {
  // Three of four samples chose expert 0, one expert 2.
  const indices = [0, 2, 0, 0]
  const proxies = [
    [0.5, 0.25, 0.25],
    [0.2, 0.2, 0.6],
    [0.8, 0.1, 0.1],
    [0.5, 0.05, 0.45],
  ]

  it('is M^2 times the mean of density times proxy', () => {
    // Densities 3/4, 0, 1/4; proxies 2/4, 0.6/4, 1.4/4: 9 (3/4 2/4 + 1/4 1.4/4) / 3 = 3 (6 + 1.4) / 16
    const loss = loadBalance(tf.tensor2d(proxies), tf.tensor1d(indices, 'int32'))
    expect(loss.shape).toEqual([])
    expectAllClose(loss.dataSync(), [(3 * 7.4) / 16])
  })

  it('counts every choice of a sample', () => {
    // Densities 1/2, 1/4, 1/4 of four choices.
    const chosen = tf.tensor2d(
      [
        [0, 1],
        [2, 0],
      ],
      [2, 2],
      'int32',
    )
    const loss = loadBalance(tf.tensor2d([proxies[0]!, proxies[1]!]), chosen)
    expectAllClose(loss.dataSync(), [3 * (0.5 * 0.35 + 0.25 * 0.225 + 0.25 * 0.425)])
  })

  it('has a gradient by the proxies alone: M density_m / B', () => {
    const gradient = tf.grad((p: tf.Tensor) => loadBalance(p as tf.Tensor2D, tf.tensor1d(indices, 'int32')))
    const row = [3 * 0.75, 0, 3 * 0.25].map(value => value / 4)
    expectAllClose(gradient(tf.tensor2d(proxies)).dataSync(), [row, row, row, row])
  })

  it('takes probabilities, or with gate raw the scores', () => {
    const chosenBy = tf.tensor2d([[0, Math.log(3)]])
    expectAllClose(balanceProxies(chosenBy, 'raw').dataSync(), [0, Math.log(3)])
    for (const gate of ['softmax', 'uniform'] as const)
      expectAllClose(balanceProxies(chosenBy, gate).dataSync(), [0.25, 0.75])
  })
})

describe('checkExpertsPerSample', () => {
  it.each([1, 3])('accepts %i of 3', count => {
    expect(checkExpertsPerSample(count, 3, 'T')).toBe(count)
  })
  it.each([0, 4, -1, 1.5, Number.NaN])('refuses %d of 3', count => {
    expect(() => checkExpertsPerSample(count, 3, 'T')).toThrow(
      new RangeError(`T: expertsPerSample must be an integer in [1, 3], got ${count} (3 experts)`),
    )
  })
})

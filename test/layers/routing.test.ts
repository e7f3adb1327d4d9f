import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GATE_SCALES, GATES } from '../../src/layers/moe/gates.js'
import { patchGrid } from '../../src/layers/moe/patches.js'
import {
  checkPatchesPerExpert,
  keptPatchesGradient,
  keptRouterGradient,
  type RoutingRule,
  routePatches,
  routerScores,
  routerScoresGradient,
  scoreGradient,
} from '../../src/layers/moe/routing.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, drawTensor, holds, innerProduct, keptOf, settings, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const RULES = GATES.flatMap(gate => GATE_SCALES.map(gateScale => ({ gate, gateScale })))

function routeScores(scores: readonly number[], rule: RoutingRule) {
  const { indices, gates } = routePatches(tf.tensor3d([...scores], [1, 1, scores.length]), rule)
  return { indices: Array.from(indices.dataSync()), gates: Array.from(gates.dataSync()) }
}

describe('routerScores', () => {
  it('are inner products of a patch and a router', () => {
    //  1  2 |  3  4      expert 0, all ones: sums 14, 22, 46, 54
    //  5  6 |  7  8      expert 1, [1 0; 0 -2]: top left - 2 bottom right
    //  9 10 | 11 12        1 - 2 6 = -11, 3 - 2 8 = -13, 9 - 2 14 = -19, 11 - 2 16 = -21
    // 13 14 | 15 16
    const x = tf.tensor4d([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16], [1, 4, 4, 1])
    const router = tf.tensor4d([1, 1, 1, 0, 1, 0, 1, -2], [2, 2, 1, 2])
    expect(routerScores(x, router, patchGrid([4, 4], [2, 2], 'T')).arraySync()).toEqual([
      [
        [14, 22, 46, 54],
        [-11, -13, -19, -21],
      ],
    ])
  })

  it('are linear in the map and in the router, and their gradient is the adjoint of both', () => {
    holds(settings, ({ cells, patch, batch, channels, experts, seed }) => {
      const grid = patchGrid([cells[0] * patch[0], cells[1] * patch[1]], patch, 'T')
      const x: tf.Tensor4D = drawTensor([batch, ...grid.map, channels], seed)
      const router: tf.Tensor4D = drawTensor([...patch, channels, experts], seed + 1)
      const dScores: tf.Tensor3D = drawTensor([batch, experts, grid.count], seed + 2)
      const { dx, dRouter } = routerScoresGradient(dScores, x, router, grid)
      const expected = innerProduct(routerScores(x, router, grid), dScores)
      expectAllClose([innerProduct(x, dx), innerProduct(router, dRouter)], [expected, expected], 1e-4, 1e-3)
    })
  })
})

describe('routePatches', () => {
  // Softmax over all: 0.1, 0.4, 0.2, 0.3; over the two largest: 4/7 and 3/7.
  const scores = [1, 4, 2, 3].map(Math.log)
  it.each([
    ['softmax-selected', 'none', [4 / 7, 3 / 7]],
    ['softmax-selected', 'mean-one', [8 / 7, 6 / 7]],
    ['softmax-all', 'none', [0.4, 0.3]],
    ['softmax-all', 'mean-one', [1.6, 1.2]],
    ['uniform', 'none', [1, 1]],
    ['uniform', 'mean-one', [1, 1]],
  ] as const)('weighs by %s, %s', (gate, gateScale, expected) => {
    const { indices, gates } = routeScores(scores, { patchesPerExpert: 2, gate, gateScale })
    expect(indices).toEqual([1, 3])
    expectAllClose(gates, expected)
  })

  it('keeps the lower patch number among equal scores', () => {
    const rule = { patchesPerExpert: 3, gate: 'softmax-selected', gateScale: 'none' } as const
    expect(routeScores([2, 7, 2, 7, 2], rule).indices).toEqual([1, 3, 0])
    expect(routeScores([0, 0, 0, 0, 0], rule)).toEqual({
      indices: [0, 1, 2],
      gates: Array(3).fill(Math.fround(1 / 3)),
    })
  })

  it('keeps the L largest, best first, whatever the gate; integers make ties likely', () => {
    const cases = fc.record({
      scores: fc.array(fc.integer({ min: -3, max: 3 }), { minLength: 1, maxLength: 12 }),
      keep: fc.double({ min: 0, max: 1, noNaN: true }),
      rule: fc.constantFrom(...RULES),
    })
    holds(
      cases,
      ({ scores: values, keep, rule }) => {
        const patchesPerExpert = keptOf(keep, values.length)
        const order = values.map((_, n) => n).sort((p, q) => values[q]! - values[p]! || p - q)
        expect(routeScores(values, { ...rule, patchesPerExpert }).indices).toEqual(
          order.slice(0, patchesPerExpert),
        )
      },
      150,
    )
  })

  it('gates sum to 1, or have mean 1, over the patches that the softmax runs over', () => {
    holds(settings, ({ batch, experts, keep, seed }) => {
      const patches = 9
      const values: tf.Tensor3D = drawTensor([batch, experts, patches], seed)
      const meanOfGates = (rule: RoutingRule) =>
        tf.mean(routePatches(tf.mul(values, 5), rule).gates, 2).dataSync()
      const ones = Array(batch * experts).fill(1)
      for (const patchesPerExpert of [keptOf(keep, patches), patches]) {
        const selected = { patchesPerExpert, gate: 'softmax-selected' } as const
        expectAllClose(meanOfGates({ ...selected, gateScale: 'mean-one' }), ones)
        const sums = Array.from(meanOfGates({ ...selected, gateScale: 'none' }), g => g * patchesPerExpert)
        expectAllClose(sums, ones)
      }
      const all = { patchesPerExpert: patches, gate: 'softmax-all' } as const
      expectAllClose(meanOfGates({ ...all, gateScale: 'mean-one' }), ones)
      const sums = Array.from(meanOfGates({ ...all, gateScale: 'none' }), g => g * patches)
      expectAllClose(sums, ones)
    })
  })
})

/** Gates of the kept patches from all scores, in float64, the choice being held. */
function gatesByHand(scores: Float64Array, kept: readonly number[], rule: RoutingRule): Float64Array {
  const over = rule.gate === 'softmax-all' ? [...scores] : kept.map(n => scores[n]!)
  const total = over.reduce((sum, score) => sum + Math.exp(score), 0)
  const scale = rule.gateScale === 'none' ? 1 : over.length
  return Float64Array.from(kept, n => (rule.gate === 'uniform' ? 1 : (scale * Math.exp(scores[n]!)) / total))
}

describe('scoreGradient', () => {
  const starts: [string, Float64Array][] = [
    ['any scores', draw(7, 5)],
    ['equal scores', new Float64Array(7).fill(0.25)],
    ['pairs of equal scores', Float64Array.of(1, 0, 1, 0, -1, 1, -1)],
  ]
  for (const [name, scores] of starts)
    for (const rule of RULES)
      for (const patchesPerExpert of [1, 4, 7])
        it(`equals central differences: ${name}, ${rule.gate}, ${rule.gateScale}, L = ${patchesPerExpert}`, () => {
          const whole = { ...rule, patchesPerExpert }
          const routing = routePatches(tensorOf(scores, [1, 1, 7]), whole)
          const dGates = draw(patchesPerExpert, 8)
          const kept = Array.from(routing.indices.dataSync())
          const expected = centralDifferences(scores, s => gatesByHand(s, kept, whole), dGates)
          const gradient = scoreGradient(tensorOf(dGates, [1, 1, patchesPerExpert]), routing, whole, 7)
          const actual = Array.from(gradient?.all?.dataSync() ?? new Float32Array(7))
          gradient?.kept.dataSync().forEach((value, i) => {
            actual[kept[i]!]! += value
          })
          expectAllClose(actual, expected)
        })

  it('is absent where no gradient reaches the router', () => {
    const rule = { patchesPerExpert: 2, gate: 'uniform', gateScale: 'none' } as const
    const routing = routePatches(tf.tensor3d([1, 2, 3], [1, 1, 3]), rule)
    expect(scoreGradient(tf.ones([1, 1, 2]), routing, rule, 3)).toBeUndefined()
  })
})

describe('keptRouterGradient and keptPatchesGradient', () => {
  it('equal the gradient through the whole map, the other scores having none', () => {
    // A map of two patches of one pixel and two channels; expert 0 kept patch 1, expert 1 patch 0.
    const x = tf.tensor4d([1, 2, 3, 4], [1, 1, 2, 2])
    const router = tf.tensor4d([1, 3, 2, 4], [1, 1, 2, 2]) // w_0 = (1, 2), w_1 = (3, 4)
    const dScores = tf.tensor3d([10, 100], [1, 2, 1])
    const patches = tf.tensor3d([3, 4, 1, 2], [2, 1, 2])
    // By patches: 10 w_0 and 100 w_1. By routers: 10 (3, 4) and 100 (1, 2), as columns.
    expect(Array.from(keptPatchesGradient(dScores, router).dataSync())).toEqual([10, 20, 300, 400])
    expect(Array.from(keptRouterGradient(dScores, patches, router.shape).dataSync())).toEqual([
      30, 100, 40, 200,
    ])
    const whole = routerScoresGradient(
      tf.tensor3d([0, 10, 100, 0], [1, 2, 2]),
      x,
      router,
      patchGrid([1, 2], [1, 1], 'T'),
    )
    expectAllClose(whole.dRouter.dataSync(), [30, 100, 40, 200])
    expectAllClose(whole.dx.dataSync(), [300, 400, 10, 20])
  })
})

describe('checkPatchesPerExpert', () => {
  const grid = patchGrid([8, 6], [4, 2], 'T')
  it.each([1, 6])('accepts %i of 6', count => {
    expect(() => checkPatchesPerExpert(count, grid, 'T')).not.toThrow()
  })
  it.each([0, 7, -1, 2.5, Number.NaN])('refuses %d of 6', count => {
    expect(() => checkPatchesPerExpert(count, grid, 'T')).toThrow(
      new RangeError(
        `T: patchesPerExpert must be an integer in [1, 6], got ${count} (6 patches: 8x6 map in 4x2 patches)`,
      ),
    )
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { type AuxiliaryTerm, collectAuxiliaryTerms } from '../../src/layers/auxiliary-terms.js'
import { patchExperts } from '../../src/layers/moe/patch-experts.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { patchGrid } from '../../src/layers/moe/patches.js'
import { differentiableScores, patchBalance, routingOverlap } from '../../src/layers/moe/routing-terms.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, tensorOf } from './random-tensors.js'

beforeAll(() => useTestBackend())
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const numberOf = (scalar: tf.Tensor) => scalar.dataSync()[0] as number
/** A score that leaves nothing of the softmax to patches of score 0. */
const SURE = 60

describe('the overlap of routers', () => {
  it('is 1 for experts that weigh patches alike, 0 for those that share none, the mean over pairs between', () => {
    const [a, b] = [
      [SURE, 0, 0, 0],
      [0, SURE, 0, 0],
    ]
    const overlap = (...experts: number[][]) => numberOf(routingOverlap(tf.tensor3d([experts])))
    expect(overlap(a, a)).toBeCloseTo(1, 6)
    expect(overlap(a, b)).toBeCloseTo(0, 6)
    // One pair of three is alike.
    expect(overlap(a, a, b)).toBeCloseTo(1 / 3, 6)
    // Two routers that tell no patches apart are alike, though <P, Q> = 1/4 only.
    expect(overlap([0, 0, 0, 0], [0, 0, 0, 0])).toBeCloseTo(1, 6)
    // P = (1/2, 1/2, 0, 0) and Q = (0, 1/2, 1/2, 0): (1/4) / (1/2).
    expect(overlap([SURE, SURE, 0, 0], [0, SURE, SURE, 0])).toBeCloseTo(1 / 2, 6)
  })

  it('is the mean over images', () => {
    const scores = tf.tensor3d([
      [
        [SURE, 0],
        [SURE, 0],
      ],
      [
        [SURE, 0],
        [0, SURE],
      ],
    ])
    expect(numberOf(routingOverlap(scores))).toBeCloseTo(1 / 2, 6)
  })
})

describe('the balance of positions', () => {
  const balance = (images: number[][][], kept: number[][][]) =>
    numberOf(patchBalance(tf.tensor3d(images), tf.tensor3d(kept, undefined, 'int32')))

  it('is 1 where positions are chosen evenly, N/L where all experts and images have the same', () => {
    const even = [
      [
        [SURE, SURE, 0, 0],
        [0, 0, SURE, SURE],
      ],
    ]
    expect(balance(even, [[[0, 1], [2, 3]]])).toBeCloseTo(1, 6) // biome-ignore format: a row an expert
    const same = [
      [
        [SURE, SURE, 0, 0],
        [SURE, SURE, 0, 0],
      ],
    ]
    expect(balance(same, [[[0, 1], [0, 1]]])).toBeCloseTo(2, 6) // biome-ignore format: a row an expert
    expect(balance([[[SURE, 0, 0]]], [[[0]]])).toBeCloseTo(3, 6)
  })

  it('looks at the batch as a whole: another position in each image is even', () => {
    const images = [0, 1, 2].map(at => [[0, 0, 0].map((_, j) => (j === at ? SURE : 0))])
    expect(balance(images, [[[0]], [[1]], [[2]]])).toBeCloseTo(1, 6)
  })
})

interface Sizes {
  readonly shape: readonly [number, number, number, number]
  readonly patch: readonly [number, number]
  readonly experts: number
  readonly kept: number
}

/** (B K N) scores by plain loops. */
function scoresOf(x: Float64Array, router: Float64Array, { shape, patch, experts }: Sizes): number[][][] {
  const [batch, height, width, channels] = shape
  const [h, w] = patch
  return Array.from({ length: batch }, (_, b) =>
    Array.from({ length: experts }, (_, k) =>
      Array.from({ length: (height / h) * (width / w) }, (_, j) => {
        const [top, left] = [Math.floor(j / (width / w)) * h, (j % (width / w)) * w]
        let sum = 0
        for (let r = 0; r < h; r++)
          for (let c = 0; c < w; c++)
            for (let f = 0; f < channels; f++) {
              const pixel = ((b * height + top + r) * width + left + c) * channels + f
              sum += x[pixel]! * router[((r * w + c) * channels + f) * experts + k]!
            }
        return sum
      }),
    ),
  )
}

const softmax = (scores: readonly number[]) => {
  const parts = scores.map(score => Math.exp(score - Math.max(...scores)))
  const total = parts.reduce((sum, part) => sum + part, 0)
  return parts.map(part => part / total)
}
const dot = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0)

function overlapOf(scores: readonly number[][][]): number {
  const cosines = scores.flatMap(experts => {
    const shares = experts.map(softmax)
    return shares.flatMap((p, s) =>
      shares.slice(s + 1).map(q => dot(p, q) / Math.sqrt(dot(p, p) * dot(q, q))),
    )
  })
  return cosines.reduce((sum, cosine) => sum + cosine, 0) / cosines.length
}

/** The choices are those of `held`: no gradient passes through them. */
function balanceOf(scores: readonly number[][][], held: readonly number[][][], kept: number): number {
  const rows = scores.flat().map(softmax)
  const patches = rows[0]!.length
  const load = new Array<number>(patches).fill(0)
  for (const row of held.flat()) {
    const order = row.map((_, j) => j).sort((a, b) => row[b]! - row[a]! || a - b)
    for (const j of order.slice(0, kept)) load[j]! += 1 / (kept * rows.length)
  }
  const shares = load.map((_, j) => rows.reduce((sum, row) => sum + row[j]!, 0) / rows.length)
  return patches * dot(load, shares)
}

const CASES: readonly Sizes[] = [
  { shape: [3, 4, 4, 2], patch: [2, 2], experts: 3, kept: 2 },
  { shape: [2, 3, 5, 3], patch: [1, 1], experts: 2, kept: 4 },
  { shape: [2, 4, 6, 1], patch: [4, 2], experts: 5, kept: 1 },
  { shape: [1, 2, 2, 3], patch: [1, 2], experts: 2, kept: 2 },
]

/** What a layer adds in training, by the name of the term. */
function termOf(name: AuxiliaryTerm, run: () => unknown): tf.Scalar {
  const { terms } = collectAuxiliaryTerms(run, [name])
  expect([...terms.keys()]).toEqual([name])
  return terms.get(name) as tf.Scalar
}

describe('the terms that PatchMoE adds, and their gradients, against plain loops', () => {
  for (const sizes of CASES) {
    const { shape, patch, experts, kept } = sizes
    for (const name of ['load-balance', 'diversity'] as const) {
      it(`${name} of ${JSON.stringify(sizes)}`, () => {
        const layer = patchMoE({
          numExperts: experts,
          patchesPerExpert: kept,
          patchSize: patch,
          filters: experts,
          kernelSize: 1,
        })
        layer.build([null, ...shape.slice(1)])
        const [pixels, routers] = [
          draw(
            shape.reduce((a, b) => a * b),
            1,
          ),
          draw(patch[0] * patch[1] * shape[3] * experts, 2),
        ]
        const router = layer.weights[0]?.read() as tf.Variable
        router.assign(tensorOf(routers, router.shape))
        const x = tensorOf<tf.Tensor4D>(pixels, shape)
        const held = scoresOf(pixels, routers, sizes)
        const loss = (of: Float64Array, by: Float64Array) => {
          const scores = scoresOf(of, by, sizes)
          return name === 'diversity' ? overlapOf(scores) : balanceOf(scores, held, kept)
        }
        const term = (input: tf.Tensor) => termOf(name, () => layer.apply(input, { training: true }))
        expect(numberOf(term(x))).toBeCloseTo(loss(pixels, routers), 5)
        const one = Float64Array.of(1)
        const byRouter = centralDifferences(routers, values => Float64Array.of(loss(pixels, values)), one)
        const byInput = centralDifferences(pixels, values => Float64Array.of(loss(values, routers)), one)
        const { grads } = tf.variableGrads(() => term(x), [router])
        expectAllClose(grads[router.name]?.dataSync() as Float32Array, byRouter, 1e-4)
        expectAllClose(tf.grad(term)(x).dataSync(), byInput, 1e-4)
      })
    }
  }
})

describe('layers whose experts choose patches', () => {
  const x = () => tensorOf<tf.Tensor4D>(draw(2 * 4 * 4, 3), [2, 4, 4, 1])
  const grid = patchGrid([4, 4], [2, 2], 'test')

  it('add nothing in inference, and nothing that is not asked for', () => {
    const layer = patchMoE({ numExperts: 2, patchesPerExpert: 1, patchSize: 2, filters: 2 })
    const asked = (training: boolean, names: AuxiliaryTerm[]) => [
      ...collectAuxiliaryTerms(() => layer.apply(x(), { training }), names).terms.keys(),
    ]
    expect(asked(false, ['load-balance', 'diversity'])).toEqual([])
    expect(asked(true, [])).toEqual([])
    expect(asked(true, ['diversity'])).toEqual(['diversity'])
    expect(asked(true, ['load-balance', 'diversity'])).toEqual(['load-balance', 'diversity'])
  })

  it('with one expert have no diversity', () => {
    const layer = patchMoE({ numExperts: 1, patchesPerExpert: 1, patchSize: 2, filters: 2 })
    const gate = patchGate({ patchSize: 2, patchesPerExpert: 1 })
    for (const one of [layer, gate]) {
      expect(one.auxiliaryTerms).toEqual(['load-balance'])
      const { terms } = collectAuxiliaryTerms(() => one.apply(x(), { training: true }))
      expect([...terms.keys()]).toEqual(['load-balance'])
    }
  })

  it('add the terms of their routers: two-layer experts, patch gates', () => {
    const options = { patchesPerExpert: 2, patchSize: 2, seed: 3, routerInitializer: 'glorotNormal' } as const
    const experts = twoLayerExperts({ ...options, numExperts: 2, hiddenUnits: 4, outputs: 1 })
    const gate = patchGate(options)
    for (const layer of [experts, gate]) {
      layer.apply(x())
      const scores = differentiableScores(x(), layer.weights[0]?.read() as tf.Tensor4D, grid)
      const balance = termOf('load-balance', () => layer.apply(x(), { training: true }))
      const indices = layer.route(x()).indices
      expect(numberOf(balance)).toBeCloseTo(numberOf(patchBalance(scores, indices)), 6)
    }
    const scores = differentiableScores(x(), experts.weights[0]?.read() as tf.Tensor4D, grid)
    const overlap = termOf('diversity', () => experts.apply(x(), { training: true }))
    expect(numberOf(overlap)).toBeCloseTo(numberOf(routingOverlap(scores)), 6)
  })

  it('add the terms of a router network, which gets their gradient: experts that are networks', () => {
    const layer = patchExperts({
      numExperts: 2,
      patchesPerExpert: 2,
      cellSize: 8,
      viewScale: 2,
      seed: 1,
      expert: shape =>
        tf.sequential({
          layers: [tf.layers.flatten({ inputShape: [...shape] }), tf.layers.dense({ units: 3 })],
        }),
    })
    const image = tensorOf<tf.Tensor4D>(draw(2 * 32 * 32, 5), [2, 32, 32, 1])
    layer.apply(image)
    const scores = layer.scores(layer.viewOf(image), false)
    const term = (name: AuxiliaryTerm) => termOf(name, () => layer.apply(image, { training: true }))
    expect(numberOf(term('diversity'))).toBeCloseTo(numberOf(routingOverlap(scores)), 5)
    const { indices } = layer.route(layer.viewOf(image))
    expect(numberOf(term('load-balance'))).toBeCloseTo(numberOf(patchBalance(scores, indices)), 5)
    const router = layer.trainableWeights[0]?.read() as tf.Variable
    const { grads } = tf.variableGrads(() => term('load-balance'), [router])
    expect(numberOf(tf.sum(tf.abs(grads[router.name] as tf.Tensor)))).toBeGreaterThan(0)
  })

  it('score the patches once, whatever the step asks for', async () => {
    const options = { patchesPerExpert: 2, patchSize: 2, seed: 3 } as const
    const layers = [
      patchMoE({ ...options, numExperts: 2, filters: 2, kernelSize: 1 }),
      twoLayerExperts({ ...options, numExperts: 2, hiddenUnits: 4, outputs: 1 }),
      patchGate(options),
    ]
    for (const layer of layers) {
      layer.apply(x())
      const router = layer.weights[0]?.shape.join()
      for (const names of [[], ['diversity'], ['load-balance', 'diversity']] as const) {
        const input = x()
        const { kernels } = await tf.profile(() => {
          collectAuxiliaryTerms(() => layer.apply(input, { training: true }), names)
        })
        const scorings = kernels.filter(
          ({ name, inputShapes }) => name === 'Conv2D' && inputShapes[1]?.join() === router,
        )
        expect(scorings.length, `${layer.name} with ${names}`).toBe(1)
      }
    }
  })

  it('hand NaN on to the terms, so that a training ends with its step', () => {
    const layer = patchMoE({ numExperts: 2, patchesPerExpert: 1, patchSize: 2, filters: 2 })
    const values = draw(16, 1)
    values[5] = Number.NaN
    const image = tensorOf<tf.Tensor4D>(values, [1, 4, 4, 1])
    for (const name of ['load-balance', 'diversity'] as const) {
      expect(numberOf(termOf(name, () => layer.apply(image, { training: true })))).toBeNaN()
    }
  })
})

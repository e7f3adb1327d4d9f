import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { exportOnnx } from '../../src/export/onnx/onnx.js'
import type { Expert, ExpertTensors } from '../../src/layers/moe/experts/expert.js'
import { product } from '../../src/layers/moe/experts/expert.js'
import { expertsOf, registerExpert } from '../../src/layers/moe/experts/kinds.js'
import { GATES, type Gate, gateKind, registerGate } from '../../src/layers/moe/gates.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { type PatchMoE, patchMoE } from '../../src/layers/moe/patch-moe.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { modelCost } from '../../src/models/cost.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { runOnnx } from '../export/run-onnx.js'
import { centralDifferences } from './brute-force.js'
import { draw, sizeOf, tensorOf } from './random-tensors.js'

// A gate and a kind of experts that the library does not have, each written in this one place.

/** Softmax of twice the kept scores. */
registerGate('sharp', {
  dependsOn: 'kept',
  meanOneFactor: patchesPerExpert => patchesPerExpert,
  forward: ({ kept }, math) => ({ gates: math.softmax(math.times(kept, 2)) }),
  gradient: (dGates, { gates, factor }) => {
    const weighed: tf.Tensor3D = tf.mul(dGates, gates)
    const share = tf.div(gates, factor)
    return { kept: tf.mul(2, tf.sub(weighed, tf.mul(share, tf.sum(weighed, 2, true)))) }
  },
})
const sharp = 'sharp' as Gate

/** tanh(mean over the patch's pixels times in_s) times out_s: a row of F numbers, the same for each pixel. */
registerExpert('mean-mlp', ({ hidden }, { numExperts, filters, patchSize }): Expert => {
  const units = hidden as number
  const size = filters / numExperts
  const pixels = patchSize[0] * patchSize[1]
  const normal = (seed: number) => ({ initializer: tf.initializers.randomNormal({ seed }) })
  const matrices = (weights: ExpertTensors) => weights as { first: tf.Tensor3D; second: tf.Tensor3D }
  return {
    kind: 'mean-mlp',
    outputsOf: 'pixels',
    size,
    reach: [0, 0],
    normalises: false,
    weights: channels => [
      { name: 'first', shape: [numExperts, channels, units], options: normal(1) },
      { name: 'second', shape: [numExperts, units, size], options: normal(2) },
    ],
    forward: ({ windows }, weights) => {
      const { first, second } = matrices(weights)
      const means = tf.mean<tf.Tensor3D>(windows, [2, 3]) // (K,M,C)
      const active = tf.tanh(tf.matMul(means, first)) as tf.Tensor3D
      const rows = tf.expandDims(tf.matMul(active, second), 2) // (K,M,1,F)
      const outputs = tf.reshape(tf.tile(rows, [1, 1, pixels, 1]), [numExperts, -1, size])
      return { outputs: outputs as tf.Tensor3D, state: { means, active } }
    },
    gradient: (dOutputs, _, { state }, weights) => {
      const { first, second } = matrices(weights)
      const { means, active } = state as { means: tf.Tensor3D; active: tf.Tensor3D }
      const dRows = tf.sum(tf.reshape(dOutputs, [numExperts, -1, pixels, size]), 2) as tf.Tensor3D
      const dActive = tf.matMul(dRows, second, false, true)
      const dLinear = tf.mul(dActive, tf.sub(1, tf.square(active))) as tf.Tensor3D
      return {
        dWindows: () => {
          const dMeans = tf.div(tf.matMul(dLinear, first, false, true), pixels)
          const spread = tf.expandDims(tf.expandDims(dMeans, 2), 2)
          return tf.tile(spread, [1, 1, ...patchSize, 1]) as tf.Tensor5D
        },
        dWeights: {
          first: tf.matMul(means, dLinear, true, false),
          second: tf.matMul(active, dRows, true, false),
        },
      }
    },
    products: (patches, channels, trained) => [
      product(patches * numExperts * channels * units, trained('first')),
      { ...product(patches * numExperts * units * size, trained('second')), learnedInside: trained('first') },
    ],
  }
})

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [2, 4, 6, 3] as const
const [B, H, W, C] = SHAPE
const [K, L, SIDE, F, HIDDEN] = [2, 3, 2, 2, 5]
const N = (H / SIDE) * (W / SIDE)

function layerOf(gate: Gate): PatchMoE {
  const layer = patchMoE({
    numExperts: K,
    patchesPerExpert: L,
    patchSize: SIDE,
    filters: K * F,
    gate,
    expert: { kind: 'mean-mlp', hidden: HIDDEN },
  })
  layer.build([null, H, W, C])
  layer.setWeights(
    layer.weights.map((weight, i) =>
      tensorOf(draw(sizeOf(weight.shape as number[]), 2 + i), weight.shape as number[]),
    ),
  )
  return layer
}

type Numbers = Readonly<Record<'x' | 'router' | 'first' | 'second', Float64Array>>

/** What the layer computes, in plain loops over the patches that it keeps. */
function byHand({ x, router, first, second }: Numbers, kept: readonly number[][][]): Float64Array {
  const y = new Float64Array(B * H * W * K * F)
  const pixel = (b: number, j: number, i: number) => {
    const row = Math.floor(j / (W / SIDE)) * SIDE + Math.floor(i / SIDE)
    const column = (j % (W / SIDE)) * SIDE + (i % SIDE)
    return (b * H + row) * W + column
  }
  const pixels = Array.from({ length: SIDE * SIDE }, (_, i) => i)
  for (let b = 0; b < B; b++) {
    for (let s = 0; s < K; s++) {
      const patches = kept[b]![s]!
      const scores = patches.map(j => {
        let score = 0
        for (const i of pixels)
          for (let c = 0; c < C; c++) score += x[pixel(b, j, i) * C + c]! * router[(i * C + c) * K + s]!
        return score
      })
      const total = scores.reduce((sum, score) => sum + Math.exp(2 * score), 0)
      for (const [place, j] of patches.entries()) {
        const gate = (L * Math.exp(2 * scores[place]!)) / total
        const active = Array.from({ length: HIDDEN }, (_, u) => {
          let linear = 0
          for (const i of pixels)
            for (let c = 0; c < C; c++)
              linear += (x[pixel(b, j, i) * C + c]! / pixels.length) * first[(s * C + c) * HIDDEN + u]!
          return Math.tanh(linear)
        })
        for (let f = 0; f < F; f++) {
          const value = active.reduce((sum, a, u) => sum + a * second[(s * HIDDEN + u) * F + f]!, 0)
          for (const i of pixels) y[(pixel(b, j, i) * K + s) * F + f] = gate * value
        }
      }
    }
  }
  return y
}

describe('a gate and experts of one own', () => {
  it('compute and learn through PatchMoE as plain loops do', () => {
    const layer = layerOf(sharp)
    const x = draw(sizeOf(SHAPE), 1)
    const [router, first, second] = layer.getWeights().map(weight => Float64Array.from(weight.dataSync()))
    const numbers = { x, router: router!, first: first!, second: second! }
    const input = tensorOf<tf.Tensor4D>(x, SHAPE)
    const kept = layer.route(input).indices.arraySync()
    const y = layer.apply(input) as tf.Tensor
    expectAllClose(y.dataSync(), byHand(numbers, kept), 1e-4, 1e-5)

    const dy = draw(y.size, 9)
    const loss = (t: tf.Tensor) =>
      tf.sum(tf.mul(layer.apply(t) as tf.Tensor, tensorOf(dy, y.shape))) as tf.Scalar
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const { grads } = tf.variableGrads(() => loss(input), variables)
    const actual = [tf.grad(loss)(input), ...variables.map(({ name }) => grads[name]!)]
    for (const [i, name] of (['x', 'router', 'first', 'second'] as const).entries()) {
      const expected = centralDifferences(
        numbers[name],
        values => byHand({ ...numbers, [name]: values }, kept),
        dy,
      )
      expectAllClose(actual[i]!.dataSync(), expected, 2e-3, 2e-3)
    }
  })

  it('are counted, in parameters and multiply-adds', () => {
    const input = tf.input({ shape: [H, W, C] })
    const model = tf.model({ inputs: input, outputs: layerOf(sharp).apply(input) as tf.SymbolicTensor })
    const cost = modelCost(model).layers.at(-1)
    const experts = K * (C * HIDDEN + HIDDEN * F)
    const scores = H * W * C * K
    expect(cost?.parameters).toBe(SIDE * SIDE * C * K + experts)
    expect(cost?.multiplyAdds.forward).toBe(scores + L * experts)
    // Routers learn from the kept patches; `second` has trained weights before it.
    expect(cost?.multiplyAdds.backward).toBe(L * SIDE * SIDE * C * K + L * experts + L * K * HIDDEN * F)
    expect(cost?.dense).toEqual({
      parameters: experts,
      multiplyAdds: { forward: N * experts, backward: N * experts },
    })
  })

  it('go through a configuration and back', () => {
    const layer = layerOf(sharp)
    const stored = JSON.parse(JSON.stringify(layer.getConfig())) as tf.serialization.ConfigDict
    expect(stored.expert).toEqual({ kind: 'mean-mlp', hidden: HIDDEN })
    expect(stored.gate).toBe('sharp')
    const again = patchMoE({ ...stored, name: 'again' } as never)
    again.build([null, H, W, C])
    again.setWeights(layer.getWeights())
    const x = tensorOf<tf.Tensor4D>(draw(sizeOf(SHAPE), 1), SHAPE)
    expect(Array.from((again.apply(x) as tf.Tensor).dataSync())).toEqual(
      Array.from((layer.apply(x) as tf.Tensor).dataSync()),
    )
  })

  it('leave nothing behind', () => {
    const layer = layerOf(sharp)
    const x = tensorOf<tf.Tensor4D>(draw(sizeOf(SHAPE), 1), SHAPE)
    const before = tf.memory().numTensors
    tf.dispose(tf.grad(t => tf.sum(layer.apply(t) as tf.Tensor))(x))
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('a gate of one own', () => {
  it('works in the other layers, and in ONNX without a line of its own', async () => {
    const settings = { patchesPerExpert: L, patchSize: SIDE, gate: sharp }
    const layers = [
      patchMoE({ ...settings, numExperts: K, filters: K * F }),
      patchGate(settings),
      twoLayerExperts({ ...settings, numExperts: K, hiddenUnits: 4, outputs: 2 }),
    ]
    for (const layer of layers) {
      const model = tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [H, W, C] }), layer] })
      const x = tensorOf<tf.Tensor4D>(draw(sizeOf(SHAPE), 1), SHAPE)
      const y = (model.predict(x) as tf.Tensor).dataSync()
      const outputs = await runOnnx((await exportOnnx(model)).bytes, { [model.inputNames[0]!]: x })
      expectAllClose(outputs[model.outputNames[0]!]!.data, y, 1e-4, 1e-5)
    }
  })
})

describe('kinds that there are not', () => {
  const base = { numExperts: K, patchesPerExpert: L, patchSize: SIDE, filters: K * F }

  it.each(['soft', 'constructor', ''])('are no gates: %o', name => {
    expect(() => gateKind(name as Gate)).toThrow(
      `gateKind: gate must be one of ${GATES.join(', ')}, sharp, got ${name}`,
    )
    expect(() => patchMoE({ ...base, gate: name as Gate })).toThrow(
      `PatchMoE: gate must be one of 'softmax-selected', 'softmax-all', 'uniform', 'sharp', got "${name}"`,
    )
  })

  it('are no experts', () => {
    expect(() => patchMoE({ ...base, expert: { kind: 'mlp' } })).toThrow(
      `PatchMoE: expert.kind must be one that is registered, got "mlp" (registered: 'mean-mlp')`,
    )
    expect(() => patchMoE({ ...base, kernelSize: 3, expert: { kind: 'mean-mlp', hidden: 2 } })).toThrow(
      'PatchMoE: kernelSize must be left out with experts of another kind, got 3 (expert mean-mlp)',
    )
  })

  it('cannot take the name of another', () => {
    expect(() => registerGate('uniform', gateKind('uniform'))).toThrow(
      "registerGate: name must be a new one, got 'uniform'",
    )
    expect(() => registerExpert('mean-mlp', () => ({}) as Expert)).toThrow(
      "registerExpert: kind must be a new one, got 'mean-mlp'",
    )
  })

  it('are refused where they give a layer other outputs than it has', () => {
    registerExpert('narrow', (_, frame) => ({ size: frame.filters, outputsOf: 'patches' }) as Expert)
    const frame = { numExperts: 2, filters: 6, patchSize: [1, 1], seed: 1 } as const
    expect(() => expertsOf({ kind: 'narrow' }, frame, 'PatchMoE')).toThrow(
      'PatchMoE: expert must have 3 outputs for each pixel, got 6 for each of its patches',
    )
  })

  it('are named where they cannot be written', async () => {
    const model = tf.sequential({
      layers: [
        patchMoE({ ...base, inputShape: [H, W, C], name: 'moe', expert: { kind: 'mean-mlp', hidden: 2 } }),
      ],
    })
    await expect(exportOnnx(model)).rejects.toThrow(
      'experts must be of a kind that can be written (convolution, neurons), got mean-mlp',
    )
  })
})

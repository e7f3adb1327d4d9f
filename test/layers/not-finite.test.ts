import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GATES, type Gate } from '../../src/layers/moe/gates.js'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import { routePatches } from '../../src/layers/moe/routing.js'
import { twoLayerExperts } from '../../src/layers/moe/two-layer-experts.js'
import { useTestBackend } from '../backend-under-test.js'
import { drawTensor } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [2, 8, 12, 2] as const
const PATCHES = 6
const patchSize = 4
const seed = 3

const layers: Readonly<Record<string, (gate: Gate, patchesPerExpert: number) => tf.layers.Layer>> = {
  PatchMoE: (gate, patchesPerExpert) =>
    patchMoE({ gate, patchesPerExpert, patchSize, seed, numExperts: 2, filters: 4, useBias: true }),
  'PatchMoE with a halo, BatchNorm and ReLU': (gate, patchesPerExpert) =>
    patchMoE({
      gate,
      patchesPerExpert,
      patchSize,
      seed,
      numExperts: 2,
      filters: 4,
      border: 'halo',
      preActivation: 'batch-norm-relu',
      activation: 'relu',
    }),
  PatchGate: (gate, patchesPerExpert) => patchGate({ gate, patchesPerExpert, patchSize, seed }),
  TwoLayerExperts: (gate, patchesPerExpert) =>
    twoLayerExperts({ gate, patchesPerExpert, patchSize, seed, numExperts: 2, hiddenUnits: 8, outputs: 3 }),
  'TwoLayerExperts, one expert': (gate, patchesPerExpert) =>
    twoLayerExperts({ gate, patchesPerExpert, patchSize, seed, numExperts: 1, hiddenUnits: 8, outputs: 3 }),
}

/** Random images of which the second has one other number, in a given patch. */
function imagesWith(value: number, patch: number): tf.Tensor4D {
  const values = drawTensor(SHAPE, 5).dataSync()
  const [, height, width, channels] = SHAPE
  const row = Math.floor(patch / 3) * patchSize + (patch % 4)
  const column = (patch % 3) * patchSize + ((patch + 1) % 4)
  values[(height * width + row * width + column) * channels + (patch % channels)] = value
  return tf.tensor4d(values as Float32Array, [...SHAPE])
}

/** The numbers of each channel or output of each image, together. */
function byImageAndChannel(y: tf.Tensor): Float32Array[][] {
  const flat = tf.reshape(y, [y.shape[0] as number, -1, y.shape.at(-1) as number])
  return tf.unstack(flat).map(image => tf.unstack(image, 1).map(one => one.dataSync() as Float32Array))
}

describe.each(Object.keys(layers))('%s', name => {
  it.each(GATES.flatMap(gate => [1, 3, PATCHES].map(kept => [gate, kept] as const)))(
    'with gate %s and %i kept patches answers NaN wherever a number that is not finite lies',
    (gate, kept) => {
      const layer = layers[name]!(gate, kept)
      layer.build([null, ...SHAPE.slice(1)])
      for (const value of [NaN, Infinity, -Infinity]) {
        for (let patch = 0; patch < PATCHES; patch++) {
          const [fine, damaged] = byImageAndChannel(layer.apply(imagesWith(value, patch)) as tf.Tensor)
          expect(fine!.flatMap(channel => [...channel]).every(Number.isFinite)).toBe(true)
          // Every channel, whichever expert it belongs to.
          expect(damaged!.map(channel => channel.some(Number.isNaN))).toEqual(damaged!.map(() => true))
        }
      }
    },
  )

  it.each(GATES)('with gate %s has gradients that are not finite then', gate => {
    const layer = layers[name]!(gate, 2)
    layer.build([null, ...SHAPE.slice(1)])
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const loss = (x: tf.Tensor) => tf.sum(layer.apply(x, { training: true }) as tf.Tensor) as tf.Scalar
    for (let patch = 0; patch < PATCHES; patch++) {
      const { grads } = tf.variableGrads(() => loss(imagesWith(NaN, patch)), variables)
      const [kernel] = Object.entries(grads).flatMap(([weight, gradient]) =>
        /kernel/.test(weight) || variables.length === 1 ? [gradient] : [],
      )
      const expected = !(name === 'PatchGate' && gate === 'uniform')
      expect(kernel!.dataSync().some(Number.isNaN)).toBe(expected)
    }
  })
})

describe('routePatches', () => {
  it('keeps valid, different patches and leaves other images and experts alone', () => {
    const scores = drawTensor([2, 2, 40], 1).arraySync() as number[][][]
    const clean = tf.tensor3d(scores)
    scores[1]![0]![37] = NaN
    scores[1]![0]![3] = NaN
    const dirty = tf.tensor3d(scores)
    for (const gate of GATES) {
      const rule = { gate, gateScale: 'mean-one', patchesPerExpert: 5 } as const
      const [right, routing] = [routePatches(clean, rule), routePatches(dirty, rule)]
      const kept = (routing.indices.arraySync() as number[][][])[1]![0]!
      expect(new Set(kept).size).toBe(5)
      expect(kept.every(patch => patch >= 0 && patch < 40)).toBe(true)
      const gates = routing.gates.arraySync() as number[][][]
      expect(gates[1]![0]!.every(Number.isNaN)).toBe(true)
      const others = [0, 1, 3].map(row => [Math.floor(row / 2), row % 2] as const)
      for (const [b, s] of others) {
        expect(gates[b]![s]).toEqual((right.gates.arraySync() as number[][][])[b]![s])
        expect((routing.indices.arraySync() as number[][][])[b]![s]).toEqual(
          (right.indices.arraySync() as number[][][])[b]![s],
        )
      }
    }
  })
})

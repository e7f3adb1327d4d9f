import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { GATE_SCALES, GATES } from '../../src/layers/moe/gates.js'
import { type PatchGate, type PatchGateOptions, patchGate } from '../../src/layers/moe/patch-gate.js'
import { size2D } from '../../src/shapes.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { bruteForcePatchGate, bruteForceRoute, centralDifferences } from './brute-force.js'
import { draw, sizeOf, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [2, 4, 8, 3] as const

/** A gate with a random map and router, and the same as plain numbers. */
function gateOf(options: PatchGateOptions) {
  const layer = patchGate(options)
  const patch = size2D(options.patchSize, 'case')
  const inputs = {
    shape: SHAPE,
    x: draw(sizeOf(SHAPE), 1),
    router: draw(patch[0] * patch[1] * SHAPE[3], 2).map(value => Math.fround(value / 2)),
  }
  const x: tf.Tensor4D = tensorOf(inputs.x, SHAPE)
  layer.apply(x)
  layer.setWeights([tensorOf(inputs.router, [...patch, SHAPE[3], 1])])
  const { patchesPerExpert, gate, gateScale } = layer
  return { layer, x, inputs, rule: { patchesPerExpert, patch, gate, gateScale } }
}

function routerOf(layer: PatchGate): tf.Variable {
  return layer.weights[0]?.read() as tf.Variable
}

const OPTIONS: PatchGateOptions[] = [
  ...GATES.flatMap(gate =>
    GATE_SCALES.flatMap(gateScale =>
      ([1, 2, 4, [4, 2], [1, 8]] as const).map(patchSize => ({
        gate,
        gateScale,
        patchSize,
        patchesPerExpert: 2,
      })),
    ),
  ),
  // The map is one patch.
  ...GATES.map(gate => ({ gate, patchSize: [4, 8], patchesPerExpert: 1 })),
]

describe('PatchGate equals plain loops, and its gradients their central differences', () => {
  it.each(OPTIONS)('%j', options => {
    const { layer, x, inputs, rule } = gateOf(options)
    expectAllClose((layer.apply(x) as tf.Tensor).dataSync(), bruteForcePatchGate(inputs, rule))

    const cotangent = draw(sizeOf(SHAPE), 3)
    const weights = tensorOf(cotangent, SHAPE)
    const loss = (map: tf.Tensor) => tf.sum(tf.mul(layer.apply(map) as tf.Tensor, weights)) as tf.Scalar
    const router = routerOf(layer)
    const { grads } = tf.variableGrads(() => loss(x), [router])
    const by = (key: 'x' | 'router') =>
      centralDifferences(
        inputs[key],
        values => bruteForcePatchGate({ ...inputs, [key]: values }, rule),
        cotangent,
      )
    expectAllClose(tf.grad(loss)(x).dataSync(), by('x'), 1e-3, 1e-4)
    expectAllClose((grads[router.name] as tf.Tensor).dataSync(), by('router'), 1e-3, 1e-4)
  })
})

describe('PatchGate', () => {
  it('with every patch kept and uniform gates changes nothing', () => {
    const { layer, x } = gateOf({ patchSize: 2, patchesPerExpert: 8, gate: 'uniform' })
    expect(Array.from((layer.apply(x) as tf.Tensor).dataSync())).toEqual(Array.from(x.dataSync()))
  })

  it('weighs by the default gates, which sum to 1', () => {
    // One channel, patches of one pixel, router 1: scores are the pixels ln 1, ln 4, ln 2, ln 3. Kept: 4 and 3,
    // weighed by 4/7 and 3/7.
    const layer = patchGate({ patchSize: 1, patchesPerExpert: 2 })
    const pixels = [1, 4, 2, 3].map(Math.log)
    const x = tf.tensor4d(pixels, [1, 2, 2, 1])
    layer.apply(x)
    layer.setWeights([tf.ones([1, 1, 1, 1])])
    expectAllClose((layer.apply(x) as tf.Tensor).dataSync(), [
      0,
      (pixels[1]! * 4) / 7,
      0,
      (pixels[3]! * 3) / 7,
    ])
  })

  it.each(GATES)('routes as plain loops do, %s', gate => {
    const { layer, x, inputs, rule } = gateOf({ patchSize: 2, patchesPerExpert: 3, gate })
    const convolution = {
      kernel: [1, 1],
      filters: 1,
      border: 'zero',
      preActivation: 'none',
      epsilon: 1,
    } as const
    const expected = bruteForceRoute(
      { ...inputs, kernel: new Float64Array() },
      { ...rule, ...convolution, numExperts: 1 },
    )
    const { indices, gates } = layer.route(x)
    expect(indices.arraySync()).toEqual(expected.indices)
    expectAllClose(gates.arraySync(), expected.gates)
  })

  it('starts from small random numbers that its seed settles', () => {
    const start = (seed: number) => {
      const layer = patchGate({ patchSize: 4, patchesPerExpert: 1, seed })
      layer.build([null, 8, 8, 32])
      return Array.from(routerOf(layer).dataSync())
    }
    const numbers = start(3)
    expect(start(3)).toEqual(numbers)
    expect(start(4)).not.toEqual(numbers)
    // 512 numbers of N(0, 1e-4^2).
    const deviation = Math.sqrt(numbers.reduce((sum, value) => sum + value ** 2, 0) / numbers.length)
    expect(deviation).toBeGreaterThan(0.85e-4)
    expect(deviation).toBeLessThan(1.15e-4)
  })

  it('keeps every option through a saved model', () => {
    const given = {
      name: 'gate',
      patchSize: [2, 4],
      patchesPerExpert: 3,
      gate: 'softmax-all',
      gateScale: 'mean-one',
      routerInitializer: tf.initializers.randomUniform({ minval: -2, maxval: 3, seed: 11 }),
    } as const
    const model = tf.sequential({ layers: [patchGate({ ...given, inputShape: [4, 8, 3] })] })
    const topology = JSON.parse(JSON.stringify(model.toJSON(null, false)))
    return tf.models.modelFromJSON(topology).then(loaded => {
      expect(loaded.layers[0]?.getClassName()).toBe('PatchGate')
      expect(loaded.layers[0]?.getConfig()).toEqual(model.layers[0]?.getConfig())
      expect(loaded.layers[0]?.getConfig()).toMatchObject({
        patchSize: [2, 4],
        patchesPerExpert: 3,
        gate: 'softmax-all',
        gateScale: 'mean-one',
        routerInitializer: { className: 'RandomUniform', config: { minval: -2, maxval: 3, seed: 11 } },
      })
      const [before, after] = [model, loaded].map(m => m.getWeights()[0]?.arraySync())
      expect(after).toEqual(before)
    })
  })
})

describe('PatchGate refuses', () => {
  const good = { patchSize: 2, patchesPerExpert: 2 }
  it.each([
    [{ ...good, patchesPerExpert: 0 }, 'PatchGate: patchesPerExpert must be a positive integer, got 0'],
    [{ ...good, patchesPerExpert: 2.5 }, 'PatchGate: patchesPerExpert must be a positive integer, got 2.5'],
    [
      { ...good, patchSize: [2, 2, 2] },
      'PatchGate: patchSize must be a positive integer or [height, width] of them, got [2,2,2]',
    ],
    [
      { ...good, patchSize: -1 },
      'PatchGate: patchSize must be a positive integer or [height, width] of them, got -1',
    ],
    [
      { ...good, gate: 'hard' },
      `PatchGate: gate must be one of 'softmax-selected', 'softmax-all', 'uniform', got "hard"`,
    ],
    [{ ...good, gateScale: 'x' }, `PatchGate: gateScale must be one of 'mean-one', 'none', got "x"`],
  ])('%j', (options, message) => {
    expect(() => patchGate(options as PatchGateOptions)).toThrow(new RangeError(message))
  })

  it.each([
    [[null, 6], 'PatchGate: input must have rank 4 (batch, height, width, channels), got shape (null, 6)'],
    [
      [null, 4, null, 3],
      'PatchGate: height, width and channels of the input must be known and positive, got shape (null, 4, null, 3)',
    ],
    [[null, 4, 5, 3], 'PatchGate: patchSize must divide the map, got 2x2 (map 4x5)'],
    [
      [null, 2, 2, 3],
      'PatchGate: patchesPerExpert must be an integer in [1, 1], got 2 (1 patches: 2x2 map in 2x2 patches)',
    ],
  ])('a map of %j', (shape, message) => {
    expect(() => patchGate(good).build(shape)).toThrow(new RangeError(message))
  })

  it('several inputs, and use before it is built', () => {
    const shape = [null, 4, 4, 1]
    expect(() => patchGate(good).build([shape, shape])).toThrow(
      new TypeError('PatchGate: input must be one tensor, got 2'),
    )
    expect(() => patchGate({ ...good, name: 'early' }).route(tf.zeros([1, 4, 4, 1]))).toThrow(
      new Error('PatchGate: the layer must be built before use, got layer early without input'),
    )
  })
})

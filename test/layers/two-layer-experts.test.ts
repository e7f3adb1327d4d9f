import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { fixInput } from '../../src/layers/fixed-inputs.js'
import { GATES } from '../../src/layers/moe/gates.js'
import {
  NORMALIZERS,
  type TwoLayerExperts,
  type TwoLayerExpertsOptions,
  twoLayerExperts,
} from '../../src/layers/moe/two-layer-experts.js'
import { deriveSeed } from '../../src/random.js'
import { size2D } from '../../src/shapes.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import { centralDifferences } from './brute-force.js'
import { draw, sizeOf, tensorOf } from './random-tensors.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

const SHAPE = [3, 4, 6, 2] as const
const NAMES = ['router', 'kernel', 'head'] as const

interface Numbers {
  readonly x: Float64Array
  readonly router: Float64Array
  readonly kernel: Float64Array
  readonly head: Float64Array
}

/** A layer with random weights, and the same as plain numbers. */
function caseOf(options: Partial<TwoLayerExpertsOptions> = {}) {
  const layer = twoLayerExperts({
    numExperts: 2,
    patchesPerExpert: 3,
    patchSize: 2,
    hiddenUnits: 4,
    outputs: 3,
    ...options,
  })
  const x = draw(sizeOf(SHAPE), 1)
  layer.build([null, ...SHAPE.slice(1)])
  const values = layer.weights.map((weight, i) =>
    draw(sizeOf(weight.shape as number[]), 2 + i).map(value => Math.fround(value / 2)),
  )
  layer.setWeights(values.map((numbers, i) => tensorOf(numbers, layer.weights[i]?.shape as number[])))
  const [router, kernel, head] = values as [Float64Array, Float64Array, Float64Array]
  const numbers: Numbers = { x, router, kernel, head }
  return { layer, numbers, x: tensorOf<tf.Tensor4D>(x, SHAPE) }
}

/** Patch j of image b, flat as (h,w,C). */
function patchByHand(x: Float64Array, b: number, j: number, [h, w]: readonly [number, number]): number[] {
  const [, height, width, channels] = SHAPE
  const across = width / w
  const values: number[] = []
  for (let i = 0; i < h; i++) {
    const row = (b * height + Math.floor(j / across) * h + i) * width + (j % across) * w
    values.push(...x.slice(row * channels, (row + w) * channels))
  }
  return values
}

const inner = (a: readonly number[], b: readonly number[]) => a.reduce((sum, v, i) => sum + v * b[i]!, 0)

/** Column of a matrix of `columns` columns. */
function column(matrix: Float64Array, at: number, columns: number): number[] {
  return Array.from({ length: matrix.length / columns }, (_, row) => matrix[row * columns + at]!)
}

interface Choice {
  readonly patches: number[][]
  readonly kept: number[]
  /** Gate of each patch, 0 where not kept. */
  readonly gates: number[]
}

/** J_s and G_{j,s} of expert s on image b. */
function choiceByHand(layer: TwoLayerExperts, { x, router }: Numbers, b: number, s: number): Choice {
  const patch = size2D(layer.patchSize, 'case')
  const count = (SHAPE[1] / patch[0]) * (SHAPE[2] / patch[1])
  const patches = Array.from({ length: count }, (_, j) => patchByHand(x, b, j, patch))
  const scores = patches.map(values => inner(values, column(router, s, layer.numExperts)))
  const order = scores.map((_, j) => j).sort((p, q) => scores[q]! - scores[p]! || p - q)
  const kept = order.slice(0, layer.patchesPerExpert)
  const over = layer.gate === 'softmax-all' ? order : kept
  const total = over.reduce((sum, j) => sum + Math.exp(scores[j]!), 0)
  const gates = scores.map((score, j) => {
    if (!kept.includes(j)) return 0
    return layer.gate === 'uniform' ? 1 : Math.exp(score) / total
  })
  return { patches, kept, gates }
}

/** Eq. (1) with a head per output, (B,outputs). */
function twoLayerByHand(layer: TwoLayerExperts, numbers: Numbers): Float64Array {
  const { numExperts, hiddenUnits, outputs } = layer
  const f = new Float64Array(SHAPE[0] * outputs)
  for (let b = 0; b < SHAPE[0]; b++)
    for (let s = 0; s < numExperts; s++) {
      const { patches, kept, gates } = choiceByHand(layer, numbers, b, s)
      const divisor = layer.normalizer === 'selected' ? kept.length : patches.length
      for (let r = 0; r < hiddenUnits / numExperts; r++) {
        const unit = (s * hiddenUnits) / numExperts + r
        const weights = column(numbers.kernel, unit, hiddenUnits)
        for (const j of kept)
          for (let i = 0; i < outputs; i++)
            f[b * outputs + i]! +=
              (numbers.head[unit * outputs + i]! / divisor) *
              Math.max(inner(weights, patches[j]!), 0) *
              gates[j]!
      }
    }
  return f
}

function gradientsOf(layer: TwoLayerExperts, x: tf.Tensor, loss: (f: tf.Tensor) => tf.Scalar) {
  const [router, kernel] = layer.weights.map(weight => weight.read() as tf.Variable) as [
    tf.Variable,
    tf.Variable,
  ]
  const { grads } = tf.variableGrads(() => loss(layer.apply(x) as tf.Tensor), [router, kernel])
  return {
    x: tf
      .grad(input => loss(layer.apply(input) as tf.Tensor))(x)
      .dataSync(),
    // None at all where every patch is read and nothing weighed: the router then takes no part.
    router: grads[router.name]?.dataSync() ?? new Float32Array(router.size),
    kernel: (grads[kernel.name] as tf.Tensor).dataSync(),
  }
}

const CASES: Partial<TwoLayerExpertsOptions>[] = GATES.flatMap(gate =>
  NORMALIZERS.flatMap(normalizer =>
    [1, 4, 6].map(patchesPerExpert => ({ gate, normalizer, patchesPerExpert })),
  ),
)
CASES.push(
  { numExperts: 4, patchesPerExpert: 2, outputs: 1 },
  { numExperts: 1, hiddenUnits: 5 },
  { patchSize: [4, 2], patchesPerExpert: 2 },
  { patchSize: [1, 3], patchesPerExpert: 5, gate: 'softmax-all' },
)

describe('TwoLayerExperts equals eq. (1), and its gradients their central differences', () => {
  it.each(CASES)('%j', options => {
    const { layer, numbers, x } = caseOf(options)
    expectAllClose((layer.apply(x) as tf.Tensor).dataSync(), twoLayerByHand(layer, numbers))
    const cotangent = draw(SHAPE[0] * layer.outputs, 9)
    const dF = tensorOf(cotangent, [SHAPE[0], layer.outputs])
    const actual = gradientsOf(layer, x, f => tf.sum(tf.mul(f, dF)) as tf.Scalar)
    for (const key of ['x', 'router', 'kernel'] as const) {
      const expected = centralDifferences(
        numbers[key],
        values => twoLayerByHand(layer, { ...numbers, [key]: values }),
        cotangent,
      )
      expectAllClose(actual[key], expected, 1e-3, 1e-4)
    }
  })
})

describe('TwoLayerExperts', () => {
  it('with one expert, every patch and uniform gates is the CNN of eq. (5)', () => {
    const settings = { numExperts: 1, patchesPerExpert: 6, hiddenUnits: 7, gate: 'uniform' } as const
    const { layer, x } = caseOf(settings)
    const [, kernel, head] = layer.getWeights() as [tf.Tensor, tf.Tensor4D, tf.Tensor2D]
    const hidden = tf.mean(tf.relu(tf.conv2d(x, kernel, [2, 2], 'valid')), [1, 2]) as tf.Tensor2D
    expectAllClose((layer.apply(x) as tf.Tensor).dataSync(), tf.matMul(hidden, head).dataSync())
  })

  it.each([
    { gate: 'uniform', patchesPerExpert: 6 },
    { gate: 'softmax-selected', patchesPerExpert: 4 },
    { gate: 'softmax-all', patchesPerExpert: 4 },
  ] as const)('has the same weight gradients where the images are fixed: %j', options => {
    const { layer, x } = caseOf(options)
    const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
    const gradients = (images: tf.Tensor) =>
      Object.values(
        tf.variableGrads(() => tf.sum(tf.square(layer.apply(images) as tf.Tensor)) as tf.Scalar, variables)
          .grads,
      ).map(gradient => gradient && [...gradient.dataSync()])
    expect(gradients(fixInput(tf.clone(x)))).toEqual(gradients(x))
  })

  it('gives the router the gradient of eq. (26) under the logistic loss', () => {
    const { layer, numbers, x } = caseOf({ outputs: 1, numExperts: 2, patchesPerExpert: 4, hiddenUnits: 6 })
    const labels = [1, -1, 1]
    const y = tf.tensor2d(labels, [3, 1])
    const { router } = gradientsOf(
      layer,
      x,
      f => tf.mean(tf.softplus(tf.neg(tf.mul(y, f)))) as tf.Scalar, // eq. (2)
    )
    expectAllClose(router, equation26(layer, numbers, labels), 1e-3, 1e-6)
  })

  it('routes as plain loops do', () => {
    const { layer, numbers, x } = caseOf({ gate: 'softmax-all' })
    const { indices, gates } = layer.route(x)
    const choices = [0, 1, 2].map(b => [0, 1].map(s => choiceByHand(layer, numbers, b, s)))
    expect(indices.dtype).toBe('int32')
    expect(indices.arraySync()).toEqual(choices.map(image => image.map(choice => choice.kept)))
    expectAllClose(
      gates.arraySync(),
      choices.map(image => image.map(choice => choice.kept.map(j => choice.gates[j]!))),
    )
    expect(layer.grid).toEqual({ map: [4, 6], patch: [2, 2], cells: [2, 3], count: 6 })
  })

  it('trains the router and the kernel, never the head; the order of weights stays', () => {
    const trained = (routerTrainable: boolean) => {
      const { layer } = caseOf({ routerTrainable })
      const names = layer.weights.map(weight => weight.originalName.split('/').at(-1))
      expect(names).toEqual([...NAMES])
      return layer.trainableWeights.map(weight => weight.originalName.split('/').at(-1))
    }
    expect(trained(true)).toEqual(['router', 'kernel'])
    expect(trained(false)).toEqual(['kernel'])
  })

  it('keeps every option through a saved model', async () => {
    const layer = twoLayerExperts({
      name: 'two',
      inputShape: [4, 6, 2],
      numExperts: 2,
      patchesPerExpert: 2,
      patchSize: [2, 3],
      hiddenUnits: 4,
      outputs: 3,
      gate: 'uniform',
      normalizer: 'all',
      routerInitializer: 'zeros',
      kernelInitializer: tf.initializers.randomNormal({ mean: 1, stddev: 2, seed: 5 }),
      routerTrainable: false,
      seed: 7,
    })
    const model = tf.sequential({ layers: [layer] })
    const topology = JSON.parse(JSON.stringify(model.toJSON(null, false)))
    const loaded = await tf.models.modelFromJSON(topology)
    expect(loaded.layers[0]?.getConfig()).toEqual(layer.getConfig())
    expect(loaded.layers[0]?.getConfig()).toMatchObject({
      patchSize: [2, 3],
      hiddenUnits: 4,
      outputs: 3,
      gate: 'uniform',
      normalizer: 'all',
      routerInitializer: { className: 'Zeros' },
      kernelInitializer: { className: 'RandomNormal', config: { mean: 1, stddev: 2, seed: 5 } },
      headInitializer: {
        className: 'RandomNormal',
        config: { mean: 0, stddev: 1, seed: deriveSeed(7, 'head') },
      },
      routerTrainable: false,
    })
    const [before, after] = [model, loaded].map(m => m.getWeights().map(weight => weight.arraySync()))
    expect(after).toEqual(before)
  })

  it('leaves no tensor behind', () => {
    const { layer, x } = caseOf({ gate: 'softmax-all' })
    const optimizer = tf.train.sgd(0.1)
    const step = () =>
      tf.tidy(() => {
        const variables = layer.trainableWeights.map(weight => weight.read() as tf.Variable)
        optimizer.minimize(
          () => tf.sum(tf.square(layer.apply(x, { training: true }) as tf.Tensor)),
          false,
          variables,
        )
      })
    step()
    const { numTensors } = tf.memory()
    for (let i = 0; i < 20; i++) step()
    expect(tf.memory().numTensors).toBe(numTensors)
  })
})

/**
 * dL/dw_s = mean over images of -y v sum_r (a_{r,s}/l) sum_{j in J_s} ReLU(<w_{r,s}, x^(j)>) G_{j,s}
 * sum_{i in J_s, i != j} (x^(j) - x^(i)) G_{i,s}, with v = 1 / (1 + exp(y f)); (h w C, K).
 */
function equation26(layer: TwoLayerExperts, numbers: Numbers, labels: readonly number[]): Float64Array {
  const { numExperts, hiddenUnits } = layer
  const f = twoLayerByHand(layer, numbers)
  const gradient = new Float64Array(numbers.router.length)
  labels.forEach((y, b) => {
    const v = 1 / (1 + Math.exp(y * f[b]!))
    for (let s = 0; s < numExperts; s++) {
      const { patches, kept, gates } = choiceByHand(layer, numbers, b, s)
      for (let r = 0; r < hiddenUnits / numExperts; r++) {
        const unit = (s * hiddenUnits) / numExperts + r
        const weights = column(numbers.kernel, unit, hiddenUnits)
        for (const j of kept)
          for (const i of kept.filter(other => other !== j))
            patches[j]!.forEach((value, d) => {
              gradient[d * numExperts + s]! +=
                ((-y * v) / labels.length) *
                (numbers.head[unit]! / kept.length) *
                Math.max(inner(weights, patches[j]!), 0) *
                gates[j]! *
                (value - patches[i]![d]!) *
                gates[i]!
            })
      }
    }
  })
  return gradient
}

describe('TwoLayerExperts refuses', () => {
  const good = { numExperts: 2, patchesPerExpert: 2, patchSize: 2, hiddenUnits: 4, outputs: 1 }
  it.each([
    [{ ...good, numExperts: 1.5 }, 'TwoLayerExperts: numExperts must be a positive integer, got 1.5'],
    [{ ...good, patchesPerExpert: 0 }, 'TwoLayerExperts: patchesPerExpert must be a positive integer, got 0'],
    [{ ...good, outputs: 0 }, 'TwoLayerExperts: outputs must be a positive integer, got 0'],
    [{ ...good, hiddenUnits: -4 }, 'TwoLayerExperts: hiddenUnits must be a positive integer, got -4'],
    [
      { ...good, hiddenUnits: 5 },
      'TwoLayerExperts: hiddenUnits must be a multiple of numExperts, got 5 (2 experts)',
    ],
    [
      { ...good, patchSize: 0.5 },
      'TwoLayerExperts: patchSize must be a positive integer or [height, width] of them, got 0.5',
    ],
    [
      { ...good, gate: 'no' },
      `TwoLayerExperts: gate must be one of 'softmax-selected', 'softmax-all', 'uniform', got "no"`,
    ],
    [{ ...good, normalizer: 'l' }, `TwoLayerExperts: normalizer must be one of 'selected', 'all', got "l"`],
  ])('%j', (options, message) => {
    expect(() => twoLayerExperts(options as TwoLayerExpertsOptions)).toThrow(new RangeError(message))
  })

  it.each([
    [[null, 4, 6], 'input must have rank 4 (batch, height, width, channels), got shape (null, 4, 6)'],
    [[null, 4, 5, 1], 'patchSize must divide the map, got 2x2 (map 4x5)'],
    [
      [null, 2, 2, 1],
      'patchesPerExpert must be an integer in [1, 1], got 2 (1 patches: 2x2 map in 2x2 patches)',
    ],
  ])('images of %j', (shape, message) => {
    expect(() => twoLayerExperts(good).build(shape)).toThrow(new RangeError(`TwoLayerExperts: ${message}`))
  })

  it('use before it is built', () => {
    expect(() => twoLayerExperts({ ...good, name: 'early' }).route(tf.zeros([1, 4, 4, 1]))).toThrow(
      new Error('TwoLayerExperts: the layer must be built before use, got layer early without input'),
    )
  })
})

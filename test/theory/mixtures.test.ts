import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { measureBound } from '../../scripts/run/measured-bound.js'
import type { ImageSet } from '../../src/data/image-set.js'
import { patchGate, patchMoE, twoLayerExperts } from '../../src/index.js'
import { sampleExperts } from '../../src/layers/moe/sample-experts.js'
import { sampleMoE } from '../../src/layers/moe/sample-moe.js'
import { random } from '../../src/random.js'
import { norm21, smoeBound, spectralComplexity, spectralNorm } from '../../src/theory/index.js'
import type { InputStatistics, MixtureClass } from '../../src/theory/mixture-class.js'
import { mixturesOf } from '../../src/theory/mixtures.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(useTestBackend)

/** Images of 4x4x2 and random bytes. */
function imageSet(count: number, seed: number, classes = 2): ImageSet {
  const chance = random(seed, 'images')
  return {
    images: Uint8Array.from({ length: count * 32 }, () => chance.below(256)),
    labels: Int32Array.from({ length: count }, (_, i) => i % classes),
    count,
    shape: [4, 4, 2],
    classNames: Array.from({ length: classes }, (_, i) => `class ${i}`),
  }
}

function modelOf(layer: tf.layers.Layer): tf.LayersModel {
  const input = tf.input({ shape: [4, 4, 2] })
  return tf.model({ inputs: input, outputs: layer.apply(input) as tf.SymbolicTensor })
}

/** Gives a layer weights of N(0, 1). */
function randomize(layer: tf.layers.Layer, seed: number): void {
  layer.setWeights(
    layer.weights.map(({ shape }, i) => tf.randomNormal(shape as number[], 0, 1, 'float32', seed + i)),
  )
}

function networkOf(mixture: MixtureClass | undefined, statistics: InputStatistics) {
  const network = mixture?.network
  if (typeof network !== 'function') throw new Error(`expected a network, got ${network}`)
  return network(statistics)
}

const options = { delta: 0.05, margin: 2 }

describe('a SampleMoE', () => {
  const sizes = { numExperts: 3, outputs: 2, filtersPerOutput: 2, patchSize: 2 } as const

  function judged(activation: 'cubic' | 'linear' | 'relu', more: object = {}) {
    const layer = sampleMoE({ ...sizes, activation, ...more })
    const model = modelOf(layer)
    randomize(layer, 5)
    return { layer, model }
  }

  it('has an expert of two layers: its filters on every patch, and their sum', async () => {
    const { layer, model } = judged('relu')
    const [mixture] = mixturesOf(model)
    expect(mixture).toMatchObject({
      className: 'SampleMoE',
      chooses: 'items',
      experts: 3,
      active: 1,
      router: { inputs: 8, experts: 3, bias: false },
      readsFeatures: false,
      hasTail: false,
    })
    const [, kernel, bias] = layer.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor]
    // Expert m owns columns [4 m, 4 m + 4) of a kernel of 8 rows; its bias is a ninth row.
    const experts = [0, 1, 2].map(
      m =>
        tf
          .concat([
            tf.slice(kernel.reshape([8, 12]), [0, 4 * m], [8, 4]),
            bias.slice(4 * m, 4).reshape([1, 4]),
          ])
          .arraySync() as number[][],
    )
    expectAllClose(
      mixture?.norms.map(({ spectralNorm: s }) => s) ?? [],
      experts.map(e => spectralNorm(e)),
      1e-6,
    )
    expectAllClose(
      mixture?.norms.map(({ norm21: b }) => b) ?? [],
      experts.map(e => norm21(e)),
      1e-6,
    )

    const [train, test] = [imageSet(60, 1), imageSet(40, 2)]
    const measured = await measureBound(model, { train, test }, options)
    const squares = Array.from(train.images).reduce((sum, value) => sum + (value / 255) ** 2, 0)
    const largest = (norm: (matrix: number[][]) => number) => Math.max(...experts.map(matrix => norm(matrix)))
    const { complexity } = spectralComplexity({
      dataNorm: Math.sqrt(squares + 60 * 4), // a bias for each of 4 patches
      samples: 60,
      layers: [
        { spectralNorm: largest(spectralNorm), norm21: 4 * largest(norm21), entries: 4 * 9 * 4 * 4 },
        // 4 patches and 2 filters are summed; a margin is the difference of 2 outputs.
        { spectralNorm: Math.sqrt(4 * 2 * 2), norm21: 0, entries: 4 * 4 * 2 },
      ],
    })
    const bound = smoeBound({
      experts: 3,
      active: 1,
      samples: 60,
      routerDimension: 24,
      lipschitz: 0.5,
      expertComplexity: complexity,
    })
    expectAllClose([measured.mixtures[0]?.bound.bound as number], [bound.bound], 1e-5)
  })

  it('is an upper bound of every change of its experts', () => {
    // Each expert is no steeper than the product of its layers' norms.
    const { layer, model } = judged('linear', { gate: 'uniform', numExperts: 1 })
    const [mixture] = mixturesOf(model)
    const { layers } = networkOf(mixture, { items: 1, squares: 1, slope: 1, gates: 1 })
    const steepest = layers.reduce((product, { spectralNorm: s }) => product * s, 1)
    for (let seed = 1; seed <= 20; seed++) {
      const [a, b] = [1, 2].map(i =>
        tf.randomNormal<tf.Rank.R4>([1, 4, 4, 2], 0, 1, 'float32', 100 * i + seed),
      )
      const margin = (x: tf.Tensor) => {
        const [first = 0, second = 0] = (layer.apply(x) as tf.Tensor).dataSync()
        return first - second
      }
      const distance = tf.norm(tf.sub(a as tf.Tensor, b as tf.Tensor)).dataSync()[0] as number
      expect(Math.abs(margin(a as tf.Tensor) - margin(b as tf.Tensor))).toBeLessThanOrEqual(
        steepest * distance * (1 + 1e-5),
      )
    }
  })

  it('takes the largest slope met on the training data for z^3, and counts gates that are no shares', async () => {
    const { layer, model } = judged('cubic', { gate: 'raw' })
    const [train, test] = [imageSet(200, 3), imageSet(10, 4)]
    const measured = await measureBound(model, { train, test }, options)
    const [kernel, bias] = layer.getWeights().slice(1) as [tf.Tensor, tf.Tensor]
    const x = tf.tensor4d(
      Float32Array.from(train.images, value => value / 255),
      [200, 4, 4, 2],
    )
    const windows = tf.conv2d(x, kernel as tf.Tensor4D, 2, 'valid').add(bias)
    expectAllClose(
      [measured.mixtures[0]?.statistics.slope as number],
      [3 * (windows.square().max().dataSync()[0] as number)],
      1e-4,
    )
    const gates = layer.route(x).gates.abs().max().dataSync()[0] as number
    expect(gates).toBeGreaterThan(1)
    expectAllClose([measured.mixtures[0]?.complexity?.gateFactor as number], [gates], 1e-4)
    // C = 1 / margin.
    expectAllClose(
      [measured.mixtures[0]?.bound.expertTerm as number],
      [(4 / 2) * (measured.mixtures[0]?.complexity?.complexity as number) * gates],
      1e-4,
    )
  })

  it('yields logits, of which a softmax or sigmoid at the end makes no others', () => {
    const tails = (name: 'softmax' | 'relu') => {
      const { layer, model } = judged('linear')
      const last = tf.layers.activation({ activation: name }).apply(layer.output as tf.SymbolicTensor)
      return mixturesOf(tf.model({ inputs: model.inputs, outputs: last as tf.SymbolicTensor }))[0]?.hasTail
    }
    expect([tails('softmax'), tails('relu')]).toEqual([false, true])
  })

  it('has k of T active, and no router where there is one expert', () => {
    expect(mixturesOf(judged('linear', { expertsPerSample: 2 }).model)[0]).toMatchObject({
      active: 2,
      experts: 3,
    })
    const [one] = mixturesOf(judged('linear', { numExperts: 1, gate: 'uniform' }).model)
    expect(one).not.toHaveProperty('router')
  })
})

describe('a mixture of networks that samples choose', () => {
  it('has the router of its biases, and experts whose complexity is not stated', async () => {
    const expert = () =>
      tf.sequential({
        layers: [tf.layers.flatten({ inputShape: [4, 4, 2] }), tf.layers.dense({ units: 2 })],
      })
    const model = modelOf(sampleExperts({ numExperts: 3, expert, patchSize: 2, routerBias: true }))
    const measured = await measureBound(model, { train: imageSet(9, 1), test: imageSet(5, 2) }, options)
    const [judged] = measured.mixtures
    expect(judged?.mixture).toMatchObject({
      className: 'SampleExperts',
      chooses: 'items',
      router: { inputs: 8, experts: 3, bias: true },
      norms: [],
      network: 'experts are networks whose complexity has no closed form here',
    })
    expect(judged?.routerDimension).toBe(27)
    expect(judged?.bound.bound).toBe(judged?.bound.routerTerm)
    expect(judged).not.toHaveProperty('complexity')
  })
})

describe('measured losses', () => {
  it('are those of margins, by hand', async () => {
    // One expert, no router: f_o = sum over all pixels and channels of w_o x.
    const layer = sampleMoE({
      numExperts: 1,
      outputs: 2,
      filtersPerOutput: 1,
      patchSize: 4,
      activation: 'linear',
      gate: 'uniform',
      useBias: false,
    })
    const model = modelOf(layer)
    // Output 0 is the first number of an image, output 1 the second.
    const kernel = new Float32Array(64)
    kernel.set([1, 0, 0, 1])
    layer.setWeights([tf.zeros([4, 4, 2, 1]), tf.tensor4d(kernel, [4, 4, 2, 2])])
    const images = new Uint8Array(4 * 32)
    // Class 0 is ahead by 1, by 0.2 and by 0; the last image is of class 1 and behind by 0.4.
    for (const [i, pair] of [
      [255, 0],
      [102, 51],
      [51, 51],
      [102, 0],
    ].entries())
      images.set(pair, 32 * i)
    const set = { ...imageSet(4, 1), images, labels: Int32Array.of(0, 0, 0, 1) }
    const { train, test, mixtures } = await measureBound(
      model,
      { train: set, test: { ...set, labels: Int32Array.of(0, 0, 0, 0) } },
      { delta: 0.05, margin: 0.5 },
    )
    // Ramp losses at margin 0.5: 0, 0.6, 1, 1; and for label 0 of the last 0.2.
    expect(train).toEqual({ ramp: expect.closeTo(2.6 / 4, 6), zeroOne: 0.5, count: 4 })
    expect(test).toEqual({ ramp: expect.closeTo(1.8 / 4, 6), zeroOne: 0.25, count: 4 })
    expect(mixtures[0]?.routerDimension).toBe(0)
  })

  it('need a mixture, and finite logits', async () => {
    const dense = tf.sequential({
      layers: [tf.layers.flatten({ inputShape: [4, 4, 2] }), tf.layers.dense({ units: 2 })],
    })
    const data = { train: imageSet(4, 1), test: imageSet(4, 2) }
    await expect(measureBound(dense, data, options)).rejects.toThrow(
      new RangeError('bound: the model must have a mixture of experts, got a model without one'),
    )
    const layer = sampleMoE({ numExperts: 2, outputs: 2, patchSize: 2 })
    const model = modelOf(layer)
    const [router, ...others] = layer.getWeights() as [tf.Tensor, ...tf.Tensor[]]
    layer.setWeights([tf.fill(router.shape, Number.NaN), ...others])
    await expect(measureBound(model, data, options)).rejects.toThrow(
      'bound: logits must be finite, got NaN (train, item 0 or a later one)',
    )
  })
})

describe('mixtures whose experts choose patches', () => {
  it('are read with all experts active: the two-layer model', () => {
    const layer = twoLayerExperts({
      numExperts: 2,
      patchesPerExpert: 3,
      patchSize: 2,
      hiddenUnits: 6,
      outputs: 2,
    })
    const model = modelOf(layer)
    randomize(layer, 9)
    const [mixture] = mixturesOf(model)
    expect(mixture).toMatchObject({
      chooses: 'patches',
      experts: 2,
      active: 2,
      router: { inputs: 8, experts: 2 },
      patches: { patches: 4, patchesPerExpert: 3, experts: 2 },
    })
    const [, kernel, head] = layer.getWeights() as [tf.Tensor, tf.Tensor, tf.Tensor2D]
    const own = [0, 1].map(
      s =>
        kernel
          .reshape([8, 6])
          .slice([0, 3 * s], [8, 3])
          .arraySync() as number[][],
    )
    expectAllClose(
      mixture?.norms.map(({ norm21: b }) => b) ?? [],
      own.map(kernelOf => norm21(kernelOf)),
      1e-5,
    )
    const { layers } = networkOf(mixture, { items: 5, squares: 7, slope: 1, gates: 0.8 })
    const heads = [0, 1].map(s => spectralNorm(head.slice([3 * s, 0], [3, 2])))
    // Gates of norm 0.8, sums over 3 patches divided by 3, margins of two outputs.
    expectAllClose([layers[1]?.spectralNorm as number], [(Math.max(...heads) * 0.8 * Math.SQRT2) / 3], 1e-5)
  })

  it.each([
    ['zero', { patchSize: 2, padding: 'same' }],
    ['halo', { patchSize: 4, padding: 'valid' }],
  ] as const)('have the norms of their convolutions: border %s', (border, convolution) => {
    const layer = patchMoE({ numExperts: 2, patchesPerExpert: 1, patchSize: 2, filters: 6, border })
    const input = tf.input({ shape: [4, 4, 2] })
    const features = tf.layers.conv2d({ filters: 2, kernelSize: 1 }).apply(input)
    const map = tf.layers.globalAveragePooling2d({}).apply(layer.apply(features) as tf.SymbolicTensor)
    const model = tf.model({ inputs: input, outputs: map as tf.SymbolicTensor })
    randomize(layer, 3)
    const [mixture] = mixturesOf(model)
    expect(mixture).toMatchObject({ experts: 2, active: 2, readsFeatures: true, hasTail: true })
    expect(mixture?.network).toBe(
      'experts yield parts of a map, and what later layers make of them is no part of the theorem',
    )
    const kernel = layer.getWeights()[1] as tf.Tensor4D
    const own = [0, 1].map(s => kernel.slice([0, 0, 0, 3 * s], [3, 3, 2, 3]) as tf.Tensor4D)
    expectAllClose(
      mixture?.norms.flatMap(({ spectralNorm: s, norm21: b }) => [s, b]) ?? [],
      own.flatMap(part => [spectralNorm(part, convolution), norm21(part, convolution)]),
      1e-5,
    )
  })

  it('are one mixture where every expert has a gate of its own', () => {
    const input = tf.input({ shape: [4, 4, 2] })
    const gates = [1, 2, 3].map(i =>
      patchGate({ patchesPerExpert: 2, patchSize: 2, name: `gate${i}` }).apply(input),
    ) as tf.SymbolicTensor[]
    const sum = tf.layers.add().apply(gates) as tf.SymbolicTensor
    expect(mixturesOf(tf.model({ inputs: input, outputs: sum }))).toMatchObject([
      { path: 'gate1, gate2, gate3', experts: 3, active: 3, router: { inputs: 8, experts: 3 }, norms: [] },
    ])
  })
})

import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, describe, expect, it } from 'vitest'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { type WideResNetOptions, wideResNet } from '../../src/models/wide-resnet.js'
import { random } from '../../src/random.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

const models: tf.LayersModel[] = []
afterEach(() => {
  for (const model of models.splice(0)) model.dispose()
})

function build(options: WideResNetOptions): tf.LayersModel {
  const model = wideResNet(options)
  models.push(model)
  return model
}

const cifarExperts = { numExperts: 4, patchesPerExpert: 16, patchSize: 1 }
const faceExperts = { numExperts: 8, patchesPerExpert: 2, patchSize: 4 }
const slim = { inputShape: [32, 32, 3], numClasses: 4, widenFactor: 1, seed: 3 } as const
const small = { inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, seed: 3 } as const

function images(count: number, [height, width, channels]: readonly number[], seed = 1): tf.Tensor {
  const source = random(seed, 'images')
  const shape = [count, height ?? 1, width ?? 1, channels ?? 1]
  return tf.tensor(Float32Array.from({ length: tf.util.sizeFromShape(shape) }, source.next), shape)
}

function values(model: tf.LayersModel, x: tf.Tensor): Float32Array {
  return tf.tidy(() => (model.predict(x) as tf.Tensor).dataSync()) as Float32Array
}

function greatestDifference(a: ArrayLike<number>, b: ArrayLike<number>): number {
  return Math.max(...Array.from(a, (value, i) => Math.abs(value - (b[i] ?? Number.NaN))))
}

describe('parameters, as published', () => {
  it.each([
    ['dense, 10 classes of 32x32', 7_443_242, { inputShape: [32, 32, 3], numClasses: 10 }],
    ['dense, 4 classes of 64x64', 7_439_396, { inputShape: [64, 64, 3], numClasses: 4 }],
    [
      "authors' CIFAR network",
      3_971_242,
      { inputShape: [32, 32, 3], numClasses: 10, pmoe: cifarExperts, variant: 'authors' },
    ],
    [
      "authors' CelebA network",
      7_333_796,
      { inputShape: [64, 64, 3], numClasses: 4, pmoe: faceExperts, variant: 'authors' },
    ],
    [
      "authors' CelebA network, one logit",
      7_331_873,
      { inputShape: [64, 64, 3], numClasses: 1, pmoe: faceExperts, variant: 'authors' },
    ],
    ['slim dense', 78_548, slim],
    ["slim authors'", 44_692, { ...slim, pmoe: cifarExperts, variant: 'authors' }],
    ['slim sparse', 44_628, { ...slim, pmoe: cifarExperts }],
  ] as [string, number, WideResNetOptions][])('%s: %i', (_, parameters, options) => {
    expect(build(options).countParams()).toBe(parameters)
  })

  it('adds a block of two 3x3 convolutions to each group for six more layers', () => {
    // One more block of c channels: two BatchNorms (4c each) and two convolutions (9cc + c each), no shortcut.
    const blocks = [16, 32, 64].map(c => 2 * (4 * c) + 2 * (9 * c * c + c))
    const added = blocks.reduce((total, block) => total + block, 0)
    expect(build({ ...slim, depth: 16 }).countParams()).toBe(78_548 + added)
  })
})

describe('layout', () => {
  it('names layers by their places and ends in logits and probabilities', () => {
    const names = build({ ...small, pmoe: cifarExpertsOf(4) }).layers.map(layer => layer.name)
    for (const name of ['stem', 'group1_block1_conv1', 'group2_block1_shortcut', 'patch_moe', 'pool']) {
      expect(names).toContain(name)
    }
    // The sparse last block has no shortcut, and its experts normalise for themselves.
    expect(names).not.toContain('group3_block1_shortcut')
    expect(names).not.toContain('group3_block1_bn2')
    expect(names.slice(-2)).toEqual(['logits', 'probabilities'])
  })

  it('puts the mixture into the last of several blocks, whose stride stays with the first', () => {
    const model = build({ ...small, depth: 16, pmoe: cifarExpertsOf(4), variant: 'drop-in' })
    expect(model.getLayer('group3_block1_conv2').outputShape).toEqual([null, 4, 4, 64])
    expect(model.getLayer('patch_moe').outputShape).toEqual([null, 4, 4, 64])
    expect(model.layers.map(layer => layer.name)).not.toContain('group3_block2_shortcut')
    expect(model.getLayer('group3_block2_add').outputShape).toEqual([null, 4, 4, 64])
  })

  it.each([
    [{ patchSize: 1 }, 'sparse', { kernelSize: [1, 1], preActivation: 'batch-norm-relu', useBias: false }],
    [
      { patchSize: 2 },
      'sparse',
      { kernelSize: [3, 3], preActivation: 'batch-norm-relu', gate: 'softmax-selected' },
    ],
    [
      { patchSize: 2 },
      'drop-in',
      { kernelSize: [3, 3], preActivation: 'none', useBias: true, gateScale: 'mean-one' },
    ],
    [{ patchSize: [2, 1], kernelSize: 5, border: 'halo' }, 'drop-in', { kernelSize: [5, 5], border: 'halo' }],
  ] as const)('gives experts of %o in %s the options %o', (pmoe, variant, expected) => {
    const model = build({ ...small, pmoe: { numExperts: 2, patchesPerExpert: 3, ...pmoe }, variant })
    const layer = model.getLayer('patch_moe')
    expect(layer).toBeInstanceOf(PatchMoE)
    expect(layer).toMatchObject({ ...expected, numExperts: 2, patchesPerExpert: 3, filters: 64 })
  })

  it.each([
    ['batch-norm-relu', []],
    ['relu', ['group3_block1_bn2']],
    ['none', ['group3_block1_bn2', 'group3_block1_relu2']],
  ] as const)('takes from the map what experts do themselves: %s', (preActivation, onTheMap) => {
    const model = build({ ...small, pmoe: { ...cifarExpertsOf(4), preActivation } })
    const names = model.layers.map(layer => layer.name)
    expect(names.filter(name => /^group3_block1_(bn|relu)2$/.test(name))).toEqual(onTheMap)
  })

  it("runs the authors' single expert without concatenating", () => {
    const model = build({ ...small, pmoe: { ...cifarExpertsOf(4), numExperts: 1 }, variant: 'authors' })
    expect(model.getLayer('expert1_conv').outputShape).toEqual([null, 4, 4, 64])
    expect(model.layers.map(layer => layer.name)).not.toContain('experts')
  })

  it('gives probabilities that sum to 1, or one free logit', () => {
    const x = images(3, small.inputShape)
    const probabilities = values(build({ ...small, pmoe: cifarExpertsOf(4) }), x)
    for (let i = 0; i < 3; i++) {
      const row = probabilities.slice(3 * i, 3 * i + 3)
      expect(row.reduce((total, p) => total + p, 0)).toBeCloseTo(1, 5)
    }
    const logit = build({ ...small, numClasses: 1 })
    expect(values(logit, x)).toHaveLength(3)
    expect(logit.layers.at(-1)?.name).toBe('logits')
    x.dispose()
  })
})

function cifarExpertsOf(patchesPerExpert: number) {
  return { numExperts: 4, patchesPerExpert, patchSize: 1 }
}

describe('drop-in', () => {
  it('with every patch kept, gates of 1 and true borders is the dense network', () => {
    const dense = build(small)
    const pmoe = {
      numExperts: 4,
      patchesPerExpert: 4,
      patchSize: 2,
      gate: 'uniform',
      border: 'halo',
    } as const
    const mixture = build({ ...small, seed: 99, pmoe, variant: 'drop-in' })
    for (const layer of dense.layers) {
      const weights = layer.getWeights().map((weight, i) => nonTrivial(weight, `${layer.name}${i}`))
      layer.setWeights(weights)
      if (layer.name !== 'group3_block1_conv2') {
        mixture.getLayer(layer.name).setWeights(weights)
        continue
      }
      const [router] = mixture.getLayer('patch_moe').getWeights()
      mixture.getLayer('patch_moe').setWeights([router as tf.Tensor, ...weights])
    }
    const x = images(4, small.inputShape)
    expect(greatestDifference(values(mixture, x), values(dense, x))).toBeLessThan(1e-5)
    x.dispose()
  })
})

/** The weight with some noise, so that biases and BatchNorm's statistics are not at their neutral start. */
function nonTrivial(weight: tf.Tensor, purpose: string): tf.Tensor {
  const source = random(5, purpose)
  const noise = Float32Array.from({ length: weight.size }, () => 0.2 * source.next())
  return tf.tidy(() => tf.add(weight, tf.tensor(noise, weight.shape)))
}

const variants: [string, Partial<WideResNetOptions>][] = [
  ['dense', {}],
  ['sparse', { pmoe: cifarExpertsOf(4) }],
  ['drop-in', { pmoe: { ...cifarExpertsOf(2), patchSize: 2, border: 'halo' }, variant: 'drop-in' }],
  ['authors', { pmoe: cifarExpertsOf(4), variant: 'authors' }],
]

describe.each(variants)('%s network', (_, options) => {
  it('learns from a step of SGD and frees its tensors', () => {
    const model = build({ ...small, ...options })
    const x = images(8, small.inputShape)
    const labels = tf.oneHot(tf.tensor1d([0, 1, 2, 0, 1, 2, 0, 1], 'int32'), 3)
    const optimizer = tf.train.sgd(0.02)
    const lossOf = (): tf.Scalar =>
      tf.losses.logLoss(labels, model.apply(x, { training: true }) as tf.Tensor) as tf.Scalar
    const step = (): number => tf.tidy(() => optimizer.minimize(lossOf, true)?.dataSync()[0] ?? Number.NaN)
    const first = step()
    const tensors = tf.memory().numTensors
    let last = first
    for (let i = 0; i < 4; i++) last = step()
    expect(last).toBeLessThan(first)
    expect(tf.memory().numTensors).toBe(tensors)
    tf.dispose([x, labels])
    optimizer.dispose()
  })

  it('comes back from its saved form with the same outputs', async () => {
    const model = build({ ...small, ...options })
    let saved: tf.io.ModelArtifacts | undefined
    await model.save(
      tf.io.withSaveHandler(async artifacts => {
        saved = artifacts
        return { modelArtifactsInfo: { dateSaved: new Date(0), modelTopologyType: 'JSON' } }
      }),
    )
    const json = JSON.parse(JSON.stringify(saved?.modelTopology))
    const loaded = await tf.loadLayersModel(tf.io.fromMemory({ ...saved, modelTopology: json }))
    models.push(loaded)
    const x = images(2, small.inputShape)
    expect(greatestDifference(values(loaded, x), values(model, x))).toBe(0)
    expect(loaded.layers.map(layer => layer.name)).toEqual(model.layers.map(layer => layer.name))
    x.dispose()
  })

  it('has weights that follow from its seed, layer by layer', () => {
    const weightsOf = (seed: number): number[][] =>
      build({ ...small, ...options, seed })
        .getWeights()
        .map(weight => Array.from(weight.dataSync()))
    const [one, again, other] = [weightsOf(7), weightsOf(7), weightsOf(8)]
    expect(again).toEqual(one)
    for (const [i, weight] of one.entries()) {
      // Biases, gammas and the like start at a constant.
      const isRandom = new Set(weight).size > 1
      if (isRandom) expect(other[i]).not.toEqual(weight)
    }
    // No two kernels start from the same numbers: layers of the same shape differ, experts as well.
    const starts = one.filter(weight => new Set(weight).size > 1).map(weight => weight.slice(0, 3).join())
    expect(new Set(starts).size).toBe(starts.length)
  })
})

describe('options', () => {
  const pmoe = cifarExpertsOf(16)
  it.each([
    [{ depth: 12 }, 'wideResNet: depth must be 6n+4 (10, 16, 22, ...), got 12'],
    [{ depth: 4 }, 'wideResNet: depth must be 6n+4 (10, 16, 22, ...), got 4'],
    [{ widenFactor: 0.5 }, 'wideResNet: widenFactor must be a positive integer, got 0.5'],
    [{ numClasses: 0 }, 'wideResNet: numClasses must be a positive integer, got 0'],
    [{ batchNormMomentum: 1 }, 'wideResNet: batchNormMomentum must be in [0, 1), got 1'],
    [
      { inputShape: [32, 32] },
      'wideResNet: inputShape must be [height, width, channels] of positive integers, got [32,32]',
    ],
    [{ variant: 'sparse' }, 'wideResNet: variant must be left out without pmoe, got "sparse"'],
    [
      { pmoe, variant: 'dense' },
      `wideResNet: variant must be one of 'sparse', 'drop-in', 'authors', got "dense"`,
    ],
    [
      { pmoe: { ...pmoe, patchSize: 3 } },
      'wideResNet: pmoe.patchSize must divide 8x8, got 3x3 (8x8 last map of 32x32 images)',
    ],
    [
      { pmoe: { ...pmoe, patchesPerExpert: 80 } },
      'wideResNet: pmoe.patchesPerExpert must be an integer in [1, 64], got 80 (8x8 last map of 32x32 images)',
    ],
    [
      { pmoe: { ...pmoe, patchesPerExpert: 0 } },
      'pmoe.patchesPerExpert must be an integer in [1, 64], got 0',
    ],
    [
      { pmoe: { ...pmoe, numExperts: 7 } },
      'wideResNet: pmoe.numExperts must divide the 64 channels of the last group, got 7',
    ],
    [{ pmoe: { ...pmoe, numExperts: 0 } }, 'wideResNet: pmoe.numExperts must be a positive integer, got 0'],
    [{ pmoe: { ...pmoe, kernelSize: 2 } }, 'wideResNet: pmoe.kernelSize must be odd, got 2'],
    [{ pmoe: { ...pmoe, patchSize: 0 } }, 'wideResNet: pmoe.patchSize must be a positive integer'],
    [
      { pmoe: { ...pmoe, border: 'halo' }, variant: 'authors' },
      `wideResNet: pmoe.border must be left out of variant 'authors', got "halo"`,
    ],
    [
      { pmoe: { ...pmoe, routerTrainable: false }, variant: 'authors' },
      `wideResNet: pmoe.routerTrainable must be left out of variant 'authors', got false`,
    ],
  ])('refuses %o before it allocates', (wrong, message) => {
    const tensors = tf.memory().numTensors
    expect(() => wideResNet({ ...slim, ...wrong } as WideResNetOptions)).toThrow(message)
    expect(() => wideResNet({ ...slim, ...wrong } as WideResNetOptions)).toThrow(RangeError)
    expect(tf.memory().numTensors).toBe(tensors)
  })
})

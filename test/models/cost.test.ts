import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { patchGate } from '../../src/layers/moe/patch-gate.js'
import { patchMoE } from '../../src/layers/moe/patch-moe.js'
import type { PatchMoEOptions } from '../../src/layers/moe/patch-moe-options.js'
import { modelCost } from '../../src/models/cost.js'
import { type RoutedModelOptions, routedModel } from '../../src/models/routed-model.js'
import { sampleMoEModel } from '../../src/models/sample-moe.js'
import { twoLayerPatchModel } from '../../src/models/two-layer.js'
import { type WideResNetOptions, wideResNet } from '../../src/models/wide-resnet.js'
import { size2D } from '../../src/shapes.js'

// Counts do not depend on the backend; the plain one shows its kernels as they are.
beforeAll(async () => {
  await tf.setBackend('cpu')
})

function sequential(...layers: tf.layers.Layer[]): tf.Sequential {
  return tf.sequential({ layers })
}

function costOf(model: tf.LayersModel, name: string) {
  const cost = modelCost(model).layers.find(layer => layer.name === name)
  if (!cost) throw new Error(`no layer ${name} among ${model.layers.map(layer => layer.name)}`)
  return cost
}

describe('layers of tfjs, by hand', () => {
  const shape = [6, 5, 2]

  it('counts a small network', () => {
    const model = sequential(
      tf.layers.conv2d({ filters: 4, kernelSize: 3, padding: 'same', inputShape: shape, name: 'conv' }),
      tf.layers.batchNormalization({ name: 'bn' }),
      tf.layers.reLU({ name: 'relu' }),
      tf.layers.flatten({ name: 'flat' }),
      tf.layers.dense({ units: 3, name: 'dense' }),
    )
    const cost = modelCost(model)
    // conv: 6*5 positions x 3*3*2 taps x 4 filters = 2160; first, so no input gradient.
    // dense: 120 x 3 = 360, with both gradients.
    expect(
      cost.layers.map(({ name, parameters, multiplyAdds: { forward, backward } }) => [
        name,
        parameters,
        forward,
        backward,
      ]),
    ).toEqual([
      ['conv', 76, 2160, 2160],
      ['bn', 16, 0, 0],
      ['relu', 0, 0, 0],
      ['flat', 0, 0, 0],
      ['dense', 363, 360, 720],
    ])
    expect(cost.multiplyAdds).toEqual({ forward: 2520, backward: 2880, training: 5400 })
    // BatchNorm's moving mean and variance of 4 channels are not trained.
    expect(cost.parameters).toEqual({ total: 455, trainable: 447 })
    expect(cost.layers[0]).toMatchObject({ className: 'Conv2D', outputShape: [null, 6, 5, 4] })
    expect(cost.uncounted).toEqual([])
  })

  it.each([
    // 'valid' at stride 2 leaves 2x2 positions: 4 x 9*2*7.
    ['conv2d', tf.layers.conv2d({ filters: 7, kernelSize: 3, strides: 2, inputShape: shape }), 504],
    // Two filters for each of the two channels: 4x3x4 outputs of 3*3 taps.
    ['depthwise', tf.layers.depthwiseConv2d({ kernelSize: 3, depthMultiplier: 2, inputShape: shape }), 432],
    // 4x3 positions: depthwise 3*3*2, then pointwise 2*5.
    [
      'separable',
      tf.layers.separableConv2d({ filters: 5, kernelSize: 3, inputShape: shape }),
      12 * 18 + 12 * 10,
    ],
    // Every input position spreads over 2*2 taps of 3 filters.
    [
      'transposed',
      tf.layers.conv2dTranspose({ filters: 3, kernelSize: 2, strides: 2, inputShape: shape }),
      30 * 4 * 2 * 3,
    ],
    ['conv1d', tf.layers.conv1d({ filters: 4, kernelSize: 3, inputShape: [8, 2] }), 6 * 3 * 2 * 4],
    // A dense layer works on the last axis of each of the 6*5 positions.
    ['dense', tf.layers.dense({ units: 3, inputShape: shape }), 30 * 2 * 3],
  ])('%s', (_, layer, forward) => {
    const model = sequential(layer)
    expect(modelCost(model).multiplyAdds.forward).toBe(forward)
  })

  it('counts gradients that are needed only', () => {
    const conv = (name: string, inputShape?: number[]) =>
      tf.layers.conv2d({ filters: 2, kernelSize: 1, name, ...(inputShape && { inputShape }) }) // 6*5*2*2 = 120
    const model = sequential(
      conv('a', shape),
      conv('b'),
      conv('c'),
      tf.layers.separableConv2d({ filters: 1, kernelSize: 1, name: 'd' }),
    )
    const backward = () => modelCost(model).layers.map(layer => layer.multiplyAdds.backward)
    expect(backward()).toEqual([120, 240, 240, 2 * (60 + 60)])
    model.getLayer('a').trainable = false
    // Nothing before b learns now.
    expect(backward()).toEqual([0, 120, 240, 240])
    model.getLayer('b').trainable = false
    model.getLayer('c').trainable = false
    // d alone learns: its pointwise half hands a gradient to its depthwise half, which hands none on.
    expect(backward()).toEqual([0, 0, 0, 60 + 120])
    expect(modelCost(model).parameters.trainable).toBe(2 + 2 + 1)
  })

  it('follows gradients through frozen layers', () => {
    const model = sequential(
      tf.layers.dense({ units: 4, inputShape: [3] }),
      tf.layers.dense({ units: 4, trainable: false }),
      tf.layers.dense({ units: 4 }),
    )
    expect(modelCost(model).layers.map(layer => layer.multiplyAdds.backward)).toEqual([12, 16, 32])
  })

  it('counts a shared layer at each of its places, its parameters once', () => {
    const [left, right] = [tf.input({ shape: [5] }), tf.input({ shape: [5] })]
    const shared = tf.layers.dense({ units: 3, name: 'shared' })
    const both = [left, right].map(x => shared.apply(x) as tf.SymbolicTensor)
    const model = tf.model({
      inputs: [left, right],
      outputs: tf.layers.add().apply(both) as tf.SymbolicTensor,
    })
    const cost = modelCost(model)
    expect(cost.multiplyAdds.forward).toBe(30)
    expect(cost.parameters.total).toBe(18)
    expect(cost.layers.filter(layer => layer.name === 'shared').map(layer => layer.parameters)).toEqual([
      18, 0,
    ])
  })

  it('enters models within models, and knows what learns before them', () => {
    const inner = (name: string) =>
      tf.sequential({ name, layers: [tf.layers.dense({ units: 3, inputShape: [3], name: 'inside' })] })
    const input = tf.input({ shape: [3] })
    const first = inner('first').apply(input)
    const second = inner('second').apply(first) as tf.SymbolicTensor
    const cost = modelCost(tf.model({ inputs: input, outputs: second }))
    const dense = cost.layers.filter(layer => layer.className === 'Dense')
    expect(dense.map(layer => [layer.name, layer.multiplyAdds.backward])).toEqual([
      ['first/inside', 9],
      ['second/inside', 18],
    ])
    expect(cost.parameters).toEqual({ total: 24, trainable: 24 })
  })

  it('names layers whose products it does not know', () => {
    const model = sequential(tf.layers.gru({ units: 2, inputShape: [4, 3], name: 'memory' }))
    expect(modelCost(model).uncounted).toEqual(['memory'])
    expect(modelCost(model).multiplyAdds.forward).toBe(0)
  })

  it('refuses a namesake of a known layer that lacks its kernel', () => {
    class Dense extends tf.layers.Layer {
      static readonly className = 'Dense'
    }
    const model = sequential(new Dense({ inputShape: [3], name: 'namesake' }))
    expect(() => modelCost(model)).toThrow('modelCost: namesake must have a weight kernel, got none')
  })

  it('refuses models without fixed shapes', () => {
    const free = sequential(
      tf.layers.conv2d({ filters: 2, kernelSize: 1, inputShape: [null, null, 3], name: 'conv' }),
    )
    expect(() => modelCost(free)).toThrow('modelCost: shapes at conv must be fixed, got [null,null,null,2]')
    expect(() => modelCost(free)).toThrow(RangeError)
    const unbuilt = tf.sequential({ name: 'empty' })
    expect(() => modelCost(unbuilt)).toThrow(
      'modelCost: model must have known shapes, got empty without outputs',
    )
  })
})

/** An 8x8x3 map in 2x2 patches (N = 16), 2 experts of 3 filters each, behind a layer that learns. */
function mixture(options: Partial<PatchMoEOptions>, learnsBefore = true): tf.LayersModel {
  return sequential(
    tf.layers.conv2d({
      filters: 3,
      kernelSize: 1,
      inputShape: [8, 8, 3],
      trainable: learnsBefore,
      name: 'before',
    }),
    patchMoE({ numExperts: 2, patchesPerExpert: 4, patchSize: 2, filters: 6, name: 'moe', ...options }),
  )
}

describe('PatchMoE, by hand', () => {
  // Routers: 8*8*3 inputs x 2 experts = 384 forward; 4 kept patches of 2*2*3 x 2 experts = 96 a gradient.
  // Experts: 4 patches x 2*2 pixels x 3*3*3 taps x 3 filters x 2 experts = 2592.
  it.each([
    [{}, 384 + 2592, 2 * 96 + 2 * 2592],
    [{ border: 'halo' }, 384 + 2592, 2 * 96 + 2 * 2592],
    [{ gate: 'softmax-all' }, 384 + 2592, 2 * 384 + 2 * 2592],
    [{ gate: 'uniform' }, 384 + 2592, 2 * 2592],
    [{ routerTrainable: false }, 384 + 2592, 96 + 2 * 2592],
    [{ kernelSize: 1 }, 384 + 288, 2 * 96 + 2 * 288],
    [{ patchesPerExpert: 16 }, 384 + 10368, 2 * 384 + 2 * 10368],
  ] as const)('%o', (options, forward, backward) => {
    expect(costOf(mixture(options), 'moe').multiplyAdds).toEqual({ forward, backward })
  })

  it('needs no input gradient where nothing before it learns, but for its own BatchNorm', () => {
    expect(costOf(mixture({}, false), 'moe').multiplyAdds.backward).toBe(96 + 2592)
    const normalised = mixture({ preActivation: 'batch-norm-relu' }, false)
    expect(costOf(normalised, 'moe').multiplyAdds.backward).toBe(96 + 2 * 2592)
  })

  it('stands beside the convolution that it stands for', () => {
    // 64 positions x 3*3*3 taps x 6 filters = 10368, at 162 kernel numbers and 6 biases.
    const { dense, parameters } = costOf(mixture({ useBias: true }), 'moe')
    expect(dense).toEqual({ parameters: 168, multiplyAdds: { forward: 10368, backward: 20736 } })
    expect(parameters).toBe(168 + 2 * 2 * 3 * 2)
    const conv = tf.layers.conv2d({
      filters: 6,
      kernelSize: 3,
      padding: 'same',
      name: 'conv',
      inputShape: [8, 8, 3],
    })
    const counted = costOf(sequential(conv), 'conv')
    expect([dense?.parameters, dense?.multiplyAdds.forward]).toEqual([
      counted.parameters,
      counted.multiplyAdds.forward,
    ])
  })

  it('counts a gate as the router that it is', () => {
    const gated = (gate: 'softmax-selected' | 'softmax-all') =>
      sequential(
        tf.layers.conv2d({ filters: 3, kernelSize: 1, inputShape: [8, 8, 3] }),
        patchGate({ patchSize: 2, patchesPerExpert: 4, gate, name: 'gate' }),
      )
    expect(costOf(gated('softmax-all'), 'gate').multiplyAdds).toEqual({ forward: 192, backward: 384 })
    expect(costOf(gated('softmax-selected'), 'gate').multiplyAdds).toEqual({ forward: 192, backward: 96 })
  })
})

describe('two-layer patch model, by hand', () => {
  it('counts routers, hidden units on kept patches, and the frozen head', () => {
    const model = twoLayerPatchModel({
      inputShape: [32, 32, 1],
      patchSize: 8,
      numExperts: 8,
      patchesPerExpert: 6,
      hiddenUnits: 40,
      numClasses: 1,
      seed: 1,
    })
    const layer = modelCost(model).layers.find(({ className }) => className === 'TwoLayerExperts')
    // Routers 1024 x 8; hidden units 6 patches x 64 pixels x 40; head 40 x 1, whose kernel is fixed.
    // Backward: routers' kept patches 8 x 6 x 64 and hidden units by their kernels alone, the head by its input.
    expect(layer?.multiplyAdds).toEqual({ forward: 8192 + 15360 + 40, backward: 3072 + 15360 + 40 })
    expect(layer?.parameters).toBe(8 * 64 + 64 * 40 + 40)
    expect(layer?.dense).toEqual({
      parameters: 64 * 40 + 40,
      multiplyAdds: { forward: 16 * 64 * 40 + 40, backward: 16 * 64 * 40 + 40 },
    })
  })
})

/** Multiply-adds of the kernels that a function really runs, from the shapes that they take and give. */
async function executed(run: () => tf.Tensor): Promise<number> {
  const { kernels } = await tf.profile(run)
  return kernels.reduce(
    (total, kernel) => total + kernelWork(kernel.name, kernel.inputShapes, kernel.outputShapes),
    0,
  )
}

function kernelWork(
  name: string,
  inputs: readonly (number[] | null)[],
  outputs: readonly number[][],
): number {
  const [a = 0, b = 0] = inputs.map(shape => tf.util.sizeFromShape(shape ?? []))
  const [out = 0] = outputs.map(tf.util.sizeFromShape)
  const filters = (shape: readonly number[] | null | undefined): number => shape?.at(-1) ?? 1
  if (name === 'Conv2D' || name === 'FusedConv2D') return (out * b) / filters(inputs[1])
  if (name === 'Conv2DBackpropInput') return (a * b) / filters(inputs[1])
  if (name === 'Conv2DBackpropFilter') return (b * out) / filters(outputs[0])
  // (n,i,j) x (n,j,k): a b out = n^3 (i j k)^2, so n i j k = sqrt(a b out / n).
  const n = tf.util.sizeFromShape(outputs[0]?.slice(0, -2) ?? [])
  if (name === 'BatchMatMul' || name === '_FusedMatMul') return Math.sqrt((a * b * out) / n)
  return 0
}

describe('against the kernels that run', () => {
  const options: WideResNetOptions = { inputShape: [16, 12, 3], numClasses: 3, widenFactor: 1, seed: 1 }
  const x = () => tf.ones([1, 16, 12, 3])

  it('agrees with a training step of the dense network', async () => {
    const model = wideResNet(options)
    const loss = () => tf.mean(model.apply(x(), { training: true }) as tf.Tensor) as tf.Scalar
    const work = await executed(() => tf.variableGrads(loss).value)
    // tfjs's convolution computes both of its gradients, even the stem's by the image, which nothing needs.
    const unneeded = costOf(model, 'stem').multiplyAdds.forward
    expect(work).toBe(modelCost(model).multiplyAdds.training + unneeded)
  })

  it.each([
    { numExperts: 4, patchesPerExpert: 5, patchSize: 1 },
    { numExperts: 2, patchesPerExpert: 2, patchSize: [2, 1] },
    { numExperts: 2, patchesPerExpert: 2, patchSize: 2, border: 'halo' },
  ] as const)('agrees with a prediction and a training step of the sparse network with %o', async pmoe => {
    const model = wideResNet({ ...options, inputShape: [16, 16, 3], pmoe })
    const image = tf.ones([1, 16, 16, 3])
    const { multiplyAdds } = modelCost(model)
    expect(await executed(() => model.predict(image) as tf.Tensor)).toBe(multiplyAdds.forward)
    // A kept patch hands its routers' weights back, times one number: a product, run as an element-wise one.
    const [height, width] = size2D(pmoe.patchSize, 'test')
    const elementwise = pmoe.numExperts * pmoe.patchesPerExpert * height * width * 64
    const loss = () => tf.mean(model.apply(image, { training: true }) as tf.Tensor) as tf.Scalar
    const work = await executed(() => tf.variableGrads(loss).value)
    const unneeded = costOf(model, 'stem').multiplyAdds.forward
    expect(work + elementwise).toBe(multiplyAdds.training + unneeded)
  })
})

describe('WRN-10-10 at 64x64', () => {
  const options: WideResNetOptions = { inputShape: [64, 64, 3], numClasses: 4, seed: 1 }
  const pmoe = { numExperts: 8, patchesPerExpert: 2, patchSize: 4 }

  /** GFLOP of a training step of 16 images without the 1x1 shortcuts. */
  function withoutShortcuts(model: tf.LayersModel): number {
    const layers = modelCost(model).layers.filter(layer => !layer.name.endsWith('shortcut'))
    const perImage = layers.reduce(
      (sum, { multiplyAdds: { forward, backward } }) => sum + forward + backward,
      0,
    )
    return (2 * 16 * perImage) / 1e9
  }

  it('takes 3.99 G multiply-adds forward, of which a mixture of 2 of 16 patches saves a fifth', () => {
    const dense = modelCost(wideResNet(options))
    const sparse = modelCost(wideResNet({ ...options, pmoe }))
    // 4096*9*3*16 + 4096*(9*16*160 + 9*160*160 + 16*160) + 1024*(9*160*320 + 9*320*320 + 160*320)
    // + 256*(9*320*640 + 9*640*640 + 320*640) + 640*4
    expect(dense.multiplyAdds.forward).toBe(3_986_360_832)
    expect(sparse.multiplyAdds.forward / dense.multiplyAdds.forward).toBeCloseTo(0.78, 2)
    // Experts keep 2 of 16 patches: an eighth of the dense convolution; routers read the 16*16*640 map 8 times.
    const layer = sparse.layers.find(({ name }) => name === 'patch_moe')
    expect(layer?.multiplyAdds.forward).toBe((layer?.dense?.multiplyAdds.forward ?? 0) / 8 + 256 * 640 * 8)
  })

  it('takes 371 GFLOP a step of 16 images dense, 292 sparse, leaving shortcuts aside', () => {
    expect(withoutShortcuts(wideResNet(options))).toBeCloseTo(371.5, 0)
    expect(withoutShortcuts(wideResNet({ ...options, pmoe }))).toBeCloseTo(292.3, 0)
  })
})

describe('sample-level mixtures', () => {
  const options = { inputShape: [4, 1, 50], patchSize: 1, numExperts: 8, numClasses: 2 } as const

  it('count the router and one expert a sample', () => {
    const cost = modelCost(sampleMoEModel(options))
    const { parameters, multiplyAdds, dense } = cost.layers.find(layer => layer.className === 'SampleMoE')!
    // The router sees the sum of 4 patches of 50 numbers; one expert of 2 x 8 filters sees each. First layer: no input gradient.
    const [scores, expert] = [50 * 8, 4 * 50 * 16]
    expect(parameters).toBe(50 * 8 + 50 * 128 + 128)
    expect(multiplyAdds).toEqual({ forward: scores + expert, backward: scores + expert })
    expect(dense).toEqual({
      parameters: 50 * 128 + 128,
      multiplyAdds: { forward: 8 * expert, backward: 8 * expert },
    })
    expect(cost.uncounted).toEqual([])
  })

  it('count as many experts as a sample chooses, and no gradient that the gate or a frozen router does not have', () => {
    const work = (more: Partial<Parameters<typeof sampleMoEModel>[0]>) =>
      modelCost(sampleMoEModel({ ...options, ...more })).multiplyAdds
    expect(work({ expertsPerSample: 3 }).forward).toBe(50 * 8 + 4 * 50 * 48)
    expect(work({ activation: 'linear' }).forward).toBe(50 * 8 + 50 * 2)
    expect(work({ gate: 'uniform' }).backward).toBe(4 * 50 * 16)
    expect(work({ routerTrainable: false }).backward).toBe(4 * 50 * 16)
    expect(work({ numExperts: 1, gate: 'uniform', filtersPerOutput: 40 })).toEqual({
      forward: 4 * 50 * 80,
      backward: 4 * 50 * 80,
      training: 2 * 4 * 50 * 80,
    })
  })
})

describe('experts on patches of a large image', () => {
  it('cost the router on the view and the kept patches, whatever the size of the image', () => {
    const cost = (size: number) => {
      const { model } = routedModel({
        ...{ imageShape: [size, size, 1] as const, numClasses: 10, cellSize: 32, patchesPerExpert: 10 },
        ...{ gate: 'softmax-selected' as const },
      })
      return costOf(model, 'experts')
    }
    // A patch of 48x48: 24^2 9 12 + 12^2 9 12 24 + 6^2 9 24 48; convolutions of the view, and one score a cell.
    const patch = 24 ** 2 * 9 * 12 + 12 ** 2 * 9 * 12 * 24 + 6 ** 2 * 9 * 24 * 48
    const router = (cells: number) =>
      (4 * cells) ** 2 * 9 * 8 + (2 * cells) ** 2 * 9 * 64 + cells ** 2 * 9 * 128 + cells ** 2 * 16
    expect(cost(512).multiplyAdds.forward).toBe(router(16) + 10 * patch)
    expect(cost(1504).multiplyAdds.forward).toBe(router(47) + 10 * patch)
    const { dense, view } = cost(512)
    expect(dense?.multiplyAdds.forward).toBeCloseTo((512 / 48) ** 2 * patch, 0)
    expect(view?.multiplyAdds.forward).toBeCloseTo((128 / 48) ** 2 * patch, 0)
  })

  it('count one network as often as it is applied, and the attention head', () => {
    const options = { imageShape: [64, 64, 1] as const, numClasses: 2, cellSize: 16, patchesPerExpert: 3 }
    const experts = (own: Partial<RoutedModelOptions>) => {
      const { model } = routedModel({ ...options, ...own })
      expect(modelCost(model).uncounted).toEqual([])
      return costOf(model, 'experts').multiplyAdds.forward
    }
    const gate = 'softmax-selected' as const
    const apart = experts({ numExperts: 2, gate })
    expect(experts({ numExperts: 2, gate, shareExpert: true })).toBe(apart)
    // D -> 16 -> 1 for each kept patch.
    expect(experts({ numExperts: 2 }) - apart).toBe(2 * 3 * (48 * 16 + 16))
  })
})

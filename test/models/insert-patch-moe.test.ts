import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { disposeModel } from '../../src/models/dispose-model.js'
import { type InsertPatchMoEOptions, insertPatchMoE } from '../../src/models/insert-patch-moe.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { expectAllClose } from '../all-close.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  fillWeights,
  mobileNetLike,
  nestedModel,
  outputsOf,
  siameseModel,
  uniform,
  vggLike,
} from './example-models.js'
import { keep } from './kept-models.js'

beforeAll(async () => {
  await useTestBackend()
})

async function inserted(model: tf.LayersModel, options: InsertPatchMoEOptions) {
  const result = await insertPatchMoE(model, options)
  keep(result.model)
  return result
}

const residual = () =>
  fillWeights(wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, seed: 2 }))

describe('with every patch kept, the new model computes what the old one does', () => {
  it.each([
    ['sequential, with activation', vggLike, 'conv4', { numExperts: 4, patchSize: 4 }],
    ['functional, 1x1 convolution without bias', mobileNetLike, 'block2_pw', { numExperts: 8, patchSize: 2 }],
    ['residual', residual, 'group3_block1_conv2', { numExperts: 4, patchSize: 1 }],
    ['nested', nestedModel, 'backbone/conv', { numExperts: 2, patchSize: [2, 4] }],
    ['shared model, three inputs, two outputs', siameseModel, 'tower/deep', { numExperts: 2, patchSize: 2 }],
    ['shared layer', siameseModel, 'shared', { numExperts: 4, patchSize: 2, layer: 'shared' }],
    ['first layer of a sequential model', vggLike, 'conv1', { numExperts: 2, patchSize: 4, layer: 'conv1' }],
  ] as const)('%s', async (_, build, path, options) => {
    const model = keep(build())
    const {
      model: now,
      layer,
      replaced,
      difference,
      magnitude,
    } = await inserted(model, {
      ...options,
      gate: 'uniform',
    })
    expect(replaced.path).toBe(path)
    expect(layer).toBeInstanceOf(PatchMoE)
    expect(layer.patchesPerExpert).toBe(layer.grid.count)
    expect(difference).toBeLessThan(1e-5 * magnitude)
    const inputs = model.inputs.map(({ shape }, i) =>
      keep(uniform([3, ...(shape.slice(1) as number[])], i + 7)),
    )
    const [before, after] = [outputsOf(model, inputs), outputsOf(now, inputs)]
    for (const [i, output] of before.entries()) expectAllClose(after[i] as number[], output, 1e-4, 1e-5)
  })

  it('keeps names, other weights and flags, and shares nothing', async () => {
    const model = keep(vggLike())
    model.getLayer('conv2').trainable = false
    const { model: now, layer } = await inserted(model, { numExperts: 4, patchSize: 4 })
    expect(now.layers.map(({ name }) => name)).toEqual(model.layers.map(({ name }) => name))
    expect(now.getLayer('conv2').trainable).toBe(false)
    expect(now.trainableWeights.length).toBe(model.trainableWeights.length + 1)
    const [, kernel] = layer.getWeights() as [tf.Tensor, tf.Tensor]
    const [old] = model.getLayer('conv4').getWeights() as [tf.Tensor]
    expectAllClose(kernel.dataSync(), old.dataSync(), 0, 0)
    const input = keep(uniform([1, 16, 16, 3]))
    const before = outputsOf(model, [input])
    for (const weight of now.weights) weight.write(tf.tidy(() => tf.zerosLike(weight.read())))
    expect(outputsOf(model, [input])).toEqual(before)
  })

  it('keeps activation, regularizers and constraints of the convolution', async () => {
    const model = keep(vggLike())
    const { layer } = await inserted(model, { numExperts: 4, patchSize: 4, layer: 'conv3' })
    const old = model.getLayer('conv3').getConfig()
    const config = layer.getConfig()
    for (const key of ['activation', 'kernelRegularizer', 'biasConstraint', 'useBias', 'filters', 'name'])
      expect(config[key], key).toEqual(old[key])
  })
})

describe('what is asked for', () => {
  it('keeps fewer patches, and says what that changes', async () => {
    const model = keep(vggLike())
    const {
      layer,
      model: now,
      difference,
      change,
      replaced,
    } = await inserted(model, {
      numExperts: 4,
      patchSize: 4,
      patchesPerExpert: 1,
      border: 'zero',
      gate: 'softmax-all',
    })
    expect(layer.getConfig()).toMatchObject({ patchesPerExpert: 1, border: 'zero', gate: 'softmax-all' })
    // 16x16 is halved once before conv3: an 8x8 map has 4 patches of 4x4.
    expect(replaced.mixture.patches).toBe(4)
    expect(change).toBeGreaterThan(100 * difference)
    const input = keep(uniform([2, 16, 16, 3]))
    expect(outputsOf(now, [input])).not.toEqual(outputsOf(model, [input]))
  })

  it('starts routers at what their experts answer to, unless another start is given', async () => {
    const model = keep(nestedModel())
    const { layer } = await inserted(model, { numExperts: 2, patchSize: 2, patchesPerExpert: 4 })
    const [router, kernel] = (layer.getWeights() as tf.Tensor[]).map(weight => weight.arraySync()) as [
      number[][][][],
      number[][][][],
    ]
    // Expert 2 owns filters 2 and 3; its router's direction is their sum over the nine taps, channel by channel.
    const sums = [0, 1, 2].map(c => {
      let sum = 0
      for (const row of kernel) for (const tap of row) sum += (tap[c]?.[2] ?? 0) + (tap[c]?.[3] ?? 0)
      return sum
    })
    const size = Math.hypot(...sums) / Math.sqrt(3)
    expectAllClose(
      [0, 1, 2].map(c => router[1]?.[1]?.[c]?.[1] ?? 0),
      sums.map(sum => (1e-5 * sum) / size),
      1e-3,
      1e-9,
    )
    const other = await inserted(model, { numExperts: 2, patchSize: 2, routerInitializer: 'ones' })
    expect(Math.min(...(other.layer.getWeights()[0]?.dataSync() ?? []))).toBe(1)
  })

  it('compares on what it is given', async () => {
    const model = keep(nestedModel())
    const sample = keep(tf.zeros([1, 8, 8, 3]))
    const { magnitude } = await inserted(model, { numExperts: 2, patchSize: 2, sample })
    expect(magnitude).toBeCloseTo(Math.max(...outputsOf(model, [sample]).flat().map(Math.abs)), 6)
  })

  it('leaves nothing behind', async () => {
    const model = keep(siameseModel())
    model.compile({ optimizer: tf.train.adam(0.01), loss: 'meanSquaredError' })
    const before = tf.memory().numTensors
    const { model: now } = await insertPatchMoE(model, { numExperts: 2, patchSize: 2, patchesPerExpert: 3 })
    now.optimizer.dispose()
    disposeModel(now)
    expect(tf.memory().numTensors).toBe(before)
  })

  it('compiles the new model as the old one was', async () => {
    const model = keep(vggLike())
    model.compile({ optimizer: tf.train.adam(0.003), loss: 'categoricalCrossentropy', metrics: ['accuracy'] })
    const { model: now } = await inserted(model, { numExperts: 4, patchSize: 4, patchesPerExpert: 2 })
    expect(now.optimizer.getConfig()).toMatchObject({ learningRate: 0.003 })
    const [x, y] = [keep(uniform([4, 16, 16, 3])), keep(tf.oneHot(tf.tensor1d([0, 1, 2, 3], 'int32'), 5))]
    expect(now.loss).toBe('categoricalCrossentropy')
    const { history } = await now.fit(x, y, { epochs: 1, batchSize: 4, verbose: 0, shuffle: false })
    expect(Object.keys(history)).toEqual(['loss', 'acc'])
    expect(Number.isFinite(history.loss?.[0])).toBe(true)
  })
})

describe('what cannot be', () => {
  const refuses = (model: tf.LayersModel, options: InsertPatchMoEOptions, message: string | RegExp) =>
    expect(insertPatchMoE(keep(model), options)).rejects.toThrow(message)

  it('lists what there is, each with its reason', async () => {
    await refuses(
      vggLike(),
      { numExperts: 3, patchSize: 4 },
      'insertPatchMoE: model must have a convolution that fits, got vgg with ' +
        'conv1: 3 experts do not divide its 8 filters (1, 2, 4, 8 do); ' +
        'conv2: 3 experts do not divide its 8 filters (1, 2, 4, 8 do); ' +
        'conv3: 3 experts do not divide its 16 filters (1, 2, 4, 8, 16 do); ' +
        'conv4: 3 experts do not divide its 16 filters (1, 2, 4, 8, 16 do)',
    )
    const dense = tf.sequential({ layers: [tf.layers.dense({ units: 2, inputShape: [3] })], name: 'dense' })
    await refuses(dense, { numExperts: 2, patchSize: 1 }, 'got dense with no convolution')
  })

  it('names the layer that was asked for', async () => {
    await refuses(
      vggLike(),
      { numExperts: 2, patchSize: 1, layer: 'conv9' },
      'insertPatchMoE: layer must be a convolution of the model, got conv9 (vgg has conv1; conv2; conv3; conv4)',
    )
    await refuses(
      mobileNetLike(),
      { numExperts: 2, patchSize: 1, layer: 'block1_dw' },
      'insertPatchMoE: layer must be a convolution that fits, got block1_dw: its filters see one channel each',
    )
    await refuses(
      vggLike(),
      { numExperts: 2, patchSize: 3, layer: 'conv4' },
      'got conv4: patches of 3x3 do not divide its map 8x8 (1, 2, 4 do)',
    )
    await refuses(
      vggLike(),
      { numExperts: 2, patchSize: 2, patchesPerExpert: 17, layer: 'conv4' },
      'got conv4: it has 16 patches, fewer than 17',
    )
  })

  it('asks for a sample where inputs have no fixed size', async () => {
    const image = tf.input({ shape: [8, 8, 3], name: 'image' })
    const words = tf.input({ shape: [null, 4], name: 'words' })
    const conv = tf.layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same' }).apply(image)
    const outputs = [conv, tf.layers.globalAveragePooling1d({}).apply(words)] as tf.SymbolicTensor[]
    const model = tf.model({ inputs: [image, words], outputs })
    await refuses(
      model,
      { numExperts: 2, patchSize: 2 },
      'insertPatchMoE: sample must be given for inputs of any size, got input words of shape [null, null, 4]',
    )
    const sample = [keep(uniform([2, 8, 8, 3])), keep(uniform([2, 5, 4]))]
    expect((await inserted(model, { numExperts: 2, patchSize: 2, sample })).difference).toBeLessThan(1e-6)
  })

  it('refuses a new model that computes something else', async () => {
    /** Rebuilt from its configuration it is another layer: it forgets its factor. */
    class Forgetful extends tf.layers.Layer {
      static readonly className = 'Forgetful'
      factor = 1
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        return tf.mul([inputs].flat()[0] as tf.Tensor, this.factor)
      }
    }
    const forgetful = new Forgetful({ name: 'forgetful' })
    const model = tf.sequential({
      layers: [
        tf.layers.conv2d({ filters: 2, kernelSize: 3, padding: 'same', inputShape: [4, 4, 1], name: 'conv' }),
        forgetful,
      ],
    })
    forgetful.factor = 2
    await refuses(
      model,
      { numExperts: 2, patchSize: 2 },
      /insertPatchMoE: the new model must equal the old one where every patch is kept, got a difference of [\d.]+ \(outputs up to [\d.]+, allowed [\d.e-]+; layer conv\)/,
    )
  })
})

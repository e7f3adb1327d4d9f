import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it } from 'vitest'
import { convolution } from '../../src/layers/convolution.js'
import { relu } from '../../src/layers/relu.js'
import { type LayerChange, rebuildModel } from '../../src/models/rebuild.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import { fillWeights, nestedModel, outputsOf, siameseModel, uniform, vggLike } from './example-models.js'
import { keep } from './kept-models.js'

beforeAll(async () => {
  await useTestBackend()
})

const copy = (model: tf.LayersModel) => keep(rebuildModel(model, new Map(), 'test'))

describe('rebuildModel', () => {
  it.each([
    ['sequential', vggLike],
    ['nested', nestedModel],
    ['shared', siameseModel],
    [
      'mixture',
      () =>
        fillWeights(
          wideResNet({
            inputShape: [16, 16, 3],
            numClasses: 3,
            widenFactor: 1,
            pmoe: { numExperts: 4, patchesPerExpert: 4, patchSize: 1 },
          }),
        ),
    ],
  ])('copies a %s model to the bit', (_, build) => {
    const model = keep(build())
    const again = copy(model)
    const inputs = model.inputs.map(({ shape }, i) => uniform([2, ...(shape.slice(1) as number[])], i))
    expect(outputsOf(again, inputs)).toEqual(outputsOf(model, inputs))
    tf.dispose(inputs)
    expect(again.weights.map(({ originalName }) => originalName)).toEqual(
      model.weights.map(({ originalName }) => originalName),
    )
  })

  it('keeps shared layers shared', () => {
    const model = keep(siameseModel())
    const again = copy(model)
    expect(again.weights.length).toBe(model.weights.length)
    expect(again.getLayer('shared').inboundNodes.length).toBe(2)
  })

  it('keeps the flags of layers, models and single weights', () => {
    const model = keep(nestedModel())
    const backbone = model.getLayer('backbone') as tf.LayersModel
    const [kernel] = backbone.getLayer('conv').weights as [tf.LayerVariable]
    kernel.trainable = false
    expect(copy(model).trainableWeights.map(({ originalName }) => originalName.split('/').at(-1))).toEqual(
      model.trainableWeights.map(({ originalName }) => originalName.split('/').at(-1)),
    )
    backbone.trainable = false
    const again = copy(model)
    expect((again.getLayer('backbone') as tf.LayersModel).trainable).toBe(false)
    expect(again.trainableWeights.length).toBe(2)
  })

  it('keeps the classes of layers, registered or not', () => {
    class Doubling extends tf.layers.Layer {
      static readonly className = 'Doubling'
      override call(inputs: tf.Tensor | tf.Tensor[]): tf.Tensor {
        return tf.mul([inputs].flat()[0] as tf.Tensor, 2)
      }
    }
    const conv = convolution({
      filters: 2,
      kernelSize: 3,
      padding: 'same',
      inputShape: [4, 4, 1],
      name: 'conv',
    })
    const model = keep(tf.sequential({ layers: [conv, new Doubling({ name: 'twice' })] }))
    const again = copy(model)
    expect(again.getLayer('conv').constructor).toBe(conv.constructor)
    expect(again.getLayer('twice')).toBeInstanceOf(Doubling)
    expect(Object.keys(tf.serialization.SerializationMap.getMap().classNameMap)).not.toContain('Doubling')
  })

  it('takes a BatchNormalization that trains where that of tfjs does not', async () => {
    for (const options of [{ scale: false }, { center: false }, { scale: false, center: false, axis: 1 }]) {
      const model = tf.sequential({
        layers: [
          tf.layers.conv2d({ inputShape: [4, 4, 2], filters: 4, kernelSize: 1, name: 'conv' }),
          tf.layers.batchNormalization({ ...options, name: 'norm' }),
          tf.layers.flatten(),
          tf.layers.dense({ units: 1 }),
        ],
      })
      const rebuilt = copy(model)
      expect(rebuilt.getLayer('norm').getConfig()).toEqual(model.getLayer('norm').getConfig())
      const x = tf.ones([2, 4, 4, 2])
      expect(Array.from((rebuilt.predict(x) as tf.Tensor).dataSync())).toEqual(
        Array.from((model.predict(x) as tf.Tensor).dataSync()),
      )
      rebuilt.compile({ loss: 'meanSquaredError', optimizer: 'sgd' })
      const { history } = await rebuilt.fit(x, tf.ones([2, 1]), { verbose: 0 })
      expect(history.loss?.[0]).toBeGreaterThanOrEqual(0)
    }
  })

  it('takes the registered class where two classes of one name meet', () => {
    const [plain, capped] = [relu({ name: 'plain' }), tf.layers.reLU({ maxValue: 6, name: 'capped' })]
    const model = keep(tf.sequential({ layers: [tf.layers.inputLayer({ inputShape: [2] }), capped, plain] }))
    const input = tf.tensor2d([[-1, 9]])
    expect(outputsOf(copy(model), [input])).toEqual([[0, 6]])
    input.dispose()
  })

  it('gives a changed layer the weights of the same name and shape', () => {
    const model = keep(vggLike())
    const wider = keep(
      rebuildModel(
        model,
        new Map<string, LayerChange>([
          ['head', ({ className, config }) => ({ className, config: { ...config, units: 9 } })],
          ['conv4', ({ className, config }) => ({ className, config: { ...config, activation: 'linear' } })],
        ]),
        'test',
      ),
    )
    expect(wider.outputs[0]?.shape).toEqual([null, 9])
    for (const name of ['conv1', 'conv4']) {
      const [old] = model.getLayer(name).getWeights()
      const [now] = wider.getLayer(name).getWeights()
      expect(now?.dataSync()).toEqual(old?.dataSync())
    }
  })

  it('refuses a path that is not there, and a layer of two models', () => {
    expect(() => rebuildModel(keep(nestedModel()), new Map([['conv', layer => layer]]), 'here')).toThrow(
      'here: layer must be one of the model, got conv (layers: image, backbone/inner_image, backbone/conv, backbone/relu, pool, head)',
    )
    const conv = tf.layers.conv2d({ filters: 3, kernelSize: 3, padding: 'same', name: 'conv' })
    const input = tf.input({ shape: [4, 4, 3], name: 'inside' })
    const inner = tf.model({ inputs: input, outputs: conv.apply(input) as tf.SymbolicTensor, name: 'inner' })
    const outer = tf.input({ shape: [4, 4, 3], name: 'outside' })
    const twice = conv.apply(inner.apply(outer)) as tf.SymbolicTensor
    const model = keep(tf.model({ inputs: outer, outputs: twice }))
    expect(() => rebuildModel(model, new Map(), 'here')).toThrow(
      /here: every layer must stand in one model, got one that stands in two \(inner\/conv and conv: rebuilt, it would/,
    )
  })

  it('says why a configuration cannot be built', () => {
    const change = () => ({ className: 'Nonsense', config: {} })
    expect(() => rebuildModel(keep(vggLike()), new Map([['conv2', change]]), 'here')).toThrow(
      /^here: model must be one that can be built again, got: Unknown layer: Nonsense/,
    )
  })
})

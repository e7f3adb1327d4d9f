import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it, test } from 'vitest'
import { modelGraph } from '../../src/export/graph/model-graph.js'
import { forInference } from '../../src/inference/for-inference.js'
import { PIXEL_SCALINGS, type PixelScaling } from '../../src/layers/input-scaling.js'
import { recognisedScaling, withInputScaling } from '../../src/models/input-scaling.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  applied,
  fillWeights,
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

/** Bytes prepared in the way of NumPy: one array after the other. */
function prepared(pixels: Float32Array, scaling: PixelScaling): Float32Array {
  const means = { imagenet: [0.485, 0.456, 0.406], caffe: [103.939, 116.779, 123.68] }
  return pixels.map((value, i) => {
    const channel = i % 3
    if (scaling === '-1..1') return value * 2 - 1
    if (scaling === '0..255') return value * 255
    if (scaling === 'imagenet') {
      return (value - (means.imagenet[channel] as number)) / ([0.229, 0.224, 0.225][channel] as number)
    }
    if (scaling === 'caffe') {
      return (pixels[i - channel + 2 - channel] as number) * 255 - (means.caffe[channel] as number)
    }
    return value
  })
}

describe('withInputScaling', () => {
  test.each([
    ['sequential', vggLike, 16],
    ['with a model in it', nestedModel, 8],
    ['sequential, of a model', () => tf.sequential({ layers: [nestedModel()] }), 8],
    [
      'sequential, with a layer for its input',
      () =>
        fillWeights(
          tf.sequential({
            layers: [
              tf.layers.inputLayer({ inputShape: [4, 4, 3], name: 'entry' }),
              tf.layers.conv2d({ filters: 2, kernelSize: 3, name: 'conv' }),
            ],
          }),
        ),
      4,
    ],
    [
      'whose input is read twice',
      () => {
        const image = tf.input({ shape: [4, 4, 3], name: 'image' })
        const conv = applied(tf.layers.conv2d({ filters: 3, kernelSize: 1, name: 'conv' }), image)
        const sum = applied(tf.layers.add({ name: 'sum' }), [image, conv])
        return fillWeights(tf.model({ inputs: image, outputs: sum }))
      },
      4,
    ],
  ])('gives a network that is %s the images that it was trained on', (_, build, side) => {
    const model = keep(build())
    const images = uniform([2, side, side, 3], 3)
    for (const scaling of PIXEL_SCALINGS) {
      const scaled = keep(withInputScaling(model, scaling))
      const own = tf.tensor(prepared(images.dataSync() as Float32Array, scaling), images.shape)
      const [got] = outputsOf(scaled, [images])
      const [expected] = outputsOf(model, [own])
      const largest = Math.max(...(expected as number[]).map(Math.abs), 1)
      expect(got).toEqual(
        (expected as number[]).map(value => expect.closeTo(value / 1, 3 - Math.ceil(Math.log10(largest)))),
      )
      expect(scaled.weights.map(({ originalName }) => originalName)).toEqual(
        model.weights.map(({ originalName }) => originalName),
      )
      expect(recognisedScaling(scaled)).toEqual({
        scaling,
        reason: 'its layer input_scaling',
        isInside: true,
      })
      own.dispose()
    }
    images.dispose()
  })

  it('leaves the old model as it is, and nothing behind', () => {
    const model = vggLike()
    const before = tf.memory().numTensors
    withInputScaling(model, 'caffe').dispose()
    expect(tf.memory().numTensors).toBe(before)
    expect(model.layers[0]?.name).toBe('conv1')
    model.dispose()
  })

  it('takes another name where there is a layer of its own', () => {
    const twice = keep(withInputScaling(keep(withInputScaling(keep(vggLike()), '0..255')), '-1..1'))
    expect(twice.layers.slice(0, 2).map(({ name }) => name)).toEqual(['input_scaling_1', 'input_scaling'])
  })

  it('refuses what it cannot be put in front of', () => {
    expect(() => withInputScaling(keep(siameseModel()), '-1..1')).toThrow(
      'withInputScaling: model must have one input, got 3',
    )
    const grey = keep(
      tf.sequential({ layers: [tf.layers.conv2d({ filters: 1, kernelSize: 1, inputShape: [4, 4, 1] })] }),
    )
    expect(() => withInputScaling(grey, 'caffe')).toThrow(
      'withInputScaling: images must have 3 channels for scaling caffe, got 1',
    )
  })
})

describe('the exported graph', () => {
  const convolutional = (padding: 'same' | 'valid', kernelSize = 3) =>
    keep(
      fillWeights(
        tf.sequential({
          layers: [
            tf.layers.conv2d({ filters: 4, kernelSize, padding, inputShape: [6, 6, 3], name: 'conv' }),
            tf.layers.globalAveragePooling2d({ name: 'pool' }),
          ],
        }),
      ),
    )
  const kinds = async (model: tf.LayersModel) =>
    (await modelGraph(model)).nodes.map(({ operation }) => operation.kind)

  it('has the scaling in the kernel of a first convolution that does not pad', async () => {
    for (const [padding, side] of [
      ['valid', 3],
      ['same', 1],
    ] as const) {
      for (const scaling of ['-1..1', 'imagenet', '0..255'] as const) {
        const scaled = keep(withInputScaling(convolutional(padding, side), scaling))
        expect(await kinds(scaled)).toEqual(['convolution', 'reduce'])
      }
    }
    const reversed = keep(withInputScaling(convolutional('valid'), 'caffe'))
    expect(await kinds(reversed)).toEqual(['crop', 'crop', 'crop', 'concat', 'convolution', 'reduce'])
  })

  it('keeps the scaling before a convolution that pads with zeros', async () => {
    const scaled = keep(withInputScaling(convolutional('same'), 'imagenet'))
    expect(await kinds(scaled)).toEqual(['affine', 'convolution', 'reduce'])
  })

  test.each(['same', 'valid'] as const)('answers as the network does, with %s padding', async padding => {
    const images = uniform([2, 6, 6, 3], 5)
    for (const scaling of PIXEL_SCALINGS) {
      const scaled = keep(withInputScaling(convolutional(padding), scaling))
      const frozen = await forInference(scaled)
      const [output] = [frozen.predict(images)].flat() as tf.Tensor[]
      const [expected] = outputsOf(scaled, [images])
      const digits = scaling === 'caffe' || scaling === '0..255' ? 3 : 5
      expect([...(output as tf.Tensor).dataSync()]).toEqual(
        (expected as number[]).map(value => expect.closeTo(value, digits)),
      )
      tf.dispose(output)
      frozen.dispose()
    }
    images.dispose()
  })

  it('has the scaling in the kernel of a depthwise convolution, too', async () => {
    const model = keep(
      fillWeights(
        tf.sequential({
          layers: [
            tf.layers.depthwiseConv2d({
              kernelSize: 2,
              depthMultiplier: 2,
              inputShape: [5, 5, 3],
              name: 'depthwise',
            }),
          ],
        }),
      ),
    )
    const scaled = keep(withInputScaling(model, 'imagenet'))
    expect(await kinds(scaled)).toEqual(['convolution'])
    const images = uniform([1, 5, 5, 3], 7)
    const frozen = await forInference(scaled)
    const [output] = [frozen.predict(images)].flat() as tf.Tensor[]
    const [expected] = outputsOf(scaled, [images])
    expect([...(output as tf.Tensor).dataSync()]).toEqual(
      (expected as number[]).map(value => expect.closeTo(value, 4)),
    )
    tf.dispose([output as tf.Tensor, images])
    frozen.dispose()
  })
})

/** A chain of 1x1 convolutions, or other layers, with these names. */
function network(names: readonly string[], first: readonly tf.layers.Layer[] = []): tf.LayersModel {
  let x = tf.input({ shape: [4, 4, 3], name: 'image' })
  const image = x
  for (const layer of first) x = applied(layer, x)
  for (const name of names) x = applied(tf.layers.conv2d({ filters: 3, kernelSize: 1, name }), x)
  return tf.model({ inputs: image, outputs: x })
}

const namedNetwork = (...parts: Parameters<typeof network>) => keep(network(...parts))

/** tfjs has the layer, but no factory for it. */
function rescaling(name: string, scale: number, offset?: number): tf.layers.Layer {
  const { classNameMap } = tf.serialization.SerializationMap.getMap()
  const [create] = classNameMap.Rescaling as unknown as [new (options: object) => tf.layers.Layer]
  return new create({ name, scale, ...(offset !== undefined && { offset }) })
}

describe('recognisedScaling', () => {
  test.each<[string, PixelScaling, readonly (readonly [number, number?])[], string]>([
    ['MobileNetV3', '0..255', [[1 / 127.5, -1]], 'r0 inside it, x 0.00784 - 1'],
    ['EfficientNet', '0..255', [[1 / 255]], 'r0 inside it, x 0.00392 + 0'],
    ['an expression of Keras', '0..255', [[1 / 127.5], [1, -1]], 'r0 and r1 inside it, x 0.00784 - 1'],
    ['torch', '0..255', [[1 / 58.395, -2.118]], 'r0 inside it, x 0.0171 - 2.12'],
    ['pixels of 0..1', '0..1', [[2, -1]], 'r0 inside it, x 2 - 1'],
    ['bytes of 0..1', '0..1', [[255]], 'r0 inside it, x 255 + 0'],
    ['bytes of -1..1', '-1..1', [[127.5, 127.5]], 'r0 inside it, x 128 + 128'],
  ])('sees the Rescaling of %s', (_, scaling, layers, reason) => {
    const first = layers.map(([scale, offset], i) => rescaling(`r${i}`, scale, offset))
    expect(recognisedScaling(namedNetwork(['conv'], first))).toEqual({ scaling, reason })
  })

  it('looks into models inside, and before the names of layers', () => {
    const inner = network(['block1_conv2', 'block5_conv3'], [rescaling('r', 1 / 255)])
    const image = tf.input({ shape: [4, 4, 3] })
    const outer = keep(tf.model({ inputs: image, outputs: inner.apply(image) as tf.SymbolicTensor }))
    expect(recognisedScaling(outer)?.scaling).toBe('0..255')
  })

  test.each<[string, PixelScaling, string[]]>([
    ['MobileNet', '-1..1', ['conv1', 'conv_dw_1', 'conv_pw_13']],
    ['MobileNetV2', '-1..1', ['Conv1', 'expanded_conv_depthwise', 'block_1_expand']],
    ['InceptionV3', '-1..1', ['conv2d', 'mixed0', 'mixed10']],
    ['InceptionResNetV2', '-1..1', ['conv2d_1', 'mixed_5b', 'block35_1_conv']],
    ['Xception', '-1..1', ['block1_conv1', 'block1_conv2', 'block14_sepconv2']],
    ['NASNet', '-1..1', ['stem_conv1', 'normal_conv_1_0']],
    [
      'ResNetV2',
      '-1..1',
      ['conv1_conv', 'conv2_block1_1_conv', 'conv2_block1_out', 'conv2_block1_preact_bn', 'post_bn'],
    ],
    ['DenseNet', 'imagenet', ['conv1_conv', 'conv2_block1_1_conv', 'conv2_block1_concat', 'pool2_conv']],
    ['ResNet', 'caffe', ['conv1_conv', 'conv2_block1_1_conv', 'conv2_block1_out']],
    ['ResNet50', 'caffe', ['conv1', 'res2a_branch2a', 'bn2a_branch2a']],
    ['VGG', 'caffe', ['block1_conv1', 'block1_conv2', 'block5_conv3']],
  ])('knows %s by the names of layers', (title, scaling, names) => {
    const recognised = recognisedScaling(namedNetwork(names))
    expect(recognised?.scaling).toBe(scaling)
    expect(recognised?.reason).toMatch(new RegExp(`^its layers are named as those of ${title}, such as `))
  })

  it('says nothing of others', () => {
    expect(recognisedScaling(keep(vggLike()))).toBeUndefined()
    expect(recognisedScaling(namedNetwork(['conv'], [rescaling('none', 1)]))).toBeUndefined()
    expect(recognisedScaling(namedNetwork(['stem_conv', 'block1a_dwconv', 'top_conv']))).toBeUndefined()
    expect(recognisedScaling(keep(siameseModel()))).toBeUndefined()
  })
})

import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, test } from 'vitest'
import { PatchMoE } from '../../src/layers/moe/patch-moe.js'
import { withImageSize } from '../../src/models/image-size.js'
import { wideResNet } from '../../src/models/wide-resnet.js'
import { useTestBackend } from '../backend-under-test.js'
import {
  applied,
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

/** A convolution of stride 2, its mean over the map, a Dense. */
function openNetwork(height: number | null, width: number | null): tf.LayersModel {
  const image = tf.input({ shape: [height, width, 3] as number[], name: 'image' })
  const map = applied(tf.layers.conv2d({ filters: 4, kernelSize: 3, strides: 2, name: 'conv' }), image)
  const pooled = applied(tf.layers.globalAveragePooling2d({ name: 'pool' }), map)
  return keep(
    fillWeights(
      tf.model({ inputs: image, outputs: applied(tf.layers.dense({ units: 2, name: 'head' }), pooled) }),
    ),
  )
}

test('has the same weights at another size, as the same network built for it', () => {
  const other = withImageSize(openNetwork(16, 16), [9, 12])
  expect(keep(other).inputs[0]?.shape).toEqual([null, 9, 12, 3])
  expect((other.getLayer('conv').output as tf.SymbolicTensor).shape).toEqual([null, 4, 5, 4])
  const images = uniform([2, 9, 12, 3])
  expect(outputsOf(other, [images])).toEqual(outputsOf(openNetwork(9, 12), [images]))
  images.dispose()
})

test('fixes a size that was open', () => {
  const fixed = keep(withImageSize(openNetwork(null, null), [8, 8]))
  expect(fixed.inputs[0]?.shape).toEqual([null, 8, 8, 3])
  expect(keep(withImageSize(openNetwork(8, null), [8, 6])).inputs[0]?.shape).toEqual([null, 8, 6, 3])
})

test.each([
  ['with reshapes of pooled maps', mobileNetLike, [20, 24]],
  ['with a model in it', nestedModel, [5, 9]],
  ['sequential, of a model', () => tf.sequential({ layers: [nestedModel()] }), [6, 6]],
  [
    'residual',
    () => fillWeights(wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1 })),
    [24, 8],
  ],
] as const)('takes a network %s to another size and back, to the bit', (_, build, size) => {
  const model = keep(build() as tf.LayersModel)
  const [height, width] = (model.inputs[0]?.shape ?? []).slice(1) as [number, number]
  const other = keep(withImageSize(model, size))
  expect(other.inputs[0]?.shape.slice(1, 3)).toEqual(size)
  expect(other.outputs[0]?.shape).toEqual(model.outputs[0]?.shape)
  const back = keep(withImageSize(other, [height, width]))
  const images = uniform([2, height, width, 3])
  expect(outputsOf(back, [images])).toEqual(outputsOf(model, [images]))
  images.dispose()
})

test('a pooling of the whole map is one of the new map', () => {
  const of = (height: number, width: number) =>
    keep(
      fillWeights(
        tf.sequential({
          layers: [
            tf.layers.conv2d({
              filters: 2,
              kernelSize: 1,
              strides: 2,
              inputShape: [height, width, 3],
              name: 'conv',
            }),
            tf.layers.averagePooling2d({ poolSize: [height / 2, width / 2], name: 'pool' }),
            tf.layers.flatten({ name: 'flat' }),
            tf.layers.dense({ units: 2, name: 'head' }),
          ],
        }),
      ),
    )
  const images = uniform([2, 6, 10, 3])
  expect(outputsOf(keep(withImageSize(of(14, 14), [6, 10])), [images])).toEqual(
    outputsOf(of(6, 10), [images]),
  )
  images.dispose()
})

test('a model inside gets the size of the map that it reads', () => {
  const tower = tf.sequential({
    name: 'tower',
    layers: [
      tf.layers.conv2d({ filters: 2, kernelSize: 3, inputShape: [8, 8, 4], name: 'deep' }),
      tf.layers.globalMaxPooling2d({ name: 'most' }),
    ],
  })
  const image = tf.input({ shape: [16, 16, 3], name: 'image' })
  const map = applied(tf.layers.conv2d({ filters: 4, kernelSize: 1, strides: 2, name: 'stem' }), image)
  const model = keep(fillWeights(tf.model({ inputs: image, outputs: tower.apply(map) as tf.SymbolicTensor })))
  const other = keep(withImageSize(model, [12, 20]))
  expect((other.getLayer('tower') as tf.LayersModel).inputs[0]?.shape).toEqual([null, 6, 10, 4])
})

test('keeps the experts of a mixture, whose patches are others', () => {
  const pmoe = { numExperts: 4, patchesPerExpert: 4, patchSize: 1 }
  const model = keep(wideResNet({ inputShape: [16, 16, 3], numClasses: 3, widenFactor: 1, pmoe }))
  const other = keep(withImageSize(model, [24, 24]))
  const layer = other.layers.find(each => each instanceof PatchMoE) as PatchMoE
  expect(layer.patchesPerExpert).toBe(4)
  expect(() => withImageSize(model, [4, 4])).toThrow(
    /withImageSize: model must be one that can be built again, got: PatchMoE: patchesPerExpert must be an integer in \[1, 1\], got 4/,
  )
})

test('names the layer that fixes the size, and leaves nothing behind', () => {
  const model = keep(vggLike())
  const before = tf.memory().numTensors
  expect(() => withImageSize(model, [24, 24])).toThrow(
    'withImageSize: layer head (Dense) must have weights for images of 24x24, got 256 inputs in the place of 576 behind flat, which keeps every position',
  )
  expect(tf.memory().numTensors).toBe(before)
  const inside = keep(tf.sequential({ name: 'outer', layers: [vggLike()] }))
  expect(() => withImageSize(inside, [8, 8])).toThrow(
    'layer vgg/head (Dense) must have weights for images of 8x8, got 256 inputs in the place of 64',
  )
  const image = tf.input({ shape: [4, 4, 2], name: 'image' })
  const slopes = keep(
    tf.model({ inputs: image, outputs: applied(tf.layers.prelu({ name: 'slopes' }), image) }),
  )
  const tensors = tf.memory().numTensors
  expect(() => withImageSize(slopes, [5, 4])).toThrow(
    'withImageSize: layer slopes (PReLU) must keep the shapes of its weights, got alpha of [5,4,2] in the place of [4,4,2]',
  )
  expect(tf.memory().numTensors).toBe(tensors)
  const reshaped = keep(
    tf.sequential({
      layers: [tf.layers.reshape({ targetShape: [48], inputShape: [4, 4, 3], name: 'row' })],
    }),
  )
  expect(() => withImageSize(reshaped, [5, 5])).toThrow(
    /^withImageSize: layer row \(Reshape\) must be one for images of 5x5, got: Total size of new array must be unchanged/,
  )
  expect(() => withImageSize(openNetwork(16, 16), [2, 8])).toThrow(
    'withImageSize: layer conv (Conv2D) must be one for images of 2x8, got: an output of [0,3,4]',
  )
  expect(() => withImageSize(keep(siameseModel()), [4, 4])).toThrow(
    'withImageSize: model must take images, got inputs [null, 8, 8, 3] and [null, 8, 8, 3] and [null, 2]',
  )
})

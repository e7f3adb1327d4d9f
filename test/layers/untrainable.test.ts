import * as tf from '@tensorflow/tfjs'
import { beforeAll, expect, it } from 'vitest'
import { untrainableSetting } from '../../src/layers/untrainable.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

const remedy =
  'no backend of tfjs has its derivative; freezeUntil, --freeze-until LAYER on the command line, trains what comes after it'

it.each<[string, number[], () => tf.layers.Layer, string]>([
  ['Conv1D', [9, 2], () => tf.layers.conv1d({ filters: 2, kernelSize: 3, dilationRate: 3 }), '3'],
  ['Conv2D', [9, 9, 2], () => tf.layers.conv2d({ filters: 2, kernelSize: 3, dilationRate: 2 }), '2,2'],
  [
    'SeparableConv2D',
    [9, 9, 2],
    () => tf.layers.separableConv2d({ filters: 2, kernelSize: 3, dilationRate: [1, 2] }),
    '1,2',
  ],
])('a dilated %s cannot be trained, and one that is frozen need not be', (_, shape, create, dilation) => {
  const layer = create()
  layer.build([null, ...shape])
  expect(untrainableSetting(layer)).toEqual({ setting: `dilationRate ${dilation}`, remedy })
  layer.trainable = false
  expect(untrainableSetting(layer)).toBeUndefined()
})

it('what is not dilated, or has no weights, can be', () => {
  const layers = [
    tf.layers.conv2d({ filters: 2, kernelSize: 3 }),
    tf.layers.conv2d({ filters: 2, kernelSize: 3, strides: 2, dilationRate: [1, 1] }),
    tf.layers.depthwiseConv2d({ kernelSize: 3 }),
    tf.layers.maxPooling2d({}),
    tf.layers.batchNormalization(),
  ]
  for (const layer of layers) {
    layer.build([null, 9, 9, 2])
    expect(untrainableSetting(layer)).toBeUndefined()
  }
})

import * as tf from '@tensorflow/tfjs'
import { beforeAll, describe, expect, it, test } from 'vitest'
import {
  InputScaling,
  inputScaling,
  PIXEL_SCALINGS,
  type PixelScaling,
} from '../../src/layers/input-scaling.js'
import { useTestBackend } from '../backend-under-test.js'

beforeAll(async () => {
  await useTestBackend()
})

/** What a scaling makes of one pixel whose bytes are 51, 102 and 204. */
function scaledPixel(scaling: PixelScaling, bytes = [51, 102, 204]): number[] {
  return tf.tidy(() => {
    const x = tf.tensor4d(
      bytes.map(byte => byte / 255),
      [1, 1, 1, bytes.length],
    )
    return [...(inputScaling({ scaling }).apply(x) as tf.Tensor).dataSync()]
  })
}

describe('a pixel of bytes 51, 102, 204', () => {
  test.each<[PixelScaling, number[]]>([
    ['0..1', [0.2, 0.4, 0.8]],
    ['-1..1', [51 / 127.5 - 1, 102 / 127.5 - 1, 204 / 127.5 - 1]],
    ['0..255', [51, 102, 204]],
    // torchvision: (0.2 - 0.485) / 0.229, (0.4 - 0.456) / 0.224, (0.8 - 0.406) / 0.225
    ['imagenet', [-1.244541, -0.25, 1.751111]],
    // Keras: blue 204 - 103.939, green 102 - 116.779, red 51 - 123.68
    ['caffe', [100.061, -14.779, -72.68]],
  ])('as %s', (scaling, expected) => {
    expect(scaledPixel(scaling)).toEqual(expected.map(value => expect.closeTo(value, 4)))
  })

  it('can be grey where no channel has a number of its own', () => {
    expect(scaledPixel('-1..1', [255])).toEqual([1])
    expect(scaledPixel('0..255', [51])).toEqual([expect.closeTo(51, 4)])
    expect(() => scaledPixel('imagenet', [51])).toThrow(
      'InputScaling: images must have 3 channels for scaling imagenet, got 1',
    )
    expect(() => scaledPixel('caffe', [1, 2, 3, 4])).toThrow(
      'InputScaling: images must have 3 channels for scaling caffe, got 4',
    )
  })
})

test('is saved and loaded with its name, has no weights, and takes images of any size', () => {
  for (const scaling of PIXEL_SCALINGS) {
    const layer = inputScaling({
      scaling,
      name: 'scaled',
      inputShape: [null, null, 3] as unknown as number[],
    })
    const model = tf.sequential({ layers: [layer] })
    expect(model.outputs[0]?.shape).toEqual([null, null, null, 3])
    expect(model.weights).toEqual([])
    const again = InputScaling.fromConfig(InputScaling, layer.getConfig()) as InputScaling
    expect([again.name, again.scaling]).toEqual(['scaled', scaling])
    model.dispose()
  }
})

test('passes gradients by its input on', () => {
  const gradient = tf.tidy(() => {
    const layer = inputScaling({ scaling: 'caffe' })
    const weights = tf.tensor4d([1, 2, 3], [1, 1, 1, 3])
    const sum = tf.grad(x => tf.sum(tf.mul(layer.apply(x) as tf.Tensor, weights)))
    return [...sum(tf.zeros([1, 1, 1, 3])).dataSync()]
  })
  // Red, green and blue come last, second and first: 255 times 3, 2 and 1.
  expect(gradient).toEqual([765, 510, 255])
})

test('refuses other names and options', () => {
  expect(() => inputScaling({ scaling: 'torch' as PixelScaling })).toThrow(
    `InputScaling: scaling must be one of '0..1', '-1..1', '0..255', 'imagenet', 'caffe', got "torch"`,
  )
  expect(() => inputScaling({ scaling: '0..1', scale: 2 } as { scaling: '0..1' })).toThrow(
    /^InputScaling: options must be among those that it has, got scale \(/,
  )
})

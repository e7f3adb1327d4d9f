import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { calibrate } from '../../../src/inference/calibration.js'
import { random } from '../../../src/random.js'
import { useTestBackend } from '../../backend-under-test.js'
import { runOnnx } from '../run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** Channels of a factor of 1,000 between them, one of zeros and one of weights that are nothing beside its bias. */
const SIZES = [1000, 1, 0, 1e-12]
const BIAS = [0, 0.5, 0.75, 3]
const SIDE = 4

/** Numbers of [low, high), with `high` itself first. */
function numbers(shape: number[], low: number, high: number): tf.Tensor {
  const source = random(7, 'depthwise')
  const length = shape.reduce((product, side) => product * side, 1)
  const values = Float32Array.from({ length }, (_, i) =>
    i === 0 ? high : low + (high - low) * source.next(),
  )
  return tf.tensor(values, shape)
}

/** The network of a depthwise convolution and what follows; its last product, in float32, changes nothing. */
function network(layers: readonly { apply(x: tf.SymbolicTensor): unknown }[]): tf.LayersModel {
  const input = tf.input({ shape: [SIDE, SIDE, SIZES.length], name: 'x' })
  const flat = [...layers, tf.layers.flatten()].reduce<tf.SymbolicTensor>(
    (x, layer) => layer.apply(x) as tf.SymbolicTensor,
    input,
  )
  const same = tf.layers.dense({
    ...{ units: flat.shape[1] as number, useBias: false, kernelInitializer: 'identity' },
  })
  return tf.model({ inputs: input, outputs: same.apply(flat) as tf.SymbolicTensor })
}

const depthwise = (options: object) => tf.layers.depthwiseConv2d({ kernelSize: 2, name: 'dw', ...options })

/** (2,2,C,multiplier) of numbers of [0.1, 1) by the size of each channel. */
function kernel(sizes: readonly number[], multiplier = 1): tf.Tensor {
  const channels = tf.reshape(tf.tensor1d([...sizes]), [1, 1, sizes.length, 1])
  return tf.mul(numbers([2, 2, sizes.length, multiplier], 0.1, 1), channels)
}

const repeated = (values: readonly number[], times: number) =>
  tf.tensor1d(values.flatMap(value => new Array<number>(times).fill(value)))

const cases: Readonly<Record<string, { multiplier: number; build: () => tf.LayersModel }>> = {
  'in its kernel, before a layer ReLU6': {
    multiplier: 1,
    build() {
      const model = network([depthwise({}), tf.layers.reLU({ maxValue: 6 })])
      model.getLayer('dw').setWeights([kernel(SIZES), tf.tensor1d(BIAS)])
      return model
    },
  },
  'of two outputs a channel, before its own ReLU6': {
    multiplier: 2,
    build() {
      const model = network([depthwise({ depthMultiplier: 2, activation: 'relu6' })])
      model.getLayer('dw').setWeights([kernel(SIZES, 2), repeated(BIAS, 2)])
      return model
    },
  },
  'where borders, another shape and a copy lie before ReLU6': {
    multiplier: 1,
    build() {
      const twice = { apply: (x: tf.SymbolicTensor) => tf.layers.concatenate().apply([x, x]) }
      const model = network([
        depthwise({}),
        tf.layers.zeroPadding2d({ padding: 1 }),
        tf.layers.cropping2D({
          cropping: [
            [1, 0],
            [0, 2],
          ],
        }),
        tf.layers.reshape({ targetShape: [4 * 3, SIZES.length] }),
        twice,
        tf.layers.reLU({ maxValue: 6 }),
      ])
      model.getLayer('dw').setWeights([kernel(SIZES), tf.tensor1d(BIAS)])
      return model
    },
  },
  'by the BatchNorm after it, before a maximum and ReLU6': {
    multiplier: 1,
    build() {
      const normalization = tf.layers.batchNormalization({ epsilon: 0, name: 'bn' })
      const pool = tf.layers.maxPooling2d({ poolSize: 1 })
      const layers = [depthwise({ useBias: false }), normalization, pool, tf.layers.reLU({ maxValue: 6 })]
      const model = network(layers)
      model.getLayer('dw').setWeights([kernel([1, 1, 1, 1])])
      const zeros = tf.zeros([SIZES.length])
      normalization.setWeights([tf.tensor1d(SIZES), tf.tensor1d(BIAS), zeros, tf.ones([SIZES.length])])
      return model
    },
  },
}

async function outputs(model: tf.LayersModel, x: tf.Tensor) {
  const { bytes } = await exportOnnx(model, { quantize: await calibrate(model, [[x]]) })
  const [own] = Object.values(await runOnnx(bytes, { x }))
  return { expected: (model.predict(x) as tf.Tensor).dataSync(), own: own!.data }
}

describe('a depthwise convolution of 8 bits whose channels differ by a factor of 1,000', () => {
  test.each(Object.entries(cases))('keeps the small ones: %s', async (_, { build, multiplier }) => {
    const x = numbers([8, SIDE, SIDE, SIZES.length], 0.1, 1)
    const { expected, own } = await outputs(build(), x)
    // 255 steps of what is read, 0..1, and 127 steps of the weights of a channel, 0..size.
    const [step, ofSize] = [1 / 255, 1 / 127]
    const bounds = SIZES.map(size => {
      // Four products w x: both are off by half a step at most. The bias is off by half a step of the product.
      const products = 4 * (step / 2 + ofSize / 2 + (step * ofSize) / 4) * size
      // Sums of the largest channel are 1000 * 4 * 0.1 * 0.1 = 40 or more, and off by 23.7 at most: beyond 6 in any case.
      const before = size === 1000 ? 0 : products + (step * ofSize * size) / 2
      // What comes out of the ReLU6, 0..6, is rounded to one of 255 steps.
      return before + 6 / 255 / 2
    })
    expect(bounds.map(bound => Number(bound.toFixed(3)))).toEqual([0.012, 0.035, 0.012, 0.012])
    const errors = SIZES.map(() => 0)
    expected.forEach((value, i) => {
      const channel = Math.floor(i / multiplier) % SIZES.length
      errors[channel] = Math.max(errors[channel] as number, Math.abs(value - (own[i] as number)))
    })
    for (const [channel, error] of errors.entries())
      expect(error).toBeLessThan((bounds[channel] as number) + 1e-5)
  })

  test.each([
    // The function's slope at most, the numbers before it that make a difference, and what cutting off the others changes.
    { activation: 'hardSigmoid', slope: 0.2, width: 5, cut: 0 },
    { activation: 'sigmoid', slope: 0.25, width: 14, cut: 1 / (1 + Math.exp(7)) },
    { activation: 'tanh', slope: 1, width: 8, cut: 1 - Math.tanh(4) },
  ] as const)(
    'spends its steps where $activation still changes',
    async ({ activation, slope, width, cut }) => {
      const model = network([depthwise({ activation })])
      model.getLayer('dw').setWeights([kernel([-1000, -1, 1, 1000]), tf.zeros([4])])
      const x = numbers([8, SIDE, SIDE, SIZES.length], 0.1, 1)
      const { expected, own } = await outputs(model, x)
      // As above, and half of one of 255 steps before the function; of the large channels it gives its ends.
      const bound = slope * (4 * (1 / 510 + 1 / 254 + 1 / 255 / 508) + width / 255 / 2) + cut
      expect(bound).toBeLessThan(0.05)
      const errors = expected.map((value, i) => Math.abs(value - (own[i] as number)))
      expect(Math.max(...errors)).toBeLessThan(bound)
    },
  )
})

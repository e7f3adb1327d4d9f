import * as tf from '@tensorflow/tfjs'
import { afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest'
import { exportOnnx } from '../../../src/export/onnx/onnx.js'
import { quantizedBias, quantizedWeights, stepsOf } from '../../../src/export/onnx/quantization.js'
import { nameInLayer } from '../../../src/export/weights/weights.js'
import { calibrate } from '../../../src/inference/calibration.js'
import { patchMoE } from '../../../src/layers/moe/patch-moe.js'
import { useTestBackend } from '../../backend-under-test.js'
import { networkCases, noise, trained } from '../exported-models.js'
import { type DecodedOnnx, decodeOnnx, difference, runOnnx } from '../run-onnx.js'

beforeAll(async () => {
  await useTestBackend()
})
beforeEach(() => tf.engine().startScope())
afterEach(() => tf.engine().endScope())

/** The only output of a file, of the only input. */
async function outputOf(
  bytes: Uint8Array,
  { inputNames }: tf.LayersModel,
  x: tf.Tensor,
): Promise<Float32Array> {
  const outputs = await runOnnx(bytes, { [inputNames[0] as string]: x })
  return (Object.values(outputs)[0] as { data: Float32Array }).data
}

const value = (name: string) => ({ name, shape: [null, 1], type: 'float' }) as const

describe('numbers of 8 bits', () => {
  test('divide a range into 255 steps, with 0 among them', () => {
    expect(stepsOf({ x: [0, 51] }, value('x'))).toEqual({ scale: Math.fround(0.2), zeroPoint: 0 })
    // 5.1 from end to end: 0.02 a step, and -1.1 lies 55 steps below 0.
    expect(stepsOf({ x: [-1.1, 4] }, value('x'))).toEqual({ scale: Math.fround(0.02), zeroPoint: 55 })
    // A range that leaves 0 out is extended to it.
    expect(stepsOf({ x: [2, 5.1] }, value('x'))).toEqual({ scale: Math.fround(0.02), zeroPoint: 0 })
    expect(stepsOf({ x: [0, 0] }, value('x'))).toEqual({ scale: 1, zeroPoint: 0 })
    // Too small for a scale in float32.
    expect(stepsOf({ x: [0, 1e-44] }, value('x'))).toEqual({ scale: 1, zeroPoint: 0 })
  })

  test('divide only what makes a difference', () => {
    expect(stepsOf({ x: [-490, 510] }, value('x'), [0, 5.1])).toEqual({
      scale: Math.fround(0.02),
      zeroPoint: 0,
    })
    expect(stepsOf({ x: [-1, 1] }, value('x'), [-Infinity, 1.55])).toEqual(
      stepsOf({ x: [-1, 1] }, value('x')),
    )
  })

  test('refuse values without a range of finite numbers', () => {
    expect(() => stepsOf({}, value('conv'))).toThrow(
      'exportOnnx: quantize must have a range of finite numbers for conv, got none',
    )
    expect(() => stepsOf({ conv: [0, Infinity] }, value('conv'))).toThrow('for conv, got [0, Infinity]')
    expect(() => stepsOf({ conv: [Number.NaN, 1] }, value('conv'))).toThrow('for conv, got [NaN, 1]')
  })

  test('give each output channel of a kernel its own scale, by hand', () => {
    const kernel = { shape: [2, 3], data: Float32Array.of(1.27, 0, -4, 0.5, 0, 2) }
    const rounded = quantizedWeights(kernel)
    expect([...rounded.scales]).toEqual([Math.fround(1.27 / 127), 1, Math.fround(4 / 127)])
    expect([...rounded.data]).toEqual([127, 0, -127, 50, 0, 64])
  })

  test('give a channel of small weights or zeros the scale that its bias needs, by hand', () => {
    const steps = { scale: 0.25, zeroPoint: 0 }
    const kernel = { shape: [2, 4], data: Float32Array.of(1.27, 1e-12, 0, 0, -0.5, 0, 0, 0) }
    const bias = { shape: [4], data: Float32Array.of(1, -4, 0.5, 0) }
    const rounded = quantizedWeights(kernel, { steps, bias })
    // A bias of 4 is 2^30 steps of 4 / 0.25 / 2^30 = 2^-26 by 0.25, and one of 0.5 is as many of 2^-29 by 0.25.
    expect([...rounded.scales]).toEqual([Math.fround(1.27 / 127), 2 ** -26, 2 ** -29, 1])
    expect([...rounded.data]).toEqual([127, 0, 0, 0, -50, 0, 0, 0])
    expect([...quantizedBias(bias, steps, rounded).data]).toEqual([400, -(2 ** 30), 2 ** 30, 0])
  })

  test('hold weights at the end of float32 without turning them over', () => {
    const { data, scales } = quantizedWeights({ shape: [2, 1], data: Float32Array.of(2.6e-43, -1e-44) })
    expect([...data].map(Math.abs)).toEqual([0, 0])
    expect([...scales]).toEqual([2 ** -100])
  })

  test('hold a bias in steps of the product, at most 32 bits', () => {
    const weights = { shape: [1, 2], data: Int8Array.of(1, 1), scales: Float32Array.of(0.5, 1e-30) }
    const bias = { shape: [2], data: Float32Array.of(3, -1) }
    const { data, scales } = quantizedBias(bias, { scale: 0.25, zeroPoint: 0 }, weights)
    // 3 / (0.5 * 0.25) = 24 steps; the other bias has more steps than fit.
    expect([...data]).toEqual([24, -2147483647])
    expect(scales[0]).toBe(0.125)
  })
})

describe('calibrate', () => {
  test('measures smallest and largest numbers over all batches, 0 included', async () => {
    const input = tf.input({ shape: [2, 2, 1], name: 'x' })
    const convolved = tf.layers
      .conv2d({ filters: 1, kernelSize: 1, activation: 'relu', name: 'conv' })
      .apply(input)
    const flat = tf.layers.flatten().apply(convolved)
    const model = tf.model({
      inputs: input,
      outputs: tf.layers.dense({ units: 2 }).apply(flat) as tf.SymbolicTensor,
    })
    model.layers[1]?.setWeights([tf.fill([1, 1, 1, 1], 2), tf.fill([1], -1)])
    const batches = [[tf.fill([1, 2, 2, 1], 0.25)], [tf.tensor4d([-3, 1, 2, 4], [1, 2, 2, 1])]]
    const ranges = await calibrate(model, batches)
    // 2 * 4 - 1; what the ReLU lets through starts at 0.
    expect(ranges).toEqual({ x: [-3, 4], 'conv.1': [0, 7] })
  })

  test('needs a batch, and leaves no tensors behind', async () => {
    const model = trained(networkCases[0]!.build())
    const before = tf.memory().numTensors
    await expect(calibrate(model, [])).rejects.toThrow('calibrate: batches must be at least 1, got 0')
    expect(tf.memory().numTensors).toBe(before)
  })
})

describe('a network of numbers of 8 bits in ONNX Runtime', () => {
  test.each([0, 2, 3, 4].map(i => networkCases[i]!))(
    'answers nearly as in tfjs, in a quarter of the bytes: $name',
    async ({ build }) => {
      const model = trained(build())
      const x = noise(model.inputs[0]!.shape, 16, 1)
      const { bytes, inFloat } = await exportOnnx(model, { quantize: await calibrate(model, [[x]]) })
      const plain = await exportOnnx(model)
      expect(bytes.length).toBeLessThan(plain.bytes.length / 2)
      const y = model.predict(x) as tf.Tensor
      const own = (await runOnnx(bytes, { image: x })).probabilities!
      // Eight bits keep about two digits of what the layers compute.
      expect(difference(y, own.data)).toBeLessThan(0.02)
      expect(difference(y, own.data)).toBeGreaterThan(0)
      const layers = inFloat?.map(({ layer, why }) => `${layer}: ${why}`) ?? []
      expect(layers).toContain('logits: the last product decides the class')
      const routers = layers.filter(line => line.includes('a router'))
      expect(routers).toHaveLength(
        networkCases.indexOf(networkCases.find(c => c.build === build)!) === 0 ? 0 : 1,
      )
    },
  )

  test('rounds a convolution exactly as computed by hand', async () => {
    const input = tf.input({ shape: [1, 2, 1], name: 'x' })
    const convolved = tf.layers.conv2d({ filters: 1, kernelSize: 1, name: 'conv' }).apply(input)
    const flat = tf.layers.flatten().apply(convolved)
    const dense = tf.layers.dense({ units: 1, useBias: false })
    const model = tf.model({ inputs: input, outputs: dense.apply(flat) as tf.SymbolicTensor })
    model.setWeights([tf.fill([1, 1, 1, 1], 1.27), tf.fill([1], 0.5), tf.tensor2d([[1], [0]])])
    const { bytes } = await exportOnnx(model, { quantize: { x: [0, 2.55], conv: [0, 25.5] } })
    const { data } = Object.values(await runOnnx(bytes, { x: tf.tensor4d([1.004, 0], [1, 1, 2, 1]) }))[0]!
    // 1.004 is 100 steps of 0.01, and 100 * 0.01 * 127 * 0.01 + 0.5 = 1.77, which is 18 steps of 0.1.
    expect(data[0]).toBeCloseTo(1.8, 5)
  })

  test('rounds the products of experts of one pixel, each column of each expert by its own scale', async () => {
    const model = tf.sequential({
      layers: [
        patchMoE({
          ...{ inputShape: [1, 2, 2], numExperts: 2, patchesPerExpert: 2, patchSize: 1, kernelSize: 1 },
          ...{ filters: 2, preActivation: 'none', gate: 'uniform', gateScale: 'none', useBias: false },
        }),
        tf.layers.flatten(),
        tf.layers.dense({ units: 4, useBias: false, kernelInitializer: 'identity' }),
      ],
    })
    const layer = model.layers[0]!
    const weights = layer.weights.map(variable => {
      const zeros = tf.zeros(variable.shape as number[])
      // Expert 0 multiplies the channels by 1.27 and 0.004, expert 1 by 0.012 and 2.54.
      return nameInLayer(variable) === 'kernel'
        ? tf.tensor4d([1.27, 0.012, 0.004, 2.54], [1, 1, 2, 2])
        : zeros
    })
    layer.setWeights(weights)
    const x = tf.tensor4d([1.004, 0.5, 2.55, 0.252], [1, 1, 2, 2])
    const ranges = await calibrate(model, [[x]])
    const { bytes, inFloat } = await exportOnnx(model, { quantize: ranges })
    expect(inFloat?.map(({ layer }) => layer)).toEqual([layer.name, model.layers[2]!.name])
    const data = await outputOf(bytes, model, x)
    // Steps of 0.01 for what is read: 1.004 is 100 of them, and 0.252 is 25.
    const [a, b, c, d] = [1, 0.5, 2.55, 0.25] as const
    // Columns of 127 steps at most: 0.004 is 0 steps of 0.01, and 0.012 is 1 step of 0.02.
    const columns = (p: number, q: number) => [1.27 * p, 0.02 * p + 2.54 * q]
    for (const [i, value] of [...columns(a, b), ...columns(c, d)].entries())
      expect(data[i]).toBeCloseTo(value, 4)
  })

  test('is refused without ranges of its own values', async () => {
    const model = trained(networkCases[0]!.build())
    await expect(exportOnnx(model, { quantize: {} })).rejects.toThrow('for image, got none')
  })

  test('writes weights of 8 bits with a scale for each filter', async () => {
    const model = trained(networkCases[0]!.build())
    const x = noise(model.inputs[0]!.shape, 2, 1)
    const { bytes } = await exportOnnx(model, { quantize: await calibrate(model, [[x]]) })
    const { graph } = await decodeOnnx(bytes)
    const kernel = graph.initializer.find(({ name }) => name === 'stem_kernel' || name?.startsWith('stem'))
    expect(kernel).toMatchObject({ dataType: 3 })
    expect(kernel?.rawData.length).toBe(3 * 3 * 3 * 16)
  })
})

describe('a network with kernels of float16 in ONNX Runtime', () => {
  test.each([0, 2, 3, 4, 6, 7, 8].map(i => networkCases[i]!))(
    'answers nearly as in tfjs, in half of the bytes, routers as they are: $name',
    async ({ build }) => {
      const model = trained(build())
      const x = noise(model.inputs[0]!.shape, 16, 1)
      const { bytes, inFloat } = await exportOnnx(model, { quantize: 'float16' })
      const plain = await exportOnnx(model)
      const y = model.predict(x) as tf.Tensor
      const data = await outputOf(bytes, model, x)
      // Eleven bits keep about three digits of each weight.
      expect(difference(y, data)).toBeLessThan(0.005)
      expect(difference(y, data)).toBeGreaterThan(0)
      const numbers = (type: number, { graph }: DecodedOnnx) =>
        graph.initializer
          .filter(tensor => (tensor as unknown as { dataType: number }).dataType === type)
          .reduce(
            (sum, { dims }) => sum + (dims ?? []).reduce((product, side) => product * Number(side), 1),
            0,
          )
      const [own, before] = [await decodeOnnx(bytes), await decodeOnnx(plain.bytes)]
      // Each number of a kernel takes two bytes less, and nothing else has changed.
      expect(numbers(10, own) + numbers(1, own)).toBe(numbers(1, before))
      expect(numbers(10, own)).toBeGreaterThan(numbers(1, own))
      const routers = inFloat?.filter(({ why }) => why.includes('a router')) ?? []
      expect(routers).toHaveLength(/dense/.test(model.name) || model.name === 'wide_resnet_10_1' ? 0 : 1)
    },
  )

  test('leaves a layer in float32 whose weights are too large, and says so', async () => {
    const model = tf.sequential({
      layers: [
        tf.layers.dense({ units: 2, inputShape: [3], name: 'large' }),
        tf.layers.dense({ units: 1, name: 'small' }),
      ],
    })
    model.layers[0]?.setWeights([tf.fill([3, 2], -65520), tf.zeros([2])])
    model.layers[1]?.setWeights([tf.tensor2d([[0.3], [0.7]]), tf.zeros([1])])
    const { bytes, inFloat } = await exportOnnx(model, { quantize: 'float16' })
    expect(inFloat).toEqual([{ layer: 'large', why: 'weights beyond 65504, the largest number of float16' }])
    const x = tf.tensor2d([[0.5, 0.25, 0.125]])
    const data = await outputOf(bytes, model, x)
    const y = model.predict(x) as tf.Tensor
    expect(difference(y, data) / Math.abs(y.dataSync()[0]!)).toBeLessThan(1e-3)
  })
})

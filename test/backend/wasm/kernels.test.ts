import * as tf from '@tensorflow/tfjs'
import fc from 'fast-check'
import { beforeAll, describe, expect, test } from 'vitest'
import { useBackend } from '../../../src/backend/choose.js'
import { registerWasmKernels } from '../../../src/backend/wasm/kernels.js'
import { random } from '../../../src/random.js'

type Padding = 'same' | 'valid' | tf.backend_util.ExplicitPadding

/** One convolution: x (batch, height, width, channels) with a filter (kh, kw, channels, filters). */
interface Convolution {
  batch: number
  height: number
  width: number
  channels: number
  filters: number
  kernel: [number, number]
  strides: [number, number]
  pad: Padding
}

beforeAll(() => useBackend('wasm'))

const around = (top: number, bottom: number, left: number, right: number): Padding => [
  [0, 0],
  [top, bottom],
  [left, right],
  [0, 0],
]

const table: Convolution[] = [
  ...[1, 2, 3].flatMap(stride =>
    ([1, 2, 3, 5] as const).flatMap(side =>
      (['same', 'valid'] as const).map(
        (pad): Convolution => ({
          batch: 2,
          height: 9,
          width: 8,
          channels: 3,
          filters: 4,
          kernel: [side, side],
          strides: [stride, stride],
          pad,
        }),
      ),
    ),
  ),
  { batch: 1, height: 1, width: 1, channels: 1, filters: 1, kernel: [1, 1], strides: [1, 1], pad: 'valid' },
  { batch: 3, height: 7, width: 12, channels: 2, filters: 1, kernel: [5, 1], strides: [1, 2], pad: 'same' },
  { batch: 1, height: 6, width: 5, channels: 1, filters: 9, kernel: [1, 4], strides: [3, 1], pad: 'valid' },
  {
    batch: 2,
    height: 6,
    width: 6,
    channels: 2,
    filters: 3,
    kernel: [3, 3],
    strides: [2, 2],
    pad: around(2, 0, 1, 3),
  },
  {
    batch: 2,
    height: 5,
    width: 5,
    channels: 2,
    filters: 3,
    kernel: [1, 1],
    strides: [2, 2],
    pad: around(1, 1, 0, 2),
  },
  {
    batch: 2,
    height: 4,
    width: 4,
    channels: 2,
    filters: 2,
    kernel: [2, 2],
    strides: [1, 1],
    pad: around(4, 5, 3, 4),
  },
  { batch: 2, height: 64, width: 64, channels: 3, filters: 2, kernel: [3, 3], strides: [1, 1], pad: 'same' },
  { batch: 2, height: 64, width: 64, channels: 2, filters: 3, kernel: [3, 3], strides: [2, 2], pad: 'same' },
]

const text = (c: Convolution): string =>
  `${c.batch}x${c.height}x${c.width}x${c.channels} * ${c.kernel.join('x')}x${c.filters} stride ${c.strides.join(',')} pad ${JSON.stringify(c.pad)}`

describe('gradients of a convolution on wasm equal those of the plain-JS backend', () => {
  for (const convolution of table) {
    test(text(convolution), async () => {
      await expectGradientsOfCpu(convolution)
    })
  }

  test('over random shapes', async () => {
    const small = fc.integer({ min: 1, max: 4 })
    const size = fc.integer({ min: 4, max: 11 })
    const shape = fc.record({
      batch: small,
      height: size,
      width: size,
      channels: fc.integer({ min: 1, max: 6 }),
      filters: fc.integer({ min: 1, max: 6 }),
      kernel: fc.tuple(small, small),
      strides: fc.tuple(small, small),
      pad: fc.oneof(
        fc.constant<Padding>('same'),
        fc.constant<Padding>('valid'),
        fc.tuple(small, small, small, small).map(margins => around(...margins)),
      ),
    })
    await fc.assert(
      fc.asyncProperty(shape, async convolution => expectGradientsOfCpu(convolution)),
      { numRuns: 60, seed: 7 },
    )
  })

  test('a filter gradient worked by hand: 2x2 map, 1x2 kernel', async () => {
    await tf.setBackend('wasm')
    // x = [1 2; 3 4], dy = [10; 20]: dW = [1*10 + 3*20, 2*10 + 4*20] = [70, 100]
    const x = tf.tensor4d([1, 2, 3, 4], [1, 2, 2, 1])
    const dy = tf.tensor4d([10, 20], [1, 2, 1, 1])
    const attrs = { strides: [1, 1], pad: 'valid', dataFormat: 'NHWC', filterShape: [1, 2, 1, 1] }
    const gradient = tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, attrs) as tf.Tensor
    expect([...(await gradient.data())]).toEqual([70, 100])
  })

  test('channels first is refused', async () => {
    await tf.setBackend('wasm')
    const dy = tf.ones([1, 1, 2, 2])
    const attrs = {
      strides: 1,
      pad: 'same',
      dataFormat: 'NCHW',
      filterShape: [1, 1, 1, 1],
      inputShape: [1, 1, 2, 2],
    }
    expect(() => tf.engine().runKernel('Conv2DBackpropFilter', { x: dy, dy }, attrs)).toThrow(
      'Conv2DBackpropFilter: dataFormat must be NHWC on wasm, got NCHW',
    )
    expect(() => tf.engine().runKernel('Conv2DBackpropInput', { filter: dy, dy }, attrs)).toThrow(
      'Conv2DBackpropInput: dataFormat must be NHWC on wasm, got NCHW',
    )
  })
})

describe('unsorted segment sum', () => {
  test('worked example: rows of segments 2, 0, 2, and one of none', async () => {
    await tf.setBackend('wasm')
    const x = tf.tensor2d([1, 2, 3, 4, 5, 6, 7, 8], [4, 2])
    const sums = tf.unsortedSegmentSum(x, tf.tensor1d([2, 0, 2, 5], 'int32'), 3)
    expect(sums.arraySync()).toEqual([
      [3, 4],
      [0, 0],
      [6, 8],
    ])
  })

  test('equals the plain-JS backend for any segments, also negative ones', async () => {
    const segments = fc.array(fc.integer({ min: -2, max: 6 }), { minLength: 1, maxLength: 12 })
    await fc.assert(
      fc.asyncProperty(segments, fc.integer({ min: 1, max: 5 }), async (ids, count) => {
        const x = normal([ids.length, 2, 3], ids.length)
        const id = tf.tensor1d(ids, 'int32')
        await expectSameOnCpu(() => [tf.unsortedSegmentSum(x, id, count)])
        tf.dispose([x, id])
      }),
      { numRuns: 30, seed: 3 },
    )
  })
})

test('another backend is refused', async () => {
  await tf.setBackend('cpu')
  expect(() => registerWasmKernels()).toThrow(
    "registerWasmKernels: the current backend must be wasm, got cpu (first await tf.setBackend('wasm'))",
  )
  await tf.setBackend('wasm')
})

test('registering twice keeps one kernel of each name and warns of nothing', () => {
  registerWasmKernels()
  const names = tf.getKernelsForBackend('wasm').map(kernel => kernel.kernelName)
  for (const name of ['Conv2DBackpropFilter', 'Conv2DBackpropInput', 'UnsortedSegmentSum']) {
    expect(names.filter(other => other === name)).toHaveLength(1)
  }
})

test('no tensor is left behind', async () => {
  await tf.setBackend('wasm')
  const x = normal([2, 8, 8, 3], 1)
  const strided = normal([3, 3, 3, 4], 2)
  const pointwise = normal([1, 1, 3, 4], 3)
  const step = (): void => {
    const gradients = tf.grads((a: tf.Tensor, b: tf.Tensor, c: tf.Tensor) =>
      tf.add(
        tf.conv2d(a as tf.Tensor4D, b as tf.Tensor4D, 2, 'same').sum(),
        tf.conv2d(a as tf.Tensor4D, c as tf.Tensor4D, 2, 'same').sum(),
      ),
    )([x, strided, pointwise])
    tf.dispose(gradients)
    tf.dispose(
      tf.unsortedSegmentSum(
        x,
        tf.tidy(() => tf.keep(ids)),
        3,
      ),
    )
  }
  const ids = tf.tensor1d([0, 2], 'int32')
  step()
  const before = [tf.memory().numTensors, tf.memory().numDataBuffers]
  for (let i = 0; i < 5; i++) step()
  expect([tf.memory().numTensors, tf.memory().numDataBuffers]).toEqual(before)
})

describe('what a network trains through has its gradient on wasm', () => {
  const image = () => normal<tf.Rank.R4>([2, 6, 6, 4], 11)
  const operations: Record<string, (x: tf.Tensor4D) => tf.Tensor> = {
    relu: x => tf.relu(x),
    'batch norm': x => {
      const { mean, variance } = tf.moments(x, [0, 1, 2])
      return tf
        .batchNorm(x, mean as tf.Tensor1D, variance as tf.Tensor1D, [1, 2, 3, 4], [2, 1, 2, 1])
        .mul(normal([2, 6, 6, 4], 22))
    },
    'max pool': x => tf.maxPool(x, 2, 2, 'same'),
    'max pool 3 / 2': x => tf.maxPool(x, 3, 2, 'same').square(),
    'average pool': x => tf.avgPool(x, 2, 2, 'valid').square(),
    // Not 'same': on the plain cpu backend tfjs counts the pixels outside the map in this derivative.
    'average pool 3 / 2': x => tf.avgPool(x, 3, 2, 'valid').square(),
    'global average pool': x => x.mean([1, 2]).square(),
    dense: x => tf.matMul(x.reshape([2, -1]), normal([144, 3], 12)).square(),
    'dense, transposed': x => tf.matMul(normal([3, 144], 12), x.reshape([2, -1]), false, true).square(),
    softmax: x => tf.softmax(x.reshape([8, 36])).square(),
    'log softmax': x => tf.logSoftmax(x.reshape([8, 36])).square(),
    'softmax cross-entropy': x =>
      tf.losses.softmaxCrossEntropy(tf.oneHot(tf.tensor1d([1, 0], 'int32'), 144), x.reshape([2, 144])),
    'sigmoid cross-entropy': x => tf.losses.sigmoidCrossEntropy(tf.ones([2, 144]), x.reshape([2, 144])),
    add: x => tf.add(x, normal([4], 13)).square(),
    multiply: x => tf.mul(x, normal([2, 1, 1, 4], 13)),
    concat: x => tf.concat([x, x.square()], 3).square(),
    stack: x => tf.stack([x, x.square()]).square(),
    slice: x => x.slice([0, 1, 1, 0], [2, 3, 4, 4]).square(),
    pad: x =>
      tf
        .pad(x, [
          [0, 0],
          [1, 1],
          [1, 0],
          [0, 0],
        ])
        .square(),
    transpose: x => tf.transpose(x, [2, 0, 3, 1]).square(),
    gather: x => tf.gather(x.reshape([72, 4]), tf.tensor1d([3, 3, 70], 'int32')).square(),
    'batched gather': x =>
      tf.gather(x.reshape([2, 36, 4]), tf.tensor2d([1, 5, 5, 7], [2, 2], 'int32'), 1, 1).square(),
    tile: x => tf.tile(x, [1, 2, 1, 1]).square(),
    'max over an axis': x => tf.max(x, 3),
    abs: x => tf.abs(x),
    'exp, log, sqrt': x => tf.sqrt(tf.log(tf.exp(x).add(2))),
    elu: x => tf.elu(x),
    sigmoid: x => tf.sigmoid(x).square(),
    tanh: x => tf.tanh(x),
    'leaky relu': x => tf.leakyRelu(x, 0.1),
    clip: x => tf.clipByValue(x, -0.5, 0.5).square(),
    'batched product': x =>
      tf.matMul(x.reshape([2, 36, 4]) as tf.Tensor3D, normal([2, 4, 5], 14) as tf.Tensor3D).square(),
    'local response normalization': x => tf.localResponseNormalization(x, 1, 1, 0.5, 0.75).square(),
    'mirror pad': x =>
      tf
        .mirrorPad(
          x,
          [
            [0, 0],
            [1, 2],
            [1, 0],
            [0, 0],
          ],
          'reflect',
        )
        .square(),
    'parametric relu': x => tf.prelu(x, [0.1, 0.2, -0.3, 0.4]).square(),
    'relu 6': x => tf.relu6(x.mul(4)).square(),
    'depthwise convolution, fused': x =>
      tf.fused.depthwiseConv2d({
        x,
        filter: normal([3, 3, 4, 2], 23) as tf.Tensor4D,
        strides: 2,
        pad: 'same',
        bias: normal([8], 24),
        activation: 'relu6',
      }),
    'separable convolution': x =>
      tf
        .separableConv2d(
          x,
          normal([3, 3, 4, 2], 25) as tf.Tensor4D,
          normal([1, 1, 8, 3], 26) as tf.Tensor4D,
          1,
          'same',
        )
        .square(),
    'fused convolution': x =>
      tf.fused.conv2d({
        x,
        filter: normal([3, 3, 4, 2], 15) as tf.Tensor4D,
        strides: 1,
        pad: 'same',
        activation: 'relu',
      }),
  }
  for (const [name, operation] of Object.entries(operations)) {
    test(name, async () => {
      const x = image()
      await expectSameOnCpu(() => [tf.grad(operation as (x: tf.Tensor) => tf.Tensor)(x)])
      x.dispose()
    })
  }

  const forward: Record<string, () => tf.Tensor[]> = {
    topk: () => {
      const { values, indices } = tf.topk(normal([5, 20], 16), 6)
      return [values, indices]
    },
    'topk of ties': () => [tf.topk(tf.tensor2d([1, 3, 3, 0, 3, 1, 1, 0], [2, 4]), 3).indices],
    'scatterND adds up rows given twice': () => [
      tf.scatterND(tf.tensor2d([1, 3, 1], [3, 1], 'int32'), normal([3, 5], 17), [5, 5]),
    ],
    gatherND: () => [tf.gatherND(normal([4, 5], 18), tf.tensor2d([1, 2, 3, 0], [2, 2], 'int32'))],
    'cumulative sum': () => [tf.cumsum(normal([3, 7], 19), 1)],
    'arg max': () => [tf.argMax(normal([6, 9], 20), 1)],
    'one hot': () => [tf.oneHot(tf.tensor1d([2, 0], 'int32'), 4)],
  }
  for (const [name, operation] of Object.entries(forward)) {
    test(`${name} (no gradient)`, async () => {
      await expectSameOnCpu(operation)
    })
  }

  for (const [name, create] of Object.entries({
    sgd: () => tf.train.sgd(0.1),
    momentum: () => tf.train.momentum(0.1, 0.9),
    adam: () => tf.train.adam(0.1),
  })) {
    test(`three steps of ${name}`, async () => {
      const x = image()
      await expectSameOnCpu(() => {
        const optimizer = create()
        const weights = tf.variable(normal([3, 3, 4, 2], 21)) as tf.Variable<tf.Rank.R4>
        for (let step = 0; step < 3; step++) {
          optimizer.minimize(() => tf.conv2d(x, weights, 2, 'same').square().mean() as tf.Scalar, false, [
            weights,
          ])
        }
        return [weights.clone()]
      })
      x.dispose()
    })
  }
})

/** Asserts both gradients against the plain-JS backend, to 1e-4 of the largest value. */
async function expectGradientsOfCpu(c: Convolution): Promise<void> {
  const x = normal<tf.Rank.R4>([c.batch, c.height, c.width, c.channels], 1)
  const filter = normal<tf.Rank.R4>([...c.kernel, c.channels, c.filters], 2)
  const info = tf.backend_util.computeConv2DInfo(x.shape, filter.shape, c.strides, 1, c.pad)
  const dy = normal(info.outShape, 3)
  const attrs = {
    strides: c.strides,
    pad: c.pad,
    dataFormat: 'NHWC',
    filterShape: filter.shape,
    inputShape: x.shape,
  }
  if (info.outHeight > 0 && info.outWidth > 0) {
    await expectSameOnCpu(() => [
      tf.engine().runKernel('Conv2DBackpropFilter', { x, dy }, attrs) as tf.Tensor,
      tf.engine().runKernel('Conv2DBackpropInput', { dy, filter }, attrs) as tf.Tensor,
    ])
  }
  tf.dispose([x, filter, dy])
}

/** Runs `compute` on wasm and on the plain-JS backend and asserts equal shapes and values. */
async function expectSameOnCpu(compute: () => tf.Tensor[]): Promise<void> {
  const results: { shape: number[]; values: Float32Array }[][] = []
  for (const backend of ['cpu', 'wasm']) {
    await tf.setBackend(backend)
    const tensors = tf.tidy(compute)
    results.push(
      tensors.map(tensor => ({ shape: tensor.shape, values: Float32Array.from(tensor.dataSync()) })),
    )
    tf.dispose(tensors)
  }
  const [expected, actual] = results as [(typeof results)[number], (typeof results)[number]]
  expect(actual.map(({ shape }) => shape)).toEqual(expected.map(({ shape }) => shape))
  for (const [i, { values }] of actual.entries()) {
    const reference = expected[i]?.values ?? new Float32Array()
    const scale = reference.reduce((most, value) => Math.max(most, Math.abs(value)), 1e-3)
    const worst = values.reduce(
      (most, value, j) => Math.max(most, Math.abs(value - (reference[j] ?? Number.NaN))),
      0,
    )
    expect(worst / scale).toBeLessThan(1e-4)
  }
}

function normal<R extends tf.Rank>(shape: number[], seed: number): tf.Tensor<R> {
  const source = random(seed, 'kernels')
  const size = shape.reduce((product, side) => product * side, 1)
  return tf.tensor(Float32Array.from({ length: size }, source.normal), shape as tf.ShapeMap[R])
}

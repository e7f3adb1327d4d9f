import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import {
  expertConvolution,
  expertConvolutionGradient,
} from '../../../src/layers/moe/experts/expert-convolution.js'
import { expertMoments, normRelu, normReluGradient } from '../../../src/layers/moe/experts/pre-activation.js'
import { layerOps } from '../../../src/layers/ops.js'
import { random } from '../../../src/random.js'
import { lossOf } from '../../../src/train/loss.js'
import { stepJointly } from '../../../src/train/optimizers/joint-steps.js'
import { createOptimizer } from '../../../src/train/optimizers/optimizer.js'
import type { OptimizerOptions } from '../../../src/train/optimizers/optimizer-options.js'
import { stepFactors, stepPenalty, weightDecays } from '../../../src/train/optimizers/parameter-groups.js'
import { takeStep } from '../../../src/train/step.js'
import { WeightAverage } from '../../../src/train/weight-average.js'

/** Something that every backend computes in a way of its own, with the same inputs on all of them. */
export interface KernelCase {
  readonly name: string
  compute(): tf.Tensor[] | Promise<tf.Tensor[]>
}

/** Numbers of a seed, around `mean`. */
function draw(shape: readonly number[], seed: number, mean = 0): tf.Tensor {
  const chance = random(seed)
  const values = Float32Array.from(
    { length: tf.util.sizeFromShape([...shape]) },
    () => mean + chance.normal(),
  )
  return tf.tensor(values, [...shape])
}

/** The tensor with some of its numbers changed. */
function withNumbers(x: tf.Tensor, at: readonly number[], value: number): tf.Tensor {
  const mask = new Float32Array(x.size)
  for (const index of at) mask[index] = 1
  return tf.where(tf.cast(tf.tensor(mask, x.shape), 'bool'), tf.fill(x.shape, value), x)
}

// Few rows and many, more columns than a workgroup has, one of each, numbers far from 0.
const mapShapes = [
  [3, 7],
  [1, 3],
  [600, 1],
  [2, 5, 6, 17],
  [9000, 33],
] as const

const batchNorms: readonly KernelCase[] = mapShapes.flatMap(shape =>
  (['batchNorm', 'batchNormRelu'] as const).map(operation => ({
    name: `${operation} of [${shape}]`,
    compute: () => normalizations(operation, draw(shape, 1, 3)),
  })),
)

function normalizations(operation: 'batchNorm' | 'batchNormRelu', x: tf.Tensor): tf.Tensor[] {
  const channels = x.shape.at(-1) as number
  const [gamma, beta] = [draw([channels], 2), draw([channels], 3)] as [tf.Tensor1D, tf.Tensor1D]
  const moments: tf.Tensor[] = []
  const normalize = (...[input, scale, shift]: tf.Tensor[]) =>
    layerOps()[operation]({
      x: input as tf.Tensor,
      gamma: scale as tf.Tensor1D,
      beta: shift as tf.Tensor1D,
      epsilon: 1e-3,
      onMoments: ({ mean, variance }) => moments.push(tf.keep(mean.clone()), tf.keep(variance.clone())),
    })
  const { value, grads } = tf.valueAndGrads(normalize)([x, gamma, beta], draw(x.shape, 4))
  return [value, ...grads, ...moments]
}

const reductions: readonly KernelCase[] = [
  { shape: [1300, 5], axis: [0], keepDims: false },
  { shape: [3, 700, 4], axis: [1], keepDims: true },
  { shape: [2, 3, 4, 5], axis: [1, 2], keepDims: false },
  { shape: [2, 3, 4, 5], axis: [0, 2], keepDims: false },
  { shape: [40, 7], axis: [1], keepDims: false },
  { shape: [1, 2, 1], axis: [0], keepDims: true },
].flatMap(({ shape, axis, keepDims }) =>
  [tf.sum, tf.mean].map(reduce => ({
    name: `${reduce === tf.sum ? 'sum' : 'mean'} of [${shape}] over [${axis}]`,
    compute: () => [reduce(draw(shape, 5), axis, keepDims)],
  })),
)

/** Which tfjs leaves whole numbers on the device. */
const castNumbers: KernelCase = {
  name: 'sums of whole numbers that were cast',
  compute: () => [tf.sum(tf.cast(tf.cast(tf.round(draw([900, 4], 31)), 'int32'), 'float32'), 0)],
}

const convolutions: readonly KernelCase[] = (
  [
    { map: [2, 5, 6, 3], kernel: [3, 3, 3, 4], strides: [1, 1], pad: 'same' },
    { map: [2, 7, 7, 5], kernel: [3, 3, 5, 33], strides: [2, 2], pad: 'same' },
    { map: [1, 8, 8, 2], kernel: [1, 1, 2, 70], strides: [2, 2], pad: 'same' },
    { map: [3, 24, 24, 4], kernel: [5, 3, 4, 17], strides: [1, 2], pad: 'valid' },
    { map: [1, 1, 1, 1], kernel: [1, 1, 1, 1], strides: [1, 1], pad: 'valid' },
  ] as const
).map(({ map, kernel, strides, pad }) => ({
  name: `gradients of a convolution [${kernel}] of [${map}], strides ${strides}, ${pad}`,
  compute() {
    const [x, filter] = [draw(map, 6), draw(kernel, 7)] as [tf.Tensor4D, tf.Tensor4D]
    const bias = draw([kernel[3]], 8) as tf.Tensor1D
    const y = layerOps().biasedConvolution({ x, kernel: filter, bias, strides, pad })
    const inputs = { x, dy: draw(y.shape, 9) as tf.Tensor4D, kernelShape: kernel, strides, pad }
    const { dKernel, dBias } = layerOps().biasedKernelGradient(inputs)
    return [y, layerOps().kernelGradient(inputs), dKernel, dBias]
  },
}))

const experts: readonly KernelCase[] = (
  [
    { windows: [3, 4, 4, 4, 5], kernel: [3, 3, 5, 9], border: 'zero', patch: [4, 4] },
    { windows: [2, 3, 2, 4, 3], kernel: [3, 5, 3, 40], border: 'zero', patch: [2, 4] },
    { windows: [2, 40, 6, 5, 3], kernel: [3, 3, 3, 6], border: 'halo', patch: [4, 3] },
    { windows: [1, 1, 1, 1, 1], kernel: [3, 3, 1, 2], border: 'zero', patch: [1, 1] },
  ] as const
).map(({ windows: shape, kernel: kernelShape, border, patch }) => ({
  name: `experts' convolutions [${kernelShape}] of windows [${shape}], border ${border}`,
  compute() {
    const [windows, kernel] = [draw(shape, 10) as tf.Tensor5D, draw(kernelShape, 11) as tf.Tensor4D]
    const { outputs, filters } = expertConvolution(windows, kernel, border)
    const dy = draw(outputs.shape, 12) as tf.Tensor3D
    const { dWindows, dKernel } = expertConvolutionGradient(dy, windows, kernel, filters, border, patch)
    return [outputs, dWindows, dKernel]
  },
}))

const expertNorms: readonly KernelCase[] = (
  [
    [3, 5, 2, 2, 7],
    [2, 300, 2, 1, 18],
    [1, 1, 1, 1, 1],
  ] as const
).map(shape => ({
  name: `BatchNorm of experts on [${shape}]`,
  compute() {
    const windows = draw(shape, 13, 5) as tf.Tensor5D
    const perExpert = (seed: number) => draw([shape[0], shape[4]], seed) as tf.Tensor2D
    const moments = expertMoments(windows)
    const norm = { gamma: perExpert(14), beta: perExpert(15), epsilon: 1e-3, moments }
    const { active, state } = normRelu(windows, norm, undefined)
    const statistics = { coreMask: undefined, coreCount: shape[1] * shape[2] * shape[3] }
    const dy = draw(shape, 16) as tf.Tensor5D
    const gradient = normReluGradient(dy, active, windows, norm, statistics, state)
    return [moments.mean, moments.variance, active, ...Object.values(gradient)]
  },
}))

/** Long inner axes and small results, which tfjs adds up in any order. */
const products: readonly KernelCase[] = [false, true].flatMap(transposeA =>
  [false, true].map(transposeB => ({
    name: `product of a long inner axis, ${transposeA ? 'turned' : 'as it is'} by ${transposeB ? 'turned' : 'as it is'}`,
    compute() {
      const a = draw(transposeA ? [2600, 5] : [5, 2600], 26) as tf.Tensor2D
      const b = draw(transposeB ? [37, 2600] : [2600, 37], 27) as tf.Tensor2D
      const options = { a, b, transposeA, transposeB, bias: draw([37], 28), activation: 'relu' } as const
      return [tf.matMul(a, b, transposeA, transposeB), tf.fused.matMul(options)]
    },
  })),
)

const scatters: readonly KernelCase[] = [
  { count: 700, rows: 40, width: 5 },
  { count: 3, rows: 5000, width: 1 },
  { count: 300, rows: 7, width: 300 },
  { count: 1, rows: 1, width: 1 },
].map(({ count, rows, width }) => ({
  name: `${count} updates of ${width} numbers scattered over ${rows} rows`,
  compute() {
    const chance = random(17)
    const places = Int32Array.from({ length: count }, () => chance.below(rows))
    const updates = draw([count, width], 18)
    return [
      tf.scatterND(tf.tensor2d(places, [count, 1], 'int32'), updates, [rows, width]),
      tf.unsortedSegmentSum(updates, tf.tensor1d(places, 'int32'), rows),
    ]
  },
}))

const topPatches: readonly KernelCase[] = [
  { shape: [3, 4, 16], k: 4 },
  { shape: [2, 1024], k: 1024 },
  { shape: [5, 1000], k: 1 },
  { shape: [1, 2], k: 2 },
  { shape: [1, 1500], k: 3 },
].map(({ shape, k }) => ({
  name: `top ${k} of [${shape}], many of them equal`,
  compute() {
    // Multiples of 1/2, so that there are ties, and zeros of both signs.
    const x = tf.div(tf.round(tf.mul(draw(shape, 19), 4)), 2)
    const { values, indices } = tf.topk(x, k)
    return [values, indices]
  },
}))

/** What is no number goes where it goes on other backends. */
const notFinite: readonly KernelCase[] = [
  {
    name: 'NaN in BatchNorm',
    compute: () => normalizations('batchNormRelu', withNumbers(draw([8, 3], 20), [4], Number.NaN)),
  },
  {
    name: 'NaN and Infinity in sums',
    compute: () => [
      tf.sum(withNumbers(draw([700, 3], 21), [4], Number.NaN), 0),
      tf.sum(withNumbers(draw([700, 3], 21), [5], Number.POSITIVE_INFINITY), 0),
    ],
  },
  {
    name: 'NaN in a gradient that is clipped',
    compute() {
      const [weight, other] = [tf.variable(tf.ones([3])), tf.variable(tf.ones([2]))]
      const gradients = [withNumbers(draw([3], 29), [1], Number.NaN), draw([2], 30)]
      const additions = { l2: 0, clipNorm: 1 }
      // Plain JavaScript has no form of its own.
      if (!stepJointly(tf.train.sgd(0.1), [weight, other], gradients, additions)) {
        for (const variable of [weight, other]) variable.assign(tf.fill(variable.shape, Number.NaN))
      }
      return [weight, other]
    },
  },
  {
    name: 'NaN before a ReLU',
    compute: () => [
      layerOps().reluGradient(draw([2, 4], 22), withNumbers(draw([2, 4], 23), [1, 6], Number.NaN)),
    ],
  },
  {
    name: 'a row of NaN in top-k',
    compute() {
      // Which of them come first differs from backend to backend.
      return [tf.topk(withNumbers(draw([2, 6], 24), [0, 1, 2, 3, 4, 5], Number.NaN), 3).values]
    },
  },
  {
    name: 'NaN that is scattered',
    compute: () => [
      tf.scatterND(
        tf.tensor2d([[1], [1], [0]], [3, 1], 'int32'),
        withNumbers(draw([3, 2], 25), [2], Number.NaN),
        [3, 2],
      ),
    ],
  },
]

const optimizers: readonly OptimizerOptions[] = [
  { name: 'sgd', learningRate: 0.1 },
  { name: 'sgd', learningRate: 0.1, l2: 0.1, weightDecay: 0.2 },
  {
    name: 'momentum',
    learningRate: 0.1,
    momentum: 0.7,
    layerRates: [{ pattern: 'first', learningRate: 0.05 }],
  },
  { name: 'momentum', learningRate: 0.1, clipNorm: 0.3 },
  { name: 'sgd', learningRate: 0.1, clipNorm: 1000, l2: 0.1 },
  { name: 'adam', learningRate: 0.01, l2: 0.01, clipNorm: 0.2 },
  {
    name: 'adamw',
    learningRate: 0.01,
    weightDecay: 0.3,
    layerRates: [{ pattern: '*/bias', learningRate: 0.1 }],
  },
]

const steps: readonly KernelCase[] = optimizers.map(options => ({
  name: `three steps of ${JSON.stringify(options)}`,
  async compute() {
    const model = tfl.sequential({
      layers: [
        tfl.layers.dense({ units: 9, inputShape: [5], activation: 'tanh', name: 'first' }),
        tfl.layers.dense({ units: 4, name: 'second' }),
        tfl.layers.dense({ units: 3, activation: 'softmax', name: 'third' }),
      ],
    })
    for (const [i, weight] of model.weights.entries()) {
      const variable = weight.read() as tf.Variable
      variable.assign(draw(variable.shape, 30 + i))
    }
    const optimizer = createOptimizer(options, model)
    const parts = {
      model,
      classifier: lossOf(model),
      optimizer,
      l2: stepPenalty(options),
      weightDecays: weightDecays(model, options),
      stepFactors: stepFactors(model, options),
      clipNorm: options.clipNorm,
    }
    const batch = { inputs: [draw([6, 5], 40)], labels: Int32Array.of(0, 1, 2, 0, 1, 2), count: 6 }
    const before = tf.clone(model.weights[0]?.read() as tf.Tensor)
    const average = new WeightAverage(model, { decay: 0.9, movingStatistics: false })
    for (let i = 0; i < 3; i++) {
      await takeStep(parts, batch)
      average.update(i + 1)
    }
    const averages = (await average.read()).map(([, { data, shape }]) =>
      tf.tensor(data as Float32Array, [...shape]),
    )
    const [, ...slots] = (await optimizer.getWeights()).map(({ tensor }) => tensor)
    return [...model.weights.map(weight => tf.clone(weight.read())), before, ...slots, ...averages]
  },
}))

const lateReads: readonly KernelCase[] = [
  {
    name: 'a weight that is read while it is stepped, and then again',
    async compute() {
      const weight = tf.variable(draw([1500], 50))
      const optimizer = tf.train.momentum(0.1, 0.5)
      const [gradient] = [draw([1500], 51)]
      const step = () =>
        stepJointly(optimizer, [weight], [gradient], { l2: 0 }) ||
        optimizer.applyGradients([{ name: weight.name, tensor: gradient as tf.Tensor }])
      step()
      const pending = weight.data()
      step()
      const [earlier, later] = [await pending, await weight.data()]
      return [tf.tensor(earlier), tf.tensor(later)]
    },
  },
]

/** Cases for each kernel that this library puts in the place of tfjs's, in two parts that take about as long. */
export const kernelCases = {
  maps: [...batchNorms, ...convolutions, ...experts, ...expertNorms],
  others: [
    ...reductions,
    castNumbers,
    ...products,
    ...scatters,
    ...topPatches,
    ...notFinite,
    ...steps,
    ...lateReads,
  ],
} as const satisfies Readonly<Record<string, readonly KernelCase[]>>

import * as tf from '@tensorflow/tfjs-core'
import { layerOps } from '../../layers/ops.js'
import { type Size2D, shapeSize } from '../../shapes.js'
import { drawEighths, hasKernel, type OperationCheck, once, tensorOf } from './operation-check.js'
import * as plain from './plain-arithmetic.js'

type Shape4D = [number, number, number, number]
type Sizes = plain.ConvolutionSizes

/**
 * Maps, and the strides and kernels to check them with. They are few: oneDNN prepares a new size longer than it
 * computes.
 */
const CHECKED: readonly {
  readonly map: Size2D
  readonly strides: readonly number[]
  readonly kernels: readonly Size2D[]
}[] = [
  {
    map: [1, 1],
    strides: [1, 2],
    kernels: [
      [1, 1],
      [3, 3],
    ],
  },
  {
    map: [1, 2],
    strides: [1, 2],
    kernels: [
      [1, 3],
      [3, 3],
    ],
  },
  {
    map: [4, 4],
    strides: [1, 2],
    kernels: [
      [1, 1],
      [1, 3],
      [2, 2],
      [3, 3],
      [5, 5],
    ],
  },
  {
    map: [7, 5],
    strides: [1, 2, 3],
    kernels: [
      [1, 1],
      [3, 1],
      [2, 2],
      [3, 3],
      [5, 5],
    ],
  },
  {
    map: [14, 14],
    strides: [1, 2],
    kernels: [
      [1, 1],
      [3, 3],
      [5, 5],
    ],
  },
  {
    map: [28, 28],
    strides: [1, 2],
    kernels: [
      [1, 1],
      [3, 3],
    ],
  },
]
const CHANNELS_AND_FILTERS: readonly Size2D[] = [
  [1, 1],
  [1, 2],
  [2, 1],
  [3, 5],
  [8, 8],
  [32, 48],
]

/** Multiply-adds of a convolution that is still checked: plain loops take some 10 ns for each. */
const MOST_PRODUCTS = 1.2e5

/** Enough repeats for damaged memory to show. */
const MANY_REPEATS = 40

/**
 * Convolutions and their two derivatives, as tfjs calls them and as layers do.
 *
 * @param every how many sizes share one check: 1 checks all, 7 each seventh, which still has every kernel, stride and padding
 */
export function* convolutionChecks(every = 1): Generator<OperationCheck> {
  for (const sizes of convolutionSizes().filter((_, i) => i % every === 0)) {
    yield* fullChecks(sizes)
    if (sizes.filters <= 2 && sizes.pad === 'same') yield* depthwiseChecks(sizes)
  }
  for (const inBfloat16 of [false, true]) yield patchCheck(inBfloat16)
}

function convolutionSizes(): Sizes[] {
  const all: Sizes[] = []
  for (const { map, strides, kernels } of CHECKED)
    for (const kernel of kernels)
      for (const [channels, filters] of CHANNELS_AND_FILTERS)
        for (const stride of strides)
          for (const pad of ['same', 'valid'] as const)
            all.push({ map: [2, ...map, channels], kernel, filters, strides: [stride, stride], pad })
  return all.filter(isChecked)
}

function isChecked(sizes: Sizes): boolean {
  const { map, kernel, filters, pad } = sizes
  // Kernels larger than the map have an output with 'same' only; for one pixel both paddings are one.
  if (pad === 'valid' && (kernel[0] > map[1] || kernel[1] > map[2] || kernel[0] * kernel[1] === 1))
    return false
  const [rows, columns] = plain.outputSize(sizes)
  return map[0] * rows * columns * kernel[0] * kernel[1] * map[3] * filters <= MOST_PRODUCTS
}

function wordsOf({ map, kernel, filters, strides, pad }: Sizes): string {
  return `${map.slice(1, 3).join('x')}x${map[3]} map, ${kernel.join('x')} kernel, ${filters} filters, stride ${strides[0]}, ${pad}`
}

/** Random inputs for a convolution of these sizes, and the right results. */
function numbersFor(sizes: Sizes) {
  const [rows, columns] = plain.outputSize(sizes)
  const channels = sizes.map[3]
  const kernelShape: Shape4D = [...sizes.kernel, channels, sizes.filters]
  const outShape: Shape4D = [sizes.map[0], rows, columns, sizes.filters]
  const x = drawEighths(shapeSize(sizes.map), 1)
  const kernel = drawEighths(shapeSize(kernelShape), 2)
  const dy = drawEighths(shapeSize(outShape), 3)
  const bias = drawEighths(sizes.filters, 4)
  return {
    ...{ x, kernel, dy, bias, kernelShape, outShape },
    y: once(() => plain.convolution(x, kernel, sizes)),
    dx: once(() => plain.inputGradient(dy, kernel, sizes)),
    dKernel: once(() => plain.kernelGradient(x, dy, sizes)),
  }
}

function fullChecks(sizes: Sizes): OperationCheck[] {
  const numbers = once(() => numbersFor(sizes))
  return isInBoth(sizes)
    ? [false, true].flatMap(inBfloat16 => fullChecksIn(sizes, numbers, inBfloat16))
    : fullChecksIn(sizes, numbers, false)
}

/** Whether these sizes are checked in bfloat16 too: the special ones are, most others are not. */
function isInBoth({ map, strides, pad }: Sizes): boolean {
  return pad === 'same' && strides[0] <= 2 && map[1] % 14 !== 7
}

/** As tfjs calls them, then as layers do. */
function fullChecksIn(
  sizes: Sizes,
  numbers: () => ReturnType<typeof numbersFor>,
  inBfloat16: boolean,
): OperationCheck[] {
  const { map, strides, pad } = sizes
  const attributes = { strides: [...strides], pad, dataFormat: 'NHWC' }
  const { x, kernel, dy } = tensorsOf(sizes, numbers)
  const checkOf = checksOf(wordsOf(sizes), inBfloat16, 1)
  const derivativeOf = checksOf(wordsOf(sizes), inBfloat16, repeatsOf(sizes))
  return [
    checkOf(
      'Conv2D',
      () => [tf.conv2d(x(), kernel(), [...strides], pad)],
      () => [numbers().y()],
    ),
    derivativeOf(
      'Conv2DBackpropInput',
      () => [
        runKernel(
          'Conv2DBackpropInput',
          { dy: dy(), filter: kernel() },
          { ...attributes, inputShape: [...map] },
        ),
      ],
      () => [numbers().dx()],
    ),
    derivativeOf(
      'Conv2DBackpropFilter',
      () => [
        runKernel(
          'Conv2DBackpropFilter',
          { x: x(), dy: dy() },
          { ...attributes, filterShape: numbers().kernelShape },
        ),
      ],
      () => [numbers().dKernel()],
    ),
    ...layerChecks(sizes, numbers, inBfloat16),
  ]
}

/** The inputs of a convolution, made when they are asked for. */
function tensorsOf({ map }: Sizes, numbers: () => ReturnType<typeof numbersFor>) {
  return {
    x: () => tensorOf<tf.Tensor4D>(numbers().x, map),
    kernel: () => tensorOf<tf.Tensor4D>(numbers().kernel, numbers().kernelShape),
    dy: () => tensorOf<tf.Tensor4D>(numbers().dy, numbers().outShape),
  }
}

/** With a bias, and the derivatives of kernel and bias. */
function layerChecks(
  sizes: Sizes,
  numbers: () => ReturnType<typeof numbersFor>,
  inBfloat16: boolean,
): OperationCheck[] {
  const { strides, pad } = sizes
  const { x, kernel, dy } = tensorsOf(sizes, numbers)
  const checkOf = checksOf(wordsOf(sizes), inBfloat16, 1)
  const derivativeOf = checksOf(wordsOf(sizes), inBfloat16, repeatsOf(sizes))
  const gradientInputs = () => ({ x: x(), dy: dy(), kernelShape: numbers().kernelShape, strides, pad })
  const withBias = () => {
    const { y, bias } = numbers()
    return y().map((value, at) => value + bias[at % bias.length]!)
  }
  return [
    checkOf(
      'biasedConvolution',
      () => [
        layerOps().biasedConvolution({
          x: x(),
          kernel: kernel(),
          bias: tf.tensor1d(numbers().bias),
          strides,
          pad,
        }),
      ],
      () => [withBias()],
      () => true,
    ),
    checkOf(
      'kernelGradient',
      () => [layerOps().kernelGradient(gradientInputs())],
      () => [numbers().dKernel()],
      () => true,
    ),
    derivativeOf(
      'biasedKernelGradient',
      () => {
        const { dKernel, dBias } = layerOps().biasedKernelGradient(gradientInputs())
        return [dKernel, dBias]
      },
      () => [numbers().dKernel(), plain.channelSums(numbers().dy, sizes.filters)],
      () => true,
    ),
  ]
}

/**
 * How often a derivative is computed. Memory has been damaged at strided convolutions with as many filters as channels, and
 * results were left unwritten for kernels larger than the map, so these are repeated.
 */
function repeatsOf({ map, kernel, filters, strides, pad }: Sizes): number {
  if (kernel[0] > map[1]) return 5
  const isSpecial = map[1] >= 14 && pad === 'same' && strides[0] === 2 && map[3] === filters
  if (!isSpecial) return 1
  return kernel[0] === 1 ? MANY_REPEATS : 5
}

/** Depthwise convolutions: every channel has filters of its own, `sizes.filters` of them. */
function depthwiseChecks(sizes: Sizes): OperationCheck[] {
  const channels = sizes.map[3]
  const full: Sizes = { ...sizes, filters: channels * sizes.filters }
  const numbers = once(() => {
    const own = numbersFor(sizes)
    const whole = numbersFor(full)
    const kernel = plain.depthwiseAsFull(own.kernel, channels, sizes.filters)
    return {
      own: own.kernel,
      x: whole.x,
      dy: whole.dy,
      outShape: whole.outShape,
      shape: own.kernelShape,
      kernel,
    }
  })
  const attributes = { strides: [...sizes.strides], pad: sizes.pad, dilations: [1, 1] }
  const x = () => tensorOf<tf.Tensor4D>(numbers().x, sizes.map)
  const kernel = () => tensorOf<tf.Tensor4D>(numbers().own, numbers().shape)
  const dy = () => tensorOf<tf.Tensor4D>(numbers().dy, numbers().outShape)
  const checkOf = checksOf(wordsOf(sizes), false, 1)
  return [
    checkOf(
      'DepthwiseConv2dNative',
      () => [tf.depthwiseConv2d(x(), kernel(), [...sizes.strides], sizes.pad)],
      () => [plain.convolution(numbers().x, numbers().kernel, full)],
    ),
    checkOf(
      'DepthwiseConv2dNativeBackpropInput',
      () => [
        runKernel(
          'DepthwiseConv2dNativeBackpropInput',
          { dy: dy(), filter: kernel() },
          { ...attributes, inputShape: [...sizes.map] },
        ),
      ],
      () => [plain.inputGradient(numbers().dy, numbers().kernel, full)],
    ),
    checkOf(
      'DepthwiseConv2dNativeBackpropFilter',
      () => [
        runKernel(
          'DepthwiseConv2dNativeBackpropFilter',
          { x: x(), dy: dy() },
          { ...attributes, filterShape: numbers().shape },
        ),
      ],
      () => [
        plain.fullAsDepthwise(plain.kernelGradient(numbers().x, numbers().dy, full), channels, sizes.filters),
      ],
    ),
  ]
}

/** Three experts of two patches, each 3x2 pixels of 4 channels, with kernels 3x3 and two filters. */
function patchCheck(inBfloat16: boolean): OperationCheck {
  const [experts, patches, height, width, channels, filters] = [3, 2, 3, 2, 4, 2]
  const sizes: Sizes = {
    map: [patches, height, width, channels],
    kernel: [3, 3],
    filters,
    strides: [1, 1],
    pad: 'same',
  }
  const windowLength = shapeSize(sizes.map)
  const windows = drawEighths(experts * windowLength, 5)
  // (K, C, kh kw F)
  const weights = drawEighths(experts * channels * 9 * filters, 6)
  const kernelOf = (expert: number) =>
    Float64Array.from({ length: 9 * channels * filters }, (_, at) => {
      const [f, c, tap] = [
        at % filters,
        Math.floor(at / filters) % channels,
        Math.floor(at / filters / channels),
      ]
      return weights[((expert * channels + c) * 9 + tap) * filters + f]!
    })
  return checksOf('3 experts, 2 patches', inBfloat16, 1)(
    'patchConvolution',
    () => {
      const maps = tensorOf<tf.Tensor5D>(windows, [experts, patches, height, width, channels])
      const filterRows = tensorOf<tf.Tensor3D>(weights, [experts, channels, 9 * filters])
      return [layerOps().patchConvolution!.forward(maps, filterRows, [3, 3], 'same')]
    },
    () => [outputs()],
    () => layerOps().patchConvolution !== undefined,
  )
  function outputs(): Float64Array {
    return Float64Array.from(
      Array.from({ length: experts }, (_, expert) => [
        ...plain.convolution(
          windows.slice(expert * windowLength, (expert + 1) * windowLength),
          kernelOf(expert),
          sizes,
        ),
      ]).flat(),
    )
  }
}

function checksOf(sizes: string, inBfloat16: boolean, repeats: number) {
  return (
    operation: string,
    compute: OperationCheck['compute'],
    expected: OperationCheck['expected'],
    isThere = () => hasKernel(operation),
  ): OperationCheck => ({ operation, sizes, inBfloat16, isThere, repeats, compute, expected })
}

function runKernel(name: string, inputs: tf.NamedTensorMap, attributes: object): tf.Tensor {
  return tf.engine().runKernel(name, inputs, attributes as tf.NamedAttrMap) as tf.Tensor
}

import * as tf from '@tensorflow/tfjs-core'
import type { KernelGradientInputs } from '../../layers/ops.js'
import { shapeSize } from '../../shapes.js'
import { wrapKernel } from '../corrections/wrapped-kernel.js'
import { asProducts, hasIdleTap, pixelsUnderStrides } from './kernel-gradient.js'

/*
 * The two derivatives of a convolution on native TensorFlow, in 2 and 3 dimensions and depthwise, without the sizes at
 * which oneDNN 3.7 is wrong on processors with AVX-512 of the newest kind (Zen 5): the derivative by the input for one
 * channel and one filter loses an element of the kernel, and that by a 1x1 kernel with strides writes past its memory.
 */

type Kernel = tf.KernelConfig['kernelFunc']
type KernelArguments = Parameters<Kernel>[0]

/** What tfjs hands to the gradient kernels of a convolution. */
interface ConvolutionAttributes {
  readonly strides: number | readonly number[]
  readonly pad: 'valid' | 'same' | number
  readonly dataFormat?: 'NHWC' | 'NCHW'
  readonly dilations?: number | readonly number[] | null
  readonly inputShape?: number[]
  readonly filterShape?: number[]
}

const INPUT_GRADIENTS = [
  tf.Conv2DBackpropInput,
  tf.Conv3DBackpropInputV2,
  tf.DepthwiseConv2dNativeBackpropInput,
] as const

const KERNEL_GRADIENTS = [
  tf.Conv2DBackpropFilter,
  tf.Conv3DBackpropFilterV2,
  tf.DepthwiseConv2dNativeBackpropFilter,
] as const

/** Which derivatives of two-dimensional convolutions are computed without TensorFlow's operations at every size. */
export interface AvoidedGradients {
  readonly input: boolean
  readonly kernel: boolean
}

/**
 * Puts gradient kernels in the place of those that tfjs-node brings, for every layer of tfjs: the derivative by the
 * input for one channel and one filter is computed with a second filter of zeros, that by a strided 1x1 kernel as a
 * product of the pixels that the strides meet, and that by a kernel with taps that meet no pixel as products.
 * Everything else stays as it is, unless `avoided` names it.
 *
 * @param avoided the derivative by the input is then a convolution with the flipped kernel, that by the kernel a product
 */
export function registerConvolutionGradients(
  avoided: AvoidedGradients = { input: false, kernel: false },
): void {
  wrapKernel('tensorflow', tf.DepthwiseConv2dNative, oneChannelAsFull)
  for (const name of INPUT_GRADIENTS) wrapKernel('tensorflow', name, withSecondFilter)
  for (const name of KERNEL_GRADIENTS)
    wrapKernel('tensorflow', name, original => pointwiseAsProduct(name, original))
  wrapKernel('tensorflow', tf.Conv2DBackpropFilter, kernelGradientAsProducts(hasIdleTap))
  if (avoided.input) wrapKernel('tensorflow', tf.Conv2DBackpropInput, inputGradientAsConvolution)
  if (avoided.kernel)
    wrapKernel(
      'tensorflow',
      tf.Conv2DBackpropFilter,
      kernelGradientAsProducts(() => true),
    )
}

/** A second filter of zeros changes no result, and with two filters oneDNN runs other code. */
function withSecondFilter(original: Kernel): Kernel {
  return args => {
    const dy = args.inputs.dy as tf.Tensor
    const filter = args.inputs.filter as tf.Tensor
    const [channels, filters] = filter.shape.slice(-2)
    const pixels = shapeSize(filter.shape.slice(0, -2))
    if (channels !== 1 || filters !== 1 || pixels === 1) return original(args)
    const channelAxis = attributesOf(args).dataFormat === 'NCHW' ? 1 : dy.rank - 1
    return tf.tidy(() => {
      const inputs = { dy: padded(dy, channelAxis), filter: padded(filter, filter.rank - 1) }
      return original({ ...args, inputs }) as tf.Tensor
    })
  }
}

/**
 * Computes a depthwise convolution of one channel as a plain one, which is the same: TensorFlow's depthwise convolution
 * refuses kernels of one pixel.
 */
function oneChannelAsFull(original: Kernel): Kernel {
  return args => {
    const x = args.inputs.x as tf.Tensor4D
    const filter = args.inputs.filter as tf.Tensor4D
    const { strides, pad, dilations } = attributesOf(args)
    if (x.shape[3] !== 1) return original(args)
    // tfjs's own layer gives null where no dilation was asked for.
    return tf.conv2d(x, filter, strides as number, pad, 'NHWC', (dilations ?? 1) as number)
  }
}

/** Adds zeros of size 1 at the end of an axis. */
function padded(x: tf.Tensor, axis: number): tf.Tensor {
  return tf.pad(
    x,
    x.shape.map((_, at) => [0, at === axis ? 1 : 0] as [number, number]),
  )
}

/** The sum over outputs of the pixel under each times its derivatives. */
function pointwiseAsProduct(name: string, original: Kernel): Kernel {
  return args => {
    const { strides, dataFormat, filterShape = [] } = attributesOf(args)
    const steps = typeof strides === 'number' ? filterShape.slice(0, -2).map(() => strides) : strides
    const isPointwise = filterShape.slice(0, -2).every(side => side === 1)
    if (!isPointwise || steps.every(step => step === 1) || !padsNothing(args)) return original(args)
    const [channels = 1, filters = 1] = filterShape.slice(-2)
    return tf.tidy(() => {
      const [x, dy] = [args.inputs.x as tf.Tensor, args.inputs.dy as tf.Tensor].map(map =>
        dataFormat === 'NCHW' ? tf.transpose(map, [0, 2, 3, 1]) : map,
      ) as [tf.Tensor, tf.Tensor]
      const pixels = tf.reshape(pixelsUnderStrides(x, dy.shape, steps), [-1, channels])
      if (name !== tf.DepthwiseConv2dNativeBackpropFilter) {
        return tf.reshape(tf.matMul(pixels, tf.reshape(dy, [-1, filters]), true, false), filterShape)
      }
      const own = tf.mul(tf.reshape(pixels, [-1, channels, 1]), tf.reshape(dy, [-1, channels, filters]))
      return tf.reshape(tf.sum(own, 0), filterShape)
    })
  }
}

/** Whether the padding adds nothing around a kernel of one pixel; TensorFlow itself refuses other paddings. */
function padsNothing(args: KernelArguments): boolean {
  const { pad } = attributesOf(args)
  return pad === 'same' || pad === 'valid' || pad === 0
}

/** A convolution of the derivatives, with zeros between them for the strides, with the kernel flipped. */
function inputGradientAsConvolution(original: Kernel): Kernel {
  return args => {
    const { dataFormat, inputShape, pad, strides } = attributesOf(args)
    if (dataFormat === 'NCHW') return original(args)
    const filter = args.inputs.filter as tf.Tensor4D
    const shape = inputShape as [number, number, number, number]
    const steps = strides as number | [number, number]
    const info = tf.backend_util.computeConv2DInfo(shape, filter.shape, steps, 1, pad)
    return tf.tidy(() => {
      const dy = spread(args.inputs.dy as tf.Tensor4D, info.strideHeight, info.strideWidth)
      const [rows, columns] = [filter.shape[0] - 1, filter.shape[1] - 1]
      const surrounded = tf.pad(dy, [
        [0, 0],
        [rows, Math.max(rows, info.inHeight + info.padInfo.top - dy.shape[1])],
        [columns, Math.max(columns, info.inWidth + info.padInfo.left - dy.shape[2])],
        [0, 0],
      ])
      const flipped = tf.transpose(tf.reverse(filter, [0, 1]), [0, 1, 3, 2])
      const whole = tf.conv2d(surrounded, flipped, 1, 'valid')
      return tf.slice(whole, [0, info.padInfo.top, info.padInfo.left, 0], shape)
    })
  }
}

/** Zeros between the pixels: (B,H',W',F) -> (B,(H'-1) sh + 1,(W'-1) sw + 1,F). */
function spread(dy: tf.Tensor4D, strideHeight: number, strideWidth: number): tf.Tensor4D {
  if (strideHeight === 1 && strideWidth === 1) return dy
  const [batch, rows, columns, filters] = dy.shape
  const apart = tf.pad(tf.reshape(dy, [batch * rows, 1, columns, 1, filters]), [
    [0, 0],
    [0, strideHeight - 1],
    [0, 0],
    [0, strideWidth - 1],
    [0, 0],
  ])
  const map: tf.Tensor4D = tf.reshape(apart, [batch, rows * strideHeight, columns * strideWidth, filters])
  return tf.slice(
    map,
    [0, 0, 0, 0],
    [batch, (rows - 1) * strideHeight + 1, (columns - 1) * strideWidth + 1, filters],
  )
}

/** Computes the derivative by the kernel as products where `usesProducts` says so. */
function kernelGradientAsProducts(usesProducts: (inputs: KernelGradientInputs) => boolean) {
  return (original: Kernel): Kernel =>
    args => {
      const { dataFormat, filterShape = [], pad, strides } = attributesOf(args)
      if (dataFormat === 'NCHW' || typeof pad !== 'string') return original(args)
      const inputs: KernelGradientInputs = {
        x: args.inputs.x as tf.Tensor4D,
        dy: args.inputs.dy as tf.Tensor4D,
        kernelShape: filterShape,
        strides: (typeof strides === 'number' ? [strides, strides] : strides) as [number, number],
        pad,
      }
      return usesProducts(inputs) ? asProducts(inputs) : original(args)
    }
}

function attributesOf({ attrs }: KernelArguments): ConvolutionAttributes {
  return attrs as unknown as ConvolutionAttributes
}

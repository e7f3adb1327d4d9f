import * as tf from '@tensorflow/tfjs-core'
import {
  type BiasedConvolutionInputs,
  type BiasedKernelGradient,
  composedOps,
  type KernelGradientInputs,
} from '../../layers/ops.js'
import type { Size2D } from '../../shapes.js'
import { type Attribute, nativeBackend } from './operations.js'

// TensorFlow's own optimizer puts these operations in the place of others; they exist only where it has oneDNN.
export const biasedConvolutionName = '_MklNativeConv2DWithBias'
export const biasedKernelGradientName = '_MklNativeConv2DBackpropFilterWithBias'
export const rectifiedNormName = '_MklNativeFusedBatchNormEx'

let isAvailable: boolean | undefined

/**
 * Whether TensorFlow has its oneDNN operations: tried once, on a convolution of one pixel. `TF_ENABLE_ONEDNN_OPTS=0` turns
 * them off, as it does in TensorFlow.
 */
export function hasOneDnn(): boolean {
  isAvailable ??=
    process.env.TF_ENABLE_ONEDNN_OPTS !== '0' &&
    !nativeBackend().isUsingGpuDevice &&
    computesBiasedConvolution()
  return isAvailable
}

/** The label that the implementations of oneDNN operations are registered under. */
export function oneDnnLabel(): Attribute {
  return { name: '_kernel', type: nativeBackend().binding.TF_ATTR_STRING, value: 'MklNameChangeOp' }
}

/** A convolution that adds its bias on the way, which saves a pass over its output. */
export function biasedConvolution({ x, kernel, bias, strides, pad }: BiasedConvolutionInputs): tf.Tensor4D {
  const { TF_ATTR_BOOL } = nativeBackend().binding
  const attributes = [
    ...convolutionAttributes(strides, pad),
    { name: 'is_filter_const', type: TF_ATTR_BOOL, value: false },
  ]
  return nativeBackend().executeSingleOutput(biasedConvolutionName, attributes, [
    x,
    kernel,
    bias,
  ]) as tf.Tensor4D
}

/** The derivatives of a convolution by kernel and bias in one pass over those by its output. */
export function biasedKernelGradient({
  x,
  dy,
  kernelShape,
  strides,
  pad,
}: KernelGradientInputs): BiasedKernelGradient {
  const attributes = convolutionAttributes(strides, pad)
  const inputs = [x, tf.tensor1d([...kernelShape], 'int32'), dy]
  const [dKernel, dBias] = nativeBackend().executeMultipleOutputs(
    biasedKernelGradientName,
    attributes,
    inputs,
    2,
  )
  return { dKernel: dKernel as tf.Tensor4D, dBias: dBias as tf.Tensor1D }
}

function convolutionAttributes(strides: Size2D, pad: 'same' | 'valid'): Attribute[] {
  const { TF_ATTR_BOOL, TF_ATTR_INT, TF_ATTR_STRING, TF_ATTR_TYPE, TF_FLOAT } = nativeBackend().binding
  return [
    { name: 'T', type: TF_ATTR_TYPE, value: TF_FLOAT },
    { name: 'strides', type: TF_ATTR_INT, value: [1, ...strides, 1] },
    { name: 'padding', type: TF_ATTR_STRING, value: pad.toUpperCase() },
    { name: 'data_format', type: TF_ATTR_STRING, value: 'NHWC' },
    { name: 'dilations', type: TF_ATTR_INT, value: [1, 1, 1, 1] },
    { name: 'use_cudnn_on_gpu', type: TF_ATTR_BOOL, value: false },
    oneDnnLabel(),
  ]
}

function computesBiasedConvolution(): boolean {
  try {
    return tf.tidy(() => {
      const inputs: BiasedConvolutionInputs = {
        x: tf.tensor4d([2], [1, 1, 1, 1]),
        kernel: tf.tensor4d([3], [1, 1, 1, 1]),
        bias: tf.tensor1d([4]),
        strides: [1, 1],
        pad: 'same',
      }
      return biasedConvolution(inputs).dataSync()[0] === composedOps.biasedConvolution(inputs).dataSync()[0]
    })
  } catch {
    return false
  }
}

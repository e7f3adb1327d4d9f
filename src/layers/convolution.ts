import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Size2D } from '../shapes.js'
import { inputGradient } from './convolution-gradients.js'
import { isFixed } from './fixed-inputs.js'
import { handGradient } from './hand-gradient.js'
import { type KernelGradientInputs, layerOps } from './ops.js'
import { keepInput } from './recomputation.js'
import { layerInput } from './validation.js'

/** Options of {@link convolution}, as in tfjs-layers. */
export type ConvolutionLayerOptions = Parameters<typeof tfl.layers.conv2d>[0]

/** The members of tfjs's own layer that this module uses. */
interface StandardConvolution extends tfl.layers.Layer {
  readonly kernel: tfl.LayerVariable
  readonly bias: tfl.LayerVariable | null
  readonly strides: [number, number]
  readonly padding: string
  readonly dataFormat: string
  readonly dilationRate: [number, number]
  readonly activation: { getClassName(): string } | null
}

/** tfjs exports a factory for this layer, but not its class. */
const Standard = tfl.layers.conv2d({ name: 'standard', filters: 1, kernelSize: 1 }).constructor as new (
  options: ConvolutionLayerOptions,
) => StandardConvolution

/**
 * tfjs's Conv2D, which keeps its input for the backward pass and nothing else; where the input can be computed again
 * and `recomputeActivations` is on, not even that. Class name, configuration, weights and results are those of tfjs.
 */
export class Convolution extends Standard {
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const x = layerInput(inputs, this.getClassName())
    const { strides, padding, dataFormat, dilationRate, activation } = this
    const linear = !activation || activation.getClassName() === 'linear'
    const plain = dataFormat === 'channelsLast' && dilationRate.every(rate => rate === 1)
    if (!linear || !plain || (padding !== 'same' && padding !== 'valid')) return super.call(inputs, kwargs)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      return convolve(
        x,
        this.kernel.read() as tf.Tensor4D,
        this.bias?.read() as tf.Tensor1D,
        strides,
        padding,
      )
    })
  }
}

/** Creates a {@link Convolution} layer. */
export function convolution(options: ConvolutionLayerOptions): Convolution {
  return new Convolution(options)
}

function convolve(
  x: tf.Tensor4D,
  kernel: tf.Tensor4D,
  bias: tf.Tensor1D | undefined,
  strides: Size2D,
  pad: 'same' | 'valid',
): tf.Tensor4D {
  const needsInputGradient = !isFixed(x)
  return handGradient([...(needsInputGradient ? [x] : []), kernel, ...(bias ? [bias] : [])], () => {
    const value = bias
      ? layerOps().biasedConvolution({ x, kernel, bias, strides, pad })
      : tf.conv2d(x, kernel, [...strides], pad)
    const keptInput = keepInput(x)
    return {
      value,
      saved: keptInput.tensors,
      gradient: (dy, saved) => [
        ...(needsInputGradient ? [inputGradient(dy, kernel, x.shape, strides, pad)] : []),
        ...weightGradients(
          { x: keptInput.restore(saved), dy, kernelShape: kernel.shape, strides, pad },
          bias !== undefined,
        ),
      ],
    }
  })
}

function weightGradients(inputs: KernelGradientInputs, biased: boolean): tf.Tensor[] {
  if (!biased) return [layerOps().kernelGradient(inputs)]
  const { dKernel, dBias } = layerOps().biasedKernelGradient(inputs)
  return [dKernel, dBias]
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import type { Size2D } from '../../../shapes.js'
import { activationFunction } from '../../activations.js'
import { layerOps } from '../../ops.js'
import type { ParsedConvolution } from '../../standard-options.js'
import { coreOf, type WindowTable, withBorder } from '../patches.js'
import {
  type Expert,
  type ExpertGradients,
  type ExpertMode,
  type ExpertPass,
  type ExpertTensors,
  type ExpertWeight,
  type ExpertWindows,
  type Product,
  product,
} from './expert.js'
import { type Border, expertConvolution, expertConvolutionGradient } from './expert-convolution.js'
import {
  type ExpertNorm,
  expertMoments,
  type NormalizedWindows,
  normRelu,
  normReluGradient,
  type PreActivation,
} from './pre-activation.js'

/** Settings of {@link ConvolutionExpert}, checked by the layer. */
export interface ConvolutionExpertOptions {
  readonly numExperts: number
  /** Output channels of all experts together; expert s owns [s F, (s+1) F). */
  readonly filters: number
  /** h, w of a patch, pixels. */
  readonly patchSize: Size2D
  /** Odd. */
  readonly kernelSize: Size2D
  readonly border: Border
  readonly preActivation: PreActivation
  readonly useBias: boolean
  /** BatchNorm's epsilon. */
  readonly epsilon: number
  readonly convolution: ParsedConvolution
}

/**
 * Experts that convolve their patches with filters of their own, after a pre-activation:
 *
 *     activation(conv(preActivation(x^(j)), kernel_s) + bias_s)
 *
 * Weights: `kernel` (kh,kw,C,K F), `bias` (K F) if used; with batch-norm-relu `gamma`, `beta` and the averages
 * `moving_mean`, `moving_variance` (biased), (K,C) each.
 */
export class ConvolutionExpert implements Expert {
  readonly kind = 'convolution'
  readonly outputsOf = 'pixels'
  readonly size: number
  readonly reach: Size2D
  readonly normalises: boolean
  readonly options: ConvolutionExpertOptions

  constructor(options: ConvolutionExpertOptions) {
    const { kernelSize, border, filters, numExperts, preActivation } = options
    this.options = options
    this.size = filters / numExperts
    this.reach = border === 'halo' ? [(kernelSize[0] - 1) / 2, (kernelSize[1] - 1) / 2] : [0, 0]
    this.normalises = preActivation === 'batch-norm-relu'
  }

  weights(channels: number): readonly ExpertWeight[] {
    const { kernelSize, filters, useBias, convolution, numExperts } = this.options
    const kernel = {
      name: 'kernel',
      shape: [...kernelSize, channels, filters],
      options: convolution,
      axes: { experts: 3, channels: 2 },
    }
    const bias = useBias
      ? [{ name: 'bias', shape: [filters], options: convolution.bias, axes: { experts: 0 } }]
      : []
    if (!this.normalises) return [kernel, ...bias]
    const norm = { shape: [numExperts, channels], axes: { experts: 0, channels: 1 } }
    const [ones, zeros] = [
      { initializer: tfl.initializers.ones() },
      { initializer: tfl.initializers.zeros() },
    ]
    return [
      kernel,
      ...bias,
      { ...norm, name: 'gamma', options: ones },
      { ...norm, name: 'beta', options: zeros },
      { ...norm, name: 'moving_mean', options: zeros, average: true },
      { ...norm, name: 'moving_variance', options: ones, average: true },
    ]
  }

  forward(input: ExpertWindows, weights: ExpertTensors, table: WindowTable, mode: ExpertMode): ExpertPass {
    const { border, convolution } = this.options
    const norm = this.normalises ? this.norm(input, weights, table, mode) : undefined
    const { active, state: normState } = this.preActivate(input, norm)
    const { outputs, filters } = expertConvolution(active, weights.kernel as tf.Tensor4D, border)
    const { bias } = weights
    const linear = (
      bias ? tf.add(outputs, tf.reshape(bias, [outputs.shape[0], 1, -1])) : outputs
    ) as tf.Tensor3D
    const activation = activationFunction(convolution.activation)
    const { mean, variance } = norm?.moments ?? {}
    const state = { active, filters, linear, mean, variance, normState }
    return { outputs: activation ? activation.apply(linear) : linear, state }
  }

  gradient(
    dOutputs: tf.Tensor3D,
    input: ExpertWindows,
    pass: ExpertPass,
    weights: ExpertTensors,
    table: WindowTable,
    mode: ExpertMode,
  ): ExpertGradients {
    const { border, convolution } = this.options
    const { linear, filters, active } = pass.state as {
      linear: tf.Tensor3D
      filters: tf.Tensor3D | undefined
      active: tf.Tensor5D
    }
    const activation = activationFunction(convolution.activation)
    const dLinear = activation ? activation.gradient(dOutputs, linear, pass.outputs) : dOutputs
    const kernel = weights.kernel as tf.Tensor4D
    const { patch } = table.grid
    const { dWindows: dActive, dKernel } = expertConvolutionGradient(
      dLinear,
      active,
      kernel,
      filters,
      border,
      patch,
    )
    const { dWindows, ...dNorm } = this.preActivationGradient(dActive, input, pass, weights, table, mode)
    const dBias = weights.bias && { bias: tf.reshape(tf.sum(dLinear, 1), [-1]) }
    return { dWindows: () => dWindows, dWeights: { kernel: dKernel, ...dBias, ...dNorm } }
  }

  products(patches: number, channels: number, trained: (weight: string) => boolean): readonly Product[] {
    const { patchSize, kernelSize, filters } = this.options
    const pixels = patches * patchSize[0] * patchSize[1]
    // Each of the K experts has filters / K filters, so K cancels out.
    const allExperts = product(pixels * kernelSize[0] * kernelSize[1] * channels * filters, trained('kernel'))
    return [{ ...allExperts, learnedInside: trained('gamma') }]
  }

  /** BatchNorm with the statistics of the kept patches in training, which moves the averages; else with the averages. */
  private norm(
    { windows }: ExpertWindows,
    weights: ExpertTensors,
    table: WindowTable,
    mode: ExpertMode,
  ): ExpertNorm {
    const { mean, variance } = mode.training
      ? expertMoments(coreOf(windows, table))
      : { mean: weights.moving_mean, variance: weights.moving_variance }
    if (mode.training) mode.follow({ moving_mean: mean as tf.Tensor, moving_variance: variance as tf.Tensor })
    return this.normOf(weights, mean as tf.Tensor2D, variance as tf.Tensor2D)
  }

  private normOf(weights: ExpertTensors, mean: tf.Tensor2D, variance: tf.Tensor2D): ExpertNorm {
    const { gamma, beta } = weights as { gamma: tf.Tensor2D; beta: tf.Tensor2D }
    return { gamma, beta, epsilon: this.options.epsilon, moments: { mean, variance } }
  }

  private preActivate({ windows, inside }: ExpertWindows, norm: ExpertNorm | undefined): NormalizedWindows {
    if (norm) return normRelu(windows, norm, inside)
    return { active: this.options.preActivation === 'relu' ? tf.relu(windows) : windows }
  }

  private preActivationGradient(
    dActive: tf.Tensor5D,
    { windows, inside }: ExpertWindows,
    { state }: ExpertPass,
    weights: ExpertTensors,
    table: WindowTable,
    { training }: ExpertMode,
  ): { dWindows: tf.Tensor5D; gamma?: tf.Tensor2D; beta?: tf.Tensor2D } {
    const active = state.active as tf.Tensor5D
    const zeroOutside = (dWindows: tf.Tensor5D): tf.Tensor5D => (inside ? tf.mul(dWindows, inside) : dWindows)
    if (!this.normalises) {
      const rectified = this.options.preActivation === 'relu'
      return { dWindows: zeroOutside(rectified ? layerOps().reluGradient(dActive, active) : dActive) }
    }
    const norm = this.normOf(weights, state.mean as tf.Tensor2D, state.variance as tf.Tensor2D)
    const [height, width] = table.grid.patch
    const statistics = training
      ? {
          coreMask: inside && withBorder(tf.ones<tf.Rank.R5>([1, 1, height, width, 1]), table),
          coreCount: (windows.shape[1] as number) * height * width,
        }
      : undefined
    const { dWindows, dGamma, dBeta } = normReluGradient(
      dActive,
      active,
      windows,
      norm,
      statistics,
      state.normState,
    )
    return { dWindows: zeroOutside(dWindows), gamma: dGamma, beta: dBeta }
  }
}

import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../shapes.js'
import { handGradient } from './hand-gradient.js'
import { offerRecipe, recipeOf } from './recomputation.js'

/** Mean and biased variance of each channel, (C) each. */
export interface Moments {
  readonly mean: tf.Tensor1D
  readonly variance: tf.Tensor1D
}

/** Arguments of {@link LayerOps.batchNorm}. */
export interface BatchNormInputs {
  /** (..., C) float32; statistics are over all axes but the last. */
  readonly x: tf.Tensor
  /** (C). */
  readonly gamma: tf.Tensor1D
  /** (C). */
  readonly beta: tf.Tensor1D
  readonly epsilon: number
  /** Called with the batch's moments, which are disposed after the call. */
  readonly onMoments: (moments: Moments) => void
}

/** Arguments of {@link LayerOps.biasedConvolution}. */
export interface BiasedConvolutionInputs {
  /** (B,H,W,C) float32. */
  readonly x: tf.Tensor4D
  /** (kh,kw,C,F). */
  readonly kernel: tf.Tensor4D
  /** (F). */
  readonly bias: tf.Tensor1D
  readonly strides: Size2D
  readonly pad: 'same' | 'valid'
}

/** Arguments of {@link LayerOps.kernelGradient}. */
export interface KernelGradientInputs {
  /** (B,H,W,C) float32, input of the convolution. */
  readonly x: tf.Tensor4D
  /** (B,H',W',F) float32, derivative by its output. */
  readonly dy: tf.Tensor4D
  /** (kh,kw,C,F). */
  readonly kernelShape: readonly number[]
  readonly strides: Size2D
  readonly pad: 'same' | 'valid'
}

/** The derivatives of a convolution by its weights. */
export interface BiasedKernelGradient {
  /** (kh,kw,C,F). */
  readonly dKernel: tf.Tensor4D
  /** (F). */
  readonly dBias: tf.Tensor1D
}

/**
 * Every expert's convolution of its own patches with its own filters, stride 1: with zeros around each patch ('same'), or of the
 * pixels alone around which the whole kernel lies in the window ('valid').
 *
 * Shapes: windows (K, M, h, w, C), kernel (kh,kw,C,K F), filters (K, C, kh kw F), outputs (K, M h' w', F).
 */
export interface PatchConvolution {
  /** Whether to use it for tensors of these sizes. */
  suits(windows: tf.Tensor5D, kernel: tf.Tensor4D, pad: 'same' | 'valid'): boolean
  forward(windows: tf.Tensor5D, filters: tf.Tensor3D, kernelSize: Size2D, pad: 'same' | 'valid'): tf.Tensor3D
  /** Derivatives by windows and filters, from those by the outputs. */
  gradient(
    dOutputs: tf.Tensor3D,
    windows: tf.Tensor5D,
    filters: tf.Tensor3D,
    kernelSize: Size2D,
    pad: 'same' | 'valid',
  ): { dWindows: tf.Tensor5D; dFilters: tf.Tensor3D }
}

/** Mean and biased variance of each channel, one set a group: (G,C) each. */
export interface GroupMoments {
  readonly mean: tf.Tensor
  readonly variance: tf.Tensor
}

/** BatchNorm of groups: gamma (x - mean) / sqrt(variance + epsilon) + beta; all tensors (G,C). */
export interface GroupNorm extends GroupMoments {
  readonly gamma: tf.Tensor
  readonly beta: tf.Tensor
  readonly epsilon: number
}

/** BatchNorm of groups of rows (G, rows, C), each group with statistics of its own; not differentiable itself. */
export interface GroupNormalization {
  moments(x: tf.Tensor3D): GroupMoments
  /** The outputs, rectified or not, and a state that the gradient needs. */
  normalize<T extends tf.Tensor>(
    x: T,
    norm: GroupNorm,
    rectifies: boolean,
  ): { readonly y: T; readonly state: tf.Tensor }
  /**
   * The derivatives by x, gamma and beta, where the moments are those of x.
   *
   * @param y the outputs where they are rectified
   */
  gradient<T extends tf.Tensor>(
    dy: T,
    x: T,
    state: tf.Tensor,
    y?: T,
  ): { readonly dx: T; readonly dGamma: tf.Tensor; readonly dBeta: tf.Tensor }
}

/** A moving average, and what it moves towards. */
export interface AverageStep {
  readonly average: tf.Variable
  /** In the average's shape. */
  readonly value: tf.Tensor
}

/**
 * How a moving average is computed: `weighted` as it is written; `difference` as average + (1 - momentum) (value - average), so that an
 * average of equal values stays exactly as it is.
 */
export type AverageForm = 'weighted' | 'difference'

/** How an optimizer steps every weight, from its gradient g and what the optimizer keeps for it. */
export type StepRule =
  /** w <- w - rate g */
  | { readonly name: 'sgd'; readonly learningRate: number }
  /** a <- momentum a + g; w <- w - rate a, or with Nesterov's momentum w - rate (g + momentum a) */
  | {
      readonly name: 'momentum'
      readonly learningRate: number
      readonly momentum: number
      readonly nesterov: boolean
    }
  /**
   * m <- beta1 m + (1 - beta1) g; v <- beta2 v + (1 - beta2) g^2;
   * w <- w - rate (m / (1 - power1)) / (sqrt(v / (1 - power2)) + epsilon)
   */
  | {
      readonly name: 'adam'
      readonly learningRate: number
      readonly beta1: number
      readonly beta2: number
      readonly epsilon: number
      /** Scalars: beta1 and beta2 to the power of the step's number, from 1. */
      readonly powers: readonly [tf.Tensor, tf.Tensor]
    }

/** A weight that is stepped, with what belongs to it. */
export interface WeightStep {
  readonly weight: tf.Variable
  readonly gradient: tf.Tensor
  /** What the optimizer keeps for it, in the rule's order: a, or m and v. */
  readonly slots: readonly tf.Variable[]
  /** The share of the weight that is left before the step; 1 for no decay. */
  readonly keptShare: number
  /** How many times longer the whole step is, decay included. */
  readonly factor: number
}

/**
 * The operations that layers leave to the backend: composed of tfjs operations unless a backend registers its own.
 * Every implementation equals the composed one to float32 rounding, values and gradients.
 */
export interface LayerOps {
  /**
   * BatchNorm with the statistics of the batch: gamma (x - mean) / sqrt(variance + epsilon) + beta.
   *
   * @returns in x's shape, differentiable by x, gamma and beta; keeps x for the backward pass
   */
  batchNorm(inputs: BatchNormInputs): tf.Tensor
  /**
   * {@link batchNorm}, then {@link relu}.
   *
   * @returns in x's shape, differentiable by x, gamma and beta; keeps x and its output for the backward pass
   */
  batchNormRelu(inputs: BatchNormInputs): tf.Tensor
  /**
   * max(x, 0).
   *
   * @returns in x's shape, differentiable by x; keeps its output for the backward pass, not x
   */
  relu(x: tf.Tensor): tf.Tensor
  /**
   * The derivative of ReLU from its output: dy where the output is positive, else 0.
   */
  reluGradient<T extends tf.Tensor>(dy: T, output: T): T
  /** A convolution plus its bias, (B,H',W',F); not differentiable itself. */
  biasedConvolution(inputs: BiasedConvolutionInputs): tf.Tensor4D
  /** The derivative of a convolution by its kernel, (kh,kw,C,F); not differentiable itself. */
  kernelGradient(inputs: KernelGradientInputs): tf.Tensor4D
  /** The derivatives of a convolution by its kernel, (kh,kw,C,F), and its bias, (F); not differentiable themselves. */
  biasedKernelGradient(inputs: KernelGradientInputs): BiasedKernelGradient
  /**
   * Sums over all axes but the last: the derivative by a bias; not differentiable itself.
   *
   * @param x (..., C) float32
   * @returns (C)
   */
  channelSums(x: tf.Tensor): tf.Tensor1D
  /**
   * Bytes 0..255 as pixels, x / 255 rounded to float32.
   *
   * @returns float32 of the shape
   */
  pixels(bytes: Uint8Array, shape: readonly number[]): tf.Tensor
  /** Moves averages: average <- momentum average + (1 - momentum) value. */
  moveAverages(steps: readonly AverageStep[], momentum: number, form?: AverageForm): void
  /**
   * Steps weights by one rule; l2 times the weight, as it is before it decays, is added to its gradient. Where the norm of all gradients
   * as one vector is above `clipNorm`, they are scaled down to it first. Absent where an operation after the other is as fast.
   *
   * @returns false where nothing was stepped, since this backend cannot do it for these weights
   */
  readonly stepWeights?: (
    steps: readonly WeightStep[],
    rule: StepRule,
    additions: { readonly l2: number; readonly clipNorm?: number | undefined },
  ) => boolean
  /** Absent where an operation after the other is as fast. */
  readonly groupNormalization?: GroupNormalization
  /** Absent where one convolution for each expert is the fastest way. */
  readonly patchConvolution?: PatchConvolution
  /**
   * Computes something in float32 even where the backend otherwise rounds the factors of its products, so that rounding
   * does not decide which of two close scores is larger.
   */
  exactly<T>(compute: () => T): T
}

const registered = new Map<string, LayerOps>()

/**
 * Gives a backend operations of its own.
 *
 * @param backend tfjs's name of the backend: 'tensorflow', 'wasm', ...
 */
export function registerLayerOps(backend: string, ops: Partial<LayerOps>): void {
  registered.set(backend, { ...composedOps, ...registered.get(backend), ...ops })
}

let wrapped: ((ops: LayerOps) => LayerOps) | undefined

/** The operations of the current backend. */
export function layerOps(): LayerOps {
  const ops = registered.get(tf.getBackend()) ?? composedOps
  return wrapped ? wrapped(ops) : ops
}

/**
 * Computes something with other operations, made of those of the backend.
 *
 * @param wrap the same for the same operations
 */
export function withLayerOps<T>(wrap: (ops: LayerOps) => LayerOps, compute: () => T): T {
  const before = wrapped
  wrapped = wrap
  try {
    return compute()
  } finally {
    wrapped = before
  }
}

/** The operations as any backend can run them; gradients are written by hand to save passes over the map. */
export const composedOps: LayerOps = {
  batchNorm({ x, gamma, beta, epsilon, onMoments }) {
    // The reshape happens in here: outside, tf.reshape would keep its input for the backward pass to know its shape.
    return handGradient([x, gamma, beta], () => {
      const rows = asRows(x)
      const { mean, variance } = tf.moments(rows, 0) as unknown as Moments
      onMoments({ mean, variance })
      const inverseDeviation = tf.rsqrt(tf.add(variance, epsilon))
      const scale = tf.mul(gamma, inverseDeviation)
      const y = tf.add(tf.mul(rows, scale), tf.sub(beta, tf.mul(mean, scale)))
      return {
        value: tf.reshape(y, x.shape),
        saved: [x, mean, inverseDeviation],
        gradient: (dy, saved) => {
          const [input, center, inverse] = saved as [tf.Tensor, tf.Tensor1D, tf.Tensor1D]
          const normalized = tf.mul(tf.sub(asRows(input), center), inverse)
          const dRows = asRows(dy)
          const dBeta = tf.sum(dRows, 0)
          const dGamma = tf.sum(tf.mul(dRows, normalized), 0)
          const throughMoments = tf.div(tf.add(dBeta, tf.mul(normalized, dGamma)), dRows.shape[0])
          const dx = tf.mul(tf.sub(dRows, throughMoments), tf.mul(gamma, inverse))
          return [tf.reshape(dx, x.shape), dGamma, dBeta]
        },
      }
    })
  },

  batchNormRelu: inputs => layerOps().relu(layerOps().batchNorm(inputs)),

  relu(x) {
    const recipe = recipeOf(x)
    const y = handGradient([x], () => {
      const value = tf.relu(x)
      const gradient = (dy: tf.Tensor, [output]: tf.Tensor[]) => [
        layerOps().reluGradient(dy, output as tf.Tensor),
      ]
      if (!recipe) return { value, saved: [value], gradient }
      // ReLU's gradient is the same from its input: both are positive at the same places.
      return { value, saved: recipe.sources, gradient: (dy, saved) => gradient(dy, [recipe.compute(saved)]) }
    })
    if (recipe)
      offerRecipe(y, { sources: recipe.sources, compute: sources => tf.relu(recipe.compute(sources)) })
    return y
  },

  reluGradient: (dy, output) => tf.mul(dy, tf.step(output)),

  biasedConvolution: ({ x, kernel, bias, strides, pad }) =>
    tf.add(tf.conv2d(x, kernel, [...strides], pad), bias),

  kernelGradient({ x, dy, kernelShape, strides, pad }) {
    // tfjs has the kernel but exports no operation for it.
    return tf
      .engine()
      .runKernel(
        tf.Conv2DBackpropFilter,
        { x, dy },
        { strides: [...strides], pad, dataFormat: 'NHWC', filterShape: [...kernelShape] },
      ) as tf.Tensor4D
  },

  biasedKernelGradient: inputs => ({
    dKernel: layerOps().kernelGradient(inputs),
    dBias: channelSumsOnce(inputs.dy),
  }),

  channelSums: x => tf.sum(x, [...x.shape.keys()].slice(0, -1)),

  moveAverages(steps, momentum, form = 'weighted') {
    tf.tidy(() => {
      for (const { average, value } of steps) {
        const [own, added] =
          form === 'weighted'
            ? [tf.mul(average, momentum), tf.mul(value, 1 - momentum)]
            : [average, tf.mul(tf.sub(value, average), 1 - momentum)]
        average.assign(tf.add(own, added))
      }
    })
  },

  pixels(bytes, shape) {
    const values = new Float32Array(bytes.length)
    for (let i = 0; i < values.length; i++) values[i] = BRIGHTNESS[bytes[i] as number] as number
    return tf.tensor(values, [...shape])
  },

  exactly: compute => compute(),
}

/** The pixel of each byte. */
const BRIGHTNESS = Float32Array.from({ length: 256 }, (_, byte) => byte / 255)

/** (..., C) -> (rows, C). */
function asRows(x: tf.Tensor): tf.Tensor2D {
  return tf.reshape(x, [-1, x.shape.at(-1) as number])
}

/** Channel sums by the id of the data that they were computed from. */
const sumsByData = new WeakMap<object, tf.Tensor1D>()

/**
 * {@link LayerOps.channelSums}, computed once for two convolutions whose outputs are added: both get the same derivative.
 */
function channelSumsOnce(x: tf.Tensor): tf.Tensor1D {
  const earlier = sumsByData.get(x.dataId)
  if (earlier && !earlier.isDisposed) return tf.clone(earlier)
  const sums = layerOps().channelSums(x)
  sumsByData.set(x.dataId, sums)
  return sums
}

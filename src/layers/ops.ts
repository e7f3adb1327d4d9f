import * as tf from '@tensorflow/tfjs'
import { handGradient } from './hand-gradient.js'

/** Mean and biased variance of each channel, (C) each. */
export interface Moments {
  readonly mean: tf.Tensor1D
  readonly variance: tf.Tensor1D
}

/** Arguments of {@link LayerOps.batchNorm}. */
export interface BatchNormInputs {
  /** (P,C) float32: all pixels of a batch. */
  readonly x: tf.Tensor2D
  /** (C). */
  readonly gamma: tf.Tensor1D
  /** (C). */
  readonly beta: tf.Tensor1D
  readonly epsilon: number
  /** Is shown the batch's moments during the call; they are disposed after it. */
  readonly onMoments: (moments: Moments) => void
}

/**
 * The operations that layers leave to the backend: composed of tfjs operations unless a backend registers its own.
 * Every implementation equals the composed one to float32 rounding, values and gradients.
 */
export interface LayerOps {
  /**
   * BatchNorm with the statistics of the batch: gamma (x - mean) / sqrt(variance + epsilon) + beta.
   *
   * @returns (P,C), differentiable by x, gamma and beta
   */
  batchNorm(inputs: BatchNormInputs): tf.Tensor2D
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
  /**
   * Computes something in float32 where the backend otherwise rounds the factors of its products: a choice among close
   * scores would be at the mercy of the rounding.
   */
  exactly<T>(compute: () => T): T
}

const registered = new Map<string, Partial<LayerOps>>()

/**
 * Gives a backend operations of its own.
 *
 * @param backend tfjs's name of it: 'tensorflow', 'wasm', ...
 */
export function registerLayerOps(backend: string, ops: Partial<LayerOps>): void {
  registered.set(backend, { ...registered.get(backend), ...ops })
}

/** The operations of the current backend. */
export function layerOps(): LayerOps {
  return { ...composedOps, ...registered.get(tf.getBackend()) }
}

/** The operations as any backend can run them; gradients are written by hand to save passes over the map. */
export const composedOps: LayerOps = {
  batchNorm({ x, gamma, beta, epsilon, onMoments }) {
    return handGradient([x, gamma, beta], () => {
      const { mean, variance } = tf.moments(x, 0) as unknown as Moments
      onMoments({ mean, variance })
      const inverseDeviation = tf.rsqrt(tf.add(variance, epsilon))
      const scale = tf.mul(gamma, inverseDeviation)
      return {
        value: tf.add(tf.mul(x, scale), tf.sub(beta, tf.mul(mean, scale))) as tf.Tensor2D,
        saved: [x, mean, inverseDeviation],
        gradient: (dy, saved) => {
          const [input, center, inverse] = saved as [tf.Tensor2D, tf.Tensor1D, tf.Tensor1D]
          const normal = tf.mul(tf.sub(input, center), inverse)
          const dBeta = tf.sum(dy, 0)
          const dGamma = tf.sum(tf.mul(dy, normal), 0)
          const through = tf.div(tf.add(dBeta, tf.mul(normal, dGamma)), input.shape[0])
          return [tf.mul(tf.sub(dy, through), tf.mul(gamma, inverse)), dGamma, dBeta]
        },
      }
    })
  },

  relu: x =>
    handGradient([x], () => {
      const value = tf.relu(x)
      return {
        value,
        saved: [value],
        gradient: (dy, [output]) => [layerOps().reluGradient(dy, output as tf.Tensor)],
      }
    }),

  reluGradient: (dy, output) => tf.mul(dy, tf.step(output)),

  exactly: compute => compute(),
}

import * as tf from '@tensorflow/tfjs'
import { addAuxiliaryTerm } from '../../src/layers/auxiliary-terms.js'

/**
 * A layer that does in training what a mixture of whole-sample experts does: it draws noise from the seed of the step, and
 * adds a balance loss that depends on its weight. y = x w + noise, in training; the balance loss is mean(y^2).
 */
export class NoisyScale extends tf.layers.Layer {
  static readonly className = 'NoisyScale'
  readonly auxiliaryTerms = ['load-balance'] as const
  readonly stepSeeds: (number | undefined)[] = []
  readonly amplitude: number

  constructor({ amplitude = 0.5, ...config }: tf.serialization.ConfigDict & { amplitude?: number } = {}) {
    super(config)
    this.amplitude = amplitude
  }

  useStepSeed(seed: number | undefined): void {
    this.stepSeeds.push(seed)
  }

  override build(shape: tf.Shape): void {
    this.addWeight('scale', [shape.at(-1) ?? 1], 'float32', tf.initializers.ones())
    super.build(shape)
  }

  override call(inputs: tf.Tensor | tf.Tensor[], { training }: { training?: boolean }): tf.Tensor {
    return tf.tidy(() => {
      const x = Array.isArray(inputs) ? (inputs[0] as tf.Tensor) : inputs
      const scaled = tf.mul(x, (this.weights[0] as tf.LayerVariable).read())
      if (!training) return scaled
      const seed = this.stepSeeds.at(-1)
      const noise = tf.randomUniform(scaled.shape, 0, this.amplitude, 'float32', seed)
      const y = tf.add(scaled, noise)
      addAuxiliaryTerm('load-balance', () => tf.mean(tf.square(y)))
      return y
    })
  }

  override computeOutputShape(shape: tf.Shape): tf.Shape {
    return shape
  }
}

/** A hidden layer whose units are scaled with noise, and logits. */
export function noisyModel({ amplitude = 0.5, seed = 1 } = {}): tf.Sequential {
  const glorot = (part: number) => tf.initializers.glorotUniform({ seed: seed * 10 + part })
  return tf.sequential({
    layers: [
      tf.layers.flatten({ inputShape: [4, 4, 1] }),
      tf.layers.dense({ units: 6, activation: 'relu', kernelInitializer: glorot(1) }),
      new NoisyScale({ amplitude }),
      tf.layers.dense({ units: 3, kernelInitializer: glorot(2) }),
    ],
  })
}

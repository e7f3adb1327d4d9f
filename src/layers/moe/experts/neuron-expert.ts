import * as tf from '@tensorflow/tfjs-core'
import type { Size2D } from '../../../shapes.js'
import { layerOps } from '../../ops.js'
import type { WeightOptions } from '../../standard-options.js'
import {
  type Expert,
  type ExpertGradients,
  type ExpertPass,
  type ExpertTensors,
  type ExpertWeight,
  type ExpertWindows,
  type Product,
  product,
} from './expert.js'

/** Settings of {@link NeuronExpert}, checked by the layer. */
export interface NeuronExpertOptions {
  readonly numExperts: number
  /** m, neurons of all experts together. */
  readonly hiddenUnits: number
  /** h, w of a patch, pixels. */
  readonly patchSize: Size2D
  readonly kernel: WeightOptions
}

/**
 * The experts of the two-layer model: ReLU(<w_{r,s}, x^(j)>), a row of neurons for each patch (eq. 1).
 *
 * Weight: `kernel` (h,w,C,m), neuron r of expert s at s (m/K) + r.
 */
export class NeuronExpert implements Expert {
  readonly kind = 'neurons'
  readonly outputsOf = 'patches'
  readonly reach: Size2D = [0, 0]
  readonly normalises = false
  readonly size: number
  readonly options: NeuronExpertOptions

  constructor(options: NeuronExpertOptions) {
    this.options = options
    this.size = options.hiddenUnits / options.numExperts
  }

  weights(channels: number): readonly ExpertWeight[] {
    const { patchSize, hiddenUnits, kernel } = this.options
    const shape = [...patchSize, channels, hiddenUnits]
    return [{ name: 'kernel', shape, options: kernel, axes: { experts: 3, channels: 2 } }]
  }

  forward({ windows }: ExpertWindows, { kernel }: ExpertTensors): ExpertPass {
    const neurons = neuronsPerExpert(kernel as tf.Tensor4D, windows.shape[0])
    return { outputs: tf.relu(tf.matMul(asVectors(windows), neurons)), state: {} } // (K, B L, m/K)
  }

  gradient(
    dOutputs: tf.Tensor3D,
    { windows }: ExpertWindows,
    { outputs }: ExpertPass,
    weights: ExpertTensors,
  ): ExpertGradients {
    const kernel = weights.kernel as tf.Tensor4D
    const dActive = layerOps().reluGradient(dOutputs, outputs)
    const dKernel = tf.transpose(tf.matMul(asVectors(windows), dActive, true, false), [1, 0, 2]) // (hwC, K, m/K)
    return {
      dWindows: () => {
        const neurons = neuronsPerExpert(kernel, windows.shape[0])
        return tf.reshape(tf.matMul(dActive, neurons, false, true), windows.shape)
      },
      dWeights: { kernel: tf.reshape(dKernel, kernel.shape) },
    }
  }

  products(patches: number, channels: number, trained: (weight: string) => boolean): readonly Product[] {
    const { patchSize, hiddenUnits } = this.options
    return [product(patches * patchSize[0] * patchSize[1] * channels * hiddenUnits, trained('kernel'))]
  }
}

/** (K, M, h, w, C) -> (K, M, hwC). */
function asVectors(windows: tf.Tensor5D): tf.Tensor3D {
  return tf.reshape(windows, [windows.shape[0], windows.shape[1], -1])
}

/** (h,w,C,m) -> (K, hwC, m/K). */
function neuronsPerExpert(kernel: tf.Tensor4D, experts: number): tf.Tensor3D {
  const neurons = kernel.shape[3]
  return tf.transpose(tf.reshape(kernel, [-1, experts, neurons / experts]), [1, 0, 2])
}

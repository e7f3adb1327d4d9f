import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { layerOps, type Moments } from './ops.js'
import { offerRecipe, recomputesActivations } from './recomputation.js'

/** Options of {@link batchNormalization}, as in tfjs-layers. */
export type BatchNormalizationOptions = NonNullable<Parameters<typeof tfl.layers.batchNormalization>[0]>

/** What this module knows of tfjs's own layer. */
interface StandardBatchNormalization extends tfl.layers.Layer {
  readonly axis: number
  readonly center: boolean
  readonly scale: boolean
  readonly epsilon: number
  momentum: number
  readonly gamma: tfl.LayerVariable
  readonly beta: tfl.LayerVariable
  readonly movingMean: tfl.LayerVariable
  readonly movingVariance: tfl.LayerVariable
}

/** tfjs exports no class for it, only this factory. */
const Standard = tfl.layers.batchNormalization({ name: 'standard' }).constructor as new (
  options: BatchNormalizationOptions,
) => StandardBatchNormalization

/**
 * tfjs's BatchNormalization, trained through the op table: one pass forward and one backward where tfjs composes about
 * twenty operations. Its class name, configuration, weights and results are those of tfjs, so that a saved network loads
 * without this library. As in tfjs, the moving variance averages the biased variance of the batches.
 *
 * Called with `rectify: true` it is followed by the ReLU that a network has after it, in the same pass where the backend
 * can.
 */
export class BatchNormalization extends Standard {
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const x = (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor
    const channelsLast = this.axis === -1 || this.axis === x.rank - 1
    const rectify = kwargs.rectify === true
    if (kwargs.training !== true || !channelsLast || !this.center || !this.scale) {
      const result = super.call(inputs, kwargs)
      return rectify ? tf.tidy(() => layerOps().relu(result as tf.Tensor)) : result
    }
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      const [gamma, beta] = [this.gamma.read(), this.beta.read()]
      const follow = (moments: Moments) => this.follow(moments)
      if (rectify && !recomputesActivations()) return this.normalize(x, gamma, beta, follow, 'batchNormRelu')
      const y = this.normalize(x, gamma, beta, follow)
      offerRecipe(y, {
        sources: [x, gamma, beta],
        compute: ([again, ...weights]) =>
          this.normalize(again as tf.Tensor, weights[0] as tf.Tensor, weights[1] as tf.Tensor, () => {}),
      })
      return rectify ? layerOps().relu(y) : y
    })
  }

  private normalize(
    x: tf.Tensor,
    gamma: tf.Tensor,
    beta: tf.Tensor,
    onMoments: (moments: Moments) => void,
    operation: 'batchNorm' | 'batchNormRelu' = 'batchNorm',
  ): tf.Tensor {
    return layerOps()[operation]({
      x,
      gamma: gamma as tf.Tensor1D,
      beta: beta as tf.Tensor1D,
      epsilon: this.epsilon,
      onMoments,
    })
  }

  /** Moves the moving averages towards the moments of a batch. */
  private follow(moments: Moments): void {
    moveTowards(this.movingMean, moments.mean, this.momentum)
    moveTowards(this.movingVariance, moments.variance, this.momentum)
  }
}

/** Creates a {@link BatchNormalization} layer. */
export function batchNormalization(options: BatchNormalizationOptions = {}): tfl.layers.Layer {
  return new BatchNormalization(options)
}

/**
 * One step of a moving average: average = momentum average + (1 - momentum) value.
 */
export function moveTowards(average: tfl.LayerVariable, value: tf.Tensor, momentum: number): void {
  tf.tidy(() => {
    average.write(tf.add(tf.mul(average.read(), momentum), tf.mul(value, 1 - momentum)))
  })
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { layerOps, type Moments } from './ops.js'
import { offerRecipe, recomputesActivations } from './recomputation.js'
import { layerInput } from './validation.js'

/** Options of {@link batchNormalization}, as in tfjs-layers. */
export type BatchNormalizationOptions = NonNullable<Parameters<typeof tfl.layers.batchNormalization>[0]>

/** The members of tfjs's own layer that this module uses. */
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

/** tfjs exports a factory for this layer, but not its class. */
const Standard = tfl.layers.batchNormalization({ name: 'standard' }).constructor as new (
  options: BatchNormalizationOptions,
) => StandardBatchNormalization

/**
 * The option because of which tfjs cannot train a layer: its BatchNormalization without scale or centre fails (4.22), where
 * {@link BatchNormalization} of the same configuration does not.
 *
 * @returns the option that is false; undefined for every other layer
 */
export function untrainableOption(layer: tfl.layers.Layer): 'scale' | 'center' | undefined {
  if (layer.constructor !== Standard) return undefined
  const { scale, center } = layer as StandardBatchNormalization
  return scale ? (center ? undefined : 'center') : 'scale'
}

/** Whether a layer is tfjs's own BatchNormalization, which knows of one process alone. */
export function isStandardBatchNormalization(layer: tfl.layers.Layer): boolean {
  return layer.constructor === Standard
}

/**
 * tfjs's BatchNormalization, trained through the op table: one pass forward and one backward where tfjs composes about
 * twenty operations. Its class name, configuration, weights and results are those of tfjs, so that a saved network loads
 * without this library. It trains without scale (gamma) or centre (beta) too, where tfjs 4.22 fails. As in tfjs, the moving
 * variance averages the biased variance of the batches.
 *
 * Called with `rectify: true` it also applies the ReLU that follows it in a network, in the same pass where the backend
 * can.
 */
export class BatchNormalization extends Standard {
  /** They stand in for gamma and beta where the layer has none, and are kept because the backward pass reads them. */
  private fixedScale: tf.Tensor1D | undefined
  private fixedCenter: tf.Tensor1D | undefined

  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const x: tf.Tensor = layerInput(inputs, this.getClassName())
    const rectify = kwargs.rectify === true
    const axis = this.axis < 0 ? this.axis + x.rank : this.axis
    const channelsLast = axis === x.rank - 1
    const complete = this.center && this.scale
    if (kwargs.training !== true || (!channelsLast && complete)) {
      const result = super.call(inputs, kwargs)
      return rectify ? tf.tidy(() => layerOps().relu(result as tf.Tensor)) : result
    }
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      if (channelsLast) return this.callInTraining(x, rectify)
      const axes = [...x.shape.keys()]
      const y = this.callInTraining(tf.transpose(x, [...axes.filter(other => other !== axis), axis]), rectify)
      const inverse = axes.map(other => (other < axis ? other : other === axis ? x.rank - 1 : other - 1))
      return tf.transpose(y, inverse)
    })
  }

  /** @param x channels last */
  private callInTraining(x: tf.Tensor, rectify: boolean): tf.Tensor {
    const follow = (moments: Moments) => this.follow(moments)
    const { gamma, beta } = this.scaleAndCenter(x.shape.at(-1) as number)
    if (rectify && !recomputesActivations()) return this.normalize(x, gamma, beta, follow, 'batchNormRelu')
    const y = this.normalize(x, gamma, beta, follow)
    offerRecipe(y, {
      sources: [x, gamma, beta],
      compute: ([input, ...weights]) =>
        this.normalize(input as tf.Tensor, weights[0] as tf.Tensor, weights[1] as tf.Tensor, () => {}),
    })
    return rectify ? layerOps().relu(y) : y
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

  /** Gamma and beta, (C) each; 1 and 0 where the layer has none. */
  private scaleAndCenter(channels: number): { gamma: tf.Tensor; beta: tf.Tensor } {
    if (!this.scale) this.fixedScale ??= tf.keep(tf.ones([channels]))
    if (!this.center) this.fixedCenter ??= tf.keep(tf.zeros([channels]))
    return { gamma: this.fixedScale ?? this.gamma.read(), beta: this.fixedCenter ?? this.beta.read() }
  }

  protected override disposeWeights(): number {
    tf.dispose([this.fixedScale, this.fixedCenter].filter(tensor => tensor !== undefined))
    return super.disposeWeights()
  }

  /** Moves the moving averages towards the moments of a batch. */
  private follow(moments: Moments): void {
    moveTowards(
      [
        [this.movingMean, moments.mean],
        [this.movingVariance, moments.variance],
      ],
      this.momentum,
    )
  }
}

/** Creates a {@link BatchNormalization} layer. */
export function batchNormalization(options: BatchNormalizationOptions = {}): tfl.layers.Layer {
  return new BatchNormalization(options)
}

/** One step of moving averages: average = momentum average + (1 - momentum) value. */
export function moveTowards(
  steps: readonly (readonly [average: tfl.LayerVariable, value: tf.Tensor])[],
  momentum: number,
): void {
  const averages = steps.map(([average, value]) => ({ average: average.read() as tf.Variable, value }))
  layerOps().moveAverages(averages, momentum)
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { handGradient } from './hand-gradient.js'
import { checkOneTensorFlow } from './validation.js'

/** tfjs exports a factory for this layer, but not its class. */
const Standard = tfl.layers.add({ name: 'standard' }).constructor as new (options: {
  readonly name?: string
}) => tfl.layers.Layer

/**
 * tfjs's Add for two inputs of one shape. The gradient by each input equals the gradient by the output, so nothing is kept
 * for the backward pass; tfjs keeps both inputs only to know their shapes. Class name, configuration and results are those
 * of tfjs.
 */
export class ResidualAdd extends Standard {
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor | tf.Tensor[] {
    const [a, b, ...others] = inputs as tf.Tensor[]
    checkOneTensorFlow(a, this.getClassName())
    if (!a || !b || others.length > 0 || !tf.util.arraysEqual(a.shape, b.shape))
      return super.call(inputs, kwargs)
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      return handGradient([a, b], () => ({
        value: tf.add(a, b),
        saved: [],
        gradient: dy => [dy.clone(), dy.clone()],
      }))
    })
  }
}

/** Creates a {@link ResidualAdd} layer. */
export function residualAdd(options: { readonly name?: string } = {}): ResidualAdd {
  return new ResidualAdd(options)
}

import * as tf from '@tensorflow/tfjs-core'
import * as tfl from '@tensorflow/tfjs-layers'
import { layerOps } from './ops.js'
import { layerInput } from './validation.js'

/** tfjs exports a factory for this layer, but not its class. */
const Standard = tfl.layers.reLU({ name: 'standard' }).constructor as new (options: {
  readonly name?: string
}) => tfl.layers.Layer

/**
 * tfjs's ReLU through the op table. Its gradient is taken from its output, which the next layer keeps anyway, so that
 * the input need not be kept: one map less in memory for each ReLU of a network in training. Class name, configuration
 * and results are those of tfjs.
 */
export class ReLU extends Standard {
  override call(inputs: tf.Tensor | tf.Tensor[], kwargs: Record<string, unknown>): tf.Tensor {
    const x = layerInput(inputs, this.getClassName())
    return tf.tidy(() => {
      this.invokeCallHook(inputs, kwargs)
      return layerOps().relu(x)
    })
  }
}

/** Creates a {@link ReLU} layer: max(x, 0) of a float32 tensor of any shape. */
export function relu(options: { readonly name?: string } = {}): ReLU {
  return new ReLU(options)
}

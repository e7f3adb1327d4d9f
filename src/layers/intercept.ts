import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'

/**
 * What stands in for the computation of a layer.
 *
 * @param input of the layer
 * @param compute the layer's own computation
 */
export type Intercept<Layer extends tfl.layers.Layer> = (
  input: tf.Tensor4D,
  compute: (input: tf.Tensor4D) => tf.Tensor,
  layer: Layer,
) => tf.Tensor

/**
 * Runs something with other computations in place of those of some layers, wherever in a model they are.
 *
 * The layers themselves stay as they are, also where `run` throws.
 *
 * @param layers each of one input
 */
export function withIntercepted<Layer extends tfl.layers.Layer, Result>(
  layers: readonly Layer[],
  intercept: Intercept<Layer>,
  run: () => Result,
): Result {
  try {
    for (const layer of layers) {
      const compute = layer.call.bind(layer)
      layer.call = (inputs, kwargs) =>
        intercept(
          (Array.isArray(inputs) ? inputs[0] : inputs) as tf.Tensor4D,
          input => compute(input, kwargs) as tf.Tensor,
          layer,
        )
    }
    return run()
  } finally {
    // An own property hid the method of the class.
    for (const layer of layers) Reflect.deleteProperty(layer, 'call')
  }
}

import type * as tf from '@tensorflow/tfjs-core'
import type * as tfl from '@tensorflow/tfjs-layers'

/**
 * A function that replaces the computation of a layer.
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
 * Calls `run` while `intercept` replaces the computations of some layers, wherever in a model they are.
 *
 * Afterwards the layers compute as before, also where `run` throws.
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
    // Without the own property, `call` is the method of the class again.
    for (const layer of layers) Reflect.deleteProperty(layer, 'call')
  }
}
